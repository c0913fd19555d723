//! What became of transactions: asked for a whole block at once, and one by one where the node does not tell so (R38).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;

use super::block::{Hash256, Header, Log, Receipt};
use super::bloom::Bloom;
use super::rpc::{Rpc, RpcError};
use super::wire::RawReceipt;

/// How long a node may take for all receipts of a block. What it does not tell by then is asked for one by one.
const PATIENCE: Duration = Duration::from_secs(8);

/// Single receipts remembered at most, until their block is read: many times those of the largest blocks.
const KEPT: usize = 20_000;

/// A receipt with the movements of tokens that it tells of.
#[derive(Clone, Debug)]
pub struct Told {
    /// The receipt itself.
    pub receipt: Receipt,
    /// The Transfer events of any contract; `None` when they cannot be read.
    pub transfers: Option<Vec<Log>>,
    /// What all its events are about; `None` when they cannot be read.
    pub bloom: Option<Bloom>,
}

/// Receipts that were asked for one by one, of blocks that are not read yet: a block with more of them than a run has time
/// for is read by several runs, each of which goes on where the last one stopped.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept(Arc<Mutex<HashMap<(Hash256, Hash256), Told>>>);

impl Rpc {
    /// What became of transactions of this very block, in their order; [`RpcError::Moved`] when one is not part of it, by
    /// the node's word.
    pub async fn told(&self, block: &Header, txs: &[Hash256]) -> Result<Vec<Told>, RpcError> {
        let mut told = self.kept().of(block.hash, txs);
        if txs.len().saturating_sub(told.len()) > 1 {
            told.extend(self.told_at_once(block.hash).await?);
        }
        let missing: Vec<Hash256> = txs.iter().filter(|tx| !told.contains_key(tx)).copied().collect();
        // Before any of them is asked for, so that none of the futures has to name its lifetime.
        let asked: Vec<_> = missing.into_iter().map(|tx| self.told_alone(*block, tx)).collect();
        let single: Vec<(Hash256, Told)> = stream::iter(asked).buffered(self.at_once()).try_collect().await?;
        told.extend(single);
        let ordered = txs.iter().map(|tx| told.remove(tx)).collect::<Option<_>>();
        ordered.ok_or(RpcError::Moved(block.number))
    }

    /// Makes room: the block of that hash is read.
    pub(super) fn forget_receipts(&self, block_hash: Hash256) {
        self.kept().forget(block_hash);
    }

    /// Those of all transactions of the block, as far as the node tells of them: some know no such question, some answer
    /// it with less than there is.
    async fn told_at_once(&self, block_hash: Hash256) -> Result<HashMap<Hash256, Told>, RpcError> {
        match self.once_within(PATIENCE).all_receipts(block_hash).await {
            Err(error @ (RpcError::Paused(_) | RpcError::Network { .. } | RpcError::Address)) => Err(error),
            Err(error) => {
                tracing::debug!(%error, "receipts are asked for one by one");
                Ok(HashMap::new())
            }
            Ok(all) => {
                let of_block = |told: &Told| told.receipt.block_hash == block_hash;
                let all = all.unwrap_or_default().into_iter().filter(of_block);
                Ok(all.map(|told| (told.receipt.tx, told)).collect())
            }
        }
    }

    async fn told_alone(&self, block: Header, tx: Hash256) -> Result<(Hash256, Told), RpcError> {
        const METHOD: &str = "eth_getTransactionReceipt";
        let raw: Option<RawReceipt> = self.0.call(METHOD, json!([tx.to_string()])).await?;
        let told = raw.map(|raw| raw.told().ok_or(RpcError::Shape(METHOD))).transpose()?;
        let here = told.filter(|told| told.receipt.block_hash == block.hash && told.receipt.tx == tx);
        let told = here.ok_or(RpcError::Moved(block.number))?;
        if told.transfers.is_some() {
            self.kept().keep(told.clone());
        }
        Ok((tx, told))
    }

    /// All receipts that the node has for the block of that hash; `None` when it says that there are none.
    async fn all_receipts(&self, block_hash: Hash256) -> Result<Option<Vec<Told>>, RpcError> {
        const METHOD: &str = "eth_getBlockReceipts";
        let raw: Option<Vec<RawReceipt>> = self.0.call(METHOD, json!([block_hash.to_string()])).await?;
        let check = |all: Vec<RawReceipt>| all.iter().map(RawReceipt::told).collect::<Option<Vec<_>>>();
        raw.map(|all| check(all).ok_or(RpcError::Shape(METHOD))).transpose()
    }

    fn kept(&self) -> Opened<'_> {
        Opened(self.2.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The kept receipts, while nobody else looks at them.
struct Opened<'a>(MutexGuard<'a, HashMap<(Hash256, Hash256), Told>>);

impl Opened<'_> {
    fn of(&self, block: Hash256, txs: &[Hash256]) -> HashMap<Hash256, Told> {
        let kept = |tx: &Hash256| Some((*tx, self.0.get(&(block, *tx))?.clone()));
        txs.iter().filter_map(kept).collect()
    }

    /// What is left of blocks that were never read, because they left the chain, goes when there is too much of it.
    fn keep(&mut self, told: Told) {
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        self.0.insert((told.receipt.block_hash, told.receipt.tx), told);
    }

    fn forget(&mut self, block: Hash256) {
        self.0.retain(|(of, _), _| *of != block);
    }
}
