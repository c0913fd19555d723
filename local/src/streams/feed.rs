//! One table's changes on their way to one function, batch by batch; a batch that fails is tried again.

use std::sync::Arc;
use std::time::Duration;

use dynoxide::Database;
use dynoxide::actions::describe_stream::DescribeStreamRequest;
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::actions::list_streams::ListStreamsRequest;
use dynoxide::streams::shard_id;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{NotDelivered, Positions};
use crate::lambda::{InvokeError, Lambda};
use crate::template::Stream;

/// How often a table is looked at for changes.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Waits between tries of a failing batch: from the first, doubling, to the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_mins(1);

/// Tries of a batch where the template sets no limit: about a day, as long as AWS keeps records.
const TRIES: u32 = 1_440;

/// One subscription.
pub(super) struct Feed {
    function: String,
    stream: Stream,
    database: Database,
    lambda: Lambda,
    positions: Positions,
    /// The last record that is done with: delivered, not wanted, or given up.
    done: watch::Sender<Option<String>>,
}

impl Feed {
    pub(super) fn new(
        function: String,
        stream: Stream,
        database: Database,
        lambda: Lambda,
        positions: Positions,
    ) -> Feed {
        let (done, _) = watch::channel(positions.get(&function, &stream.table));
        Feed { function, stream, database, lambda, positions, done }
    }

    /// Delivers for ever.
    pub(super) async fn run(self: Arc<Feed>) {
        loop {
            let next = Arc::clone(&self);
            let records = match tokio::task::spawn_blocking(move || next.next_records()).await {
                Ok(Ok(records)) => records,
                Ok(Err(problem)) => {
                    tracing::error!(
                        table = self.stream.table,
                        problem,
                        "the changes of a table cannot be read"
                    );
                    Vec::new()
                }
                Err(error) => {
                    tracing::error!(table = self.stream.table, %error, "the changes of a table cannot be read");
                    Vec::new()
                }
            };
            let Some(last) = records.last().and_then(sequence) else {
                tokio::time::sleep(POLL_EVERY).await;
                continue;
            };
            let last = last.to_owned();
            let wanted: Vec<Value> = records.into_iter().filter(|record| self.wants(record)).collect();
            self.deliver(wanted).await;
            self.positions.set(&self.function, &self.stream.table, &last);
            self.done.send_replace(Some(last));
        }
    }

    /// Waits until what is in the stream now is done with; whether there was anything to wait for.
    pub(super) async fn caught_up(&self) -> bool {
        let Ok(Some(tail)) = self.tail() else { return false };
        let reached = |done: &Option<String>| done.as_ref().is_some_and(|done| *done >= tail);
        let mut done = self.done.subscribe();
        let waits = !reached(&done.borrow());
        // The sender is ours, so that waiting cannot fail.
        waits && done.wait_for(reached).await.is_ok()
    }

    pub(super) fn not_delivered(&self) -> NotDelivered {
        NotDelivered { table: self.stream.table.clone(), function: self.function.clone() }
    }

    fn wants(&self, record: &Value) -> bool {
        let filters = &self.stream.filters;
        filters.is_empty() || filters.iter().any(|filter| filter.matches(record))
    }

    /// Delivers a batch, again and again until it succeeds or the tries are used up.
    async fn deliver(&self, mut records: Vec<Value>) {
        let tries = self.stream.retries.map_or(TRIES, |retries| retries.saturating_add(1));
        let mut wait = FIRST_WAIT;
        for attempt in 1..=tries {
            if records.is_empty() {
                return;
            }
            match self.lambda.invoke(&self.function, &json!({ "Records": records })).await {
                Ok(reply) => match self.first_failure(&reply, &records) {
                    None => return,
                    Some(first) => records.drain(..first).for_each(drop),
                },
                Err(InvokeError::Stopped) => std::future::pending().await,
                Err(error) => {
                    tracing::warn!(function = self.function, attempt, %error, "a batch of changes failed");
                }
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(LAST_WAIT);
        }
        tracing::error!(function = self.function, records = records.len(), "changes were given up");
    }

    /// Where a function that reports failures wants the batch to be tried again from.
    fn first_failure(&self, reply: &Value, records: &[Value]) -> Option<usize> {
        if !self.stream.reports_failures {
            return None;
        }
        let failures = reply.get("batchItemFailures").and_then(Value::as_array)?;
        let position = |failure: &Value| {
            let failed = failure.get("itemIdentifier").and_then(Value::as_str);
            // A number that is none of ours means the whole batch, as AWS has it.
            records.iter().position(|record| sequence(record) == failed).unwrap_or(0)
        };
        failures.iter().map(position).min()
    }

    /// The records after the last one that is done with, oldest first.
    fn next_records(&self) -> Result<Vec<Value>, String> {
        let Some(stream_arn) = self.arn()? else { return Ok(Vec::new()) };
        let done = self.done.borrow().clone();
        let from = if done.is_some() { "AFTER_SEQUENCE_NUMBER" } else { "TRIM_HORIZON" };
        let request = GetShardIteratorRequest {
            stream_arn: stream_arn.clone(),
            shard_id: shard_id(&self.stream.table),
            shard_iterator_type: from.to_owned(),
            sequence_number: done,
        };
        let iterator = self.database.get_shard_iterator(request).map_err(|error| error.to_string())?;
        let shard_iterator = iterator.shard_iterator.ok_or("there is no shard iterator")?;
        let request = GetRecordsRequest { shard_iterator, limit: Some(self.stream.batch) };
        let records = self.database.get_records(request).map_err(|error| error.to_string())?.records;
        records.iter().map(|record| lambda_record(record, &stream_arn)).collect()
    }

    /// The sequence number of the newest record.
    fn tail(&self) -> Result<Option<String>, String> {
        let Some(stream_arn) = self.arn()? else { return Ok(None) };
        let request = DescribeStreamRequest { stream_arn, ..DescribeStreamRequest::default() };
        let described = self.database.describe_stream(request).map_err(|error| error.to_string())?;
        let shard = described.stream_description.shards.into_iter().next();
        Ok(shard.and_then(|shard| shard.sequence_number_range.ending_sequence_number))
    }

    fn arn(&self) -> Result<Option<String>, String> {
        let request = ListStreamsRequest {
            table_name: Some(self.stream.table.clone()),
            ..ListStreamsRequest::default()
        };
        let listed = self.database.list_streams(request).map_err(|error| error.to_string())?;
        Ok(listed.streams.into_iter().next().map(|stream| stream.stream_arn))
    }
}

/// A record as Lambda hands it to a function.
fn lambda_record(record: &impl serde::Serialize, stream_arn: &str) -> Result<Value, String> {
    let mut record = serde_json::to_value(record).map_err(|error| error.to_string())?;
    if let Some(record) = record.as_object_mut() {
        record.insert("awsRegion".into(), json!("eu-north-1"));
        record.insert("eventSourceARN".into(), json!(stream_arn));
    }
    Ok(record)
}

fn sequence(record: &Value) -> Option<&str> {
    record.pointer("/dynamodb/SequenceNumber").and_then(Value::as_str)
}
