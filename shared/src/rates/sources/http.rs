//! What all price sources share: one bounded GET, and how old its answer is.

use std::time::Duration;

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use reqwest::header::{AGE, DATE, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde::Deserialize;

use super::SourceError;
use crate::moment::Timestamp;

/// The largest answer that we ask for, five of Kraken's pairs, is under 3 KiB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// A client that waits no longer than its timeout and reads no more than its limit.
#[derive(Clone, Debug)]
pub struct Http(Client);

/// An answer with success.
pub struct Answer {
    body: Vec<u8>,
    as_of: Option<Timestamp>,
}

impl Http {
    /// Redirects are not followed: the documented addresses give none, so one leads to something else.
    ///
    /// Connections are not kept: a source is asked once a minute, and a sleeping function would find them dead.
    pub fn new(timeout: Duration) -> Result<Http, reqwest::Error> {
        Client::builder()
            .timeout(timeout)
            .redirect(Policy::none())
            .pool_max_idle_per_host(0)
            // Coinbase and CoinGecko refuse callers without a name.
            .user_agent(concat!("cryptogap/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Http)
    }

    /// The answer to a GET, if it is one of success.
    pub async fn get(&self, url: &str) -> Result<Answer, SourceError> {
        let mut response = self.0.get(url).send().await?;
        if !response.status().is_success() {
            return Err(SourceError::Status(response.status().as_u16()));
        }
        let as_of = produced_at(&response);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len().saturating_add(chunk.len()) > MAX_BODY_BYTES {
                return Err(SourceError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { body, as_of })
    }
}

impl Answer {
    /// Its JSON.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, SourceError> {
        serde_json::from_slice(&self.body).map_err(|_| SourceError::Unreadable)
    }

    /// When it was produced, by its own headers, for prices that carry no time; a cache on the way is seen through.
    ///
    /// Without those headers it is as old as the question: no answer is older that was made for it.
    pub fn as_of(&self, asked_at: Timestamp) -> Timestamp {
        self.as_of.unwrap_or(asked_at)
    }
}

/// `Date` less `Age`: some caches date an answer anew when they repeat it, and then tell its age.
fn produced_at(response: &Response) -> Option<Timestamp> {
    let header = |name: HeaderName| response.headers().get(name)?.to_str().ok();
    let age = header(AGE).and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0);
    Some(moment(header(DATE)?, DateTimeFormat::HttpDate)?.minus(age))
}

/// A time of RFC 3339, as price sources write it.
pub fn rfc3339(text: &str) -> Option<Timestamp> {
    moment(text, DateTimeFormat::DateTimeWithOffset)
}

fn moment(text: &str, format: DateTimeFormat) -> Option<Timestamp> {
    let at = DateTime::from_str(text, format).ok()?;
    u64::try_from(at.secs()).ok().map(Timestamp)
}

/// The cause is dropped: its text may hold the address.
impl From<reqwest::Error> for SourceError {
    fn from(error: reqwest::Error) -> SourceError {
        if error.is_timeout() { SourceError::TimedOut } else { SourceError::Unreachable }
    }
}
