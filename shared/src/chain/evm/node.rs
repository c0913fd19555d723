//! A node of an EVM chain, as the watcher sees it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OnceCell;

use super::balance::coin_balances;
use super::fetch::{Blind, Inside, Read, Wanted, scan_block};
use super::logs::MAX_RECEIVERS;
use super::patience::Patience;
use super::rpc::{Rpc, RpcError};
use crate::chain::address::{AddressKey, EvmAddress};
use crate::chain::block::{Header, ScannedBlock};
use crate::chain::{Chain, CoinId, Internal};
use crate::money::Units;
use crate::payment::Code;
use crate::watch::{Source, WatchList};

/// A node, reached by its URL.
#[derive(Debug)]
pub struct Node {
    rpc: Rpc,
    /// Set once the node has said that it is on the right network.
    right_network: OnceCell<()>,
    patience: Patience,
    /// Blocks in which money of contracts could not be looked for.
    unchecked: AtomicU64,
}

/// A node asked about one chain.
#[derive(Debug)]
pub struct NodeOn<'a> {
    node: &'a Node,
    chain: &'a Chain,
    chain_id: u64,
}

impl Node {
    /// The node at `url`, which may hold a secret and is never shown.
    pub fn new(url: &str) -> Result<Node, RpcError> {
        Ok(Node {
            rpc: Rpc::new(url)?,
            right_network: OnceCell::new(),
            patience: Patience::default(),
            unchecked: AtomicU64::new(0),
        })
    }

    /// The same node, for tests that should not take seconds.
    #[cfg(test)]
    fn in_haste(self) -> Node {
        Node { rpc: self.rpc.in_haste(), ..self }
    }

    /// Asked about the coins of `chain`, whose id (EIP-155) the node must have.
    pub fn on<'a>(&'a self, chain: &'a Chain, chain_id: u64) -> NodeOn<'a> {
        NodeOn { node: self, chain, chain_id }
    }
}

impl NodeOn<'_> {
    /// A node of another network would see none of our payers' money, and other people's.
    async fn check_network(&self) -> Result<(), RpcError> {
        let found = self.node.rpc.chain_id().await?;
        if found == self.chain_id {
            return Ok(());
        }
        Err(RpcError::Network { expected: self.chain_id.to_string(), found: found.to_string() })
    }

    /// What was read, unless it is worth waiting for what was not.
    fn take(&self, read: Read<Code>, list: &WatchList) -> Result<ScannedBlock<Code>, RpcError> {
        let Read { block, inside } = read;
        match inside {
            Inside::Unasked => {}
            Inside::Seen => self.node.patience.was_answered(&block.header),
            Inside::NotNow(error) if !list.reads_again() && self.node.patience.waits_for(&block.header) => {
                return Err(error);
            }
            Inside::NotNow(error) => self.leave_unchecked(&block.header, &error.into()),
            Inside::Never(blind) => self.leave_unchecked(&block.header, &blind),
        }
        Ok(block)
    }

    fn leave_unchecked(&self, block: &Header, blind: &Blind) {
        let (chain, number) = (&self.chain.id, block.number);
        tracing::warn!(%chain, number, error = %blind, "money of contracts could not be looked for");
        self.node.unchecked.fetch_add(1, Ordering::Relaxed);
    }
}

/// Everybody to whom money is looked for, if they are few enough to be named to a node.
fn receivers(list: &WatchList, destinations: &BTreeSet<EvmAddress>) -> Option<Vec<EvmAddress>> {
    let watched = list.addresses().map(|AddressKey(bytes)| EvmAddress(bytes));
    let all: Vec<EvmAddress> =
        watched.chain(destinations.iter().copied()).take(MAX_RECEIVERS.saturating_add(1)).collect();
    (all.len() <= MAX_RECEIVERS).then_some(all)
}

impl Source for NodeOn<'_> {
    async fn tip(&self) -> Result<Header, RpcError> {
        self.node.right_network.get_or_try_init(|| self.check_network()).await?;
        let tip = self.node.rpc.tip().await?;
        self.node.patience.saw_tip(&tip);
        Ok(tip)
    }

    async fn header(&self, height: u64) -> Result<Option<Header>, RpcError> {
        self.node.rpc.header(height).await
    }

    async fn finalized(&self) -> Result<Option<Header>, RpcError> {
        self.node.rpc.finalized().await
    }

    async fn scan(&self, height: u64, list: &WatchList) -> Result<ScannedBlock<Code>, RpcError> {
        let compared: Vec<EvmAddress> = match self.chain.internal {
            Internal::Balances => {
                list.compared().into_iter().map(|AddressKey(bytes)| EvmAddress(bytes)).collect()
            }
            Internal::Unseen | Internal::Traces => Vec::new(),
        };
        let lookup = |address: &EvmAddress| list.code(&AddressKey(address.0));
        let accounts = list.destinations().filter_map(|to| <[u8; 20]>::try_from(to).ok());
        let destinations: BTreeSet<EvmAddress> = accounts.map(EvmAddress).collect();
        let receivers = receivers(list, &destinations);
        let wanted = Wanted {
            lookup,
            destinations: &destinations,
            receivers: receivers.as_deref(),
            compared: &compared,
        };
        let read = scan_block(&self.node.rpc, self.chain, height, None, &wanted).await?;
        self.take(read, list)
    }

    async fn height_of(&self, tx_id: &str) -> Result<Option<u64>, RpcError> {
        self.tip().await?;
        self.node.rpc.height_of(tx_id).await
    }

    async fn balances(
        &self,
        block: &Header,
        addresses: &[AddressKey],
    ) -> Result<Option<Vec<BTreeMap<CoinId, Units>>>, RpcError> {
        if !self.node.rpc.knows_its_blocks().await? {
            let chain = &self.chain.id;
            tracing::error!(%chain, "{}: what addresses hold is not looked at", Blind::Newest);
            return Ok(None);
        }
        let addresses: Vec<EvmAddress> = addresses.iter().map(|key| EvmAddress(key.0)).collect();
        coin_balances(&self.node.rpc, self.chain, block.hash, &addresses).await.map(Some)
    }

    async fn nonces(&self, block: &Header, addresses: &[AddressKey]) -> Result<Option<Vec<u64>>, RpcError> {
        let mut nonces = Vec::new();
        for AddressKey(address) in addresses {
            nonces.push(self.node.rpc.nonce(block.hash, EvmAddress(*address)).await?);
        }
        Ok(Some(nonces))
    }

    fn at_once(&self) -> usize {
        self.node.rpc.at_once()
    }

    fn take_unchecked(&self) -> u64 {
        self.node.unchecked.swap(0, Ordering::Relaxed)
    }
}
