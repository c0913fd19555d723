//! What is kept of the blocks that were scanned.

use crate::chain::block::{Hash256, Header};
use crate::moment::Timestamp;
use crate::store::{BlockHash, Cursor};

/// Hashes kept: a re-organisation of Ethereum is never deeper than two epochs, which are 64 blocks.
const KEPT_HASHES: usize = 128;

/// Further down hashes are kept four to each doubling of the distance, up to this one, which is nine hours of a chain with
/// four blocks a second and two years of Bitcoin: a fork that much deeper is the operator's to look at.
pub(super) const MARKED: u64 = 1 << 17;

/// Marks within each doubling of the distance, as a power of two.
const MARKS_LOG: u32 = 2;

/// Times kept at which the chain was scanned whole: the sweep asks for them within minutes (R15).
const KEPT_TIMES: usize = 30;

/// The part of a hash that is kept.
pub(super) fn kept(hash: Hash256) -> BlockHash {
    hash.0.first_chunk().copied().unwrap_or_default()
}

impl Cursor {
    /// The hash of the block that was scanned at `height`, while it is kept.
    pub fn hash_at(&self, height: u64) -> Option<BlockHash> {
        let above = usize::try_from(self.height.checked_sub(height)?).ok()?;
        let mark = || self.marks.iter().find(|(marked, _)| *marked == height).map(|(_, hash)| *hash);
        self.hashes.iter().rev().nth(above).copied().or_else(mark)
    }

    /// The lowest height from which on every hash is kept.
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
        let lowest = self.lowest_kept();
        self.height = header.number;
        self.hashes.push(kept(header.hash));
        let surplus = self.hashes.len().saturating_sub(KEPT_HASHES);
        self.marks.extend((lowest..).zip(self.hashes.drain(..surplus)));
        self.thin_out();
    }

    /// Leaves out marks that are too close to each other for their distance, and all below one that is final: nothing
    /// parts from ours there.
    fn thin_out(&mut self) {
        let (top, finalized) = (self.height, self.finalized.unwrap_or(0));
        let is_kept = |height: u64| {
            let distance = top.saturating_sub(height).max(1);
            let apart = 1_u64 << distance.ilog2().saturating_sub(MARKS_LOG);
            distance <= MARKED && height.is_multiple_of(apart)
        };
        self.marks.retain(|(height, _)| is_kept(*height));
        let is_final = |height: u64| height <= finalized;
        let below = if is_final(self.lowest_kept()) {
            self.marks.len()
        } else {
            self.marks.partition_point(|(height, _)| is_final(*height)).saturating_sub(1)
        };
        self.marks.drain(..below);
    }

    /// To a block of which nothing is known yet.
    pub(super) fn restart(&mut self, header: &Header) {
        self.height = header.number;
        self.hashes = vec![kept(header.hash)];
        self.marks.clear();
        self.began = Some(header.number);
        self.strayed = 0;
        self.caught_up.clear();
    }

    /// Back to `height`, whose hash is kept, or nowhere if it is there already.
    pub(super) fn rewind(&mut self, height: u64) {
        let hash = self.hash_at(height);
        let above = usize::try_from(self.height.saturating_sub(height)).unwrap_or(usize::MAX);
        self.hashes.truncate(self.hashes.len().saturating_sub(above));
        if self.hashes.is_empty() {
            self.hashes.extend(hash);
            // It is no longer read to its end, and blocks that hold money may be gone.
            self.fresh_at = Timestamp(0);
        }
        self.marks.retain(|(marked, _)| *marked < height);
        self.height = height;
        self.caught_up.retain(|(_, scanned)| *scanned <= height);
    }

    /// Keeps in mind what is final, as far as it was scanned: of a block that nobody read here it is not known which one a
    /// node means, and so another branch cannot be held against it.
    pub(super) fn note_finalized(&mut self, finalized: Option<u64>) {
        let is_read = |height: &u64| self.began.is_none_or(|began| *height > began);
        let read = finalized.map(|height| height.min(self.height)).filter(is_read);
        self.finalized = self.finalized.max(read);
        self.thin_out();
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
