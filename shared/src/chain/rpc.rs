//! JSON-RPC to a chain's node; the node's URL, which may hold a key, is never shown.

mod batch;
mod limit;
mod pace;
mod reply;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::limit::Wish;
pub use self::limit::{Limit, limit};
use self::pace::{FIRST_PAUSE, LONGEST_WAIT, Pace};
use self::reply::{Refusal, Reply, refusal, wish_of};

/// A node that is there takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A full block from a slow node takes seconds; a watcher that waits longer misses its next minute.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Ten times the largest blocks that main networks make.
pub(super) const MAX_REPLY_BYTES: usize = 32 * 1024 * 1024;

/// All calls only read, so that a lost reply is asked for again; a node that fails twice is left to the next tick.
pub(super) const ATTEMPTS: usize = 2;

/// How often a question is asked that the node turns away because it is asked too much, each time after a longer pause
/// and at a lower pace.
pub(super) const TURNS: usize = 5;

/// Of a node's own words, this much is kept.
pub(super) const MAX_MESSAGE_CHARS: usize = 200;

/// Some public nodes turn away callers without a name.
const USER_AGENT: &str = concat!("cryptogap/", env!("CARGO_PKG_VERSION"));

/// A way to one node.
#[derive(Clone)]
pub struct JsonRpc {
    client: Client,
    url: Url,
    /// How long a reply may take.
    patience: Duration,
    /// How often a question is asked whose reply does not come.
    attempts: usize,
    /// How fast the node is asked, by all who ask it this way.
    pace: Arc<Pace>,
}

/// Why the node did not tell what it was asked. None of them shows the node's URL.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// It is a node of another network.
    #[error("the node is on network {found}, not {expected}")]
    Network {
        /// The one of the settings.
        expected: String,
        /// The node's.
        found: String,
    },
    /// The setting cannot be used.
    #[error("the node's address is no http or https URL")]
    Address,
    /// No reply, or only a part of one.
    #[error("the node could not be reached")]
    Transport(#[source] reqwest::Error),
    /// A reply that is not JSON-RPC's: a proxy, a limit, a wrong key.
    #[error("the node answered with HTTP status {0}")]
    Status(u16),
    /// The node refused, in its own words.
    #[error("the node refused {method}: {message} ({code})")]
    Node {
        /// What it was asked.
        method: &'static str,
        /// JSON-RPC's code.
        code: i64,
        /// The first words of its reason.
        message: String,
    },
    /// The node asked to be left alone for longer than anybody here can wait.
    #[error("the node wants to be asked again in {} s, not earlier", .0.as_secs())]
    Paused(Duration),
    /// Nothing that a node may say to this.
    #[error("the node's reply to {0} cannot be read")]
    Shape(&'static str),
    /// More than any block needs.
    #[error("the node's reply to {0} is larger than {MAX_REPLY_BYTES} bytes")]
    TooLarge(&'static str),
    /// The node does not have the block, or no more.
    #[error("the node has no block {0}")]
    Missing(u64),
    /// What was read does not belong together: the chain was re-organised meanwhile. The next try may succeed.
    #[error("block {0} changed while it was read")]
    Moved(u64),
    /// What the node says of a block is not what the block's header says, so that nothing of it is believed. The next try,
    /// or another node behind the same address, may know better.
    #[error("block {number} is not believed: {what}")]
    Contradicts {
        /// The block.
        number: u64,
        /// What contradicts.
        what: &'static str,
    },
}

impl RpcError {
    /// Whether the node says that it had a block and did not keep it: bitcoind, Geth, Erigon and Nethermind all use this
    /// word.
    pub fn is_pruned(&self) -> bool {
        matches!(self, RpcError::Node { message, .. } if message.to_ascii_lowercase().contains("pruned"))
    }

    /// What it was, in one word for a metric.
    pub fn kind(&self) -> &'static str {
        match (self, limit(self)) {
            (_, Some(Limit::Pace)) => "too_many_questions",
            (_, Some(Limit::Size)) => "too_large",
            (RpcError::Network { .. } | RpcError::Address, _) => "other_network",
            (RpcError::Transport(_), _) => "unreachable",
            (RpcError::Node { .. }, _) if self.is_pruned() => "pruned",
            (RpcError::Status(_) | RpcError::Node { .. }, _) => "refused",
            (RpcError::Missing(_), _) => "missing",
            (RpcError::Moved(_), _) => "moved",
            (RpcError::Contradicts { .. }, _) => "contradicts",
            (RpcError::Shape(_) | RpcError::Paused(_) | RpcError::TooLarge(_), _) => "unreadable",
        }
    }
}

impl JsonRpc {
    /// Checks the URL; nothing is connected yet.
    pub fn new(url: &str) -> Result<JsonRpc, RpcError> {
        let url = Url::parse(url).map_err(|_| RpcError::Address)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(RpcError::Address);
        }
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A node has no reason to send us elsewhere, and elsewhere would learn the key.
            .redirect(Policy::none())
            .build()
            .map_err(transport)?;
        let pace = Arc::new(Pace::new(FIRST_PAUSE));
        Ok(JsonRpc { client, url, patience: CALL_TIMEOUT, attempts: ATTEMPTS, pace })
    }

    /// The same node, asked once and for no longer than this: for what matters less than what comes after it.
    pub fn once_within(&self, patience: Duration) -> JsonRpc {
        JsonRpc { patience, attempts: 1, ..self.clone() }
    }

    /// The same node, for tests that should not take seconds.
    #[cfg(test)]
    pub(super) fn in_haste(self) -> JsonRpc {
        JsonRpc { pace: Arc::new(Pace::new(Duration::from_millis(1))), ..self }
    }

    /// How many questions this node should be asked at once, by what it said lately.
    pub fn at_once(&self) -> usize {
        self.pace.at_once()
    }

    /// What the node answers to `method`; `null` is an answer too, if `T` can be none. A question that is turned away
    /// because the node is asked too much is asked again, at the pace that the node allows.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        let (request, began) = (request(method, 0, &params), Instant::now());
        let mut refusals = 0_usize;
        loop {
            let turn = self.pace.turn(1).await.map_err(RpcError::Paused)?;
            let Refusal { error, wish } = match self.ask_one(method, &request).await {
                Ok(answer) => {
                    turn.answered(method, 1);
                    return Ok(answer);
                }
                Err(refusal) => refusal,
            };
            refusals = refusals.saturating_add(1);
            let is_pace = limit(&error) == Some(Limit::Pace);
            if !is_pace || !turn.refused(method, (1, 0), wish) || !is_worth_it(refusals, began) {
                return Err(error);
            }
        }
    }

    async fn ask_one<T: DeserializeOwned>(
        &self,
        method: &'static str,
        request: &Value,
    ) -> Result<T, Refusal> {
        let (body, wish) = self.ask(method, request).await?;
        let answer = match serde_json::from_slice::<Reply<T>>(&body) {
            Ok(reply) => reply.answer(method),
            Err(_) => Err(refusal(method, &body)),
        };
        answer.map_err(|refusal| refusal.or(wish))
    }

    /// The body of the reply to a request, which only reads and may be repeated.
    async fn ask(&self, method: &'static str, request: &Value) -> Result<(Vec<u8>, Wish), Refusal> {
        let mut body = self.post(method, request).await;
        for _ in 1..self.attempts {
            if matches!(body, Err(Refusal { error: RpcError::Transport(_), .. })) {
                body = self.post(method, request).await;
            }
        }
        body
    }

    async fn post(&self, method: &'static str, request: &Value) -> Result<(Vec<u8>, Wish), Refusal> {
        let request = self.client.post(self.url.clone()).timeout(self.patience).json(request);
        let mut response = request.send().await.map_err(transport)?;
        let (status, wish) = (response.status(), wish_of(response.headers()));
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(transport)? {
            if body.len().saturating_add(part.len()) > MAX_REPLY_BYTES {
                return Err(RpcError::TooLarge(method).into());
            }
            body.extend_from_slice(&part);
        }
        match refusal_by_status(method, status, &body) {
            Some(refusal) => Err(refusal.or(wish)),
            None => Ok((body, wish)),
        }
    }
}

/// Whether a question that was turned away so often is asked again.
fn is_worth_it(refusals: usize, began: Instant) -> bool {
    refusals < TURNS && began.elapsed() < LONGEST_WAIT
}

/// Some nodes send their refusals with an error status; without JSON-RPC in it, the status is all there is to say, and so
/// it is if the words say nothing of a limit that the status tells of.
fn refusal_by_status(method: &'static str, status: StatusCode, body: &[u8]) -> Option<Refusal> {
    if status.is_success() {
        return None;
    }
    let reply = serde_json::from_slice::<Reply<IgnoredAny>>(body).ok().filter(Reply::refuses);
    let said = reply.and_then(|reply| reply.answer(method).err());
    let error = RpcError::Status(status.as_u16());
    let is_limited = limit(&error).is_some();
    let said = said.filter(|said| !is_limited || limit(&said.error).is_some());
    Some(said.unwrap_or_else(|| error.into()))
}

fn request(method: &str, id: usize, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn transport(error: reqwest::Error) -> RpcError {
    RpcError::Transport(error.without_url())
}

/// Without the URL.
impl fmt::Debug for JsonRpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonRpc").finish_non_exhaustive()
    }
}
