//! A node of Bitcoin or Litecoin, as the watcher sees it.

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use bitcoin::Txid;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{Instant, timeout};

use super::block::{Block, BlockError};
use super::network::Network;
use super::rpc::{BATCH, BitcoinRpc};
use super::scan::{Wanted, scan_block, scan_tx};
use super::tx::Tx;
use crate::chain::Chain;
use crate::chain::block::{Found, Header, Mempool, OutPoint, ScannedBlock, inputs_kept};
use crate::chain::rpc::RpcError;
use crate::payment::Code;
use crate::watch::{Source, WatchList};

/// Waiting transactions looked at in one run: some minutes of the busiest chain. A watcher that starts beside a full
/// mempool looks at all of it within a few runs.
const MAX_LOOKED_AT: usize = 40_000;

/// Ancestors of one waiting transaction that are read: nodes relay none with more (a hundred today, and 25 before).
const MAX_ANCESTORS: usize = 100;

/// What was not looked at by then is left to the next run, so that a slow node does not keep blocks from counting.
const LOOK_TIME: Duration = Duration::from_secs(15);

/// A node, reached by its URL.
#[derive(Debug)]
pub struct Node {
    rpc: BitcoinRpc,
    /// Set once the node has said that it is on the right network.
    right_network: OnceCell<()>,
    waiting: Mutex<Waiting>,
}

/// A node asked about one chain.
#[derive(Debug)]
pub struct NodeOn<'a> {
    node: &'a Node,
    chain: &'a Chain,
    network: Network,
}

/// What waits for a block, as far as it was looked at. Transactions do not change, so that once is enough.
#[derive(Debug, Default)]
struct Waiting {
    looked_at: HashSet<Txid>,
    /// The bytes of those that pay watched addresses.
    ours: HashMap<Txid, Vec<u8>>,
    /// What those spend, and the waiting ones that they spend from.
    spends: HashMap<Txid, Vec<OutPoint>>,
}

impl Waiting {
    /// Lets go of what waits no more.
    fn keep_only(&mut self, mempool: &Mempool) {
        self.looked_at.retain(|txid| mempool.contains(txid));
        self.ours.retain(|txid, _| mempool.contains(txid));
        self.spends.retain(|txid, _| mempool.contains(txid));
    }

    /// The waiting transactions that ours spend from, directly or through others, and that were not read yet.
    fn unread_ancestors(&self, mempool: &Mempool) -> Vec<Txid> {
        let parents = self.spends.values().flatten().map(|spent| spent.txid);
        let unread = parents.filter(|txid| mempool.contains(txid) && !self.spends.contains_key(txid));
        unread.collect::<BTreeSet<_>>().into_iter().take(MAX_ANCESTORS).collect()
    }

    /// The waiting transactions that this one spends from, directly or through others, and what they spend.
    fn ancestry(&self, txid: Txid) -> (Vec<Txid>, Vec<OutPoint>) {
        let (mut ancestors, mut spent) = (Vec::new(), Vec::new());
        let mut open = vec![txid];
        while let Some(inputs) = open.pop().and_then(|txid| self.spends.get(&txid)) {
            let is_new = |parent: &Txid| self.spends.contains_key(parent) && !ancestors.contains(parent);
            let parents: BTreeSet<Txid> = inputs.iter().map(|input| input.txid).filter(is_new).collect();
            for parent in parents.into_iter().take(MAX_ANCESTORS.saturating_sub(ancestors.len())) {
                spent.extend(self.spends.get(&parent).into_iter().flatten().copied());
                ancestors.push(parent);
                open.push(parent);
            }
        }
        (ancestors, spent)
    }
}

impl Node {
    /// The node at `url`, which may hold a secret and is never shown.
    pub fn new(url: &str) -> Result<Node, RpcError> {
        let (right_network, waiting) = (OnceCell::new(), Mutex::default());
        Ok(Node { rpc: BitcoinRpc::new(url)?, right_network, waiting })
    }

    /// The same node, for tests that should not take seconds.
    #[cfg(test)]
    fn in_haste(self) -> Node {
        Node { rpc: self.rpc.in_haste(), ..self }
    }

    /// Asked about the coins of `chain`, on whose network the node must be.
    pub fn on<'a>(&'a self, chain: &'a Chain, network: Network) -> NodeOn<'a> {
        NodeOn { node: self, chain, network }
    }
}

impl NodeOn<'_> {
    /// A node of another network would see none of our payers' money, and other people's.
    async fn check_network(&self) -> Result<(), RpcError> {
        let found = self.node.rpc.genesis().await?;
        if self.network.genesis().contains(&found.as_str()) {
            return Ok(());
        }
        let found = Network::with_genesis(&found).map_or(found, |network| network.name().to_owned());
        Err(RpcError::Network { expected: self.network.name().to_owned(), found })
    }

    fn scan_waiting(&self, txid: Txid, bytes: &[u8], list: &WatchList) -> Vec<Found<Code>> {
        let tx = Tx::parse(bytes);
        tx.map(|tx| scan_tx(self.chain, self.network, txid, &tx, |key| list.code(key))).unwrap_or_default()
    }

    /// Looks at what is new, and keeps of it what is ours. What cannot be read together is read by halves: a few that
    /// are too large, or one that makes no sense, must not hide the others.
    async fn look_at(&self, waiting: &mut Waiting, new: &[Txid], list: &WatchList) {
        let began = Instant::now();
        let mut open: Vec<&[Txid]> = new.chunks(BATCH).rev().collect();
        while let Some(names) = open.pop() {
            // A node that is asked too much may want to be waited for longer than there is time.
            let left = LOOK_TIME.saturating_sub(began.elapsed());
            let Ok(told) = timeout(left, self.node.rpc.transactions(names)).await else { return };
            match (told, names) {
                (Ok(transactions), names) => self.keep(waiting, names, transactions, list),
                (Err(error), [one]) if is_its_own_fault(&error) => {
                    tracing::warn!(chain = %self.chain.id, %one, %error, "a waiting transaction was not looked at");
                    waiting.looked_at.insert(*one);
                }
                (Err(error), [] | [_]) => {
                    tracing::warn!(chain = %self.chain.id, %error, "the rest of what waits is left to the next run");
                    return;
                }
                (Err(_), names) => {
                    let (first, second) = names.split_at(names.len().div_ceil(2));
                    open.extend([second, first]);
                }
            }
        }
    }

    fn keep(&self, waiting: &mut Waiting, names: &[Txid], told: Vec<Option<Vec<u8>>>, list: &WatchList) {
        for (txid, bytes) in names.iter().zip(told) {
            let Some(bytes) = bytes else { continue };
            if !self.scan_waiting(*txid, &bytes, list).is_empty() {
                waiting.spends.insert(*txid, spent_by(&bytes));
                waiting.ours.insert(*txid, bytes);
            }
            waiting.looked_at.insert(*txid);
        }
    }

    /// Reads what ours spend from, a generation at a time: whoever takes the place of an ancestor takes the place of ours.
    async fn read_ancestors(&self, waiting: &mut Waiting, mempool: &Mempool) -> Result<(), RpcError> {
        for _ in 0..MAX_ANCESTORS {
            let unread = waiting.unread_ancestors(mempool);
            if unread.is_empty() {
                break;
            }
            let transactions = self.node.rpc.transactions(&unread).await?;
            for (txid, bytes) in unread.into_iter().zip(transactions) {
                waiting.spends.insert(txid, bytes.map(|bytes| spent_by(&bytes)).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// What a transaction that is kept pays to addresses of the list, with all that it is made of.
    fn found_waiting(
        &self,
        waiting: &Waiting,
        txid: Txid,
        bytes: &[u8],
        list: &WatchList,
    ) -> Vec<Found<Code>> {
        let mut found = self.scan_waiting(txid, bytes, list);
        let (ancestors, spent) = waiting.ancestry(txid);
        let kept = inputs_kept(found.len());
        for found in &mut found {
            found.inputs.extend(spent.iter().copied());
            found.inputs.truncate(kept);
            found.ancestors.clone_from(&ancestors);
        }
        found
    }
}

/// What a transaction spends.
fn spent_by(bytes: &[u8]) -> Vec<OutPoint> {
    Tx::parse(bytes).map(|tx| tx.inputs().collect()).unwrap_or_default()
}

impl Source for NodeOn<'_> {
    async fn tip(&self) -> Result<Header, RpcError> {
        self.node.right_network.get_or_try_init(|| self.check_network()).await?;
        self.node.rpc.tip().await
    }

    async fn header(&self, height: u64) -> Result<Option<Header>, RpcError> {
        self.node.rpc.header(height).await
    }

    /// Work is never final.
    async fn finalized(&self) -> Result<Option<Header>, RpcError> {
        Ok(None)
    }

    async fn scan(&self, height: u64, list: &WatchList) -> Result<ScannedBlock<Code>, RpcError> {
        let hash = self.node.rpc.hash_at(height).await?.ok_or(RpcError::Missing(height))?;
        let bytes = self.node.rpc.block(hash).await?;
        let block = Block::parse(&bytes, hash).map_err(|error| unreadable(height, error))?;
        let wanted = Wanted {
            lookup: |key: &_| list.code(key),
            awaits: |outpoint: &_| list.awaits(outpoint),
            is_destination: |script: &_| list.is_destination(script),
        };
        Ok(scan_block(self.chain, self.network, &block, height, &wanted))
    }

    async fn height_of(&self, tx_id: &str) -> Result<Option<u64>, RpcError> {
        self.tip().await?;
        self.node.rpc.height_of(tx_id).await
    }

    async fn unspent(&self, outputs: &[OutPoint]) -> Result<Option<Vec<bool>>, RpcError> {
        self.node.rpc.unspent(outputs).await.map(Some)
    }

    fn at_once(&self) -> usize {
        self.node.rpc.at_once()
    }

    async fn mempool(&self) -> Result<Option<Mempool>, RpcError> {
        self.node.rpc.mempool().await.map(Some)
    }

    async fn unconfirmed(&self, mempool: &Mempool, list: &WatchList) -> Result<Vec<Found<Code>>, RpcError> {
        let mut waiting = self.node.waiting.lock().await;
        waiting.keep_only(mempool);
        let is_new = |txid: &&Txid| !waiting.looked_at.contains(*txid);
        let new: Vec<Txid> = mempool.iter().filter(is_new).take(MAX_LOOKED_AT).copied().collect();
        self.look_at(&mut waiting, &new, list).await;
        match timeout(LOOK_TIME, self.read_ancestors(&mut waiting, mempool)).await {
            Ok(Ok(())) => {}
            // Money is shown all the same; only who takes its place may stay unknown.
            Ok(Err(error)) => {
                tracing::warn!(chain = %self.chain.id, %error, "what waiting money is made of could not be read");
            }
            Err(_) => {
                tracing::warn!(chain = %self.chain.id, "the node takes too long to tell what waiting money is made of");
            }
        }
        let all = waiting.ours.iter();
        let found = all.flat_map(|(txid, bytes)| self.found_waiting(&waiting, *txid, bytes, list));
        Ok(found.collect())
    }
}

/// Whether asking for the same transaction again would fail again; other trouble is the node's, and passes.
fn is_its_own_fault(error: &RpcError) -> bool {
    match error {
        RpcError::Shape(_) | RpcError::TooLarge(_) => true,
        RpcError::Network { .. }
        | RpcError::Address
        | RpcError::Transport(_)
        | RpcError::Status(_)
        | RpcError::Paused(_)
        | RpcError::Node { .. }
        | RpcError::Missing(_)
        | RpcError::Moved(_)
        | RpcError::Contradicts { .. } => false,
    }
}

/// Which of the lies it was is for the operator; the watcher asks again in any case.
fn unreadable(height: u64, error: BlockError) -> RpcError {
    tracing::error!(height, %error, "the node sent a block that cannot be right");
    RpcError::Shape("getblock")
}
