//! Turns, in the table of addresses: who may take an index of an extended key for a payment.
//!
//! However many choose a coin for one payment at once, one of them makes its address and the others wait for it: an index
//! that was taken for nothing makes the gap larger that the merchant's wallet has to look over (R24).

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::attribute::{n, number, s};
use super::{Store, StoreError, failed};
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::payment::Code;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The caller's, and nobody's before: the payment has no address.
    First,
    /// The caller's, after somebody whose time is over: the payment may have an address by now.
    Next,
    /// Somebody else's, until then.
    Taken(Timestamp),
}

impl Store {
    /// Takes the turn to give a payment its address of a family, until `until`; nobody gives it back, for there is one address
    /// and the payment has it then.
    pub async fn take_turn(
        &self,
        code: Code,
        family: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Turn, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.addresses)
            .item("bucket", s(format!("turn#{code}")))
            .item("stamp", s(family))
            .item("held_by", s(holder))
            .item("held_until", n(until.0))
            .item("ttl", n(until.plus(DAY_SECONDS).0))
            // The same holder's own write, retried, is nobody else's.
            .condition_expression(
                "attribute_not_exists(held_until) OR held_until <= :now OR held_by = :holder",
            )
            .expression_attribute_values(":holder", s(holder))
            .expression_attribute_values(":now", n(now.0))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(done) if done.attributes.is_none() => Ok(Turn::First),
            Ok(_) => Ok(Turn::Next),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                let PutItemError::ConditionalCheckFailedException(there) = refused.into_err() else {
                    return Err(StoreError::Contended);
                };
                let item = there.item.unwrap_or_default();
                Ok(Turn::Taken(Timestamp(number(&item, "held_until")?)))
            }
            Err(error) => Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    #[tokio::test]
    async fn b4_one_has_the_turn_and_after_its_time_another() {
        let store = testing::store().await;
        let take = async |holder: &str, family: &str, now: Timestamp| {
            store.take_turn(Code::from_random(7), family, holder, now, now.plus(5)).await.unwrap()
        };
        assert_eq!(take("a", "evm", NOW).await, Turn::First);
        assert_eq!(take("b", "evm", NOW.plus(4)).await, Turn::Taken(NOW.plus(5)));
        assert_eq!(take("b", "bitcoin", NOW).await, Turn::First, "each family has one of its own");
        // Its own write, retried by the SDK: it looks whether there is an address, and goes on.
        assert_eq!(take("a", "evm", NOW).await, Turn::Next);
        assert_eq!(take("b", "evm", NOW.plus(5)).await, Turn::Next);
    }
}
