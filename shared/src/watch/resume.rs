//! Going on somewhere else, by the operator's word: where a node's chain has parted from ours too deep to be believed, or
//! where it no longer has the blocks that come next.

use std::collections::BTreeSet;

use super::recover::{ATTEMPTS, RecoverError};
use super::{Source, WatchError, Watcher, follow};
use crate::chain::block::Header;
use crate::chain::rpc::RpcError;
use crate::moment::Timestamp;
use crate::store::{BlockHash, Cursor, Held, Note, Onward};

/// Reads of what was noted, each of some thousand notes: more than sixty days have.
const READS: usize = 50;

/// What a watcher that goes on elsewhere leaves out, or reads once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The last block that was scanned before.
    pub was_at: u64,
    /// The first that is read next.
    pub from: u64,
}

impl Resumed {
    /// The blocks that are never read unless somebody does it by hand, if there are any.
    pub fn left_out(&self) -> Option<(u64, u64)> {
        let first = self.was_at.saturating_add(1);
        (first < self.from).then(|| (first, self.from.saturating_sub(1)))
    }
}

impl<S: Source> Watcher<'_, S> {
    /// Lets the next run read the block at height `from`, on the chain that the node has below it.
    ///
    /// Refused while a block below that holds money of payments is not the node's: it would never be taken back. What is
    /// noted of blocks from there up is taken back by the next runs, unless they find it again. Below a final block only
    /// `past_final` goes.
    pub async fn resume(&self, from: u64, past_final: bool) -> Result<Resumed, RecoverError> {
        // The tip first: it says whether the node is on the right network.
        let tip = self.source.tip().await?;
        let below = from.checked_sub(1).filter(|below| *below <= tip.number);
        let below = below.ok_or(RecoverError::OutOfReach(tip.number))?;
        let header = self.header_of(below).await?;
        for _ in 0..ATTEMPTS {
            let never = || RecoverError::NeverWatched(self.chain.id.to_string());
            let cursor = self.store.cursor(&self.chain.id).await?.ok_or_else(never)?;
            if let Some(finalized) = cursor.finalized.filter(|finalized| below < *finalized && !past_final) {
                return Err(RecoverError::Final(finalized));
            }
            if let Some(gone) = self.lowest_gone(below).await? {
                return Err(RecoverError::Gone(gone));
            }
            let next = self.resumed(&cursor, &header);
            if self.store.move_cursor(&self.chain.id, cursor.version, &next).await? {
                return Ok(Resumed { was_at: cursor.height, from });
            }
        }
        Err(WatchError::Overtaken.into())
    }

    fn resumed(&self, cursor: &Cursor, header: &Header) -> Cursor {
        let mut next = Cursor { version: cursor.version.saturating_add(1), ..cursor.clone() };
        next.restart(header);
        next.finalized = cursor.finalized.map(|finalized| finalized.min(header.number));
        next.fresh_at = Timestamp(0);
        if header.number > cursor.height {
            // What lies in between is read by hand, for addresses that were given out meanwhile as well.
            next.known_at = self.clock.now();
        }
        next
    }

    /// The lowest block up to `last` that holds money of payments and is not the node's. A chain has all that lies below
    /// a block which it has.
    async fn lowest_gone(&self, last: u64) -> Result<Option<u64>, RecoverError> {
        let noted: Vec<(u64, BlockHash)> = self.noted_up_to(last).await?.into_iter().collect();
        let (mut low, mut high) = (0_usize, noted.len());
        while low < high {
            let middle = low.midpoint(high);
            let Some((height, hash)) = noted.get(middle) else { break };
            if follow::kept(self.header_of(*height).await?.hash) == *hash {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(noted.get(low).map(|(height, _)| *height))
    }

    /// Blocks up to `last` that hold money of payments, but for those whose loss was told.
    async fn noted_up_to(&self, last: u64) -> Result<BTreeSet<(u64, BlockHash)>, RecoverError> {
        let (mut noted, mut gone) = (BTreeSet::new(), BTreeSet::new());
        let (mut from, mut is_past) = (0, false);
        for _ in 0..READS {
            let mut read_to = from;
            let visit = |note: Note| {
                if note.height > last {
                    is_past = true;
                    return Onward::Stop;
                }
                read_to = note.height;
                let block = (note.height, note.hash);
                match note.held {
                    Held::State(state) if state.gone => {
                        gone.insert(block);
                    }
                    Held::State(_) | Held::Payout(_) | Held::Transfers(_) => {
                        noted.insert(block);
                    }
                }
                Onward::PastPayment
            };
            if self.store.each_noted(&self.chain.id, from, visit).await? || is_past {
                break;
            }
            from = read_to;
        }
        Ok(noted.difference(&gone).copied().collect())
    }

    async fn header_of(&self, height: u64) -> Result<Header, RecoverError> {
        Ok(self.source.header(height).await?.ok_or(RpcError::Missing(height))?)
    }
}
