//! What nodes send in answer to JSON-RPC, and how they say when to ask again.

#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use time::{Date, Month, OffsetDateTime, Time};

use super::limit::Wish;
use super::{MAX_MESSAGE_CHARS, RpcError};

/// A reply of JSON-RPC 2.0: either of the two. `null` is a result too.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(super) struct Reply<T> {
    /// The request's place in its batch.
    #[serde(default)]
    pub(super) id: Option<usize>,
    #[serde(default, deserialize_with = "present")]
    result: Option<T>,
    error: Option<NodeError>,
}

#[derive(Deserialize)]
struct NodeError {
    code: i64,
    #[serde(default)]
    message: String,
    /// Whatever the node adds.
    #[serde(default)]
    data: Value,
}

/// A field that is there, whatever it holds, told apart from one that is not.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(field: D) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

/// Why there is no answer, and what the node asks for.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: RpcError,
    pub(super) wish: Wish,
}

impl From<RpcError> for Refusal {
    fn from(error: RpcError) -> Refusal {
        Refusal { error, wish: Wish::default() }
    }
}

impl Refusal {
    /// The same, with what the head of the answer asks for where the refusal itself says nothing.
    pub(super) fn or(self, head: Wish) -> Refusal {
        let Wish { wait, per_second } = self.wish;
        Refusal { wish: Wish { wait: wait.or(head.wait), per_second }, ..self }
    }
}

impl<T> Reply<T> {
    /// Whether it says why there is no result.
    pub(super) fn refuses(&self) -> bool {
        self.error.is_some()
    }

    /// The result, or why there is none.
    pub(super) fn answer(self, method: &'static str) -> Result<T, Refusal> {
        if let Some(error) = self.error {
            return Err(error.refusal(method));
        }
        self.result.ok_or_else(|| RpcError::Shape(method).into())
    }
}

/// Why a reply is not what was asked for. Older nodes say `null` beside the reason, whatever the result should be.
pub(super) fn refusal(method: &'static str, body: &[u8]) -> Refusal {
    let reply: Result<Reply<IgnoredAny>, _> = serde_json::from_slice(body);
    let refused = reply.ok().and_then(|reply| reply.answer(method).err());
    refused.unwrap_or_else(|| RpcError::Shape(method).into())
}

impl NodeError {
    fn refusal(self, method: &'static str) -> Refusal {
        let NodeError { code, message, data } = self;
        let message = message.chars().take(MAX_MESSAGE_CHARS).collect();
        Refusal { error: RpcError::Node { method, code, message }, wish: wish_in(&data) }
    }
}

/// What a node asks for in what it adds to a refusal: Infura's `{"rate": {"allowed_rps": 5, "backoff_seconds": 30}}`,
/// with or without the `rate` around it.
fn wish_in(data: &Value) -> Wish {
    let rate = data.get("rate").unwrap_or(data);
    let number = |name: &str| rate.get(name).and_then(Value::as_f64);
    let wait = number("backoff_seconds").and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let per_second = rate.get("allowed_rps").and_then(Value::as_u64);
    Wish { wait, per_second: per_second.and_then(|questions| questions.try_into().ok()) }
}

/// What a node asks for in the head of its answer: `Retry-After`, in seconds or as a date (RFC 9110), which is told from
/// the node's own clock.
pub(super) fn wish_of(headers: &HeaderMap) -> Wish {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let until_date = |date: &str| {
        let (at, now) = (http_date(date)?, text(DATE).and_then(http_date)?);
        Some(Duration::from_secs(u64::try_from(at.saturating_sub(now)).unwrap_or(0)))
    };
    let wait = text(RETRY_AFTER).and_then(|told| match told.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => until_date(told),
    });
    Wish { wait, per_second: None }
}

/// `Wed, 21 Oct 2026 07:28:00 GMT`, in seconds since the epoch.
fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = text.split([' ', ':']).collect();
    let [_weekday, day, month, year, hour, minute, second, "GMT"] = *parts.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| *name == month)?.checked_add(1)?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    let time = Time::from_hms(hour.parse().ok()?, minute.parse().ok()?, second.parse().ok()?).ok()?;
    Some(OffsetDateTime::new_utc(date, time).unix_timestamp())
}
