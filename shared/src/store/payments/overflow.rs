//! Payments with more transfers than one item holds: the rest lies in items `code#1`, `code#2`, …
//!
//! Anybody can send a payment dust as often as they like, and each transfer counts (R22). All items of a payment are
//! written in one transaction and carry its version, so that a reader notices when they are not of one piece.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use serde::{Deserialize, Serialize};

use super::Found;
use super::row::{self, Row, TransferRow};
use crate::payment::Payment;
use crate::store::attribute::{Item, n, optional_number, s};
use crate::store::{ATTEMPTS, Store, StoreError, failed};

/// Transfers in the payment's own item: some 80 KB, so that ordinary reads stay cheap.
const IN_ITEM: usize = 200;

/// Transfers in each further item: half of what an item may weigh.
const IN_CHUNK: usize = 400;

/// Further items: with the first, a transaction's hundred.
const CHUNKS: usize = 99;

/// Transfers by key.
type Transfers = BTreeMap<String, TransferRow>;

/// A further item.
#[derive(Deserialize, Serialize)]
struct Chunk {
    code: String,
    version: u64,
    transfers: Transfers,
}

/// How many further items belong to an item.
pub(super) fn chunks(item: &Item) -> Result<u32, StoreError> {
    Ok(optional_number(item, "chunks")?.unwrap_or(0))
}

/// A payment's item and its further items, which most payments have none of.
pub(super) fn items(payment: &Payment, version: u64) -> Result<(Item, Vec<Item>), StoreError> {
    let mut row = Row::new(payment, version);
    let rest = split(row.transfers_mut());
    if rest.len() > CHUNKS {
        return Err(StoreError::Malformed("a payment has more transfers than its items hold".into()));
    }
    row.set_chunks(u32::try_from(rest.len()).unwrap_or(u32::MAX));
    let code = payment.id().code().to_string();
    let chunk = |(place, transfers)| Chunk { code: chunk_code(&code, place), version, transfers };
    let numbered = (1_u32..).zip(rest).map(chunk);
    let write =
        |chunk| serde_dynamo::to_item(chunk).map_err(|error| StoreError::Malformed(error.to_string()));
    Ok((row.into_item()?, numbered.map(write).collect::<Result<_, _>>()?))
}

fn split(transfers: &mut Transfers) -> Vec<Transfers> {
    let mut rest = Vec::new();
    let mut left = cut(transfers, IN_ITEM);
    while !left.is_empty() {
        let next = cut(&mut left, IN_CHUNK);
        rest.push(std::mem::replace(&mut left, next));
    }
    rest
}

/// Takes all but the first `keep` out.
fn cut(transfers: &mut Transfers, keep: usize) -> Transfers {
    let first = transfers.keys().nth(keep).cloned();
    first.map(|key| transfers.split_off(&key)).unwrap_or_default()
}

fn chunk_code(code: &str, place: u32) -> String {
    format!("{code}#{place}")
}

impl Store {
    /// The payment whose own item was read. One that has further items is read again, whole.
    pub(super) async fn whole(&self, item: Item) -> Result<Found, StoreError> {
        if chunks(&item)? == 0 {
            return Row::read(item, BTreeMap::new());
        }
        let code = row::code(&item)?;
        for _ in 0..ATTEMPTS {
            let item = self
                .payment_item(code)
                .await?
                .ok_or_else(|| StoreError::Malformed("a payment is gone".into()))?;
            let mut transfers = Transfers::new();
            let mut of_one_piece = true;
            for place in 1..=chunks(&item)? {
                let found = self.item(&chunk_code(&code.to_string(), place)).await?;
                let found =
                    found.ok_or_else(|| StoreError::Malformed("a part of a payment is gone".into()))?;
                let chunk: Chunk = serde_dynamo::from_item(found)
                    .map_err(|error| StoreError::Malformed(error.to_string()))?;
                of_one_piece &= item.get("version") == Some(&n(chunk.version));
                transfers.extend(chunk.transfers);
            }
            if of_one_piece {
                return Row::read(item, transfers);
            }
        }
        Err(StoreError::Contended)
    }

    /// Writes a payment with its further items over what was read; `false` when somebody else's write came first.
    pub(super) async fn replace_items(
        &self,
        item: Item,
        rest: Vec<Item>,
        read: u64,
    ) -> Result<bool, StoreError> {
        let table = &self.tables.payments;
        let malformed = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Malformed(error.to_string());
        let own =
            Put::builder().table_name(table).set_item(Some(item)).condition_expression("version = :read");
        let own = own.expression_attribute_values(":read", n(read)).build().map_err(malformed)?;
        let rest = rest.into_iter().map(|item| Put::builder().table_name(table).set_item(Some(item)).build());
        let rest = rest.collect::<Result<Vec<_>, _>>().map_err(malformed)?;
        let puts = std::iter::once(own).chain(rest).map(|put| TransactWriteItem::builder().put(put).build());
        match self.client.transact_write_items().set_transact_items(Some(puts.collect())).send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(refused)) if is_lost_race(refused.err()) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    pub(super) async fn item(&self, key: &str) -> Result<Option<Item>, StoreError> {
        let get = self.client.get_item().table_name(&self.tables.payments).key("code", s(key));
        Ok(get.consistent_read(true).send().await.map_err(failed)?.item)
    }
}

/// Whether somebody else's write came first; a transaction is cancelled for other reasons too.
fn is_lost_race(error: &TransactWriteItemsError) -> bool {
    const RACES: [&str; 2] = ["ConditionalCheckFailed", "TransactionConflict"];
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return false };
    let mut reasons = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    reasons.any(|reason| RACES.contains(&reason))
}

#[cfg(test)]
mod tests {
    use crate::payment::Event;
    use crate::payment::tests::{at, chosen, counted};
    use crate::store::testing;

    #[tokio::test]
    async fn r22_every_transfer_counts_however_many() {
        let store = testing::store().await;
        let payment = chosen();
        store.insert_payment(&payment).await.unwrap();
        let code = payment.id().code();
        let many = (0..1_100_u32).fold(payment, |payment, number| counted(&payment, number, 1, 60));
        let change = |_: &_| Ok::<_, crate::store::StoreError>(many.clone());
        store.change_payment(code, change).await.unwrap();
        assert_eq!(store.payment(code).await.unwrap().as_ref(), Some(&many));
        assert_eq!(many.received().0, 1_100 * 2_500);
        let refused = |payment: &crate::payment::Payment| {
            payment.apply(Event::Cancel, at(61)).map_err(|_| crate::store::StoreError::Contended)
        };
        assert!(store.change_payment(code, refused).await.is_err());
        let one_more = |payment: &_| Ok::<_, crate::store::StoreError>(counted(payment, 2_000, 1, 70));
        let more = store.change_payment(code, one_more).await.unwrap().unwrap();
        assert_eq!(store.payment(code).await.unwrap(), Some(more));
    }
}
