//! The Addresses table once more: the items of single addresses, which are never forgotten, and what a chain held there last.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;

use super::attribute::{Item, n, s, text};
use super::{Store, StoreError, failed};
use crate::chain::CoinId;
use crate::moment::Timestamp;
use crate::money::Units;
use crate::payment::Code;

/// Items read at once.
const PAGE: i32 = 1_000;

/// Pages read at most where all of them are wanted: ten million items.
const PAGES: usize = 10_000;

/// More than this does not fit a number of the table (38 digits), and no balance is as large.
const LARGEST: u128 = 10_u128.pow(38);

/// An address that was given out, to one payment, ever (R24).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The address.
    pub address: String,
    /// Whose it is.
    pub code: Code,
    /// The family of chains on which it exists.
    pub family: String,
    /// What it held when that was last looked at.
    pub balances: BTreeMap<CoinId, Units>,
}

/// A place between two items of the table, in its own order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanPlace {
    /// The item's partition.
    pub bucket: String,
    /// The item within it.
    pub stamp: String,
}

impl Store {
    /// The payment to which an address was given out; `None` for an address that never was.
    pub async fn given(&self, address: &str) -> Result<Option<Given>, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.addresses)
            .key("bucket", s(bucket(address)))
            .key("stamp", s("-"))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed)?;
        found.item.as_ref().map(read).transpose()
    }

    /// Hands over every address of a family that was ever given out: a scan of the table, for the operator's rare needs.
    pub async fn each_given(&self, family: &str, mut each: impl FnMut(Given)) -> Result<(), StoreError> {
        let mut after = None;
        for _ in 0..PAGES {
            let (given, next) = self.given_after(after).await?;
            given.into_iter().filter(|given| given.family == family).for_each(&mut each);
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
        Err(StoreError::Malformed("there are more addresses than one command reads".into()))
    }

    /// Some of the addresses that were ever given out, after a place in the table, and the place to go on from.
    pub async fn given_after(
        &self,
        after: Option<ScanPlace>,
    ) -> Result<(Vec<Given>, Option<ScanPlace>), StoreError> {
        let start = after.map(|ScanPlace { bucket, stamp }| {
            HashMap::from([("bucket".to_owned(), s(bucket)), ("stamp".to_owned(), s(stamp))])
        });
        let page = self
            .client
            .scan()
            .table_name(&self.tables.addresses)
            .filter_expression("begins_with(#bucket, :single)")
            .expression_attribute_names("#bucket", "bucket")
            .expression_attribute_values(":single", s(bucket("")))
            .consistent_read(true)
            .limit(PAGE)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(failed)?;
        let place = |key: &Item| -> Result<ScanPlace, StoreError> {
            Ok(ScanPlace { bucket: text(key, "bucket")?.to_owned(), stamp: text(key, "stamp")?.to_owned() })
        };
        let next = page.last_evaluated_key.as_ref().map(place).transpose()?;
        let given = page.items.unwrap_or_default().iter().map(read).collect::<Result<_, _>>()?;
        Ok((given, next))
    }

    /// Notes what an address held, as attributes `balance_COIN` and `balance_at`, unless somebody looked later.
    pub async fn note_balances(
        &self,
        address: &str,
        balances: &BTreeMap<CoinId, Units>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut sets = vec!["balance_at = :at".to_owned()];
        let mut update = self
            .client
            .update_item()
            .table_name(&self.tables.addresses)
            .key("bucket", s(bucket(address)))
            .key("stamp", s("-"))
            .expression_attribute_names("#bucket", "bucket")
            .expression_attribute_values(":at", n(at.0))
            .condition_expression(
                "attribute_exists(#bucket) AND (attribute_not_exists(balance_at) OR balance_at <= :at)",
            );
        for (place, (coin, units)) in balances.iter().filter(|(_, units)| units.0 < LARGEST).enumerate() {
            sets.push(format!("#b{place} = :b{place}"));
            update = update
                .expression_attribute_names(format!("#b{place}"), format!("balance_{coin}"))
                .expression_attribute_values(format!(":b{place}"), AttributeValue::N(units.0.to_string()));
        }
        match update.update_expression(format!("SET {}", sets.join(", "))).send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }
}

fn bucket(address: &str) -> String {
    format!("address#{address}")
}

fn read(item: &Item) -> Result<Given, StoreError> {
    let malformed = |name: &str| StoreError::Malformed(format!("`{name}` of an address"));
    let address = text(item, "bucket")?.strip_prefix("address#").ok_or_else(|| malformed("bucket"))?;
    let mut balances = BTreeMap::new();
    for (name, value) in item {
        let coin = name.strip_prefix("balance_").filter(|rest| *rest != "at");
        let Some(coin) = coin.and_then(CoinId::new) else { continue };
        let units = value.as_n().ok().and_then(|units| units.parse().ok()).ok_or_else(|| malformed(name))?;
        balances.insert(coin, Units(units));
    }
    Ok(Given {
        address: address.to_owned(),
        code: text(item, "code")?.parse().map_err(|_| malformed("code"))?,
        family: text(item, "family")?.to_owned(),
        balances,
    })
}
