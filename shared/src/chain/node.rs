//! A chain's node, whatever the family, as watchers and the operator's command ask it.

use super::block::{Found, Header, Mempool, ScannedBlock};
use super::rpc::RpcError;
use super::{Chain, Family, evm};
use crate::payment::Code;
use crate::watch::{Source, WatchList};

/// A node, reached by its URL.
#[derive(Debug)]
pub enum Node {
    /// Of Ethereum or its like.
    Evm(evm::node::Node),
}

/// A node asked about one chain.
#[derive(Debug)]
pub enum NodeOn<'a> {
    /// Of Ethereum or its like.
    Evm(evm::node::NodeOn<'a>),
}

/// Why a chain cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The URL is none.
    #[error("the node of chain {0}")]
    Rpc(String, #[source] RpcError),
    /// No watcher knows this family.
    #[error("chain {0} is of a family that cannot be watched yet")]
    Family(String),
}

impl Node {
    /// The node of `chain` at `url`, which may hold a secret and is never shown.
    pub fn new(chain: &Chain, url: &str) -> Result<Node, NodeError> {
        let named = |error| NodeError::Rpc(chain.id.to_string(), error);
        match chain.family {
            Family::Evm { .. } => evm::node::Node::new(url).map(Node::Evm).map_err(named),
            Family::Bitcoin { .. } => Err(NodeError::Family(chain.id.to_string())),
        }
    }

    /// Asked about the coins of `chain`, on whose network the node must be; `None` when the chain is of another family.
    pub fn on<'a>(&'a self, chain: &'a Chain) -> Option<NodeOn<'a>> {
        match (self, chain.family) {
            (Node::Evm(node), Family::Evm { chain_id, .. }) => Some(NodeOn::Evm(node.on(chain, chain_id))),
            (Node::Evm(_), Family::Bitcoin { .. }) => None,
        }
    }
}

impl NodeOn<'_> {
    /// How many blocks were read, since this was last asked, in which money of contracts could not be looked for.
    pub fn take_unchecked(&self) -> u64 {
        match self {
            NodeOn::Evm(node) => node.take_unchecked(),
        }
    }
}

impl Source for NodeOn<'_> {
    async fn tip(&self) -> Result<Header, RpcError> {
        match self {
            NodeOn::Evm(node) => node.tip().await,
        }
    }

    async fn header(&self, height: u64) -> Result<Option<Header>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.header(height).await,
        }
    }

    async fn finalized(&self) -> Result<Option<u64>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.finalized().await,
        }
    }

    async fn scan(&self, height: u64, list: &WatchList) -> Result<ScannedBlock<Code>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.scan(height, list).await,
        }
    }

    async fn mempool(&self) -> Result<Option<Mempool>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.mempool().await,
        }
    }

    async fn unconfirmed(&self, mempool: &Mempool, list: &WatchList) -> Result<Vec<Found<Code>>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.unconfirmed(mempool, list).await,
        }
    }
}
