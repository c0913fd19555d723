//! The demo merchant: an account with a test key and a live key, made at the first start and kept in `DATA/env`.

use std::path::Path;

use shared::admin::{self, NewKey};
use shared::chain::address::{AddressError, ExtendedKey};
use shared::clock::Clock;
use shared::keys::{ApiKey, KeyRecord, Scope};
use shared::moment::Timestamp;
use shared::payment::{MerchantId, Mode};
use shared::store::{Store, StoreError};

use crate::folder::write_private;

/// What the demo merchant is called.
const NAME: &str = "Demo shop";

/// What its first key is called.
const TEST_KEY: &str = "demo test key";

/// The demo merchant's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// A test mode key.
    pub test: String,
    /// A live mode key.
    pub live: String,
}

/// Why there is no demo merchant.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The file with the keys cannot be read or written.
    #[error("{path} cannot be used: {problem}")]
    File {
        /// The file.
        path: String,
        /// Why.
        problem: std::io::Error,
    },
    /// The tables.
    #[error("the demo merchant cannot be looked up: {0}")]
    Store(#[from] StoreError),
    /// Something failed on the way.
    #[error("the demo merchant cannot be made: {0}")]
    Making(shared::app::Error),
    /// The extended key.
    #[error("--live-xpub: {0}")]
    Xpub(AddressError),
}

/// Makes the demo merchant, or finds that `known` are its keys; `live_xpubs` are its extended keys for live payments, by
/// families of chains.
pub async fn demo(
    store: &Store,
    known: Option<Keys>,
    live_xpubs: &[(String, String)],
) -> Result<Keys, DemoError> {
    let now = Clock::default().now();
    let keys = match known_to(store, known).await? {
        Some(keys) => keys,
        None => make(store, now).await?,
    };
    for (family, xpub) in live_xpubs {
        xpub.parse::<ExtendedKey>().map_err(DemoError::Xpub)?;
        if let Some(record) = record(store, &keys.live).await? {
            store.set_xpub(&record.merchant, family, xpub).await?;
        }
    }
    Ok(keys)
}

/// The keys, if the database knows them: it may have been emptied since they were written down.
async fn known_to(store: &Store, known: Option<Keys>) -> Result<Option<Keys>, DemoError> {
    let Some(keys) = known else { return Ok(None) };
    let both = record(store, &keys.test).await?.is_some() && record(store, &keys.live).await?.is_some();
    Ok(both.then_some(keys))
}

async fn record(store: &Store, key: &str) -> Result<Option<KeyRecord>, DemoError> {
    let Ok(key) = ApiKey::parse(key) else { return Ok(None) };
    Ok(store.key(&key.hash()).await?)
}

async fn make(store: &Store, now: Timestamp) -> Result<Keys, DemoError> {
    let merchant = match merchant(store, now).await? {
        Some(merchant) => merchant,
        None => admin::open_account(store, NAME).await.map_err(DemoError::Making)?.merchant,
    };
    let key = async |mode, name: &str| {
        let scopes = Scope::ALL.to_vec();
        let new = NewKey { merchant: merchant.clone(), mode, name: name.into(), scopes, expires_at: None };
        let made = admin::make_key(store, new, now).await.map_err(DemoError::Making)?;
        Ok::<_, DemoError>(made.reveal().to_owned())
    };
    Ok(Keys { test: key(Mode::Test, TEST_KEY).await?, live: key(Mode::Live, "demo live key").await? })
}

/// The demo merchant of an earlier start whose keys were lost: its payments stay its own. Of several, the last one.
async fn merchant(store: &Store, now: Timestamp) -> Result<Option<MerchantId>, DemoError> {
    let mut found = store.accounts(now).await?;
    found.retain(|account| account.name == NAME);
    if found.len() < 2 {
        return Ok(found.pop().map(|account| account.merchant));
    }
    let mut last = None;
    for account in found {
        let keys = store.keys_of(&account.merchant).await?;
        let made_at = keys.iter().filter(|key| key.name == TEST_KEY).map(|key| key.created_at).max();
        last = last.max(made_at.map(|at| (at, account.merchant)));
    }
    Ok(last.map(|(_, merchant)| merchant))
}

/// The keys that an earlier start wrote to the file.
pub fn read(file: &Path) -> Result<Option<Keys>, DemoError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(problem) => return Err(failed(file, problem)),
    };
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(str::to_owned).filter(|value| !value.is_empty())
    };
    Ok(value("CRYPTOGAP_TEST_KEY").zip(value("CRYPTOGAP_LIVE_KEY")).map(|(test, live)| Keys { test, live }))
}

/// Writes the file that shells source and tests read.
pub fn write(file: &Path, base_url: &str, keys: &Keys) -> Result<(), DemoError> {
    let text = format!(
        "CRYPTOGAP_URL={base_url}\nCRYPTOGAP_TEST_KEY={}\nCRYPTOGAP_LIVE_KEY={}\n",
        keys.test, keys.live
    );
    write_private(file, text.as_bytes()).map_err(|problem| failed(file, problem))
}

fn failed(file: &Path, problem: std::io::Error) -> DemoError {
    DemoError::File { path: file.display().to_string(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        assert_eq!(read(&file).unwrap(), None);
        let keys = Keys { test: "cgk_test_a".into(), live: "cgk_b".into() };
        write(&file, "http://127.0.0.1:8787", &keys).unwrap();
        assert_eq!(read(&file).unwrap(), Some(keys));
        let expected =
            "CRYPTOGAP_URL=http://127.0.0.1:8787\nCRYPTOGAP_TEST_KEY=cgk_test_a\nCRYPTOGAP_LIVE_KEY=cgk_b\n";
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
    }
}
