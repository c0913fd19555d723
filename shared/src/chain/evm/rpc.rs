//! A client for the few JSON-RPC calls that watching needs; the node's URL, which may hold a key, is never shown.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::block::{Block, Hash256, Header, Log, Receipt};
use super::scan::TRANSFER_EVENT;
use super::wire::{RawBlock, RawHeader, RawLog, RawReceipt, Reply, quantity};
use crate::chain::address::EvmAddress;

/// A node that is there takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A full block from a slow node takes seconds; a watcher that waits longer misses its next minute.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Ten times the largest blocks that main networks make.
const MAX_REPLY_BYTES: usize = 32 * 1024 * 1024;

/// All calls only read, so that a lost reply is asked for again; a node that fails twice is left to the next tick.
const ATTEMPTS: usize = 2;

/// Of a node's own words, this much is kept.
const MAX_MESSAGE_CHARS: usize = 200;

/// Some public nodes turn away callers without a name.
const USER_AGENT: &str = concat!("cryptogap/", env!("CARGO_PKG_VERSION"));

/// A way to one node.
#[derive(Clone)]
pub struct Rpc {
    client: Client,
    url: Url,
}

/// Why the node did not tell what it was asked. None of them shows the node's URL.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// It is a node of another network.
    #[error("the node is on network {found}, not {expected}")]
    Network {
        /// The settings' chain id.
        expected: u64,
        /// The node's.
        found: u64,
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
}

impl Rpc {
    /// Checks the URL; nothing is connected yet.
    pub fn new(url: &str) -> Result<Rpc, RpcError> {
        let url = Url::parse(url).map_err(|_| RpcError::Address)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(RpcError::Address);
        }
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            // A node has no reason to send us elsewhere, and elsewhere would learn the key.
            .redirect(Policy::none())
            .build()
            .map_err(transport)?;
        Ok(Rpc { client, url })
    }

    /// The network that the node is on (EIP-155).
    pub async fn chain_id(&self) -> Result<u64, RpcError> {
        const METHOD: &str = "eth_chainId";
        let id: String = self.call(METHOD, json!([])).await?;
        quantity(&id).ok_or(RpcError::Shape(METHOD))
    }

    /// The newest block.
    pub async fn tip(&self) -> Result<Header, RpcError> {
        self.header_at("latest").await?.ok_or(RpcError::Shape(BLOCK_BY_NUMBER))
    }

    /// The block of that height on the node's best chain; `None` when it has none.
    pub async fn header(&self, number: u64) -> Result<Option<Header>, RpcError> {
        let header = self.header_at(&format!("{number:#x}")).await?;
        match header {
            Some(header) if header.number != number => Err(RpcError::Shape(BLOCK_BY_NUMBER)),
            header => Ok(header),
        }
    }

    /// The height up to which the chain is final; `None` when the node cannot say, which holds money back and never
    /// lets it through.
    pub async fn finalized(&self) -> Result<Option<u64>, RpcError> {
        match self.header_at("finalized").await {
            Err(RpcError::Node { .. }) => Ok(None),
            header => Ok(header?.map(|header| header.number)),
        }
    }

    /// The block of that height with its transactions; `None` when the node has none.
    pub async fn block(&self, number: u64) -> Result<Option<Block>, RpcError> {
        let params = json!([format!("{number:#x}"), true]);
        let Some(raw) = self.call::<Option<RawBlock>>(BLOCK_BY_NUMBER, params).await? else {
            return Ok(None);
        };
        let block = raw.check().filter(|block| block.header.number == number);
        block.ok_or(RpcError::Shape(BLOCK_BY_NUMBER)).map(Some)
    }

    /// What became of the transaction; `None` while no block of the best chain holds it.
    pub async fn receipt(&self, tx: Hash256) -> Result<Option<Receipt>, RpcError> {
        const METHOD: &str = "eth_getTransactionReceipt";
        let raw: Option<RawReceipt> = self.call(METHOD, json!([tx.to_string()])).await?;
        raw.map(|raw| raw.check().ok_or(RpcError::Shape(METHOD))).transpose()
    }

    /// The Transfer events of these contracts in the block of that hash: asked by hash, they are of no other fork.
    pub async fn transfer_logs(
        &self,
        block_hash: Hash256,
        contracts: &[EvmAddress],
    ) -> Result<Vec<Log>, RpcError> {
        const METHOD: &str = "eth_getLogs";
        // To a node, no contract means every contract.
        if contracts.is_empty() {
            return Ok(Vec::new());
        }
        let contracts: Vec<String> = contracts.iter().map(EvmAddress::to_lower_hex).collect();
        let filter = json!({
            "blockHash": block_hash.to_string(),
            "address": contracts,
            "topics": [TRANSFER_EVENT.to_string()],
        });
        let raw: Vec<RawLog> = self.call(METHOD, json!([filter])).await?;
        let logs = raw.iter().map(|log| log.check(block_hash)).collect::<Option<_>>();
        logs.ok_or(RpcError::Shape(METHOD))
    }

    async fn header_at(&self, height: &str) -> Result<Option<Header>, RpcError> {
        let raw: Option<RawHeader> = self.call(BLOCK_BY_NUMBER, json!([height, false])).await?;
        raw.map(|raw| raw.check().ok_or(RpcError::Shape(BLOCK_BY_NUMBER))).transpose()
    }

    async fn call<T: DeserializeOwned>(&self, method: &'static str, params: Value) -> Result<T, RpcError> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut body = self.post(method, &request).await;
        for _ in 1..ATTEMPTS {
            if let Err(RpcError::Transport(_)) = body {
                body = self.post(method, &request).await;
            }
        }
        read(method, &body?)
    }

    async fn post(&self, method: &'static str, request: &Value) -> Result<Vec<u8>, RpcError> {
        let request = self.client.post(self.url.clone()).json(request);
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

/// One call for four purposes.
const BLOCK_BY_NUMBER: &str = "eth_getBlockByNumber";

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

fn read<T: DeserializeOwned>(method: &'static str, body: &[u8]) -> Result<T, RpcError> {
    let reply: Reply<T> = serde_json::from_slice(body).map_err(|_| RpcError::Shape(method))?;
    if let Some(error) = reply.error {
        let message = error.message.chars().take(MAX_MESSAGE_CHARS).collect();
        return Err(RpcError::Node { method, code: error.code, message });
    }
    reply.result.ok_or(RpcError::Shape(method))
}

fn transport(error: reqwest::Error) -> RpcError {
    RpcError::Transport(error.without_url())
}

/// Without the URL.
impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rpc").finish_non_exhaustive()
    }
}
