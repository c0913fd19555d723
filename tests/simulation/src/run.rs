//! Many histories, on two threads, and what they came to.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bugs::Bug;
use crate::desk::Desk;
use crate::history::{Played, play};
use crate::net::Tally;

/// Fresh seeds lie this far apart.
const SEEDS_APART: u64 = 1_000;

/// What many histories came to.
#[derive(Debug, Default)]
pub struct Total {
    /// How many were played.
    pub histories: u64,
    /// What went wrong outside.
    pub faults: u64,
    /// Requests to the tables.
    pub requests: u64,
    /// Where payments stood in the end, and how many.
    pub ends: BTreeMap<&'static str, u64>,
    /// How often what is to be tried came about.
    pub tally: Tally,
    /// Histories that ended in a violation: seed, and what was violated.
    pub violations: Vec<(u64, Vec<String>)>,
}

/// Plays the histories of `histories` seeds from `first` on; stops at the first violation if `until_found`.
pub fn run(first: u64, histories: u64, threads: usize, bug: Option<Bug>, until_found: bool) -> Total {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Total::default());
    let work = || {
        let runtime = runtime();
        let _entered = runtime.enter();
        let mut desk = Desk::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= histories {
                return;
            }
            let seed = first.wrapping_add(place);
            let played = play(&mut desk, seed, bug, false);
            let mut total = total.lock().expect("no thread panics");
            total.histories += 1;
            total.faults += played.faults;
            total.requests += played.requests;
            total.tally.add(played.tally);
            for end in played.ends {
                *total.ends.entry(end.as_str()).or_insert(0) += 1;
            }
            if !played.violations.is_empty() {
                total.violations.push((seed, played.violations));
                if until_found {
                    next.store(histories, Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut total = total.into_inner().expect("no thread panics");
    total.violations.sort();
    total
}

/// A seed that nobody chose, short enough to be written down; behind it there is room for many more.
pub fn fresh_seed() -> u64 {
    u64::from(fastrand::u32(..)) * SEEDS_APART
}

/// Plays one history and tells what happened in it.
pub fn trace(seed: u64, bug: Option<Bug>) -> Played {
    let runtime = runtime();
    let _entered = runtime.enter();
    play(&mut Desk::new(), seed, bug, true)
}

/// The SDK will not go without a runtime for its timers; here none of them ever runs out.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}
