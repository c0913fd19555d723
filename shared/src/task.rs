//! One task, one binary: what the clock or a stream calls. A function names its handler; the rest is here.

use std::future::Future;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::app::{self, App};
use crate::metric;
use crate::store::{Store, StoreError};

/// What a task answers: a small JSON for the log and the tests; an error makes Lambda count and retry.
pub type Result<T = Value> = std::result::Result<T, app::Error>;

/// What a task's `main` returns.
pub type Outcome = Result<()>;

/// Serves `handler` until Lambda stops us.
pub fn serve<F>(handler: impl Fn(&'static App, Value) -> F) -> Outcome
where
    F: Future<Output = Result>,
{
    app::run(|app| async move {
        let handler = &handler;
        let counted = |event: LambdaEvent<Value>| async move {
            // In a box: the compiler's queries end at a pointer, and a watcher's future lies too deep for them.
            let handled = Box::pin(handler(app, event.payload)).await;
            metric::left_out(&app.store, app.clock);
            handled
        };
        lambda_runtime::run(service_fn(counted)).await
    })
}

/// A batch of a table's stream.
#[derive(Debug, Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

/// One write to an item.
#[derive(Debug, Deserialize)]
struct Record {
    dynamodb: Value,
}

/// One write to an item of a table, as much of it as `T` wants to know.
#[derive(Debug)]
pub struct Change<T> {
    /// Its place in the stream.
    pub sequence: String,
    /// What it did.
    pub change: T,
}

/// The changes of a batch of a table's stream, in the order of each item's writes. One that is not what the table writes is
/// left out, told and counted: it would be the same at every try.
pub fn changes<T: DeserializeOwned>(store: &Store, event: Value) -> Result<Vec<Change<T>>> {
    let batch: Batch = serde_json::from_value(event)?;
    let mut changes = Vec::new();
    for Record { dynamodb } in batch.records {
        let sequence = dynamodb.get("SequenceNumber").and_then(Value::as_str).unwrap_or_default().to_owned();
        match serde_json::from_value(dynamodb) {
            Ok(change) => changes.push(Change { sequence, change }),
            Err(error) => store.left_out("changes of a table", &sequence, &error.to_string()),
        }
    }
    Ok(changes)
}

/// What became of changes that a function took in one by one.
#[derive(Debug, Default)]
pub struct Taken {
    failed: Vec<String>,
}

impl Taken {
    /// Notes what became of one change. What failed is tried again; what cannot be read is left out. Either holds up no other.
    pub fn note<T>(
        &mut self,
        store: &Store,
        sequence: &str,
        done: std::result::Result<T, StoreError>,
    ) -> Option<T> {
        match done {
            Ok(done) => return Some(done),
            Err(StoreError::Malformed(why)) => store.left_out("changes of a table", sequence, &why),
            Err(error) => {
                tracing::error!(sequence, %error, "a change was not taken in");
                self.failed.push(sequence.to_owned());
            }
        }
        None
    }

    /// `reply`, with the changes that are to be delivered again, as Lambda wants it.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>
    pub fn reply(self, mut reply: Value) -> Value {
        if let Some(fields) = reply.as_object_mut().filter(|_| !self.failed.is_empty()) {
            let failures = self.failed.iter().map(|sequence| json!({ "itemIdentifier": sequence }));
            fields.insert("batchItemFailures".to_owned(), failures.collect());
        }
        reply
    }
}

/// A text, as streams write attribute values.
#[derive(Debug, Deserialize)]
pub struct Text {
    /// The text itself.
    #[serde(rename = "S")]
    pub text: String,
}

/// A number, as streams write attribute values.
#[derive(Debug, Deserialize)]
pub struct Number {
    /// Its decimal digits.
    #[serde(rename = "N")]
    pub digits: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[derive(Deserialize)]
    struct Known {
        #[serde(rename = "N")]
        number: Number,
    }

    #[tokio::test]
    async fn b7_what_fails_of_a_batch_is_delivered_again_and_what_cannot_be_read_is_not() {
        let (store, mut taken) = (testing::store().await, Taken::default());
        assert_eq!(taken.note(&store, "1", Ok(7)), Some(7));
        assert_eq!(taken.note::<u8>(&store, "2", Err(StoreError::Contended)), None);
        assert_eq!(taken.note::<u8>(&store, "3", Err(StoreError::Malformed("`code`".into()))), None);
        assert_eq!(taken.note::<u8>(&store, "4", Err(StoreError::Throttled)), None);
        let reply = taken.reply(json!({ "counted": 1 }));
        let failures = json!([{ "itemIdentifier": "2" }, { "itemIdentifier": "4" }]);
        assert_eq!(reply, json!({ "counted": 1, "batchItemFailures": failures }));
        assert_eq!(Taken::default().reply(json!({ "counted": 1 })), json!({ "counted": 1 }));

        let record =
            |sequence: &str, owner: Value| json!({ "dynamodb": { "SequenceNumber": sequence, "N": owner } });
        let event = json!({ "Records": [record("1", json!(3)), record("2", json!({ "N": "7" }))] });
        let changes = changes::<Known>(&store, event).unwrap();
        assert_eq!((changes.len(), changes[0].sequence.as_str()), (1, "2"));
        assert_eq!((changes[0].change.number.digits.as_str(), store.take_left_out()), ("7", 2));
    }
}
