//! Keys and their accounts, remembered for a short while so that a busy function reads no table to know its callers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Result;
use crate::account::Account;
use crate::app::App;
use crate::keys::{KeyHash, KeyRecord};
use crate::moment::{DAY_SECONDS, Timestamp};

/// Revoking and disabling take effect within 30 seconds (R26); the rest is for the table's own delay.
const REMEMBERED_SECONDS: u64 = 25;

/// Keys remembered at once, so that memory has a bound.
const REMEMBERED_KEYS: usize = 1_000;

/// A key and its account, as read at one moment.
#[derive(Debug)]
pub struct Known {
    pub(super) key: KeyRecord,
    pub(super) account: Arc<Account>,
    read_at: Timestamp,
}

/// What one process remembers.
#[derive(Debug, Default)]
pub struct Callers(Mutex<HashMap<KeyHash, Arc<Known>>>);

impl Callers {
    /// The key and its account; `None` for a key that is not known.
    pub(super) async fn known(
        &self,
        app: &App,
        hash: &KeyHash,
        now: Timestamp,
    ) -> Result<Option<Arc<Known>>> {
        if let Some(known) = self.remembered(hash, now) {
            return Ok(Some(known));
        }
        let Some(key) = app.store.key(hash).await? else { return Ok(None) };
        let Some(account) = app.store.account(&key.merchant, now).await? else { return Ok(None) };
        let today = now.0.div_euclid(DAY_SECONDS);
        if key.is_valid(now) && key.last_used_day.is_none_or(|day| day < today) {
            app.store.touch_key(hash, today).await?;
        }
        let known = Arc::new(Known { key, account: Arc::new(account), read_at: now });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED_KEYS {
            all.clear();
        }
        all.insert(hash.clone(), known.clone());
        Ok(Some(known))
    }

    fn remembered(&self, hash: &KeyHash, now: Timestamp) -> Option<Arc<Known>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |known: &&Arc<Known>| now.since(known.read_at) < REMEMBERED_SECONDS;
        all.get(hash).filter(fresh).cloned()
    }
}
