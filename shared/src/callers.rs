//! Keys and accounts, remembered for a short while so that a busy function reads no table to know its callers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::account::Account;
use crate::keys::{KeyHash, KeyRecord};
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::payment::MerchantId;
use crate::store::{Store, StoreError};

/// Revoking and disabling take effect within 30 seconds (R26); the rest is for the table's own delay.
const REMEMBERED_SECONDS: u64 = 25;

/// How long a call waits for what it only notes.
const NOTED_WITHIN: Duration = Duration::from_millis(500);

/// Things remembered at once, so that memory has a bound.
const REMEMBERED: usize = 1_000;

/// Keys that were used lately.
#[derive(Debug, Default)]
pub struct Callers(Remembered<KeyHash, KeyRecord>);

/// Accounts that were read lately.
#[derive(Debug, Default)]
pub struct Accounts(Remembered<MerchantId, Account>);

impl Callers {
    /// The key's record; `None` for a key that is not known.
    pub async fn known(
        &self,
        store: &Store,
        hash: &KeyHash,
        now: Timestamp,
    ) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        if let Some(key) = self.0.get(hash, now) {
            return Ok(Some(key));
        }
        let Some(key) = store.key(hash).await? else { return Ok(None) };
        let today = now.0.div_euclid(DAY_SECONDS);
        if key.is_valid(now) && key.last_used_day.is_none_or(|day| day < today) {
            note_use(store, hash, today).await;
        }
        Ok(Some(self.0.put(hash.clone(), key, now)))
    }
}

/// Notes the day on which a key was used. Only its owner ever looks at it, so that a table that refuses or hangs costs the
/// call a moment and no more; the next process that learns of the key tries again.
async fn note_use(store: &Store, hash: &KeyHash, day: u64) {
    match tokio::time::timeout(NOTED_WITHIN, store.touch_key(hash, day)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the day of a key's use was not noted"),
        Err(_) => tracing::warn!("the day of a key's use was not noted in time"),
    }
}

impl Accounts {
    /// The account; `None` for one that is not known.
    pub async fn known(
        &self,
        store: &Store,
        merchant: &MerchantId,
        now: Timestamp,
    ) -> Result<Option<Arc<Account>>, StoreError> {
        if let Some(account) = self.0.get(merchant, now) {
            return Ok(Some(account));
        }
        let found = store.account(merchant, now).await?;
        Ok(found.map(|account| self.0.put(merchant.clone(), account, now)))
    }
}

/// Values by key, each with the moment it was read at.
#[derive(Debug)]
struct Remembered<K, V>(Mutex<HashMap<K, (Timestamp, Arc<V>)>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Remembered<K, V> {
        Remembered(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash, V> Remembered<K, V> {
    fn get(&self, key: &K, now: Timestamp) -> Option<Arc<V>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, value) = all.get(key)?;
        (now.since(*read_at) < REMEMBERED_SECONDS).then(|| value.clone())
    }

    fn put(&self, key: K, value: V, now: Timestamp) -> Arc<V> {
        let value = Arc::new(value);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.clear();
        }
        all.insert(key, (now, value.clone()));
        value
    }
}

#[cfg(test)]
mod tests {
    //! R26, and a table that refuses to note.

    use super::*;
    use crate::admin::{self, NewKey};
    use crate::keys::Scope;
    use crate::payment::Mode;
    use crate::store::testing::{self, Faults};

    #[tokio::test]
    async fn b6_a_table_that_refuses_to_note_the_day_of_a_keys_use_fails_no_call() {
        let (faults, now) = (Faults::default(), Timestamp(1_800_000_000));
        let store = testing::faulty_store(&faults).await;
        let merchant = admin::open_account(&store, "Shop").await.unwrap().merchant;
        let new = NewKey {
            merchant,
            mode: Mode::Test,
            name: String::new(),
            scopes: vec![Scope::PaymentsRead],
            expires_at: None,
        };
        let hash = admin::make_key(&store, new, now).await.unwrap().hash();
        faults.throttle("UpdateItem", "keys", 1_000);
        let known = Callers::default().known(&store, &hash, now).await.unwrap().unwrap();
        assert_eq!(known.last_used_day, None);
        assert!(faults.left() < 1_000, "it was tried");
        faults.no_more();
        // Whoever learns of the key next notes it.
        Callers::default().known(&store, &hash, now).await.unwrap();
        assert_eq!(store.key(&hash).await.unwrap().unwrap().last_used_day, Some(now.0 / DAY_SECONDS));
    }

    #[test]
    fn r26_what_was_remembered_is_asked_for_again_within_30_seconds() {
        let remembered = Remembered::default();
        let read_at = Timestamp(1_773_066_600);
        remembered.put("key", "valid", read_at);
        assert!(remembered.get(&"key", read_at.plus(REMEMBERED_SECONDS).minus(1)).is_some());
        assert!(remembered.get(&"key", read_at.plus(REMEMBERED_SECONDS)).is_none());
        const { assert!(REMEMBERED_SECONDS < 30, "an answer of the table may itself be a second old") };
        // Being asked for does not make it younger.
        assert!(remembered.get(&"key", read_at.plus(29)).is_none());
    }
}
