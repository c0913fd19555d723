//! The node of a chain, which may lag, boast, contradict itself, stand on another branch or say nothing.

use fastrand::Rng;
use shared::chain::Chain;
use shared::chain::block::{Found, Hash256, Header, Movement, ScannedBlock};
use shared::chain::rpc::RpcError;
use shared::money::Units;
use shared::payment::Code;
use shared::watch::{Source, WatchList};

use crate::bugs::Bug;
use crate::chain::{Block, tx_id};
use crate::net::{Net, State};

/// A tip is boasted of less far above the chain than this.
pub const HIGHEST_BOAST: u64 = 20;

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
}

impl Manner {
    /// How a node behaves this time.
    pub fn draw(random: &mut Rng) -> Manner {
        match random.u8(0..24) {
            0 | 1 => Manner::Lags(random.u64(1..6)),
            2 | 3 => Manner::Former,
            4 => Manner::NoHeaders,
            5 => Manner::NoTipBlock,
            6 => Manner::WrongParent,
            7 => Manner::Boasts(random.u64(1..HIGHEST_BOAST)),
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

    fn found(&self, block: &Block, list: &WatchList, bug: Option<Bug>) -> Vec<Found<Code>> {
        let mut found = Vec::new();
        for (place, paid) in block.paid.iter().enumerate() {
            let Some(watched) = list.code(&paid.to) else { continue };
            let coin = &self.chain.coins[paid.coin];
            let key = match bug {
                Some(Bug::KeysByPlace) => format!("{}:{place}:{}", paid.key, block.header.number),
                Some(_) | None => paid.key.clone(),
            };
            let movement = Movement {
                key,
                coin: coin.id.clone(),
                decimals: coin.decimals,
                tx_id: tx_id(paid.tx),
                address: paid.address.clone(),
                watched,
            };
            found.push(Found::plain(movement, Units(paid.units)));
        }
        found
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

    async fn finalized(&self) -> Result<Option<u64>, RpcError> {
        self.ask(|_, blocks| Some(u64::try_from(blocks.len()).unwrap_or(0).saturating_sub(8))).await
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
            let bug = state.bugs.which();
            let (unreadable, spent, payouts) = (Vec::new(), Vec::new(), Vec::new());
            Ok(ScannedBlock { header, found: self.found(block, list, bug), unreadable, spent, payouts })
        })
        .await?
    }
}
