//! The Payments table: one item per payment, and one way to change it.

mod listing;
mod pack;
mod pages;
mod row;
#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    reason = "a test that overflows fails"
)]
mod tomorrow;

pub use listing::{Created, Listing, Page, PageRequest};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::attribute::{Item, n, s, text};
use super::{ATTEMPTS, Store, StoreError, failed, is_done};
use crate::moment::Timestamp;
use crate::payment::{Code, Payment, TransferId};

/// Payments due in one hour are spread over this many partitions: four thousand can be made in a second, and an idle
/// sweep asks each of them every minute.
pub const DUE_SHARDS: u64 = 4;

/// Overdue payments read at once.
pub const DUE_PAGE: usize = 100;

/// A payment as it was read, and the number of its last write.
#[derive(Clone, Debug)]
pub struct Found {
    /// The payment.
    pub payment: Payment,
    version: u64,
    /// Its own item as it was read, with what this version does not know of it.
    own: Item,
    /// The payment of that item alone, where it is not to be read in it again.
    base: Option<Box<Payment>>,
    beside: pages::Beside,
    /// The transfers that were asked for.
    asked: Vec<TransferId>,
}

impl Found {
    /// The number of its last write: higher is later.
    pub fn version(&self) -> u64 {
        self.version
    }
}

impl Store {
    /// The payment under `code`, as it was last written.
    pub async fn payment(&self, code: Code) -> Result<Option<Payment>, StoreError> {
        Ok(self.find_payment(code).await?.map(|found| found.payment))
    }

    /// Writes a payment that is not there yet, or returns the one that is.
    pub async fn insert_payment(&self, payment: &Payment) -> Result<Option<Payment>, StoreError> {
        let item = row::Row::new(payment, 1, 0).into_item()?;
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.payments)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(code)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match put {
            Ok(_) => Ok(None),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                let PutItemError::ConditionalCheckFailedException(there) = refused.into_err() else {
                    return Err(StoreError::Contended);
                };
                let item = there.item.ok_or_else(|| StoreError::Malformed("no old item came back".into()))?;
                Ok(Some(Found::of(item)?.payment))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Changes a payment, and is the only way to: read, decide, write if nobody wrote in between.
    ///
    /// `decide` may run more than once, so it must be pure. Deciding on no change writes nothing. `None` when there is
    /// no such payment.
    pub async fn change_payment<E: From<StoreError>>(
        &self,
        code: Code,
        decide: impl Fn(&Payment) -> Result<Payment, E>,
    ) -> Result<Option<Payment>, E> {
        self.change_payment_with(code, &[], decide).await
    }

    /// The same with these of its transfers in hand.
    pub async fn change_payment_with<E: From<StoreError>>(
        &self,
        code: Code,
        ids: &[TransferId],
        decide: impl Fn(&Payment) -> Result<Payment, E>,
    ) -> Result<Option<Payment>, E> {
        match self.find_payment_with(code, ids).await? {
            Some(found) => self.change_found(found, decide).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same for a payment that was read already: one request less, unless somebody wrote in between.
    pub async fn change_found<E: From<StoreError>>(
        &self,
        mut found: Found,
        decide: impl Fn(&Payment) -> Result<Payment, E>,
    ) -> Result<Payment, E> {
        for _ in 0..ATTEMPTS {
            let next = decide(&found.payment)?;
            if next == found.payment || self.replace_payment(&found, &next).await? {
                return Ok(next);
            }
            let again = self.find_payment_with(next.id().code(), &found.asked).await?;
            found = again.ok_or_else(|| StoreError::Malformed("a payment is gone".into()))?;
        }
        Err(StoreError::Contended.into())
    }

    /// Whether any payment is open.
    pub async fn any_open_payment(&self) -> Result<bool, StoreError> {
        let scan = self.client.scan().table_name(&self.tables.payments).index_name("due").limit(1);
        Ok(scan.send().await.map_err(failed)?.count > 0)
    }

    /// Codes of payments whose `next_check` lies in `hour` and is not after `now`, on one shard; at most a page.
    pub async fn due_codes(
        &self,
        hour: Timestamp,
        shard: u64,
        now: Timestamp,
    ) -> Result<Vec<Code>, StoreError> {
        let found = self
            .client
            .query()
            .table_name(&self.tables.payments)
            .index_name("due")
            .key_condition_expression("due_hour = :hour AND next_check <= :now")
            .expression_attribute_values(":hour", s(row::due_hour(hour, shard)))
            .expression_attribute_values(":now", n(now.0))
            .limit(i32::try_from(DUE_PAGE).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(failed)?;
        let mut codes = Vec::new();
        for item in found.items.unwrap_or_default() {
            let key = text(&item, "code").unwrap_or_default();
            codes.extend(self.readable("payments that are due", key, row::code(&item))?);
        }
        Ok(codes)
    }

    /// The payment under `code`, ready to be changed without reading it again.
    pub async fn find_payment(&self, code: Code) -> Result<Option<Found>, StoreError> {
        self.find_payment_with(code, &[]).await
    }

    /// Writes a payment's own item; `false` when somebody else's write came first.
    async fn put_over(&self, item: Item, read: u64) -> Result<bool, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.payments)
            .set_item(Some(item))
            .condition_expression("version = :read")
            .expression_attribute_values(":read", n(read))
            .send()
            .await;
        match put {
            // A transaction of somebody else's is writing it. The SDK does not try that again.
            Err(error) if error.code() == Some("TransactionConflictException") => Ok(false),
            put => is_done(put),
        }
    }
}
