//! How far a node's list of a block's transactions is believed: as far as the header's root bears it out.
//!
//! The root is worked out from the transactions' own bytes, which their names bear out. Where it cannot be (a kind of
//! transaction that is not known here, a network that makes its roots in another way), the node's own count of them has to
//! agree. Nothing that contradicts is believed: the block is read later, and what holds it up is in the log.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::block::Block;
use super::doubt::ONE_IN;
use super::patience::Patience;
use super::rpc::{Rpc, RpcError};
use super::trie::{EMPTY_ROOT, ordered_root};
use super::wire::{RawBlock, RawTx, quantity};
use crate::chain::block::Hash256;

const BLOCK_BY_NUMBER: &str = "eth_getBlockByNumber";
const BLOCK_BY_HASH: &str = "eth_getBlockByHash";
const COUNT: &str = "eth_getBlockTransactionCountByHash";

/// What networks write that make no roots.
const NO_ROOT: Hash256 = Hash256([0; 32]);

/// Blocks below one whose list and root disagree that are read to learn whether this network's roots can be worked out at
/// all.
const PROBED: u64 = 16;

/// What is known of a node's network, for as long as the process lives.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// A root over some transactions was borne out, so that this network's can be.
    roots_hold: AtomicBool,
    /// It was said that they cannot.
    roots_fail: AtomicBool,
    /// Whether the node answers about the block that it is asked about.
    pub(super) knows_its_blocks: OnceCell<bool>,
    /// How long blocks wait for their events.
    pub(super) events: Patience,
    /// Hints of full filters since one was followed.
    hints: AtomicU32,
}

/// What a list is worth beside its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The root is that of this list.
    Proven,
    /// The header has no root.
    Rootless,
    /// There are transactions whose bytes are not known.
    Unknown,
    /// There are some of a kind that is known, and they are not what their names say: changed, or of somebody whom a test's
    /// node lets act without a signature.
    Altered,
    /// Every transaction is what its name says, and together they are not what the root says.
    Disagrees,
    /// Something is there twice, or says itself that it belongs elsewhere.
    Foreign,
}

impl Rpc {
    /// The block of that height with its transactions; `None` when the node has none. A list that is not the block's is
    /// [`RpcError::Contradicts`].
    pub async fn block(&self, number: u64) -> Result<Option<Block>, RpcError> {
        let Some(raw) = self.raw_by_number(number).await? else { return Ok(None) };
        let block = raw.check().filter(|block| block.header.number == number);
        let block = block.ok_or(RpcError::Shape(BLOCK_BY_NUMBER))?;
        let hash = block.header.hash;
        match verdict(&raw, hash) {
            Verdict::Proven => {
                self.1.saw_proof(&block);
                return Ok(Some(block));
            }
            Verdict::Rootless => return Ok(Some(block)),
            Verdict::Unknown => return self.counted(block).await.map(Some),
            Verdict::Altered if !self.1.roots_hold.load(Ordering::Relaxed) => {
                return self.counted(block).await.map(Some);
            }
            Verdict::Altered | Verdict::Disagrees | Verdict::Foreign => {}
        }
        // The node may know better by another question.
        let again: Option<RawBlock> = self.0.call(BLOCK_BY_HASH, json!([hash.to_string(), true])).await?;
        let again = again.filter(|raw| verdict(raw, hash) == Verdict::Proven).and_then(|raw| raw.check());
        if let Some(again) = again.filter(|again| again.header == block.header) {
            self.1.saw_proof(&again);
            return Ok(Some(again));
        }
        let is_refuted = match verdict(&raw, hash) {
            Verdict::Foreign => true,
            Verdict::Disagrees => self.proves_roots(number).await?,
            Verdict::Proven | Verdict::Rootless | Verdict::Unknown | Verdict::Altered => false,
        };
        if is_refuted {
            return Err(contradicts(number, "its transactions are not those of its root"));
        }
        self.counted(block).await.map(Some)
    }

    /// A block whose list the node's own count has to bear out, for want of anything better.
    async fn counted(&self, block: Block) -> Result<Block, RpcError> {
        let number = block.header.number;
        if !self.1.roots_fail.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                number,
                "the root of a block's transactions cannot be worked out here: they are counted instead"
            );
        }
        let hash = block.header.hash.to_string();
        let count = match self.0.call::<Option<Value>>(COUNT, json!([hash])).await {
            // Who does not count says nothing against the list.
            Err(RpcError::Node { .. }) => return Ok(block),
            count => count?,
        };
        let count = count.as_ref().and_then(Value::as_str).and_then(quantity);
        let count = count.ok_or(RpcError::Moved(number))?;
        if u64::try_from(block.transactions.len()).ok() == Some(count) {
            Ok(block)
        } else {
            Err(contradicts(number, "it has another number of transactions than its list"))
        }
    }

    /// Whether roots of this network can be worked out: known from any block, or from one of those below this one.
    async fn proves_roots(&self, number: u64) -> Result<bool, RpcError> {
        for height in (number.saturating_sub(PROBED)..number).rev() {
            if self.1.roots_hold.load(Ordering::Relaxed) {
                break;
            }
            let Some(raw) = self.raw_by_number(height).await? else { break };
            let Some(block) = raw.check() else { break };
            if verdict(&raw, block.header.hash) == Verdict::Proven {
                self.1.saw_proof(&block);
            }
        }
        Ok(self.1.roots_hold.load(Ordering::Relaxed))
    }

    async fn raw_by_number(&self, number: u64) -> Result<Option<RawBlock>, RpcError> {
        self.0.call(BLOCK_BY_NUMBER, json!([format!("{number:#x}"), true])).await
    }
}

impl Known {
    /// Whether a hint of a filter that is so full that it gives one in most blocks is followed: the first one is, and then
    /// one of [`ONE_IN`].
    pub(super) fn may_look_closer(&self) -> bool {
        self.hints.fetch_add(1, Ordering::Relaxed).is_multiple_of(ONE_IN)
    }

    /// The root of nothing is the same on many networks, and proves little.
    fn saw_proof(&self, block: &Block) {
        if !block.transactions.is_empty() {
            self.roots_hold.store(true, Ordering::Relaxed);
        }
    }
}

pub(super) fn contradicts(number: u64, what: &'static str) -> RpcError {
    RpcError::Contradicts { number, what }
}

fn verdict(raw: &RawBlock, hash: Hash256) -> Verdict {
    let all: Vec<Option<Vec<u8>>> = raw.transactions().iter().map(RawTx::bytes).collect();
    let root = raw.transactions_root();
    let is_known = all.iter().all(Option::is_some);
    let known: Vec<Vec<u8>> = all.into_iter().flatten().collect();
    // Polygon's nodes add what they brought from the network below, which is in no root.
    let counts = is_known || !known.is_empty();
    if counts && root == Some(ordered_root(&known)) {
        return Verdict::Proven;
    }
    if is_foreign(raw, hash) {
        return Verdict::Foreign;
    }
    match root {
        None => Verdict::Rootless,
        Some(EMPTY_ROOT) if raw.transactions().is_empty() => Verdict::Proven,
        Some(NO_ROOT) => Verdict::Unknown,
        Some(_) if is_known => Verdict::Disagrees,
        Some(_) if raw.transactions().iter().any(RawTx::is_altered) => Verdict::Altered,
        Some(_) => Verdict::Unknown,
    }
}

fn is_foreign(raw: &RawBlock, hash: Hash256) -> bool {
    let mut names = BTreeSet::new();
    raw.transactions().iter().any(|tx| !tx.is_of(hash) || !names.insert(tx.name()))
}
