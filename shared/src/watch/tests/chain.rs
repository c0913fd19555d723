//! A chain that a test writes: blocks, transfers, re-organisations, and a node that fails on command.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::hang;
use crate::chain::address::{AddressKey, EvmAddress};
use crate::chain::block::{
    Found, Hash256, Header, Mempool, Movement, Origin, OutPoint, Payout, ScannedBlock, Spent, Txid,
};
use crate::chain::rpc::RpcError;
use crate::chain::{Chain, Coin, CoinId, Family};
use crate::moment::Timestamp;
use crate::money::Units;
use crate::payment::Code;
use crate::watch::{Source, WatchList};

/// The time of block 0.
const GENESIS: Timestamp = Timestamp(1_700_000_000);

/// Seconds between blocks.
const BLOCK_SECONDS: u64 = 12;

/// Money in a transaction; several with one number are one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Paid {
    pub(super) tx: u64,
    pub(super) coin: &'static str,
    pub(super) to: AddressKey,
    pub(super) units: u128,
    /// The output that the transaction spends, where it spends outputs.
    pub(super) spends: Option<u64>,
    pub(super) is_coinbase: bool,
    /// Who sends it, where accounts do.
    pub(super) from: Option<AddressKey>,
}

/// A block of the test's chain.
#[derive(Clone, Debug)]
pub(super) struct FakeBlock {
    header: Header,
    paid: Vec<Paid>,
}

/// What is wrong with the node until it is mended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    /// It knows this many blocks less.
    Lags(u64),
    /// It speaks of a tip this much higher than any block there is.
    Boasts(u64),
    /// It has no blocks by height.
    NoHeaders,
    /// It has the tip and cannot read it.
    NoTipBlock,
    /// It has forgotten what is in a block, and knows its header.
    Pruned(u64),
    /// It does not have the block of a height, and those above it.
    Hole(u64),
    /// The tip's block does not follow from the one before it.
    WrongParent,
    /// From this height on it never answers what a block holds.
    Hangs(u64),
    /// It never answers what is unconfirmed.
    HangsOutside,
    /// It answers this many questions more.
    DiesAfter(u64),
    /// Its blocks from one height to another are others when they are asked for alone: another node answers then.
    Denies(u64, u64),
    /// After this many questions its best chain is another.
    ForksAfter(u64, u64),
}

/// The chain and its node.
pub(super) struct FakeChain {
    chain: Chain,
    blocks: RefCell<Vec<FakeBlock>>,
    /// What waits for a block, on a chain that shows it.
    pub(super) mempool: RefCell<Vec<Paid>>,
    forks: Cell<u64>,
    /// Seconds that pass before the next block, beside its own.
    pub(super) pause: Cell<u64>,
    pub(super) fault: RefCell<Fault>,
    pub(super) finalized: Cell<Option<u64>>,
    pub(super) asked: Cell<u64>,
    /// A clock that each question moves on, and by how many seconds.
    pub(super) slow: Cell<Option<(&'static AtomicU64, u64)>>,
    /// Whether all money was taken away.
    pub(super) swept: Cell<bool>,
    /// Up to which block it was, if only what came until then.
    pub(super) emptied: Cell<u64>,
    /// What it says when it is asked of spending, if it does not tell.
    pub(super) refusal: Cell<Option<fn() -> RpcError>>,
    /// How many transactions every address has sent, where addresses do.
    pub(super) nonce: Cell<u64>,
}

pub(super) fn tx_id(tx: u64) -> String {
    word(7, tx).to_string()
}

fn txid(tx: u64) -> Txid {
    use bitcoin::hashes::Hash;
    Txid::from_byte_array(word(7, tx).0)
}

/// The first output of the transaction of that number.
fn output(number: u64) -> OutPoint {
    OutPoint { txid: txid(number), vout: 0 }
}

/// An address as people on that chain write it.
pub(super) fn written(chain: &Chain, address: AddressKey) -> String {
    match chain.family {
        Family::Evm { .. } => EvmAddress(address.0).to_string(),
        Family::Bitcoin { network, .. } => network.witness_address(address).unwrap(),
    }
}

fn word(salt: u64, number: u64) -> Hash256 {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..16].copy_from_slice(&salt.to_be_bytes());
    Hash256(bytes)
}

impl FakeChain {
    pub(super) fn new(chain: &Chain) -> FakeChain {
        let number = 0;
        let genesis = Header { number, hash: word(0, number), parent_hash: word(99, 99), timestamp: GENESIS };
        FakeChain {
            chain: chain.clone(),
            mempool: RefCell::default(),
            blocks: RefCell::new(vec![FakeBlock { header: genesis, paid: Vec::new() }]),
            forks: Cell::new(0),
            pause: Cell::new(0),
            fault: RefCell::new(Fault::None),
            finalized: Cell::new(None),
            asked: Cell::new(0),
            slow: Cell::new(None),
            swept: Cell::new(false),
            emptied: Cell::new(0),
            refusal: Cell::new(None),
            nonce: Cell::new(0),
        }
    }

    pub(super) fn mine(&self, paid: Vec<Paid>) -> Header {
        let parent = self.best();
        let number = parent.number + 1;
        let header = Header {
            number,
            hash: word(self.forks.get(), number),
            parent_hash: parent.hash,
            timestamp: parent.timestamp.plus(BLOCK_SECONDS + self.pause.take()),
        };
        self.blocks.borrow_mut().push(FakeBlock { header, paid });
        header
    }

    /// A block whose maker's clock is another.
    pub(super) fn mine_at(&self, time: Timestamp, paid: Vec<Paid>) {
        self.mine(paid);
        self.blocks.borrow_mut().last_mut().unwrap().header.timestamp = time;
    }

    pub(super) fn mine_empty(&self, blocks: u64) {
        for _ in 0..blocks {
            self.mine(Vec::new());
        }
    }

    /// Takes the last blocks away; gives what was in them. What is mined then is another chain.
    pub(super) fn take_away(&self, depth: u64) -> Vec<Paid> {
        self.forks.set(self.forks.get() + 1);
        let mut blocks = self.blocks.borrow_mut();
        let kept = blocks.len().saturating_sub(usize::try_from(depth).unwrap()).max(1);
        blocks.drain(kept..).flat_map(|block| block.paid).collect()
    }

    /// Makes one block hold something else, under the same hash.
    pub(super) fn replace(&self, height: u64, paid: Vec<Paid>) {
        self.blocks.borrow_mut()[usize::try_from(height).unwrap()].paid = paid;
    }

    /// The key of a transaction's first transfer of a coin to an address.
    pub(super) fn key(&self, coin: &'static str, to: AddressKey, tx: u64) -> String {
        let paid = Paid { tx, coin, to, units: 1, spends: None, is_coinbase: false, from: None };
        let mut list = WatchList::default();
        list.insert(to, Code::from_random(0));
        self.movements(&[paid], &list).remove(0).movement.key
    }

    /// Replaces the last blocks by as many empty ones.
    pub(super) fn reorg(&self, depth: u64) -> Vec<Paid> {
        let lost = self.take_away(depth);
        self.mine_empty(depth);
        lost
    }

    pub(super) fn snapshot(&self) -> Vec<FakeBlock> {
        self.blocks.borrow().clone()
    }

    pub(super) fn go_back_to(&self, blocks: Vec<FakeBlock>) {
        *self.blocks.borrow_mut() = blocks;
    }

    /// The block of that height; above the best one, that of another node.
    fn final_header(&self, height: u64) -> Header {
        let foreign = Header { number: height, hash: word(95, height), ..self.best() };
        self.block(height).map_or(foreign, |block| block.header)
    }

    pub(super) fn best(&self) -> Header {
        self.blocks.borrow().last().unwrap().header
    }

    pub(super) fn now(&self) -> Timestamp {
        self.best().timestamp
    }

    /// Everything paid that has `depth` blocks on it, its own included.
    pub(super) fn paid_at_depth(&self, depth: u64) -> Vec<Paid> {
        let blocks = self.blocks.borrow();
        let deep = (blocks.len() + 1).saturating_sub(usize::try_from(depth).unwrap());
        blocks[..deep].iter().flat_map(|block| block.paid.clone()).collect()
    }

    fn ask(&self) -> Result<(), RpcError> {
        self.asked.set(self.asked.get() + 1);
        if let Some((hands, seconds)) = self.slow.get() {
            hands.fetch_add(seconds, Ordering::Relaxed);
        }
        let fault = self.fault.borrow().clone();
        match fault {
            Fault::DiesAfter(0) => return Err(RpcError::Status(503)),
            Fault::DiesAfter(left) => *self.fault.borrow_mut() = Fault::DiesAfter(left - 1),
            Fault::ForksAfter(0, depth) => {
                *self.fault.borrow_mut() = Fault::None;
                let lost = self.take_away(depth);
                self.mine(lost);
                self.mine_empty(depth);
            }
            Fault::ForksAfter(left, depth) => *self.fault.borrow_mut() = Fault::ForksAfter(left - 1, depth),
            Fault::None
            | Fault::Lags(_)
            | Fault::Boasts(_)
            | Fault::NoHeaders
            | Fault::NoTipBlock
            | Fault::Pruned(_)
            | Fault::Hole(_)
            | Fault::WrongParent
            | Fault::Denies(..)
            | Fault::Hangs(_)
            | Fault::HangsOutside => {}
        }
        Ok(())
    }

    fn known(&self) -> u64 {
        let behind = if let Fault::Lags(behind) = *self.fault.borrow() { behind } else { 0 };
        self.best().number.saturating_sub(behind)
    }

    fn block(&self, height: u64) -> Option<FakeBlock> {
        let blocks = self.blocks.borrow();
        let is_known = height <= self.known() && *self.fault.borrow() != Fault::Hole(height);
        blocks.get(usize::try_from(height).unwrap()).filter(|_| is_known).cloned()
    }

    pub(super) fn tx_id(&self, tx: u64) -> String {
        match self.chain.family {
            Family::Evm { .. } => tx_id(tx),
            Family::Bitcoin { .. } => txid(tx).to_string(),
        }
    }

    fn movements(&self, all: &[Paid], list: &WatchList) -> Vec<Found<Code>> {
        let mut found: Vec<Found<Code>> = Vec::new();
        for paid in all {
            let Some(watched) = list.code(&paid.to) else { continue };
            let coin = self.chain.coin(&CoinId::new(paid.coin).unwrap()).unwrap();
            let tx_id = self.tx_id(paid.tx);
            let address = written(&self.chain, paid.to);
            let prefix = match self.chain.family {
                Family::Evm { .. } => {
                    format!("{}:{tx_id}:{}:{}:", self.chain.id, coin.asset.key(), address.to_lowercase())
                }
                Family::Bitcoin { .. } => format!("{}:{tx_id}:", self.chain.id),
            };
            let k = found.iter().filter(|other| other.movement.key.starts_with(&prefix)).count();
            let movement = Movement {
                key: format!("{prefix}{k}"),
                coin: coin.id.clone(),
                decimals: coin.decimals,
                tx_id,
                address,
                watched,
            };
            let inputs = paid.spends.map(output).into_iter().collect();
            let plain = Found::plain(movement, Units(paid.units));
            found.push(Found { is_coinbase: paid.is_coinbase, inputs, ..plain });
        }
        found
    }
}

impl FakeChain {
    fn payout(&self, paid: &Paid, list: &WatchList) -> Option<Payout> {
        let (to, from) = match self.chain.family {
            Family::Evm { .. } => {
                (paid.to.0.to_vec(), Origin::Account(paid.from.unwrap_or(AddressKey([7; 20]))))
            }
            Family::Bitcoin { .. } => {
                let inputs = paid.spends.map(output).into_iter().collect();
                ([&[0, 20], paid.to.0.as_slice()].concat(), Origin::Outputs(inputs))
            }
        };
        let coin = CoinId::new(paid.coin).unwrap();
        let (tx_id, units) = (self.tx_id(paid.tx), Units(paid.units));
        list.is_destination(&to).then_some(Payout { tx_id, to, coin, units, from })
    }
}

impl Source for FakeChain {
    async fn tip(&self) -> Result<Header, RpcError> {
        self.ask()?;
        let tip = self.block(self.known()).unwrap().header;
        let boast = if let Fault::Boasts(more) = *self.fault.borrow() { more } else { 0 };
        let hash = if boast > 0 { word(97, tip.number) } else { tip.hash };
        Ok(Header { number: tip.number + boast, hash, ..tip })
    }

    async fn header(&self, height: u64) -> Result<Option<Header>, RpcError> {
        self.ask()?;
        let has_headers = *self.fault.borrow() != Fault::NoHeaders;
        let header = self.block(height).filter(|_| has_headers).map(|block| block.header);
        let is_denied =
            matches!(*self.fault.borrow(), Fault::Denies(from, to) if (from..=to).contains(&height));
        let denied = |header| Header { hash: word(96, height), parent_hash: word(96, height - 1), ..header };
        Ok(if is_denied { header.map(denied) } else { header })
    }

    async fn finalized(&self) -> Result<Option<Header>, RpcError> {
        self.ask()?;
        Ok(self.finalized.get().map(|height| self.final_header(height)))
    }

    async fn scan(&self, height: u64, list: &WatchList) -> Result<ScannedBlock<Code>, RpcError> {
        self.ask()?;
        if matches!(*self.fault.borrow(), Fault::Hangs(from) if height >= from) {
            hang::forever().await;
        }
        let is_tip = height == self.best().number;
        let mut block = self.block(height).ok_or(RpcError::Missing(height))?;
        let fault = self.fault.borrow().clone();
        if is_tip && fault == Fault::NoTipBlock {
            return Err(RpcError::Missing(height));
        }
        if fault == Fault::Pruned(height) {
            let message = "Block not available (pruned data)".to_owned();
            return Err(RpcError::Node { method: "getblock", code: -1, message });
        }
        if is_tip && fault == Fault::WrongParent {
            block.header.parent_hash = word(98, height);
        }
        let found = self.movements(&block.paid, list);
        let spends = |paid: &Paid| {
            let outpoint = output(paid.spends?);
            list.awaits(&outpoint).then(|| Spent { outpoint, tx_id: self.tx_id(paid.tx) })
        };
        let spent = block.paid.iter().filter_map(spends).collect();
        let payouts = block.paid.iter().filter_map(|paid| self.payout(paid, list)).collect();
        Ok(ScannedBlock { header: block.header, found, unreadable: Vec::new(), spent, payouts })
    }

    /// Nobody ever spends anything in an account here, unless everything at once.
    async fn balances(
        &self,
        block: &Header,
        addresses: &[AddressKey],
    ) -> Result<Option<Vec<BTreeMap<CoinId, Units>>>, RpcError> {
        self.ask()?;
        match self.chain.family {
            Family::Evm { .. } => {}
            Family::Bitcoin { .. } => return Ok(None),
        }
        let blocks = self.blocks.borrow();
        let left = self.emptied.get() + 1..=block.number;
        let paid =
            blocks.iter().filter(|other| left.contains(&other.header.number)).flat_map(|block| &block.paid);
        let paid: Vec<&Paid> = paid.filter(|_| !self.swept.get()).collect();
        let of = |address: &AddressKey, coin: &Coin| {
            let came = paid.iter().filter(|paid| paid.to == *address && paid.coin == coin.id.as_str());
            (coin.id.clone(), Units(came.map(|paid| paid.units).sum()))
        };
        let balances =
            addresses.iter().map(|address| self.chain.coins.iter().map(|coin| of(address, coin)).collect());
        Ok(Some(balances.collect()))
    }

    async fn nonces(&self, _block: &Header, addresses: &[AddressKey]) -> Result<Option<Vec<u64>>, RpcError> {
        self.ask()?;
        Ok(match self.chain.family {
            Family::Evm { .. } => Some(vec![self.nonce.get(); addresses.len()]),
            Family::Bitcoin { .. } => None,
        })
    }

    async fn unspent(&self, outputs: &[OutPoint]) -> Result<Option<Vec<bool>>, RpcError> {
        self.ask()?;
        if let Some(refusal) = self.refusal.get() {
            return Err(refusal());
        }
        let blocks = self.blocks.borrow();
        let is_unspent = |asked: &OutPoint| {
            let mut paid = blocks.iter().flat_map(|block| &block.paid);
            let is_there = paid.clone().any(|paid| txid(paid.tx) == asked.txid);
            is_there && !paid.any(|paid| paid.spends.map(output) == Some(*asked))
        };
        Ok(Some(outputs.iter().map(is_unspent).collect()))
    }

    async fn mempool(&self) -> Result<Option<Mempool>, RpcError> {
        self.ask()?;
        if *self.fault.borrow() == Fault::HangsOutside {
            hang::forever().await;
        }
        Ok(Some(self.mempool.borrow().iter().map(|paid| txid(paid.tx)).collect()))
    }

    async fn unconfirmed(&self, mempool: &Mempool, list: &WatchList) -> Result<Vec<Found<Code>>, RpcError> {
        self.ask()?;
        let waiting = self.mempool.borrow();
        let told: Vec<Paid> =
            waiting.iter().filter(|paid| mempool.holds(&txid(paid.tx).to_string())).cloned().collect();
        Ok(self.movements(&told, list))
    }
}
