//! What nodes say when they are asked too often, and when they are asked for too much: providers use one code for both
//! (-32005, EIP-1474) and their own words.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::RpcError;

/// Which limit a question met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Too many questions: the same one is answered later.
    Pace,
    /// Too large an answer, or too much work for it: a narrower question is answered.
    Size,
}

/// What a node that turns a question away asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// How long it wants to be left alone.
    pub(super) wait: Option<Duration>,
    /// How many questions a second it allows.
    pub(super) per_second: Option<u32>,
}

/// HTTP's statuses for too many questions or too busy a node; 420, 509 and 529 are no standard, and used.
const PACE_STATUSES: [u16; 5] = [420, 429, 503, 509, 529];

/// HTTP's statuses for too large a question.
const SIZE_STATUSES: [u16; 2] = [413, 414];

/// JSON-RPC's codes for too many questions, whatever the words: HTTP's own and those of Alchemy, Optimism's proxy, Ankr
/// and others.
const PACE_CODES: [i64; 4] = [429, -32016, -32029, -32090];

/// EIP-1474's "limit exceeded", of either kind.
const LIMIT_EXCEEDED: i64 = -32005;

/// Words of answers that would be too large. They are looked for first: none of them is said of too many questions.
const SIZE_WORDS: [&str; 28] = [
    "result",
    "response size",
    "response is too",
    "response too",
    "response exceed",
    "response larger",
    "too large",
    "too big",
    "too long",
    "too wide",
    "block range",
    "range exceed",
    "range is",
    "range limit",
    "logs limit",
    "too many logs",
    "log limit",
    "logs matched",
    "logs per",
    "max logs",
    "too many address",
    "too many topics",
    "max topics",
    "max addresses",
    "query timeout",
    "query timed out",
    "payload",
    "oversized",
];

/// Words of nodes that are asked too often, or are busy.
const PACE_WORDS: [&str; 25] = [
    "rate limit",
    "ratelimit",
    "rate-limit",
    "rate_limit",
    "rate exceeded",
    "request rate",
    "rps limit",
    "too many",
    "request limit",
    "requests limit",
    "call limit",
    "request count",
    "requests per",
    "per second",
    "/second",
    "/sec",
    "compute unit",
    "credits",
    "capacity",
    "throttl",
    "quota",
    "queue depth",
    "overloaded",
    "busy",
    "slow down",
];

/// Of this kind of question nodes say "limit exceeded" for the answer's size, under a status of success.
const WIDE_QUESTION: &str = "eth_getLogs";

/// The limit that a refusal tells of; `None` when it tells of something else.
pub fn limit(error: &RpcError) -> Option<Limit> {
    match error {
        RpcError::Paused(_) => Some(Limit::Pace),
        RpcError::TooLarge(_) => Some(Limit::Size),
        RpcError::Status(status) if PACE_STATUSES.contains(status) => Some(Limit::Pace),
        RpcError::Status(status) if SIZE_STATUSES.contains(status) => Some(Limit::Size),
        RpcError::Node { method, code, message } => limit_said(method, *code, message),
        RpcError::Network { .. }
        | RpcError::Address
        | RpcError::Transport(_)
        | RpcError::Status(_)
        | RpcError::Shape(_)
        | RpcError::Missing(_)
        | RpcError::Moved(_)
        | RpcError::Contradicts { .. } => None,
    }
}

fn limit_said(method: &str, code: i64, message: &str) -> Option<Limit> {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if says(&SIZE_WORDS) {
        return Some(Limit::Size);
    }
    if PACE_CODES.contains(&code) || says(&PACE_WORDS) {
        return Some(Limit::Pace);
    }
    let is_limit = code == LIMIT_EXCEEDED || message.contains("limit exceeded");
    let of_limit = if method == WIDE_QUESTION { Limit::Size } else { Limit::Pace };
    is_limit.then_some(of_limit)
}
