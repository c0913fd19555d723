//! Where the node's chain and ours part, and whether a node that denies our blocks is believed (R37).

use super::{Outcome, Run, START_BACK, Source, WatchError, follow};
use crate::chain::block::Header;
use crate::moment::Timestamp;
use crate::store::Cursor;

/// So many runs in a row must meet a branch that ends below ours, or that parts from ours below all hashes that are kept
/// block by block, before it is followed: one of several nodes behind one address may stand on a branch of its own.
pub(super) const STRAY_RUNS: u64 = 3;

/// Blocks between ours and a tip whose headers are asked for, to know that the tip stands on what denies ours. A watcher
/// that is further behind reads them one by one anyway, each on the one before it.
const LINKED: u64 = 64;

/// A cursor that keeps fewer hashes, and no marks, began lately. More blocks than these are never re-organised on an
/// honest chain.
const YOUNG_HASHES: usize = 64;

/// What a node's chain has in common with ours.
pub(super) enum Fork {
    /// Everything up to this height: there it goes on.
    At(u64),
    /// The node does not know what we know already, or its answers do not fit together: there is nothing to learn from it.
    NodeBehind,
    /// Nothing that was ever scanned; the lowest height that was.
    BelowStart(u64),
    /// Less than ours, and it is not believed.
    Foreign(Foreign),
}

/// Why a branch that denies our blocks is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// It ends below ours: for all that is known the node is behind, on a branch of its own.
    Lower,
    /// It parts from ours further down than honest chains do, or below all that is kept.
    Deep,
    /// It denies a block that was final.
    Final,
}

impl Foreign {
    /// Whether somebody should look, and no money is taken on the chain meanwhile.
    pub(super) fn is_alarming(self) -> bool {
        match self {
            Foreign::Lower => false,
            Foreign::Deep | Foreign::Final => true,
        }
    }

    /// What the log says of it.
    pub(super) fn why(self) -> &'static str {
        match self {
            Foreign::Lower => {
                "the node is behind, on another branch: nothing is taken back by one that ends below ours"
            }
            Foreign::Deep => "the node's chain parts from ours below all blocks that honest chains take back",
            Foreign::Final => "the node denies a block that was final: it follows another chain",
        }
    }
}

impl<S: Source> Run<'_, S> {
    /// Finds the highest block that is ours and the node's. One question when nothing happened.
    pub(super) async fn fork(&self, cursor: &Cursor) -> Result<Fork, WatchError> {
        if cursor.is_jump() && self.tip.number < cursor.height {
            // What was final before it jumped is above this tip: the node has not seen that.
            if cursor.finalized.is_some_and(|finalized| self.tip.number < finalized) {
                return Ok(Fork::NodeBehind);
            }
            // It has scanned nothing: it jumped to whatever tip a node spoke of.
            return Ok(Fork::BelowStart(self.tip.number));
        }
        let top = cursor.height.min(self.tip.number);
        let Some(theirs) = self.theirs(top).await? else { return Ok(Fork::NodeBehind) };
        if cursor.hash_at(top) == Some(follow::kept(theirs.hash)) {
            // Our own block at its tip: a node that is late, not a chain that is shorter.
            return Ok(if top == cursor.height { Fork::At(top) } else { Fork::NodeBehind });
        }
        Ok(match self.common(cursor, theirs).await? {
            Common::Unknown => Fork::NodeBehind,
            Common::At(height) => self.believe(cursor, Some(height)),
            Common::Nowhere => self.believe(cursor, None),
        })
    }

    /// The node's block at a height up to its tip.
    async fn theirs(&self, height: u64) -> Result<Option<Header>, WatchError> {
        if height == self.tip.number {
            return Ok(Some(self.tip));
        }
        Ok(self.watcher.source.header(height).await?)
    }

    /// Goes down from a block of the node's that is not ours to the first that is. Each must be the parent of the one
    /// before it, up to the tip: answers of two nodes behind one address are no branch.
    async fn common(&self, cursor: &Cursor, denied: Header) -> Result<Common, WatchError> {
        if !self.stands_on(denied).await? {
            return Ok(Common::Unknown);
        }
        let (mut above, lowest) = (denied, cursor.lowest_kept());
        while above.number > lowest {
            let Some(header) = self.theirs(above.number.saturating_sub(1)).await? else {
                return Ok(Common::Unknown);
            };
            if header.hash != above.parent_hash {
                return Ok(Common::Unknown);
            }
            if cursor.hash_at(header.number) == Some(follow::kept(header.hash)) {
                return Ok(Common::At(header.number));
            }
            above = header;
        }
        let mut known = denied.number >= lowest;
        for (height, hash) in cursor.marks.iter().rev().filter(|(height, _)| *height < denied.number) {
            let Some(header) = self.theirs(*height).await? else { return Ok(Common::Unknown) };
            if follow::kept(header.hash) == *hash {
                // A tip between two marks may well be ours.
                return Ok(if known { Common::At(*height) } else { Common::Unknown });
            }
            known = true;
        }
        Ok(if known { Common::Nowhere } else { Common::Unknown })
    }

    /// Whether the tip stands on a block of the node's, as far as that is asked.
    async fn stands_on(&self, block: Header) -> Result<bool, WatchError> {
        if self.tip.number.saturating_sub(block.number) > LINKED {
            return Ok(true);
        }
        let mut above = self.tip;
        while above.number > block.number {
            let below = above.number.saturating_sub(1);
            let header =
                if below == block.number { Some(block) } else { self.watcher.source.header(below).await? };
            let Some(header) = header.filter(|header| header.hash == above.parent_hash) else {
                return Ok(false);
            };
            above = header;
        }
        Ok(true)
    }

    /// Whether a branch that parts from ours above `common`, or below all that is known, is followed.
    fn believe(&self, cursor: &Cursor, common: Option<u64>) -> Fork {
        let lowest = cursor.lowest_known();
        // What was never scanned has no height that could be final.
        let denied = common.map_or(lowest, |height| height.saturating_add(1));
        let is_met_often = cursor.strayed.saturating_add(1) >= STRAY_RUNS;
        if cursor.finalized.is_some_and(|finalized| denied <= finalized) {
            return Fork::Foreign(Foreign::Final);
        }
        if self.tip.number < cursor.height && !(is_met_often && self.is_tip_fresh()) {
            return Fork::Foreign(Foreign::Lower);
        }
        match common {
            Some(height) if height >= cursor.lowest_kept() || is_met_often => Fork::At(height),
            None if cursor.is_young() => Fork::BelowStart(lowest),
            None if is_met_often && let Some(began) = cursor.known_start() => Fork::BelowStart(began),
            Some(_) | None => Fork::Foreign(Foreign::Deep),
        }
    }

    /// Runs in a row are no row any more.
    pub(super) async fn end_row(&self, cursor: &mut Cursor) -> Result<(), WatchError> {
        if cursor.strayed > 0 {
            cursor.strayed = 0;
            self.write(cursor.clone()).await?;
        }
        Ok(())
    }

    /// Notes that a node denied what is ours, so that later runs know how many in a row did, and moves nothing.
    pub(super) async fn note_stray(
        &self,
        cursor: &mut Cursor,
        foreign: Foreign,
        outcome: &mut Outcome,
    ) -> Result<(), WatchError> {
        cursor.strayed = cursor.strayed.saturating_add(1);
        let (chain, tip, ours, runs) =
            (&self.watcher.chain.id, self.tip.number, cursor.height, cursor.strayed);
        if foreign.is_alarming() {
            outcome.fork_too_deep = true;
            // Money that comes now may lie on the node's branch, which nobody reads (R24).
            cursor.fresh_at = Timestamp(0);
            tracing::error!(%chain, tip, ours, runs, "{}", foreign.why());
        } else {
            outcome.node_behind = true;
            tracing::warn!(%chain, tip, ours, runs, "{}", foreign.why());
        }
        self.write(cursor.clone()).await
    }

    /// A cursor that lately began, or jumped to a tip with nobody to watch for, has scanned nothing below: it begins
    /// again there, but not below what was final.
    pub(super) async fn begin_lower(&self, cursor: &mut Cursor, lowest: u64) -> Result<bool, WatchError> {
        let from = lowest.saturating_sub(START_BACK).max(cursor.finalized.unwrap_or(0));
        let below = self.watcher.source.header(from).await?;
        if let Some(header) = below {
            cursor.restart(&header);
        }
        Ok(below.is_some())
    }
}

/// What two chains have in common.
enum Common {
    /// All blocks up to this height.
    At(u64),
    /// None that is known.
    Nowhere,
    /// The node's answers do not tell.
    Unknown,
}

impl Cursor {
    /// Whether nothing was scanned yet: it was begun, or jumped, to where it stands.
    fn is_jump(&self) -> bool {
        let is_start = self.began.is_none_or(|began| began == self.height);
        self.hashes.len() == 1 && self.marks.is_empty() && is_start
    }

    fn is_young(&self) -> bool {
        self.marks.is_empty() && self.hashes.len() < YOUNG_HASHES
    }

    /// The lowest height of which the hash is known.
    fn lowest_known(&self) -> u64 {
        self.marks.first().map_or_else(|| self.lowest_kept(), |(height, _)| *height)
    }

    /// Where scanning began, unless that is so far below that a fork may lie anywhere between.
    fn known_start(&self) -> Option<u64> {
        self.began.filter(|began| self.height.saturating_sub(*began) <= follow::MARKED)
    }
}
