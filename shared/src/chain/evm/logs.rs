//! The events by which tokens tell of movements in one block, however many there are: each question that a node finds too
//! large is asked more narrowly, until only receipts are left to ask for (R38).

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;

use std::time::Duration;

use bitcoin::hex::DisplayHex;
use serde_json::{Value, json};

use super::block::{Block, Hash256, Log};
use super::rpc::{Rpc, RpcError};
use super::scan::TRANSFER_EVENT;
use super::wire::RawLog;
use crate::chain::address::EvmAddress;
use crate::chain::rpc::{Limit, limit};

/// What a node is asked.
const METHOD: &str = "eth_getLogs";

/// How long a node may take for events: one that hangs over them may tell of receipts.
const PATIENCE: Duration = Duration::from_secs(8);

/// So many receivers are named in one question at most; nodes allow a thousand.
const RECEIVERS_AT_ONCE: usize = 200;

/// With more receivers than this, receipts are the shorter way.
pub(super) const MAX_RECEIVERS: usize = 1_000;

impl Rpc {
    /// The Transfer events of these contracts in a block; those to `receivers` only, where there are more than the node
    /// tells at once. Without `receivers`, they are too many to be named.
    ///
    /// Asked by the block's hash, they are of no other fork.
    pub async fn transfers(
        &self,
        block: &Block,
        contracts: &[EvmAddress],
        receivers: Option<&[EvmAddress]>,
    ) -> Result<Vec<Log>, RpcError> {
        // To a node, no contract means every contract.
        if contracts.is_empty() {
            return Ok(Vec::new());
        }
        match self.narrowed(block.header.hash, contracts, receivers).await {
            Err(error) if may_be_too_much(&error) => {
                let height = block.header.number;
                tracing::debug!(height, %error, "events are read from receipts");
                self.by_receipts(block, contracts).await
            }
            logs => logs,
        }
    }

    /// All at once, contract by contract, or receiver by receiver.
    async fn narrowed(
        &self,
        block_hash: Hash256,
        contracts: &[EvmAddress],
        receivers: Option<&[EvmAddress]>,
    ) -> Result<Vec<Log>, RpcError> {
        let error = match self.logs_of(block_hash, contracts, None).await {
            Err(error) if is_narrower_worth_it(&error) => error,
            logs => return logs,
        };
        let mut all = Vec::new();
        let mut error = Some(error);
        for contract in contracts {
            let contract = std::slice::from_ref(contract);
            // A contract that is the only one was asked about already.
            let alone = match error.take_if(|_| contracts.len() == 1) {
                Some(error) => Err(error),
                None => self.logs_of(block_hash, contract, None).await,
            };
            match (alone, receivers) {
                (Err(error), Some(receivers)) if is_narrower_worth_it(&error) => {
                    all.extend(self.logs_to(block_hash, contract, receivers).await?);
                }
                (alone, _) => all.extend(alone?),
            }
        }
        Ok(all)
    }

    /// Those to these receivers, some at a time, and fewer where those are still too many.
    async fn logs_to(
        &self,
        block_hash: Hash256,
        contract: &[EvmAddress],
        receivers: &[EvmAddress],
    ) -> Result<Vec<Log>, RpcError> {
        let mut all = Vec::new();
        let mut open: Vec<&[EvmAddress]> = receivers.chunks(RECEIVERS_AT_ONCE).rev().collect();
        while let Some(some) = open.pop() {
            match self.logs_of(block_hash, contract, Some(some)).await {
                Err(error) if some.len() > 1 && limit(&error) == Some(Limit::Size) => {
                    let (first, second) = some.split_at(some.len().div_ceil(2));
                    open.extend([second, first]);
                }
                logs => all.extend(logs?),
            }
        }
        Ok(all)
    }

    /// One question. The filter's third topic is the receiver.
    async fn logs_of(
        &self,
        block_hash: Hash256,
        contracts: &[EvmAddress],
        receivers: Option<&[EvmAddress]>,
    ) -> Result<Vec<Log>, RpcError> {
        let contracts: Vec<String> = contracts.iter().map(EvmAddress::to_lower_hex).collect();
        let mut topics = vec![json!(TRANSFER_EVENT.to_string())];
        if let Some(receivers) = receivers {
            let words: Vec<String> = receivers.iter().map(word).collect();
            topics.extend([Value::Null, json!(words)]);
        }
        let filter = json!({ "blockHash": block_hash.to_string(), "address": contracts, "topics": topics });
        let raw: Vec<RawLog> = self.once_within(PATIENCE).0.call(METHOD, json!([filter])).await?;
        let logs = raw.iter().map(|log| log.check(block_hash)).collect::<Option<_>>();
        logs.ok_or(RpcError::Shape(METHOD))
    }

    /// Those in the receipts of all transactions of the block.
    async fn by_receipts(&self, block: &Block, contracts: &[EvmAddress]) -> Result<Vec<Log>, RpcError> {
        let txs: Vec<Hash256> = block.transactions.iter().map(|tx| tx.hash).collect();
        let told = self.told(&block.header, &txs).await?;
        let logs: Option<Vec<Vec<Log>>> = told.into_iter().map(|told| told.transfers).collect();
        let logs = logs.ok_or(RpcError::Shape(METHOD))?.into_iter().flatten();
        Ok(logs.filter(|log| contracts.contains(&log.contract)).collect())
    }
}

/// An address as the topic of an event.
fn word(address: &EvmAddress) -> String {
    format!("0x{:0>64}", address.0.to_lower_hex_string())
}

/// Whether a narrower question may be answered: who hangs over one has no time for several, and there are receipts.
fn is_narrower_worth_it(error: &RpcError) -> bool {
    may_be_too_much(error) && !matches!(error, RpcError::Transport(_))
}

/// Whether less may be answered, or receipts. Nodes refuse large ones in so many ways, not all of them in words, that
/// only what tells of the node itself is left out.
fn may_be_too_much(error: &RpcError) -> bool {
    match error {
        RpcError::Node { .. } | RpcError::Status(_) | RpcError::TooLarge(_) | RpcError::Shape(_) => true,
        RpcError::Transport(error) => error.is_timeout(),
        RpcError::Network { .. }
        | RpcError::Address
        | RpcError::Paused(_)
        | RpcError::Missing(_)
        | RpcError::Moved(_)
        | RpcError::Contradicts { .. } => false,
    }
}
