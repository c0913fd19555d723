//! Accepted rates by symbol and minute, in the table of chains.

#[cfg(test)]
mod tests;

use aws_sdk_dynamodb::types::AttributeValue;

use super::attribute::{Item, n, number, s};
use super::{Store, StoreError, failed, is_done};
use crate::moment::{DAY_SECONDS, Minute};
use crate::money::Rate;

/// Longer than any payment in time waits for its rate (R20).
const KEPT_SECONDS: u64 = 45 * DAY_SECONDS;

impl Store {
    /// Keeps the rate accepted in a minute. The first one stays: what a reader has seen never changes.
    pub async fn put_rate(&self, symbol: &str, minute: Minute, rate: Rate) -> Result<(), StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.chains)
            .item("chain", partition(symbol))
            .item("entry", entry(minute))
            .item("rate", n(rate.get()))
            .item("ttl", n(minute.start().plus(KEPT_SECONDS).0))
            .condition_expression("attribute_not_exists(entry)")
            .send()
            .await;
        is_done(put).map(|_| ())
    }

    /// The first rate accepted in `minute` or after it; `None` as long as there is none.
    ///
    /// The first one, and not the latest known: rates are only added at the end and never change, so that every
    /// reader, however late and however often it asks, prices a transfer alike. For the same reason the read is
    /// consistent. Minutes older than 45 days have lost their own rate; whoever may ask for one decides on that first.
    pub async fn rate_at(&self, symbol: &str, minute: Minute) -> Result<Option<Rate>, StoreError> {
        let found = self
            .client
            .query()
            .table_name(&self.tables.chains)
            .key_condition_expression("chain = :chain AND entry >= :minute")
            .expression_attribute_values(":chain", partition(symbol))
            .expression_attribute_values(":minute", entry(minute))
            .scan_index_forward(true)
            .limit(1)
            .consistent_read(true)
            .send()
            .await
            .map_err(failed)?;
        found.items().first().map(rate).transpose()
    }
}

fn partition(symbol: &str) -> AttributeValue {
    s(format!("rates#{symbol}"))
}

/// Padded to the digits of the largest number, so that the order of texts is the order of minutes.
fn entry(minute: Minute) -> AttributeValue {
    s(format!("{:020}", minute.0))
}

fn rate(item: &Item) -> Result<Rate, StoreError> {
    Rate::new(number(item, "rate")?).ok_or_else(|| StoreError::Malformed("`rate` is zero".to_owned()))
}
