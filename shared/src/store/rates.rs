//! Accepted rates by symbol and minute, in the table of chains.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;

use super::attribute::{Item, n, number, s};
use super::{Store, StoreError, failed};
use crate::moment::{DAY_SECONDS, Minute, Timestamp};
use crate::money::Rate;
use crate::rates::MAX_AGE_SECONDS;

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
        match put {
            Ok(_) => Ok(()),
            Err(refused)
                if refused
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
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

    /// The newest rate, if it was accepted in the last five minutes.
    ///
    /// A minute that began earlier than that is left out whole, because its rate may be older. Not consistent: a rate
    /// that appears a moment later is no worse, and this read costs half.
    pub async fn latest_rate(&self, symbol: &str, now: Timestamp) -> Result<Option<Rate>, StoreError> {
        let oldest = Minute(now.minus(MAX_AGE_SECONDS).0.div_ceil(60));
        let found = self
            .client
            .query()
            .table_name(&self.tables.chains)
            .key_condition_expression("chain = :chain AND entry BETWEEN :oldest AND :newest")
            .expression_attribute_values(":chain", partition(symbol))
            .expression_attribute_values(":oldest", entry(oldest))
            .expression_attribute_values(":newest", entry(now.minute()))
            .scan_index_forward(false)
            .limit(1)
            .send()
            .await
            .map_err(failed)?;
        found.items().first().map(rate).transpose()
    }

    /// The newest rate of each symbol that has one, all read at once.
    pub async fn latest_rates(
        &self,
        symbols: impl IntoIterator<Item = &str>,
        now: Timestamp,
    ) -> Result<BTreeMap<String, Rate>, StoreError> {
        let read = async |symbol: &str| {
            let rate = self.latest_rate(symbol, now).await?;
            Ok(rate.map(|rate| (symbol.to_owned(), rate)))
        };
        let rates = join_all(symbols.into_iter().map(read)).await;
        rates.into_iter().filter_map(Result::transpose).collect()
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
