//! Native money that contracts send: it leaves no log, so that the node must run the block's transactions again and tell
//! of the calls in them.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::block::{Amount, Block, Sent};
use super::rpc::{Rpc, RpcError};
use super::wire::{amount, word};
use crate::chain::block::Hash256;
use crate::money::Units;

/// How long a node may take for one transaction, in its own words; most need milliseconds.
const TX_TIMEOUT: &str = "5s";

/// And how long for all of them: a node that hangs must leave time for the money that it does tell of.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a node is asked.
pub(super) const TRACE_BLOCK: &str = "debug_traceBlockByHash";

/// Calls are nested, and each level is read again with the one above it. A transaction made to be slow to read is given
/// up after so many bytes, which take less than a second.
const READ_BYTES: usize = 512 * 1024 * 1024;

/// A transaction's calls, as a node tells them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TxTrace {
    tx_hash: Option<String>,
    result: Option<Box<RawValue>>,
}

/// One call. What it calls in turn stays unread until it is known that none of it was taken back.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    to: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    calls: Vec<&'a RawValue>,
}

impl Rpc {
    /// The calls of the block's transactions; asked by hash, they are of no other fork.
    pub(super) async fn traces(&self, block_hash: Hash256) -> Result<Vec<TxTrace>, RpcError> {
        let tracer = json!({ "tracer": "callTracer", "timeout": TX_TIMEOUT });
        let rpc = self.once_within(PATIENCE).0;
        rpc.call(TRACE_BLOCK, json!([block_hash.to_string(), tracer])).await
    }
}

/// All native money that moved in the block, in the order in which it moved; `None` when the traces are not all there or
/// cannot be read.
pub(super) fn sent(block: &Block, traces: &[TxTrace]) -> Option<Vec<Sent>> {
    let mut by_tx = HashMap::new();
    for (place, trace) in traces.iter().enumerate() {
        let tx = match &trace.tx_hash {
            Some(hash) => word(hash)?,
            // Older nodes name no transactions, and tell of them in their order.
            None => block.transactions.get(place)?.hash,
        };
        by_tx.insert(tx, trace.result.as_deref()?);
    }
    let mut left = READ_BYTES;
    let mut all = Vec::new();
    for tx in &block.transactions {
        all.extend(sent_in(tx.hash, by_tx.get(&tx.hash)?, &mut left)?);
    }
    Some(all)
}

/// What one transaction moved. A call that failed moved nothing, nor did any that it made.
fn sent_in(tx: Hash256, root: &RawValue, left: &mut usize) -> Option<Vec<Sent>> {
    let mut sent = Vec::new();
    let mut open = vec![root];
    while let Some(raw) = open.pop() {
        *left = left.checked_sub(raw.get().len())?;
        let frame: Frame<'_> = serde_json::from_str(raw.get()).ok()?;
        if frame.error.is_none() {
            frame.add_to(&mut sent, tx)?;
            open.extend(frame.calls.into_iter().rev());
        }
    }
    Some(sent)
}

impl Frame<'_> {
    /// Adds what the call itself moved; `None` when it cannot be read.
    ///
    /// Calls that borrow another contract's code move nothing, whatever value they name, and a new contract is at no
    /// address that was given out.
    fn add_to(&self, sent: &mut Vec<Sent>, tx: Hash256) -> Option<()> {
        let moves = matches!(self.kind.as_ref(), "CALL" | "SELFDESTRUCT");
        let Some((to, value)) = self.to.as_ref().zip(self.value.as_ref()).filter(|_| moves) else {
            return Some(());
        };
        let value = amount(value)?;
        if value != Amount::Exact(Units(0)) {
            sent.push(Sent { tx, from: self.from.parse().ok()?, to: to.parse().ok()?, value });
        }
        Some(())
    }
}
