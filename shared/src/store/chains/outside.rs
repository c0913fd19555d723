//! What a chain's watcher keeps in mind beside the addresses: one query tells it all.

use super::{AwaitedPayout, Sighting, payouts, sightings};
use crate::chain::ChainId;
use crate::store::attribute::{s, text};
use crate::store::{Store, StoreError, failed};

/// Pages read at a time: some tens of thousands.
const PAGES: usize = 20;

/// All of it has entries with this prefix.
const PREFIX: &str = "outside#";

/// What lies outside of a chain and may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlying {
    /// Transfers in no block.
    pub sightings: Vec<Sighting>,
    /// Refunds that no block was seen to hold.
    pub payouts: Vec<AwaitedPayout>,
}

impl Store {
    /// What lies outside of a chain, by the consistent state of the table.
    pub async fn outlying(&self, chain: &ChainId) -> Result<Outlying, StoreError> {
        let (mut all, mut start) = (Outlying::default(), None);
        for _ in 0..PAGES {
            let page = self
                .client
                .query()
                .table_name(&self.tables.chains)
                .key_condition_expression("chain = :chain AND begins_with(entry, :prefix)")
                .expression_attribute_values(":chain", s(chain.as_str()))
                .expression_attribute_values(":prefix", s(PREFIX))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(failed)?;
            for item in page.items.unwrap_or_default() {
                let key = text(&item, "entry")?;
                if key.starts_with(&entry(payouts::KIND, "")) {
                    let read = payouts::read(&item);
                    all.payouts.extend(self.readable("refunds that a chain has to show", key, read)?);
                } else {
                    let read = sightings::read(&item);
                    all.sightings.extend(self.readable("sightings", key, read)?);
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(all);
            }
        }
        tracing::warn!(%chain, "more lies outside of the chain than one run reads");
        Ok(all)
    }
}

/// The entry of what is known by `name` among its kind.
pub(super) fn entry(kind: &str, name: &str) -> String {
    format!("{PREFIX}{kind}#{name}")
}
