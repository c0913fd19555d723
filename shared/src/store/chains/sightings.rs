//! Transfers that lie in no block: seen among unconfirmed transactions, gone from there, or taken out of a block.

use serde::{Deserialize, Serialize};

use super::{BlockHash, TouchedTransfer, names_payments, outside_entry, put_of_run};
use crate::chain::ChainId;
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::store::attribute::{Item, n, s};
use crate::store::{Store, StoreError};

/// Longer than nodes keep an unconfirmed transaction (two weeks), and than its absence holds a payment open.
const KEPT_SECONDS: u64 = 15 * DAY_SECONDS;

pub(super) const KIND: &str = "seen";

/// A transfer outside of the chain.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Sighting {
    /// What was sent.
    pub transfer: TouchedTransfer,
    /// When it was first seen outside, in epoch seconds.
    pub at: u64,
    /// Whether it is no longer among the unconfirmed.
    #[serde(default)]
    pub gone: bool,
    /// Whether the payment knows that it is there, or gone.
    #[serde(default)]
    pub told: bool,
    /// The transactions that waited with it and whose outputs it spends: what they spend is among its inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<String>,
    /// The block that holds a transaction which spends the same output.
    #[serde(default)]
    pub rival: Option<Rival>,
}

/// The block of a conflicting transaction.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Rival {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
}

impl Sighting {
    /// Whether a transaction is the one that was seen or one that it spends from: those take nothing away from it.
    pub fn is_made_of(&self, tx_id: &str) -> bool {
        self.transfer.tx == tx_id || self.ancestors.iter().any(|ancestor| ancestor == tx_id)
    }
}

impl Store {
    /// Notes what became of a transfer outside of the chain, unless a later run of the watcher did.
    pub async fn put_sighting(
        &self,
        chain: &ChainId,
        sighting: &Sighting,
        run: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let row = serde_dynamo::to_attribute_value(sighting);
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.chains)
            .item("chain", s(chain.as_str()))
            .item("entry", s(entry(&sighting.transfer)))
            .item("sighting", row.map_err(|error| StoreError::Malformed(error.to_string()))?)
            .item("ttl", n(now.plus(KEPT_SECONDS).0));
        put_of_run(put, run).await
    }

    /// Forgets a transfer that lies in a block, or never will; unless a later run of the watcher noted it again.
    pub async fn delete_sighting(
        &self,
        chain: &ChainId,
        transfer: &TouchedTransfer,
        run: u64,
    ) -> Result<(), StoreError> {
        self.forget(chain, entry(transfer), run).await
    }
}

fn entry(transfer: &TouchedTransfer) -> String {
    outside_entry(KIND, &transfer.id)
}

pub(super) fn read(item: &Item) -> Result<Sighting, StoreError> {
    let malformed = || StoreError::Malformed("a sighting of a chain".to_owned());
    let sighting = item.get("sighting").ok_or_else(malformed)?.clone();
    let sighting: Sighting = serde_dynamo::from_attribute_value(sighting).map_err(|_| malformed())?;
    names_payments(std::iter::once(&sighting.transfer.code))?;
    Ok(sighting)
}
