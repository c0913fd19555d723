//! The addresses that a watcher looks for, kept in memory and refreshed with the new ones only.

use std::collections::{HashMap, HashSet};

use super::WatchError;
use crate::chain::address::AddressKey;
use crate::chain::{Chain, Family};
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::payment::Code;
use crate::store::{Store, WATCHED_SECONDS, Watched};

/// Each look goes back this far behind the last: clocks differ, and a stamp is up to half a minute older than its item.
const LOOK_BACK_SECONDS: u64 = 120;

/// The list begins anew once a day, without what is no longer watched.
const RENEWED_SECONDS: u64 = DAY_SECONDS;

/// What is watched.
#[derive(Debug, Default)]
pub struct WatchList {
    codes: HashMap<AddressKey, Code>,
    recent: Vec<Watched>,
    began_at: Timestamp,
    read_at: Option<Timestamp>,
}

impl WatchList {
    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Whose address it is.
    pub fn code(&self, address: &AddressKey) -> Option<Code> {
        self.codes.get(address).copied()
    }

    /// At most `limit` addresses: where there are more, those listed within the day, and of the others some.
    pub fn newest(&self, family: Family, limit: usize) -> Vec<AddressKey> {
        if self.codes.len() <= limit {
            return self.codes.keys().copied().collect();
        }
        let listed = self.recent.iter().rev().filter_map(|watched| family.address_key(&watched.address).ok());
        let mut taken = HashSet::new();
        let all = listed.chain(self.codes.keys().copied());
        all.filter(|address| taken.insert(*address)).take(limit).collect()
    }

    /// Reads what is new.
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
        let since = fresh.map_or(now.minus(WATCHED_SECONDS), |read_at| read_at.minus(LOOK_BACK_SECONDS));
        let listed = store.listed_since(chain.family.name(), since).await?;
        for watched in &listed {
            let address = chain.family.address_key(&watched.address).map_err(|_| WatchError::Address)?;
            self.codes.insert(address, watched.code);
        }
        // They stay: a run that fails after this may leave to a later one what it should have scanned back.
        self.recent.extend(listed);
        self.recent.retain(|watched| watched.listed_at >= now.minus(RENEWED_SECONDS));
        self.recent.sort_unstable_by(|one, other| {
            (one.listed_at, &one.address).cmp(&(other.listed_at, &other.address))
        });
        self.recent.dedup();
        self.read_at = Some(now);
        Ok(())
    }

    /// The addresses that the last whole scan, begun at `known_since`, may not have known though it passed their
    /// heights; with the lowest height to scan again.
    pub(super) fn learned_late(
        &self,
        chain: &Chain,
        known_since: Timestamp,
        scanned: u64,
    ) -> Option<(u64, WatchList)> {
        let unknown = |watched: &&Watched| watched.listed_at >= known_since.minus(LOOK_BACK_SECONDS);
        let mut late = WatchList::default();
        let mut from = None;
        for watched in self.recent.iter().filter(unknown) {
            let listed_at_height = watched.heights.get(&chain.id).copied().filter(|height| *height < scanned);
            let (Some(height), Ok(address)) = (listed_at_height, chain.family.address_key(&watched.address))
            else {
                continue;
            };
            late.codes.insert(address, watched.code);
            from = Some(from.map_or(height, |from: u64| from.min(height)));
        }
        from.map(|from| (from.saturating_add(1), late))
    }
}
