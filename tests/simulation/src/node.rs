//! The node of a chain, which may lag, boast, contradict itself, stand on another branch or say nothing.

use fastrand::Rng;
use shared::chain::Chain;
use shared::chain::block::{
    Found, Hash256, Header, MAX_INPUTS, Mempool, Movement, Origin, OutPoint, Payout, ScannedBlock, Spent,
};
use shared::chain::rpc::RpcError;
use shared::money::Units;
use shared::payment::Code;
use shared::watch::{Source, WatchList};

use crate::bugs::Bug;
use crate::chain::{Block, Tx};
use crate::kind::{self, Kind};
use crate::net::{Net, State};

/// A tip is boasted of less far above the chain than this.
pub const HIGHEST_BOAST: u64 = 20;

/// How many blocks the chain has above its highest final one, itself included: no fork is that deep.
const FINAL_BELOW: u64 = 12;

/// How a node behaves during one run of a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Honest,
    /// It knows this many blocks less.
    Lags(u64),
    /// It stands on the branch that was the best chain before.
    Former,
    /// It has no blocks by height.
    NoHeaders,
    /// It has the tip and cannot read it.
    NoTipBlock,
    /// The tip's block does not follow from the one before it.
    WrongParent,
    /// It speaks of a tip this much higher than any block there is.
    Boasts(u64),
    /// It was started anew and does not know what waits for a block.
    Restarted,
}

impl Manner {
    /// How a node behaves this time.
    pub fn draw(random: &mut Rng, kind: Kind) -> Manner {
        match random.u8(0..24) {
            0 | 1 => Manner::Lags(random.u64(1..6)),
            2 | 3 => Manner::Former,
            4 => Manner::NoHeaders,
            5 => Manner::NoTipBlock,
            6 => Manner::WrongParent,
            7 => Manner::Boasts(random.u64(1..HIGHEST_BOAST)),
            8 if kind == Kind::Bitcoin => Manner::Restarted,
            _ => Manner::Honest,
        }
    }
}

/// A node, asked by one run.
#[derive(Debug)]
pub struct Node<'a> {
    /// The chain's settings.
    pub chain: &'a Chain,
    /// Between the watcher and the node.
    pub net: Net,
    /// How it behaves.
    pub manner: Manner,
}

impl Node<'_> {
    async fn ask<T>(&self, answer: impl FnOnce(&State, &[Block]) -> T) -> Result<T, RpcError> {
        self.net.delay().await;
        let answered = {
            let mut state = self.net.lock();
            if state.is_mute() { Err(RpcError::Status(503)) } else { Ok(answer(&state, self.known(&state))) }
        };
        self.net.delay().await;
        answered
    }

    fn known<'s>(&self, state: &'s State) -> &'s [Block] {
        let blocks = if self.manner == Manner::Former { state.chain.former() } else { state.chain.blocks() };
        let behind = if let Manner::Lags(behind) = self.manner { behind } else { 0 };
        let behind = usize::try_from(behind).unwrap_or(usize::MAX);
        &blocks[..blocks.len().saturating_sub(behind).max(1)]
    }

    fn found(&self, txs: &[&Tx], height: u64, list: &WatchList, bug: Option<Bug>) -> Vec<Found<Code>> {
        let mut found = Vec::new();
        let all = txs.iter().flat_map(|tx| tx.pays.iter().map(move |paid| (*tx, paid)));
        for (place, (tx, paid)) in all.enumerate() {
            let Some(watched) = list.code(&paid.to) else { continue };
            let coin = &self.chain.coins[paid.coin];
            let key = match bug {
                Some(Bug::KeysByPlace) => format!("{}:{place}:{height}", paid.key),
                Some(_) | None => paid.key.clone(),
            };
            let movement = Movement {
                key,
                coin: coin.id.clone(),
                decimals: coin.decimals,
                tx_id: tx.id.clone(),
                address: paid.address.clone(),
                watched,
            };
            let inputs = tx.spends.iter().take(MAX_INPUTS).map(kind::outpoint).collect();
            found.push(Found { inputs, ..Found::plain(movement, Units(paid.units)) });
        }
        found
    }

    fn payouts(&self, txs: &[&Tx], list: &WatchList) -> Vec<Payout> {
        if list.destinations().next().is_none() {
            return Vec::new();
        }
        let all = txs.iter().flat_map(|tx| tx.pays.iter().map(move |paid| (*tx, paid)));
        let payouts = all.filter_map(|(tx, paid)| {
            let to = kind::script(self.chain, paid.to);
            let from = match Kind::of(self.chain) {
                Kind::Evm => Origin::Account(tx.from),
                Kind::Bitcoin => Origin::Outputs(tx.spends.iter().map(kind::outpoint).collect()),
            };
            let (tx_id, coin) = (tx.id.clone(), self.chain.coins[paid.coin].id.clone());
            list.is_destination(&to).then_some(Payout { tx_id, to, coin, units: Units(paid.units), from })
        });
        payouts.collect()
    }

    fn spent(txs: &[&Tx], list: &WatchList) -> Vec<Spent> {
        let spends =
            txs.iter().flat_map(|tx| tx.spends.iter().map(move |output| (*tx, kind::outpoint(output))));
        let awaited = spends.filter(|(_, outpoint): &(&Tx, OutPoint)| list.awaits(outpoint));
        awaited.map(|(tx, outpoint)| Spent { outpoint, tx_id: tx.id.clone() }).collect()
    }
}

fn at(blocks: &[Block], height: u64) -> Option<&Block> {
    usize::try_from(height).ok().and_then(|height| blocks.get(height))
}

impl Source for Node<'_> {
    async fn tip(&self) -> Result<Header, RpcError> {
        let boast = if let Manner::Boasts(boast) = self.manner { boast } else { 0 };
        let tip = self.ask(|_, blocks| {
            let tip = blocks.last().expect("the first block").header;
            let hash = if boast > 0 { Hash256([0xbb; 32]) } else { tip.hash };
            Header { number: tip.number + boast, hash, ..tip }
        });
        let tip = tip.await?;
        self.net.lock().note_tip(tip.number);
        Ok(tip)
    }

    async fn header(&self, height: u64) -> Result<Option<Header>, RpcError> {
        let has_headers = self.manner != Manner::NoHeaders;
        let header =
            self.ask(|_, blocks| at(blocks, height).filter(|_| has_headers).map(|block| block.header));
        let header = header.await?;
        Ok(self.net.lock().bugs.remember(height, header))
    }

    async fn finalized(&self) -> Result<Option<Header>, RpcError> {
        let last = |blocks: &[Block]| u64::try_from(blocks.len()).unwrap_or(0).saturating_sub(FINAL_BELOW);
        self.ask(|_, blocks| at(blocks, last(blocks)).map(|block| block.header)).await
    }

    async fn scan(&self, height: u64, list: &WatchList) -> Result<ScannedBlock<Code>, RpcError> {
        self.ask(|state, blocks| {
            let block = at(blocks, height).ok_or(RpcError::Missing(height))?;
            let mut header = block.header;
            let is_tip = height + 1 == u64::try_from(blocks.len()).unwrap_or(0);
            if is_tip && self.manner == Manner::NoTipBlock {
                return Err(RpcError::Missing(height));
            }
            if is_tip && self.manner == Manner::WrongParent {
                header.parent_hash = Hash256([0xaa; 32]);
            }
            let txs: Vec<&Tx> = block.txs.iter().collect();
            Ok(ScannedBlock {
                header,
                found: self.found(&txs, height, list, state.bugs.which()),
                unreadable: Vec::new(),
                spent: Node::spent(&txs, list),
                payouts: self.payouts(&txs, list),
            })
        })
        .await?
    }

    async fn mempool(&self) -> Result<Option<Mempool>, RpcError> {
        let known = |state: &State, blocks: &[Block]| {
            let all = state.chain.unconfirmed(blocks).filter(|_| self.manner != Manner::Restarted);
            Some(all.map(|tx| kind::txid(tx.number)).collect())
        };
        self.ask(known).await
    }

    async fn unconfirmed(&self, mempool: &Mempool, list: &WatchList) -> Result<Vec<Found<Code>>, RpcError> {
        let told = |state: &State, blocks: &[Block]| {
            let waits: Vec<u64> = state.chain.unconfirmed(blocks).map(|tx| tx.number).collect();
            // What left meanwhile was looked at before, or not.
            let is_known = |tx: &&Tx| waits.contains(&tx.number) || tx.number.is_multiple_of(2);
            let txs = state.chain.sent().filter(|tx| mempool.holds(&tx.id)).filter(is_known);
            self.found(&txs.collect::<Vec<_>>(), 0, list, state.bugs.which())
        };
        self.ask(told).await
    }
}
