//! What the operator does: accounts and keys, until the console exists.

use std::collections::BTreeMap;

use crate::account::{Account, AccountState};
use crate::app::Error;
use crate::keys::{ApiKey, KeyRecord, Scope};
use crate::moment::Timestamp;
use crate::money::{BasisPoints, Cents};
use crate::payment::{MerchantId, Mode, Secret};
use crate::store::Store;

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Whose.
    pub merchant: MerchantId,
    /// Which payments it makes and sees.
    pub mode: Mode,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
}

/// Opens an account. Its id is made here; two accounts may have the same name.
pub async fn open_account(store: &Store, name: &str) -> Result<Account, Error> {
    let id: [u8; 10] = random()?;
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let account = Account {
        merchant: MerchantId::new(format!("mer_{hex}")),
        name: name.to_owned(),
        state: AccountState::Enabled,
        secret: Secret::new(random()?),
        fee_rate: None,
        fee_minimum: None,
        free_volume: None,
        spread: BasisPoints::ZERO,
        xpubs: BTreeMap::new(),
        volume_used: Cents::ZERO,
    };
    if store.insert_account(&account).await? {
        Ok(account)
    } else {
        Err("the account's id is taken; try again".into())
    }
}

/// Makes a key. The whole key is known here and never again (R25).
pub async fn make_key(store: &Store, new: NewKey, now: Timestamp) -> Result<ApiKey, Error> {
    let key = ApiKey::new(new.mode, random()?);
    let record = KeyRecord {
        hash: key.hash(),
        merchant: new.merchant,
        mode: new.mode,
        scopes: new.scopes,
        name: new.name,
        shown: key.shown(),
        created_at: now,
        expires_at: new.expires_at,
        revoked_at: None,
        last_used_day: None,
    };
    store.insert_key(&record).await?;
    Ok(key)
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
