//! Places in the table of accounts: a few of each name, each free or held until a time.
//!
//! Functions share nothing but tables. A place is an item of its own, so that nobody waits for anybody else's write;
//! whoever dies with one loses it when its time is over.

use super::attribute::{n, s};
use super::{Store, StoreError, is_done};
use crate::moment::{DAY_SECONDS, Timestamp};

/// Places that are tried: beyond this a lot counts as full, though a crowded one may have a free place elsewhere.
const PROBES: u64 = 4;

/// A place that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    key: String,
    holder: String,
}

impl Store {
    /// Takes one of the first `places` of `name` for `holder`; `None` if those that were tried are held by others.
    pub async fn take_place(
        &self,
        name: &str,
        places: u64,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Place>, StoreError> {
        let start = crc32fast::hash(holder.as_bytes());
        for probe in 0..places.min(PROBES) {
            let number = u64::from(start).wrapping_add(probe).checked_rem(places).unwrap_or_default();
            let place = Place { key: format!("wait#{name}#{number}"), holder: holder.to_owned() };
            if self.hold(&place, now, until).await? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    async fn hold(&self, place: &Place, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.accounts)
            .key("account", s(&place.key))
            .update_expression("SET held_by = :holder, held_until = :held_until, #ttl = :ttl")
            // The same holder's own write, retried, is nobody else's.
            .condition_expression(
                "attribute_not_exists(held_until) OR held_until < :now OR held_by = :holder",
            )
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":holder", s(&place.holder))
            .expression_attribute_values(":held_until", n(until.0))
            .expression_attribute_values(":now", n(now.0))
            .expression_attribute_values(":ttl", n(until.plus(DAY_SECONDS).0));
        is_done(update.send().await)
    }

    /// Gives a place back, unless its time is over and somebody else has it.
    pub async fn free_place(&self, place: &Place) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.accounts)
            .key("account", s(&place.key))
            .update_expression("SET held_until = :free")
            .condition_expression("held_by = :holder")
            .expression_attribute_values(":holder", s(&place.holder))
            .expression_attribute_values(":free", n(0));
        is_done(update.send().await).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    #[tokio::test]
    async fn so_many_hold_a_place_and_no_more_until_one_is_given_back_or_its_time_is_over() {
        let store = testing::store().await;
        let take = async |holder: &str, now: Timestamp| {
            store.take_place("key", 2, holder, now, now.plus(30)).await.unwrap()
        };
        let first = take("a", NOW).await.unwrap();
        let second = take("b", NOW).await.unwrap();
        assert_ne!(first.key, second.key);
        assert_eq!(take("c", NOW).await, None);
        assert_eq!(store.take_place("other", 2, "c", NOW, NOW.plus(30)).await.unwrap().map(|_| ()), Some(()));
        store.free_place(&first).await.unwrap();
        let third = take("c", NOW).await.unwrap();
        assert_eq!(third.key, first.key);
        store.free_place(&first).await.unwrap();
        assert_eq!(take("d", NOW).await, None, "who had a place before cannot free it for others");
        // Whoever died with a place holds it until its time is over.
        assert!(take("d", NOW.plus(31)).await.is_some());
        assert_eq!(store.take_place("key", 0, "e", NOW, NOW.plus(30)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_retried_write_takes_no_second_place() {
        let store = testing::store().await;
        let take = async || store.take_place("key", 2, "a", NOW, NOW.plus(30)).await.unwrap();
        assert_eq!(take().await, take().await);
    }

    #[tokio::test]
    async fn of_many_at_once_no_more_than_there_are_places() {
        let store = testing::store().await;
        let holders: Vec<_> = (0..20).map(|number| number.to_string()).collect();
        let takes = holders.iter().map(|holder| store.take_place("all", 3, holder, NOW, NOW.plus(30)));
        let taken = futures_util::future::join_all(takes).await;
        assert_eq!(taken.into_iter().filter(|place| place.as_ref().unwrap().is_some()).count(), 3);
    }
}
