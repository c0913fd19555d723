//! The addresses that a watcher looks for, kept in memory and refreshed with the new ones only.

mod back;
mod book;
mod newest;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

pub(super) use self::back::LeftOff;
use self::book::Book;
use self::newest::Newest;
use super::WatchError;
use crate::chain::Chain;
use crate::chain::address::AddressKey;
use crate::chain::block::OutPoint;
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::payment::Code;
use crate::store::{Cursor, Store, WATCHED_SECONDS, Watched};

/// Each look goes back this far behind the last: clocks differ, and a stamp is up to half a minute older than its item.
const LOOK_BACK_SECONDS: u64 = 120;

/// The list begins anew once a day, without what is no longer watched.
const RENEWED_SECONDS: u64 = DAY_SECONDS;

/// What the log calls it.
const LIST: &str = "addresses to be watched";

/// What is watched.
#[derive(Debug, Default)]
pub struct WatchList {
    book: Book,
    newest: Newest,
    compares_all: bool,
    reads_again: bool,
    awaited: HashSet<OutPoint>,
    destinations: HashSet<Vec<u8>>,
    recent: Vec<Watched>,
    newly: Vec<Watched>,
    left_off: Option<LeftOff>,
    began_at: Timestamp,
    read_at: Option<Timestamp>,
}

impl WatchList {
    /// One by which blocks are read that a watcher has read before.
    pub(crate) fn to_read_again() -> WatchList {
        WatchList { reads_again: true, ..WatchList::default() }
    }

    /// Whether blocks are read once more: nothing is lost then by an answer that does not come, and nobody waits for it.
    pub fn reads_again(&self) -> bool {
        self.reads_again
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.book.is_empty()
    }

    /// Whose address it is.
    pub fn code(&self, address: &AddressKey) -> Option<Code> {
        self.book.code(address)
    }

    /// All watched addresses.
    pub fn addresses(&self) -> impl Iterator<Item = AddressKey> {
        self.book.addresses()
    }

    /// Whether it matters who spends an output.
    pub fn awaits(&self, outpoint: &OutPoint) -> bool {
        self.awaited.contains(outpoint)
    }

    /// Makes these the outputs whose spending matters.
    pub(super) fn await_outputs(&mut self, outpoints: impl IntoIterator<Item = OutPoint>) {
        self.awaited.clear();
        self.awaited.extend(outpoints);
    }

    /// Whether a refund is to go to this account or script.
    pub fn is_destination(&self, to: &[u8]) -> bool {
        self.destinations.contains(to)
    }

    /// All accounts or scripts to which refunds are to go.
    pub fn destinations(&self) -> impl Iterator<Item = &[u8]> {
        self.destinations.iter().map(Vec::as_slice)
    }

    /// Makes these the accounts or scripts to which refunds are to go.
    pub(super) fn await_payouts(&mut self, destinations: impl IntoIterator<Item = Vec<u8>>) {
        self.destinations.clear();
        self.destinations.extend(destinations);
    }

    /// The addresses that the last look found and that none before it had.
    pub(super) fn newly(&self) -> &[Watched] {
        &self.newly
    }

    /// Adds an address, as the newest.
    pub fn insert(&mut self, address: AddressKey, code: Code) {
        self.book.insert(address, code);
        self.newest.insert(address);
    }

    /// From now on the balances of all its addresses are compared, however many questions that takes.
    pub(super) fn compare_all(&mut self) {
        self.compares_all = true;
    }

    /// The addresses whose balances are compared on a chain that compares balances: the newest 5,000, or all.
    pub fn compared(&self) -> Vec<AddressKey> {
        if self.compares_all { self.book.addresses().collect() } else { self.newest.addresses().collect() }
    }

    /// How many addresses are on the list whose balances are not compared.
    pub fn uncompared(&self) -> usize {
        if self.compares_all || self.newest.len() < newest::NEWEST {
            return 0;
        }
        self.book.addresses().count().saturating_sub(self.newest.len())
    }

    /// Reads what is new. What cannot be read is left out.
    pub(super) async fn refresh(
        &mut self,
        store: &Store,
        chain: &Chain,
        now: Timestamp,
    ) -> Result<(), WatchError> {
        let fresh = self.read_at.filter(|_| now.since(self.began_at) < RENEWED_SECONDS);
        if fresh.is_none() {
            *self = WatchList { began_at: now, ..WatchList::default() };
        }
        self.newly.clear();
        let since = fresh.map_or(now.minus(WATCHED_SECONDS), |read_at| read_at.minus(LOOK_BACK_SECONDS));
        let recent_from = now.minus(RENEWED_SECONDS);
        let family = chain.family;
        let read = store.each_listed_since(family.name(), since, |watched| {
            match family.address_key(&watched.address) {
                Ok(address) => {
                    if fresh.is_some() && self.code(&address).is_none() {
                        self.newly.push(watched.clone());
                    }
                    self.insert(address, watched.code);
                }
                // Nobody could watch it; the others on the list are watched all the same.
                Err(error) => return store.left_out(LIST, &watched.address, &error.to_string()),
            }
            // They stay: a run that fails after this may leave to a later one what it should have scanned back.
            if watched.listed_at >= recent_from {
                self.recent.push(watched);
            }
        });
        read.await?;
        self.recent.retain(|watched| watched.listed_at >= recent_from);
        self.recent.sort_unstable_by(|one, other| {
            (one.listed_at, &one.address).cmp(&(other.listed_at, &other.address))
        });
        self.recent.dedup();
        self.read_at = Some(now);
        Ok(())
    }

    /// Blocks were read again for the addresses that were learned late, up to where this says; to the end if it is `None`.
    /// Gives what was said before.
    pub(super) fn leave_off(&mut self, left_off: Option<LeftOff>) -> Option<LeftOff> {
        std::mem::replace(&mut self.left_off, left_off)
    }

    /// The addresses that the last whole scan, begun when the cursor says, may not have known though it passed their
    /// heights; with the lowest height to scan again, which is behind what the last run scanned again for them.
    pub(super) fn learned_late(&self, chain: &Chain, cursor: &Cursor) -> Option<(u64, WatchList)> {
        let known_from = cursor.known_at.minus(LOOK_BACK_SECONDS);
        let left_off = self.left_off.as_ref().filter(|left_off| left_off.holds(cursor));
        let unknown = |watched: &&Watched| watched.listed_at >= known_from;
        let mut late = WatchList::default();
        let mut from = None;
        for watched in self.recent.iter().filter(unknown) {
            let listed_at_height = watched.heights.get(&chain.id).copied();
            let listed_at_height = listed_at_height.filter(|height| *height < cursor.height);
            let (Some(height), Ok(address)) = (listed_at_height, chain.family.address_key(&watched.address))
            else {
                continue;
            };
            late.insert(address, watched.code);
            let height = left_off.map_or(height, |left_off| left_off.after(&address, height));
            from = Some(from.map_or(height, |from: u64| from.min(height)));
        }
        from.map(|from| (from.saturating_add(1), late))
    }
}
