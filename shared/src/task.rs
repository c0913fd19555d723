//! One task, one binary: what the clock or a stream calls. A function names its handler; the rest is here.

use std::future::Future;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::Value;

use crate::app::{self, App};

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
        lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| handler(app, event.payload))).await
    })
}

/// A batch of a table's stream, of each record as much as `T` wants to know.
#[derive(Debug, Deserialize)]
pub struct Batch<T> {
    /// What happened, in the order of each item's writes.
    #[serde(rename = "Records")]
    pub records: Vec<Record<T>>,
}

/// One write to an item.
#[derive(Debug, Deserialize)]
pub struct Record<T> {
    /// What it did.
    pub dynamodb: T,
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
