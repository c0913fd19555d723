//! One block, fetched and scanned: a few kinds of questions to the node, all answered for the same block or not at all.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::balance::changes;
use super::block::{Amount, Block, Receipt, Sent, Tx};
use super::rpc::{Rpc, RpcError};
use super::scan::{Scanned, contracts, native_coin, payouts, scan, unexplained};
use super::trace;
use crate::chain::address::EvmAddress;
use crate::chain::block::{Found, Hash256, Header, ScannedBlock};
use crate::chain::{Chain, Coin, Internal};
use crate::money::Units;

/// JSON-RPC's codes of nodes that are asked too much, which they may not be in a minute: EIP-1474's and that of HTTP.
const BUSY_CODES: [i64; 2] = [-32005, 429];

/// What is looked for in a block.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a, L> {
    /// Knows the watched addresses.
    pub lookup: L,
    /// Addresses to which refunds are to go.
    pub destinations: &'a BTreeSet<EvmAddress>,
    /// Those of the watched whose balances are compared, on a chain that compares balances.
    pub compared: &'a [EvmAddress],
}

/// What was read of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// What it holds.
    pub block: ScannedBlock<T>,
    /// Whether native money that contracts sent could be looked for, where it is; what a node has no traces or no
    /// balances of must not hold up everything else.
    pub is_whole: bool,
}

/// Fetches the block of that height and finds what moved to the addresses that are wanted.
///
/// With `expected`, only the block of that hash will do; another one is [`RpcError::Moved`]. Receipts are asked for only
/// where money was found, all at once when there are several: a block without money to us costs two calls, one more for
/// its traces, or two more for every five hundred addresses whose balances are compared.
pub async fn scan_block<T, L: Fn(&EvmAddress) -> Option<T>>(
    rpc: &Rpc,
    chain: &Chain,
    number: u64,
    expected: Option<Hash256>,
    wanted: &Wanted<'_, L>,
) -> Result<Read<T>, RpcError> {
    let block = rpc.block(number).await?.ok_or(RpcError::Missing(number))?;
    let header = block.header;
    if expected.is_some_and(|expected| expected != header.hash) {
        return Err(RpcError::Moved(number));
    }
    let logs = rpc.transfer_logs(header.hash, &contracts(chain)).await?;
    let asked = Asked { rpc, chain, block: &block };
    let native = asked.native(wanted).await?;
    let mut scanned = scan(chain, &native.sent, &logs, &wanted.lookup);
    scanned.found.extend(native.appeared);
    let payouts = payouts(chain, &native.sent, &logs, wanted.destinations);
    let Scanned { found, unreadable } = scanned;
    let block = ScannedBlock { header, found, unreadable, spent: Vec::new(), payouts };
    Ok(Read { block, is_whole: native.is_whole })
}

/// A block about which the node is asked.
struct Asked<'a> {
    rpc: &'a Rpc,
    chain: &'a Chain,
    block: &'a Block,
}

/// The native money of a block.
struct Native<T> {
    /// What moved, in transactions and, if traced, in calls.
    sent: Vec<Sent>,
    /// What is there though nothing is known to have moved.
    appeared: Vec<Found<T>>,
    is_whole: bool,
}

impl Asked<'_> {
    async fn native<T, L: Fn(&EvmAddress) -> Option<T>>(
        &self,
        wanted: &Wanted<'_, L>,
    ) -> Result<Native<T>, RpcError> {
        let Some(coin) = native_coin(self.chain) else {
            return Ok(Native { sent: Vec::new(), appeared: Vec::new(), is_whole: true });
        };
        match self.chain.internal {
            Internal::Unseen => {
                let sent = self.sent_by_transactions(wanted).await?;
                Ok(Native { sent, appeared: Vec::new(), is_whole: true })
            }
            Internal::Traces => {
                let traced = self.traced().await?;
                let is_whole = traced.is_some();
                let sent = match traced {
                    Some(sent) => sent,
                    None => self.sent_by_transactions(wanted).await?,
                };
                Ok(Native { sent, appeared: Vec::new(), is_whole })
            }
            Internal::Balances => {
                let sent = self.sent_by_transactions(wanted).await?;
                let appeared = self.appeared(coin, wanted).await?;
                let is_whole = appeared.is_some();
                Ok(Native { sent, appeared: appeared.unwrap_or_default(), is_whole })
            }
        }
    }

    /// What the transactions themselves paid to wanted addresses.
    async fn sent_by_transactions<T, L: Fn(&EvmAddress) -> Option<T>>(
        &self,
        wanted: &Wanted<'_, L>,
    ) -> Result<Vec<Sent>, RpcError> {
        let is_wanted = |to: &EvmAddress| (wanted.lookup)(to).is_some() || wanted.destinations.contains(to);
        let to_us = |tx: &Tx| {
            let to = tx.to.filter(|to| *to != tx.from && is_wanted(to))?;
            let sent = Sent { tx: tx.hash, from: tx.from, to, value: tx.value };
            (tx.value != Amount::Exact(Units(0))).then_some(sent)
        };
        let sent: Vec<Sent> = self.block.transactions.iter().filter_map(to_us).collect();
        let txs: Vec<Hash256> = sent.iter().map(|sent| sent.tx).collect();
        let receipts = self.receipts(&txs).await?;
        let good = sent.into_iter().zip(receipts).filter(|(_, receipt)| receipt.succeeded);
        Ok(good.map(|(sent, _)| sent).collect())
    }

    /// Receipts of transactions of this very block, in their order.
    async fn receipts(&self, txs: &[Hash256]) -> Result<Vec<Receipt>, RpcError> {
        let Header { number, hash, .. } = self.block.header;
        let all = if txs.len() > 1 { self.rpc.block_receipts(hash).await? } else { None };
        let mut receipts = Vec::new();
        for tx in txs {
            let receipt = match &all {
                Some(all) => all.iter().find(|receipt| receipt.tx == *tx).copied(),
                None => self.rpc.receipt(*tx).await?,
            };
            let here = receipt.filter(|receipt| receipt.block_hash == hash && receipt.tx == *tx);
            receipts.push(here.ok_or(RpcError::Moved(number))?);
        }
        Ok(receipts)
    }

    /// All native money that moved, by the node's traces; `None` when it has none of this block.
    async fn traced(&self) -> Result<Option<Vec<Sent>>, RpcError> {
        let traces = self.rpc.traces(self.block.header.hash).await;
        Ok(self.unless_refused(traces).await?.and_then(|traces| trace::sent(self.block, &traces)))
    }

    /// What came to the compared addresses though no transaction says so; `None` when the node knows no balances as of
    /// this block.
    async fn appeared<T, L: Fn(&EvmAddress) -> Option<T>>(
        &self,
        coin: &Coin,
        wanted: &Wanted<'_, L>,
    ) -> Result<Option<Vec<Found<T>>>, RpcError> {
        let changes = changes(self.rpc, self.block, wanted.compared).await;
        let Some(changes) = self.unless_refused(changes).await? else { return Ok(None) };
        let touching = |tx: &&Tx| changes.iter().any(|change| change.is_touched_by(tx));
        let txs: Vec<&Tx> = self.block.transactions.iter().filter(touching).collect();
        let hashes: Vec<Hash256> = txs.iter().map(|tx| tx.hash).collect();
        let known: Vec<(&Tx, Receipt)> = txs.into_iter().zip(self.receipts(&hashes).await?).collect();
        let mut appeared = Vec::new();
        for change in &changes {
            let units = change.unexplained(&known).filter(|units| *units > Units(0));
            if let Some((units, watched)) = units.zip((wanted.lookup)(&change.address)) {
                let height = self.block.header.number;
                appeared.push(unexplained((self.chain, coin), height, (change.address, units), watched));
            }
        }
        Ok(Some(appeared))
    }

    /// What a node has no answer to today it will not have tomorrow: that is `None`. What it could not answer just now is
    /// an error, and asked again.
    ///
    /// A heavy question that runs out of time, or that a proxy turns away, may do so for ever, and everything else would
    /// wait for it: it counts as refused if the node answers a light one.
    async fn unless_refused<A>(&self, answer: Result<A, RpcError>) -> Result<Option<A>, RpcError> {
        let Header { number, .. } = self.block.header;
        let error = match answer {
            Ok(answer) => return Ok(Some(answer)),
            Err(RpcError::Node { code, .. }) if BUSY_CODES.contains(&code) => {
                return Err(RpcError::Moved(number));
            }
            Err(error @ (RpcError::Node { .. } | RpcError::Shape(_) | RpcError::TooLarge(_))) => error,
            Err(error @ (RpcError::Transport(_) | RpcError::Status(_))) => {
                self.rpc.header(number).await?;
                error
            }
            Err(
                error @ (RpcError::Network { .. }
                | RpcError::Address
                | RpcError::Missing(_)
                | RpcError::Moved(_)),
            ) => return Err(error),
        };
        tracing::warn!(chain = %self.chain.id, number, %error, "money of contracts could not be looked for");
        Ok(None)
    }
}
