//! Refunds that a chain has still to show: where to, how much, and whose.

use serde::{Deserialize, Serialize};

use super::outside_entry;
use crate::chain::ChainId;
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::store::attribute::{Item, n, s};
use crate::store::{Store, StoreError, failed};

/// A merchant who confirmed a refund and has not paid it after this long must have it looked for again.
const KEPT_SECONDS: u64 = 90 * DAY_SECONDS;

pub(super) const KIND: &str = "refund";

/// A confirmed refund, as a watcher looks for it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct AwaitedPayout {
    /// The payment's code.
    pub code: String,
    /// The coin.
    pub coin: String,
    /// Where to.
    pub address: String,
    /// The units, as text.
    pub units: String,
}

/// A transaction in a block that pays a refund's address its units.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct TouchedPayout {
    /// What was awaited.
    pub awaited: AwaitedPayout,
    /// The transaction.
    pub tx: String,
    /// Whether it spends from the payment's own addresses.
    pub from_payment: bool,
}

impl TouchedPayout {
    /// What names it in its block.
    pub(super) fn key(&self) -> String {
        format!("refund:{}:{}:{}", self.awaited.code, self.awaited.coin, self.tx)
    }
}

impl Store {
    /// Has the watcher of a chain look for a refund. Before its merchant learns what to pay, so that no block can hold
    /// it unseen.
    pub async fn await_payout(
        &self,
        chain: &ChainId,
        payout: &AwaitedPayout,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let row = serde_dynamo::to_attribute_value(payout);
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.chains)
            .item("chain", s(chain.as_str()))
            .item("entry", s(entry(payout)))
            .item("payout", row.map_err(|error| StoreError::Malformed(error.to_string()))?)
            .item("ttl", n(now.plus(KEPT_SECONDS).0));
        put.send().await.map(|_| ()).map_err(failed)
    }

    /// Looks for it no longer.
    pub async fn forget_payout(&self, chain: &ChainId, payout: &AwaitedPayout) -> Result<(), StoreError> {
        let key = self.client.delete_item().table_name(&self.tables.chains).key("chain", s(chain.as_str()));
        key.key("entry", s(entry(payout))).send().await.map(|_| ()).map_err(failed)
    }
}

fn entry(payout: &AwaitedPayout) -> String {
    // A payment never has two confirmed refunds of one coin.
    outside_entry(KIND, &format!("{}#{}", payout.code, payout.coin))
}

pub(super) fn read(item: &Item) -> Result<AwaitedPayout, StoreError> {
    let malformed = || StoreError::Malformed("a refund that a chain has to show".to_owned());
    let payout = item.get("payout").ok_or_else(malformed)?.clone();
    serde_dynamo::from_attribute_value(payout).map_err(|_| malformed())
}
