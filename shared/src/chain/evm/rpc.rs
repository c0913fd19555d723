//! The few calls to an Ethereum node that watching needs.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::belief::Known;
use super::block::{Hash256, Header};
use super::receipts::Kept;
use super::wire::{RawHeader, RawPlace, quantity};
use crate::chain::address::EvmAddress;
use crate::chain::rpc::JsonRpc;
pub use crate::chain::rpc::RpcError;

/// A way to one node.
#[derive(Clone, Debug)]
pub struct Rpc(pub(super) JsonRpc, pub(super) Arc<Known>, pub(super) Kept);

impl Rpc {
    /// Checks the URL; nothing is connected yet.
    pub fn new(url: &str) -> Result<Rpc, RpcError> {
        Ok(Rpc(JsonRpc::new(url)?, Arc::default(), Kept::default()))
    }

    /// The same node, for tests that should not take seconds.
    #[cfg(test)]
    pub(super) fn in_haste(self) -> Rpc {
        Rpc(self.0.in_haste(), self.1, self.2)
    }

    /// How many questions this node should be asked at once.
    pub fn at_once(&self) -> usize {
        self.0.at_once()
    }

    /// The same node, asked once and for no longer than this.
    pub(super) fn once_within(&self, patience: Duration) -> Rpc {
        Rpc(self.0.once_within(patience), Arc::clone(&self.1), self.2.clone())
    }

    /// The network that the node is on (EIP-155).
    pub async fn chain_id(&self) -> Result<u64, RpcError> {
        const METHOD: &str = "eth_chainId";
        let id: String = self.0.call(METHOD, json!([])).await?;
        quantity(&id).ok_or(RpcError::Shape(METHOD))
    }

    /// The newest block.
    pub async fn tip(&self) -> Result<Header, RpcError> {
        let tip = self.header_at("latest").await?.ok_or(RpcError::Shape(BLOCK_BY_NUMBER))?;
        self.1.events.saw_tip(&tip);
        Ok(tip)
    }

    /// The block of that height on the node's best chain; `None` when it has none.
    pub async fn header(&self, number: u64) -> Result<Option<Header>, RpcError> {
        let header = self.header_at(&format!("{number:#x}")).await?;
        match header {
            Some(header) if header.number != number => Err(RpcError::Shape(BLOCK_BY_NUMBER)),
            header => Ok(header),
        }
    }

    /// The highest block that is final; `None` when the node cannot say, which holds money back and never lets it through.
    pub async fn finalized(&self) -> Result<Option<Header>, RpcError> {
        match self.header_at("finalized").await {
            Err(RpcError::Node { .. }) => Ok(None),
            header => header,
        }
    }

    /// The height of the block that holds a transaction, by its name as people write it; `None` while none does.
    pub async fn height_of(&self, tx_id: &str) -> Result<Option<u64>, RpcError> {
        const METHOD: &str = "eth_getTransactionReceipt";
        let raw: Option<RawPlace> = self.0.call(METHOD, json!([tx_id])).await?;
        raw.map(|raw| quantity(&raw.block_number).ok_or(RpcError::Shape(METHOD))).transpose()
    }

    /// How many transactions an address has sent up to the block of that hash; delegations of its code (EIP-7702) count too.
    pub async fn nonce(&self, block_hash: Hash256, address: EvmAddress) -> Result<u64, RpcError> {
        const METHOD: &str = "eth_getTransactionCount";
        let at = json!({ "blockHash": block_hash.to_string() });
        let nonce: String = self.0.call(METHOD, json!([address.to_lower_hex(), at])).await?;
        quantity(&nonce).ok_or(RpcError::Shape(METHOD))
    }

    async fn header_at(&self, height: &str) -> Result<Option<Header>, RpcError> {
        let raw: Option<RawHeader> = self.0.call(BLOCK_BY_NUMBER, json!([height, false])).await?;
        raw.map(|raw| raw.check().ok_or(RpcError::Shape(BLOCK_BY_NUMBER))).transpose()
    }
}

/// One call for four purposes.
const BLOCK_BY_NUMBER: &str = "eth_getBlockByNumber";
