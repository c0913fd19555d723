//! One block, fetched and scanned: a few kinds of questions to the node, all answered for the same block or not at all.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::balance::{Change, PATIENCE, changes};
use super::block::{Amount, Block, Receipt, Sent, Tx};
use super::doubt::Sought;
use super::refusal::{self, Lasts};
use super::rpc::{Rpc, RpcError};
use super::scan::{Scanned, contracts, native_coin, payouts, scan, unexplained};
use super::trace;
use crate::chain::address::EvmAddress;
use crate::chain::block::{Found, Hash256, ScannedBlock};
use crate::chain::rpc::{Limit, limit};
use crate::chain::{Chain, Coin, Internal};
use crate::money::Units;

/// What is looked for in a block.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a, L> {
    /// Knows the watched addresses.
    pub lookup: L,
    /// Addresses to which refunds are to go.
    pub destinations: &'a BTreeSet<EvmAddress>,
    /// All of both, where they are few enough to be named to a node.
    pub receivers: Option<&'a [EvmAddress]>,
    /// Those of the watched whose balances are compared, on a chain that compares balances.
    pub compared: &'a [EvmAddress],
}

/// What was read of a block.
#[derive(Debug)]
pub struct Read<T> {
    /// What it holds.
    pub block: ScannedBlock<T>,
    /// Whether native money that contracts sent could be looked for.
    pub inside: Inside,
}

/// Whether native money that contracts sent could be looked for in a block.
#[derive(Debug)]
pub enum Inside {
    /// Nobody asked.
    Unasked,
    /// It could.
    Seen,
    /// It could not just now, and perhaps can in a minute.
    NotNow(RpcError),
    /// It cannot, today or tomorrow.
    Never(Blind),
}

/// Why money of contracts in a block can never be found.
#[derive(Debug, thiserror::Error)]
pub enum Blind {
    /// The node does not tell.
    #[error(transparent)]
    Node(#[from] RpcError),
    /// What it tells is too long, or makes no sense.
    #[error("the traces of the block cannot be read")]
    Traces,
    /// An address of ours sent something, and perhaps somebody else paid for that, or in something else.
    #[error("what left an address cannot be told")]
    Spent,
    /// The node says what addresses hold now, whatever block it is asked about.
    #[error(
        "the node answers for its newest block whatever block it is asked about: balances are not compared"
    )]
    Newest,
}

impl<T> Read<T> {
    /// Whether nothing was left out that is looked for on the chain.
    pub fn is_whole(&self) -> bool {
        match self.inside {
            Inside::Unasked | Inside::Seen => true,
            Inside::NotNow(_) | Inside::Never(_) => false,
        }
    }
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
    let is_wanted = |to: &EvmAddress| (wanted.lookup)(to).is_some() || wanted.destinations.contains(to);
    let tokens = contracts(chain);
    let sought = Sought { contracts: &tokens, receivers: wanted.receivers, is_wanted: &is_wanted };
    let logs = rpc.believed_transfers(&block, sought).await?;
    let asked = Asked { rpc, chain, block: &block };
    let native = asked.native(wanted).await?;
    let mut scanned = scan(chain, &native.sent, &logs, &wanted.lookup);
    scanned.found.extend(native.appeared);
    rpc.forget_receipts(header.hash);
    let payouts = payouts(chain, &native.sent, &logs, wanted.destinations);
    let Scanned { found, unreadable } = scanned;
    let block = ScannedBlock { header, found, unreadable, spent: Vec::new(), payouts };
    Ok(Read { block, inside: native.inside })
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
    inside: Inside,
}

impl<T> Native<T> {
    /// What transactions alone tell of.
    fn unasked(sent: Vec<Sent>) -> Native<T> {
        Native { sent, appeared: Vec::new(), inside: Inside::Unasked }
    }
}

impl Asked<'_> {
    async fn native<T, L: Fn(&EvmAddress) -> Option<T>>(
        &self,
        wanted: &Wanted<'_, L>,
    ) -> Result<Native<T>, RpcError> {
        let Some(coin) = native_coin(self.chain) else { return Ok(Native::unasked(Vec::new())) };
        match self.chain.internal {
            Internal::Unseen => Ok(Native::unasked(self.sent_by_transactions(wanted).await?)),
            Internal::Traces => {
                let (sent, inside) = match self.traced().await? {
                    Ok(sent) => (sent, Inside::Seen),
                    Err(inside) => (self.sent_by_transactions(wanted).await?, inside),
                };
                Ok(Native { inside, ..Native::unasked(sent) })
            }
            Internal::Balances if wanted.compared.is_empty() => {
                Ok(Native::unasked(self.sent_by_transactions(wanted).await?))
            }
            Internal::Balances => {
                let sent = self.sent_by_transactions(wanted).await?;
                let (appeared, inside) = self.appeared(coin, wanted).await?;
                Ok(Native { sent, appeared, inside })
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
        let told = self.rpc.told(&self.block.header, txs).await?;
        Ok(told.into_iter().map(|told| told.receipt).collect())
    }

    /// All native money that moved, by the node's traces, or why that is not known.
    async fn traced(&self) -> Result<Result<Vec<Sent>, Inside>, RpcError> {
        let traces = match self.unless_refused(self.rpc.traces(self.block.header.hash).await).await? {
            Ok(traces) => traces,
            Err(inside) => return Ok(Err(inside)),
        };
        // A node that has not run the block yet may say that nothing happened in it.
        if traces.len() < self.block.transactions.len() {
            return Ok(Err(Inside::NotNow(RpcError::Shape(trace::TRACE_BLOCK))));
        }
        Ok(trace::sent(self.block, &traces).ok_or(Inside::Never(Blind::Traces)))
    }

    /// What came to the compared addresses though no transaction says so, as far as the node knows balances as of this
    /// block.
    async fn appeared<T, L: Fn(&EvmAddress) -> Option<T>>(
        &self,
        coin: &Coin,
        wanted: &Wanted<'_, L>,
    ) -> Result<(Vec<Found<T>>, Inside), RpcError> {
        match self.unless_refused(self.rpc.once_within(PATIENCE).knows_its_blocks().await).await? {
            Ok(true) => {}
            Ok(false) => return Ok((Vec::new(), Inside::Never(Blind::Newest))),
            Err(inside) => return Ok((Vec::new(), inside)),
        }
        let changes = changes(self.rpc, self.block, wanted.compared).await;
        let changes = match self.unless_refused(changes).await? {
            Ok(changes) => changes,
            Err(inside) => return Ok((Vec::new(), inside)),
        };
        let touching = |tx: &&Tx| changes.iter().any(|change| change.is_touched_by(tx));
        let txs: Vec<&Tx> = self.block.transactions.iter().filter(touching).collect();
        let hashes: Vec<Hash256> = txs.iter().map(|tx| tx.hash).collect();
        let known: Vec<(&Tx, Receipt)> = txs.into_iter().zip(self.receipts(&hashes).await?).collect();
        let (mut appeared, mut inside) = (Vec::new(), Inside::Seen);
        let mut odd = Vec::new();
        for change in &changes {
            match (change.unexplained(&known), (wanted.lookup)(&change.address)) {
                (None, _) => inside = Inside::Never(Blind::Spent),
                (Some(Units(0)), _) | (Some(_), None) => {}
                (Some(units), Some(watched)) => {
                    let (chain, height) = ((self.chain, coin), self.block.header.number);
                    appeared.push(unexplained(chain, height, (change.address, units), watched));
                    odd.push(*change);
                }
            }
        }
        if let Some(doubt) = self.doubt_of(&odd).await? {
            return Ok((Vec::new(), doubt));
        }
        Ok((appeared, inside))
    }

    /// Money without a transaction is asked for twice: two answers may be of two moments, or of two nodes behind one
    /// address, and the same answers again are not.
    async fn doubt_of(&self, odd: &[Change]) -> Result<Option<Inside>, RpcError> {
        if odd.is_empty() {
            return Ok(None);
        }
        let addresses: Vec<EvmAddress> = odd.iter().map(|change| change.address).collect();
        let again = changes(self.rpc, self.block, &addresses).await;
        Ok(match self.unless_refused(again).await? {
            Ok(again) if again == odd => None,
            Ok(_) => {
                let number = self.block.header.number;
                let what = "what addresses hold before and after it is not the same when asked again";
                Some(Inside::NotNow(RpcError::Contradicts { number, what }))
            }
            Err(inside) => Some(inside),
        })
    }

    /// An answer, or what its lack says of this block. What says nothing of it is an error.
    ///
    /// A heavy question that runs out of time, or that a proxy turns away, may do so for ever, and everything else would
    /// wait for it: it counts as refused if the node answers a light one.
    async fn unless_refused<A>(&self, answer: Result<A, RpcError>) -> Result<Result<A, Inside>, RpcError> {
        let error = match answer {
            Ok(answer) => return Ok(Ok(answer)),
            Err(error) => error,
        };
        let is_pace = limit(&error) == Some(Limit::Pace);
        if is_pace || matches!(error, RpcError::Transport(_) | RpcError::Status(_)) {
            self.rpc.header(self.block.header.number).await?;
        }
        match refusal::lasts(&error) {
            Some(Lasts::Awhile) => Ok(Err(Inside::NotNow(error))),
            Some(Lasts::Forever) => Ok(Err(Inside::Never(error.into()))),
            None => Err(error),
        }
    }
}
