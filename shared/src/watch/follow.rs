//! Where a chain and what we know of it part.

use super::{Run, Source, WatchError};
use crate::chain::block::{Hash256, Header};
use crate::moment::Timestamp;
use crate::store::{BlockHash, Cursor};

/// Hashes kept: a re-organisation of Ethereum is never deeper than two epochs, which are 64 blocks.
const KEPT_HASHES: usize = 128;

/// A cursor that keeps fewer began lately. More than these are never re-organised on an honest chain.
const YOUNG_HASHES: usize = 64;

/// Times kept at which the chain was scanned whole: the sweep asks for them within minutes (R15).
const KEPT_TIMES: usize = 30;

/// What a node's chain has in common with ours.
pub(super) enum Fork {
    /// Everything up to this height.
    At(u64),
    /// The node does not know what we know already: it lags, and there is nothing to learn from it.
    NodeBehind,
    /// Nothing of a cursor that began lately; the lowest height that it keeps.
    BelowStart(u64),
    /// Nothing that is kept.
    TooDeep,
}

/// The part of a hash that is kept.
pub(super) fn kept(hash: Hash256) -> BlockHash {
    hash.0.first_chunk().copied().unwrap_or_default()
}

impl<S: Source> Run<'_, S> {
    /// Finds the highest block that is ours and the node's. One question when nothing happened.
    pub(super) async fn fork(&self, cursor: &Cursor) -> Result<Fork, WatchError> {
        let lowest = cursor.lowest_kept();
        if self.tip.number < lowest {
            // A cursor of one block has scanned nothing: it jumped to whatever tip a node spoke of.
            let jumped = cursor.hashes.len() == 1;
            return Ok(if jumped { Fork::BelowStart(self.tip.number) } else { Fork::NodeBehind });
        }
        let mut height = cursor.height.min(self.tip.number);
        let mut same_chain = None;
        while let Some(ours) = cursor.hash_at(height) {
            let theirs = if height == self.tip.number {
                Some(self.tip)
            } else {
                self.watcher.source.header(height).await?
            };
            match theirs {
                Some(header) if kept(header.hash) == ours => {
                    same_chain = Some(height);
                    break;
                }
                Some(_) => {}
                None => return Ok(Fork::NodeBehind),
            }
            let Some(below) = height.checked_sub(1) else { break };
            height = below;
        }
        Ok(match same_chain {
            // Our own block at its tip: a node that is late, not a chain that is shorter.
            Some(height) if height == self.tip.number && height < cursor.height => Fork::NodeBehind,
            Some(height) => Fork::At(height),
            None if cursor.hashes.len() < YOUNG_HASHES => Fork::BelowStart(lowest),
            None => Fork::TooDeep,
        })
    }
}

impl Cursor {
    /// The hash of the block that was scanned at `height`, while it is kept.
    pub fn hash_at(&self, height: u64) -> Option<BlockHash> {
        let above = usize::try_from(self.height.checked_sub(height)?).ok()?;
        self.hashes.iter().rev().nth(above).copied()
    }

    /// The lowest height whose hash is kept.
    pub(super) fn lowest_kept(&self) -> u64 {
        let kept = u64::try_from(self.hashes.len()).unwrap_or(u64::MAX);
        self.height.saturating_add(1).saturating_sub(kept)
    }

    /// Whether `header` is the next block.
    pub(super) fn is_parent_of(&self, header: &Header) -> bool {
        let follows = self.height.checked_add(1) == Some(header.number);
        follows && self.hash_at(self.height) == Some(kept(header.parent_hash))
    }

    pub(super) fn push(&mut self, header: &Header) {
        self.height = header.number;
        self.hashes.push(kept(header.hash));
        let surplus = self.hashes.len().saturating_sub(KEPT_HASHES);
        self.hashes.drain(..surplus);
    }

    /// To a block of which nothing is known yet.
    pub(super) fn restart(&mut self, header: &Header) {
        self.height = header.number;
        self.hashes = vec![kept(header.hash)];
        self.caught_up.clear();
    }

    /// Back to `height`, which is kept, or nowhere if it is there already.
    pub(super) fn rewind(&mut self, height: u64) {
        let above = usize::try_from(self.height.saturating_sub(height)).unwrap_or(usize::MAX);
        self.hashes.truncate(self.hashes.len().saturating_sub(above));
        self.height = height;
        self.caught_up.retain(|(_, scanned)| *scanned <= height);
    }

    pub(super) fn note_caught_up(&mut self, at: Timestamp) {
        self.whole_at = at;
        self.caught_up.push((at, self.height));
        let surplus = self.caught_up.len().saturating_sub(KEPT_TIMES);
        self.caught_up.drain(..surplus);
    }

    /// The height up to which money that came before `moment` must lie: that of the first scan of the whole chain
    /// begun at or after it; `None` while there was none (R15).
    pub fn closed_at(&self, moment: Timestamp) -> Option<u64> {
        self.caught_up.iter().find(|(at, _)| *at >= moment).map(|(_, height)| *height)
    }
}
