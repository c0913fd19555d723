//! An account: who may call, on what terms, and from which extended keys its addresses come.

use std::collections::BTreeMap;

use crate::money::{BasisPoints, Cents};
use crate::payment::{FeeTerms, MerchantId, Secret};
use crate::settings::FeeSettings;

/// Whether an account may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// Yes.
    Enabled,
    /// No; its payers' money already on the way is still watched (R3).
    Disabled,
}

impl AccountState {
    /// As written in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            AccountState::Enabled => "enabled",
            AccountState::Disabled => "disabled",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<AccountState> {
        [AccountState::Enabled, AccountState::Disabled].into_iter().find(|state| state.as_str() == name)
    }
}

/// What is known of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub merchant: MerchantId,
    /// What the operator calls it.
    pub name: String,
    /// Whether it may call.
    pub state: AccountState,
    /// Makes codes of idempotency keys and seals cursors. Never changed.
    pub secret: Secret,
    /// Its own fee terms, where they differ from the deployment's.
    pub fee_rate: Option<BasisPoints>,
    /// Its own minimum.
    pub fee_minimum: Option<Cents>,
    /// Its own free volume.
    pub free_volume: Option<Cents>,
    /// What its payments keep of the market's rate, where the operator set something (R20).
    pub spread: BasisPoints,
    /// Extended public keys by family of chains (R24).
    pub xpubs: BTreeMap<String, String>,
    /// What was first paid in the current UTC month.
    pub volume_used: Cents,
}

impl Account {
    /// Its fee terms: its own, else the deployment's (R14).
    pub fn fee_terms(&self, deployment: FeeSettings) -> FeeTerms {
        FeeTerms {
            rate: self.fee_rate.unwrap_or(deployment.rate),
            minimum: self.fee_minimum.unwrap_or(deployment.minimum),
            free_volume: self.free_volume.unwrap_or(deployment.free_volume),
        }
    }
}
