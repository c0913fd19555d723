//! A chain's node, whatever the family, as watchers and the operator's command ask it.

use std::collections::BTreeMap;

use super::address::AddressKey;
use super::block::{Found, Header, Mempool, OutPoint, ScannedBlock};
use super::rpc::RpcError;
use super::{Chain, CoinId, Family, bitcoin, evm};
use crate::money::Units;
use crate::payment::Code;
use crate::watch::{Source, WatchList};

/// A node, reached by its URL.
#[derive(Debug)]
pub enum Node {
    /// Of Ethereum or its like.
    Evm(evm::node::Node),
    /// Of Bitcoin or its like.
    Bitcoin(bitcoin::node::Node),
}

/// A node asked about one chain.
#[derive(Debug)]
pub enum NodeOn<'a> {
    /// Of Ethereum or its like.
    Evm(evm::node::NodeOn<'a>),
    /// Of Bitcoin or its like.
    Bitcoin(bitcoin::node::NodeOn<'a>),
}

/// Why a chain cannot be asked: its URL is none.
#[derive(Debug, thiserror::Error)]
#[error("the node of chain {0}")]
pub struct NodeError(String, #[source] RpcError);

impl Node {
    /// The node of `chain` at `url`, which may hold a secret and is never shown.
    pub fn new(chain: &Chain, url: &str) -> Result<Node, NodeError> {
        let named = |error| NodeError(chain.id.to_string(), error);
        match chain.family {
            Family::Evm { .. } => evm::node::Node::new(url).map(Node::Evm).map_err(named),
            Family::Bitcoin { .. } => bitcoin::node::Node::new(url).map(Node::Bitcoin).map_err(named),
        }
    }

    /// Asked about the coins of `chain`, on whose network the node must be; `None` when the chain is of another family.
    pub fn on<'a>(&'a self, chain: &'a Chain) -> Option<NodeOn<'a>> {
        match (self, chain.family) {
            (Node::Evm(node), Family::Evm { chain_id, .. }) => Some(NodeOn::Evm(node.on(chain, chain_id))),
            (Node::Bitcoin(node), Family::Bitcoin { network, .. }) => {
                Some(NodeOn::Bitcoin(node.on(chain, network)))
            }
            (Node::Evm(_), Family::Bitcoin { .. }) | (Node::Bitcoin(_), Family::Evm { .. }) => None,
        }
    }
}

impl Source for NodeOn<'_> {
    async fn tip(&self) -> Result<Header, RpcError> {
        match self {
            NodeOn::Evm(node) => node.tip().await,
            NodeOn::Bitcoin(node) => node.tip().await,
        }
    }

    async fn header(&self, height: u64) -> Result<Option<Header>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.header(height).await,
            NodeOn::Bitcoin(node) => node.header(height).await,
        }
    }

    async fn finalized(&self) -> Result<Option<Header>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.finalized().await,
            NodeOn::Bitcoin(node) => node.finalized().await,
        }
    }

    async fn scan(&self, height: u64, list: &WatchList) -> Result<ScannedBlock<Code>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.scan(height, list).await,
            NodeOn::Bitcoin(node) => node.scan(height, list).await,
        }
    }

    async fn height_of(&self, tx_id: &str) -> Result<Option<u64>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.height_of(tx_id).await,
            NodeOn::Bitcoin(node) => node.height_of(tx_id).await,
        }
    }

    async fn balances(
        &self,
        block: &Header,
        addresses: &[AddressKey],
    ) -> Result<Option<Vec<BTreeMap<CoinId, Units>>>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.balances(block, addresses).await,
            NodeOn::Bitcoin(node) => node.balances(block, addresses).await,
        }
    }

    async fn nonces(&self, block: &Header, addresses: &[AddressKey]) -> Result<Option<Vec<u64>>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.nonces(block, addresses).await,
            NodeOn::Bitcoin(node) => node.nonces(block, addresses).await,
        }
    }

    async fn unspent(&self, outputs: &[OutPoint]) -> Result<Option<Vec<bool>>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.unspent(outputs).await,
            NodeOn::Bitcoin(node) => node.unspent(outputs).await,
        }
    }

    fn at_once(&self) -> usize {
        match self {
            NodeOn::Evm(node) => node.at_once(),
            NodeOn::Bitcoin(node) => node.at_once(),
        }
    }

    fn take_unchecked(&self) -> u64 {
        match self {
            NodeOn::Evm(node) => node.take_unchecked(),
            NodeOn::Bitcoin(node) => node.take_unchecked(),
        }
    }

    async fn mempool(&self) -> Result<Option<Mempool>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.mempool().await,
            NodeOn::Bitcoin(node) => node.mempool().await,
        }
    }

    async fn unconfirmed(&self, mempool: &Mempool, list: &WatchList) -> Result<Vec<Found<Code>>, RpcError> {
        match self {
            NodeOn::Evm(node) => node.unconfirmed(mempool, list).await,
            NodeOn::Bitcoin(node) => node.unconfirmed(mempool, list).await,
        }
    }
}
