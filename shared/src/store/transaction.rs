//! Writes of several items at once, all or none.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;

use super::{Store, StoreError, failed};

/// Tries of a transaction while others write to its items, or their table is too busy.
const TRIES: u32 = 6;

/// The wait before the second try; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(40);

/// A condition did not hold.
pub(super) const CONDITION: &str = "ConditionalCheckFailed";

/// Why DynamoDB cancels a transaction that may succeed when it is tried again. The SDK repeats none of these.
const PASSING: [&str; 4] =
    ["ProvisionedThroughputExceeded", "RequestLimitExceeded", "ThrottlingError", "TransactionConflict"];

/// What became of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Transacted {
    /// All of it is written.
    Done,
    /// Nothing is: why, by item, in their order. `None` is an item that was no reason.
    Refused(Vec<Option<String>>),
}

impl Store {
    /// Writes all of these items, or none of them if a condition does not hold.
    ///
    /// Others that write to one of the items at the same moment, and a table that is too busy, only delay it: the same
    /// transaction is tried again, with growing pauses, and only then is an error.
    pub(super) async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<Transacted, StoreError> {
        let mut wait = FIRST_WAIT;
        for tried in 1..=TRIES {
            let sent =
                self.client.transact_write_items().set_transact_items(Some(items.clone())).send().await;
            let Err(error) = sent else { return Ok(Transacted::Done) };
            let outcome = outcome(error);
            if tried == TRIES || !outcome.is_passing() {
                return outcome.into_result();
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2);
        }
        Err(StoreError::Contended)
    }
}

/// A transaction that was not done.
enum Outcome {
    Refused(Vec<Option<String>>),
    Contended,
    Throttled,
    Failed(StoreError),
}

impl Outcome {
    fn is_passing(&self) -> bool {
        matches!(self, Outcome::Contended | Outcome::Throttled)
    }

    fn into_result(self) -> Result<Transacted, StoreError> {
        match self {
            Outcome::Refused(reasons) => Ok(Transacted::Refused(reasons)),
            Outcome::Contended => Err(StoreError::Contended),
            Outcome::Throttled => Err(StoreError::Throttled),
            Outcome::Failed(error) => Err(error),
        }
    }
}

fn outcome<R>(error: SdkError<TransactWriteItemsError, R>) -> Outcome
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let reasons = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled
            .cancellation_reasons()
            .iter()
            .map(|reason| reason.code().filter(|code| *code != "None").map(str::to_owned))
            .collect::<Vec<_>>(),
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => return Outcome::Contended,
        Some(_) | None => return Outcome::Failed(failed(error)),
    };
    let has = |wanted: &dyn Fn(&str) -> bool| reasons.iter().flatten().any(|code| wanted(code));
    // A condition that does not hold is the answer, whatever else was in the way.
    if has(&|code| code == CONDITION) {
        Outcome::Refused(reasons)
    } else if has(&|code| code == "TransactionConflict") {
        Outcome::Contended
    } else if has(&|code| PASSING.contains(&code)) {
        Outcome::Throttled
    } else {
        Outcome::Failed(failed(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin;
    use crate::moment::Timestamp;
    use crate::money::Cents;
    use crate::payment::Code;
    use crate::store::testing::{self, Faults};

    const PAID_AT: Timestamp = Timestamp(1_800_000_000);

    async fn counted(faults: &Faults) -> (Result<(), StoreError>, u64) {
        let store = testing::faulty_store(faults).await;
        let merchant = admin::open_account(&store, "Shop").await.unwrap().merchant;
        let counted = store.count_volume(&merchant, Code::from_random(1), Cents(700), PAID_AT).await;
        (counted, store.account(&merchant, PAID_AT).await.unwrap().unwrap().volume_used.0)
    }

    #[tokio::test]
    async fn b7_a_transaction_that_others_are_in_the_way_of_is_tried_again() {
        let faults = Faults::default();
        faults.cancel("accounts", 2, &["None", "TransactionConflict"]);
        faults.cancel("accounts", 1, &["ProvisionedThroughputExceeded", "None"]);
        faults.cancel("accounts", 1, &["ThrottlingError", "None"]);
        let code = "com.amazonaws.dynamodb.v20120810#TransactionInProgressException";
        let busy = serde_json::json!({ "__type": code, "Message": "wait" });
        faults.refuse("TransactWriteItems", "accounts", 1, busy);
        let (counted, volume) = counted(&faults).await;
        counted.unwrap();
        assert_eq!((volume, faults.left()), (700, 0));
    }

    #[tokio::test]
    async fn b7_what_is_in_the_way_for_ever_is_an_error_and_nothing_is_written() {
        let faults = Faults::default();
        faults.cancel("accounts", 1_000, &["TransactionConflict", "None"]);
        let (counted, volume) = counted(&faults).await;
        assert!(matches!(counted, Err(StoreError::Contended)), "{counted:?}");
        assert_eq!((volume, faults.left()), (0, 1_000 - 6));
    }

    #[tokio::test]
    async fn b7_a_condition_that_does_not_hold_is_the_answer_at_once() {
        let faults = Faults::default();
        faults.cancel("accounts", 1_000, &["ConditionalCheckFailed", "TransactionConflict"]);
        let (counted, volume) = counted(&faults).await;
        counted.unwrap();
        assert_eq!((volume, faults.left()), (0, 999), "the mark is there already");
    }
}
