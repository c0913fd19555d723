//! Refunds that a chain has still to show: where to, how much, and whose.

use serde::{Deserialize, Serialize};

use super::{names_payments, outside_entry};
use crate::chain::ChainId;
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::store::attribute::{Item, n, s};
use crate::store::{Store, StoreError, failed, is_done};

/// A merchant who confirmed a refund and has not paid it after this long must have it looked for again.
const KEPT_SECONDS: u64 = 90 * DAY_SECONDS;

pub(super) const KIND: &str = "refund";

/// Refunds of one size to one address that one transaction can be: more are told by transactions of their own.
const CLAIMS: u32 = 16;

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
    /// When the refund was asked for, in epoch seconds.
    #[serde(default)]
    pub requested_at: u64,
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
    /// How many such payments it makes.
    pub outputs: u32,
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

impl Store {
    /// Makes a transaction the refund that `payout` awaits, unless it is as many others already as it makes such payments.
    /// The same refund again has it already.
    pub async fn claim_transaction(
        &self,
        chain: &ChainId,
        tx: &str,
        payout: &AwaitedPayout,
        outputs: u32,
    ) -> Result<bool, StoreError> {
        for place in 0..outputs.min(CLAIMS) {
            let put = self
                .client
                .put_item()
                .table_name(&self.tables.chains)
                .item("chain", s(chain.as_str()))
                .item("entry", s(claim_entry(tx, payout, place)))
                .item("claimant", s(claimant(payout)))
                .condition_expression("attribute_not_exists(entry) OR claimant = :claimant")
                .expression_attribute_values(":claimant", s(claimant(payout)));
            if is_done(put.send().await)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes that back: the transaction was named by mistake.
    pub async fn release_transaction(
        &self,
        chain: &ChainId,
        tx: &str,
        payout: &AwaitedPayout,
        outputs: u32,
    ) -> Result<(), StoreError> {
        for place in 0..outputs.min(CLAIMS) {
            let delete = self
                .client
                .delete_item()
                .table_name(&self.tables.chains)
                .key("chain", s(chain.as_str()))
                .key("entry", s(claim_entry(tx, payout, place)))
                .condition_expression("claimant = :claimant")
                .expression_attribute_values(":claimant", s(claimant(payout)));
            is_done(delete.send().await)?;
        }
        Ok(())
    }
}

/// Which refund has a transaction. The next one of the coin has another one.
fn claimant(payout: &AwaitedPayout) -> String {
    format!("{}#{}", payout.code, payout.coin)
}

fn claim_entry(tx: &str, payout: &AwaitedPayout, place: u32) -> String {
    let AwaitedPayout { coin, address, units, .. } = payout;
    // Some write an address in either case.
    format!("refund-tx#{tx}#{coin}#{units}#{}#{place}", address.to_lowercase())
}

fn entry(payout: &AwaitedPayout) -> String {
    // A payment never has two confirmed refunds of one coin; but what was written or forgotten for an earlier one may
    // arrive late, and must not be the later one's.
    outside_entry(KIND, &format!("{}#{}#{}", payout.code, payout.coin, payout.requested_at))
}

pub(super) fn read(item: &Item) -> Result<AwaitedPayout, StoreError> {
    let malformed = || StoreError::Malformed("a refund that a chain has to show".to_owned());
    let payout = item.get("payout").ok_or_else(malformed)?.clone();
    let payout: AwaitedPayout = serde_dynamo::from_attribute_value(payout).map_err(|_| malformed())?;
    names_payments(std::iter::once(&payout.code))?;
    Ok(payout)
}
