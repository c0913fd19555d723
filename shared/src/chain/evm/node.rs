//! A node of an EVM chain, as the watcher sees it.

use super::block::Header;
use super::fetch::{ScannedBlock, scan_block};
use super::rpc::{Rpc, RpcError};
use crate::chain::Chain;
use crate::payment::Code;
use crate::watch::{Source, WatchList};

/// A node, reached by its URL.
#[derive(Debug)]
pub struct Node(Rpc);

/// A node asked about one chain.
#[derive(Debug)]
pub struct NodeOn<'a> {
    rpc: &'a Rpc,
    chain: &'a Chain,
}

impl Node {
    /// The node at `url`, which may hold a secret and is never shown.
    pub fn new(url: &str) -> Result<Node, RpcError> {
        Rpc::new(url).map(Node)
    }

    /// Asked about the coins of `chain`.
    pub fn on<'a>(&'a self, chain: &'a Chain) -> NodeOn<'a> {
        NodeOn { rpc: &self.0, chain }
    }
}

impl Source for NodeOn<'_> {
    async fn tip(&self) -> Result<Header, RpcError> {
        self.rpc.tip().await
    }

    async fn header(&self, height: u64) -> Result<Option<Header>, RpcError> {
        self.rpc.header(height).await
    }

    async fn finalized(&self) -> Result<Option<u64>, RpcError> {
        self.rpc.finalized().await
    }

    async fn scan(&self, height: u64, list: &WatchList) -> Result<ScannedBlock<Code>, RpcError> {
        scan_block(self.rpc, self.chain, height, None, |address| list.code(address)).await
    }
}
