//! JSON-RPC to a chain's node; the node's URL, which may hold a key, is never shown.

use std::fmt;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A node that is there takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A full block from a slow node takes seconds; a watcher that waits longer misses its next minute.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Ten times the largest blocks that main networks make.
pub(super) const MAX_REPLY_BYTES: usize = 32 * 1024 * 1024;

/// All calls only read, so that a lost reply is asked for again; a node that fails twice is left to the next tick.
pub(super) const ATTEMPTS: usize = 2;

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
        Ok(JsonRpc { client, url, patience: CALL_TIMEOUT, attempts: ATTEMPTS })
    }

    /// The same node, asked once and for no longer than this: for what matters less than what comes after it.
    pub fn once_within(&self, patience: Duration) -> JsonRpc {
        JsonRpc { patience, attempts: 1, ..self.clone() }
    }

    /// What the node answers to `method`; `null` is an answer too, if `T` can be none.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        let body = self.ask(method, &request(method, 0, &params)).await?;
        match serde_json::from_slice::<Reply<T>>(&body) {
            Ok(reply) => answer(method, reply),
            Err(_) => Err(refusal(method, &body)),
        }
    }

    /// What the node answers to `method` with each of these parameters, in their order, by one request.
    pub async fn batch<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &[Value],
    ) -> Result<Vec<Result<T, RpcError>>, RpcError> {
        // Some nodes take no empty batch.
        if params.is_empty() {
            return Ok(Vec::new());
        }
        let requests = params.iter().enumerate().map(|(id, params)| request(method, id, params)).collect();
        let body = self.ask(method, &Value::Array(requests)).await?;
        let Ok(mut replies) = serde_json::from_slice::<Vec<Reply<Box<RawValue>>>>(&body) else {
            // Who takes no batches says so once.
            return Err(refusal(method, &body));
        };
        replies.sort_unstable_by_key(|reply| reply.id);
        if !replies.iter().map(|reply| reply.id).eq((0..params.len()).map(Some)) {
            return Err(RpcError::Shape(method));
        }
        let read =
            |result: Box<RawValue>| serde_json::from_str(result.get()).map_err(|_| RpcError::Shape(method));
        Ok(replies.into_iter().map(|reply| answer(method, reply).and_then(read)).collect())
    }

    /// The body of the reply to a request, which only reads and may be repeated.
    async fn ask(&self, method: &'static str, request: &Value) -> Result<Vec<u8>, RpcError> {
        let mut body = self.post(method, request).await;
        for _ in 1..self.attempts {
            if let Err(RpcError::Transport(_)) = body {
                body = self.post(method, request).await;
            }
        }
        body
    }

    async fn post(&self, method: &'static str, request: &Value) -> Result<Vec<u8>, RpcError> {
        let request = self.client.post(self.url.clone()).timeout(self.patience).json(request);
        let mut response = request.send().await.map_err(transport)?;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(transport)? {
            if body.len().saturating_add(part.len()) > MAX_REPLY_BYTES {
                return Err(RpcError::TooLarge(method));
            }
            body.extend_from_slice(&part);
        }
        reply_body(&response, body)
    }
}

/// Some nodes send their refusals with an error status; without JSON-RPC in it, the status is all there is to say.
fn reply_body(response: &Response, body: Vec<u8>) -> Result<Vec<u8>, RpcError> {
    let status = response.status();
    let is_reply = status.is_success() || serde_json::from_slice::<Reply<Value>>(&body).is_ok_and(refuses);
    if is_reply { Ok(body) } else { Err(RpcError::Status(status.as_u16())) }
}

#[expect(clippy::needless_pass_by_value, reason = "a predicate for `is_ok_and`")]
fn refuses(reply: Reply<Value>) -> bool {
    reply.error.is_some()
}

fn request(method: &str, id: usize, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn answer<T>(method: &'static str, reply: Reply<T>) -> Result<T, RpcError> {
    if let Some(error) = reply.error {
        let message = error.message.chars().take(MAX_MESSAGE_CHARS).collect();
        return Err(RpcError::Node { method, code: error.code, message });
    }
    reply.result.ok_or(RpcError::Shape(method))
}

/// Why a reply is not what was asked for. Older nodes say `null` beside the reason, whatever the result should be.
fn refusal(method: &'static str, body: &[u8]) -> RpcError {
    let reply: Result<Reply<IgnoredAny>, _> = serde_json::from_slice(body);
    let refused = reply.ok().and_then(|reply| answer(method, reply).err());
    refused.unwrap_or(RpcError::Shape(method))
}

fn transport(error: reqwest::Error) -> RpcError {
    RpcError::Transport(error.without_url())
}

/// A reply of JSON-RPC 2.0: either of the two. `null` is a result too.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Reply<T> {
    /// The request's place in its batch.
    #[serde(default)]
    id: Option<usize>,
    #[serde(default, deserialize_with = "present")]
    result: Option<T>,
    error: Option<NodeError>,
}

#[derive(Deserialize)]
struct NodeError {
    code: i64,
    #[serde(default)]
    message: String,
}

/// A field that is there, whatever it holds, told apart from one that is not.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(field: D) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

/// Without the URL.
impl fmt::Debug for JsonRpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonRpc").finish_non_exhaustive()
    }
}
