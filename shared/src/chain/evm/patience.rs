//! How long blocks wait for a node that cannot say just now what contracts sent: neither not at all, which would lose that
//! money, nor for ever, which would stop all other.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::chain::block::Header;
use crate::moment::Timestamp;

/// Refusals of a block until it is read without the answer: those of three runs, each of which asks twice.
const REFUSALS: u32 = 6;

/// Of a block further below the tip, only the first one is: it is asked for once more by itself, because a node that is busy
/// with eight questions may have time for one. Its state is mostly gone for good, and the watcher has enough to catch up.
const YOUNG_SECONDS: u64 = 1_800;

/// The refusals of a block that is not young.
const OLD_REFUSALS: u32 = 1;

/// Blocks whose refusals are counted at once, the highest: more than a watcher asks for before the lowest is answered.
const COUNTED: usize = 64;

/// What is known of a node's refusals, for as long as the process lives.
#[derive(Debug, Default)]
pub(super) struct Patience(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    tip_at: Option<Timestamp>,
    /// How often each of these heights was refused.
    refused: BTreeMap<u64, u32>,
    /// A block waited in vain, and nothing was answered since.
    is_over: bool,
}

impl Patience {
    /// Blocks are young by the time of the node's tip.
    pub(super) fn saw_tip(&self, tip: &Header) {
        self.known().tip_at = Some(tip.timestamp);
    }

    /// The node answered: it is worth waiting for again.
    pub(super) fn was_answered(&self, block: &Header) {
        let mut known = self.known();
        known.is_over = false;
        known.refused.remove(&block.number);
    }

    /// Whether a block whose answer was refused for now waits for it.
    ///
    /// Each height has its own count: a block that is always refused must not profit from its neighbours' answers.
    pub(super) fn waits_for(&self, block: &Header) -> bool {
        let mut known = self.known();
        if known.is_over {
            return false;
        }
        let is_young = known.tip_at.is_some_and(|tip_at| tip_at.since(block.timestamp) <= YOUNG_SECONDS);
        let most = if is_young { REFUSALS } else { OLD_REFUSALS };
        let times = known.refused.entry(block.number).or_default();
        *times = times.saturating_add(1);
        known.is_over = *times > most;
        while known.refused.len() > COUNTED {
            known.refused.pop_first();
        }
        !known.is_over
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
