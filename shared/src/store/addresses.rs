//! The Addresses table: every address given out, once by itself and once in the list that watchers read.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::attribute::{Item, n, s, text};
use super::{Store, StoreError, failed, is_done};
use crate::chain::ChainId;
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::payment::{Code, GivenAddress, Payment};

/// How long an address is watched after it was listed: ten days open, three held open, thirty after the end (R23).
pub const WATCHED_SECONDS: u64 = 43 * DAY_SECONDS;

/// Addresses in a page of a list: somewhat less than the megabyte at which the table would end it anyway.
const PAGE: i32 = 5_000;

/// Pages of a list read at a time: two million addresses.
const PAGES: usize = 400;

/// An address on a watcher's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The address.
    pub address: String,
    /// Whose it is.
    pub code: Code,
    /// When it was listed.
    pub listed_at: Timestamp,
    /// How far each chain had been scanned then.
    pub heights: BTreeMap<ChainId, u64>,
}

impl Store {
    /// Takes an address for a payment; `false` when another payment has it (R24).
    pub async fn claim_address(&self, given: &GivenAddress, code: Code) -> Result<bool, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.addresses)
            .item("bucket", s(format!("address#{}", given.address)))
            .item("stamp", s("-"))
            .item("code", s(code.to_string()))
            .item("family", s(&given.family))
            .item("xpub", s(&given.xpub))
            .item("index", n(given.index.into()))
            // The same payment's own claim, retried, is no other payment's.
            .condition_expression("attribute_not_exists(#bucket) OR code = :code")
            .expression_attribute_names("#bucket", "bucket")
            .expression_attribute_values(":code", s(code.to_string()));
        is_done(put.send().await)
    }

    /// Puts an address on the list of the watchers of its family.
    ///
    /// All of a family are in one partition, which takes a thousand of them a second: each further one would cost every
    /// watcher a request a minute.
    pub async fn list_address(&self, family: &str, watched: &Watched) -> Result<(), StoreError> {
        let heights = watched.heights.iter().map(|(chain, height)| (chain.to_string(), n(*height))).collect();
        let listed = watched.listed_at;
        self.client
            .put_item()
            .table_name(&self.tables.addresses)
            .item("bucket", s(family))
            .item("stamp", s(format!("{:020}#{}", listed.0, watched.address)))
            .item("code", s(watched.code.to_string()))
            .item("heights", AttributeValue::M(heights))
            .item("ttl", n(listed.plus(WATCHED_SECONDS).plus(DAY_SECONDS).0))
            .send()
            .await
            .map(|_| ())
            .map_err(failed)
    }

    /// Puts the addresses of a payment on their lists again: a change after its end starts the thirty days anew (R23).
    ///
    /// From now on, not for the past: what lies in blocks that were scanned while it was not watched is not found by this.
    pub async fn keep_watching(&self, payment: &Payment, now: Timestamp) -> Result<(), StoreError> {
        if !payment.is_live() {
            return Ok(());
        }
        let code = payment.id().code();
        for given in payment.addresses() {
            let watched =
                Watched { address: given.address.clone(), code, listed_at: now, heights: BTreeMap::new() };
            self.list_address(&given.family, &watched).await?;
        }
        Ok(())
    }

    /// Hands over what was listed for a family at `since` or later, by the consistent state of the table; page by
    /// page, because a list of a million is not to be held twice.
    pub async fn each_listed_since(
        &self,
        family: &str,
        since: Timestamp,
        mut each: impl FnMut(Watched),
    ) -> Result<(), StoreError> {
        let mut start = None;
        for _ in 0..PAGES {
            let page = self
                .client
                .query()
                .table_name(&self.tables.addresses)
                .key_condition_expression("#bucket = :family AND stamp >= :since")
                .expression_attribute_names("#bucket", "bucket")
                .expression_attribute_values(":family", s(family))
                .expression_attribute_values(":since", s(format!("{:020}", since.0)))
                .consistent_read(true)
                .limit(PAGE)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(failed)?;
            for item in page.items.unwrap_or_default() {
                let stamp = text(&item, "stamp")?;
                if let Some(watched) = self.readable("addresses to be watched", stamp, read(&item))? {
                    each(watched);
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(());
            }
        }
        Err(StoreError::Malformed("the list of addresses is longer than a watcher reads".into()))
    }
}

fn read(item: &Item) -> Result<Watched, StoreError> {
    let malformed = |name: &str| StoreError::Malformed(format!("`{name}` of an address"));
    let (listed_at, address) = text(item, "stamp")?.split_once('#').ok_or_else(|| malformed("stamp"))?;
    let heights =
        item.get("heights").and_then(|heights| heights.as_m().ok()).ok_or_else(|| malformed("heights"))?;
    let height = |(chain, height): (&String, &AttributeValue)| {
        let height = height.as_n().ok().and_then(|height| height.parse().ok());
        ChainId::new(chain).zip(height).ok_or_else(|| malformed("heights"))
    };
    Ok(Watched {
        address: address.to_owned(),
        code: text(item, "code")?.parse().map_err(|_| malformed("code"))?,
        listed_at: Timestamp(listed_at.parse().map_err(|_| malformed("stamp"))?),
        heights: heights.iter().map(height).collect::<Result<_, _>>()?,
    })
}
