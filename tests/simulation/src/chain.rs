//! A chain that forks, with every transaction that was ever sent on it, and what waits for a block.

use std::collections::{BTreeMap, BTreeSet};

use shared::chain::address::AddressKey;
use shared::chain::block::{Hash256, Header};
use shared::moment::Timestamp;

/// Branches kept that were the best chain before.
const BRANCHES: usize = 2;

/// Blocks that the chain has when a history begins.
pub const FIRST_BLOCKS: u64 = 24;

/// Seconds between those.
const FIRST_APART: u64 = 12;

/// Says of a block that it is on a branch of a node's own.
const ORPHANS: u64 = 5_555;

/// Outputs of transactions of this number and above were always there: they are what strangers own.
pub const STRANGERS: u64 = 1 << 32;

/// An output of a transaction, where transactions spend such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Output {
    /// The transaction.
    pub tx: u64,
    /// Its place there.
    pub place: u32,
}

/// Money in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// Its key in the record, for ever.
    pub key: String,
    /// The coin's place in the settings.
    pub coin: usize,
    /// To whom.
    pub address: String,
    /// The same, as watch lists know it.
    pub to: AddressKey,
    /// How much.
    pub units: u128,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tx {
    /// Its number; no two have the same.
    pub number: u64,
    /// Its name, as people write it on that chain.
    pub id: String,
    /// What it spends; nothing where accounts pay.
    pub spends: Vec<Output>,
    /// Whose account pays, where accounts do.
    pub from: AddressKey,
    /// Whom it pays.
    pub pays: Vec<Paid>,
}

/// A block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Where it stands.
    pub header: Header,
    /// What moved in it.
    pub txs: Vec<Tx>,
    /// How many blocks had been mined when it was, on whatever branch.
    pub made: u64,
}

impl Block {
    /// All money in it.
    pub fn paid(&self) -> impl Iterator<Item = &Paid> {
        self.txs.iter().flat_map(|tx| &tx.pays)
    }
}

/// The best chain, those it was before, what waits to be mined, and what does not any more.
#[derive(Debug, Default)]
pub struct SimChain {
    blocks: Vec<Block>,
    branches: Vec<Vec<Block>>,
    orphan: Vec<Block>,
    waiting: Vec<Tx>,
    gone: Vec<Tx>,
    forks: u64,
    made: u64,
    deepest: BTreeMap<String, u32>,
    held_by: BTreeMap<String, Vec<Header>>,
    sent: BTreeMap<String, Tx>,
}

/// What a chain has spent, and what it can spend.
#[derive(Default)]
struct Ledger {
    spent: BTreeMap<Output, u64>,
    there: BTreeSet<u64>,
}

impl Ledger {
    fn of<'a>(blocks: impl IntoIterator<Item = &'a Block>) -> Ledger {
        let mut ledger = Ledger::default();
        blocks.into_iter().flat_map(|block| &block.txs).for_each(|tx| ledger.add(tx));
        ledger
    }

    fn add(&mut self, tx: &Tx) {
        self.there.insert(tx.number);
        self.spent.extend(tx.spends.iter().map(|output| (*output, tx.number)));
    }

    fn conflicts(&self, tx: &Tx) -> bool {
        tx.spends.iter().any(|output| self.spent.get(output).is_some_and(|by| *by != tx.number))
    }

    fn allows(&self, tx: &Tx) -> bool {
        let is_there = |output: &Output| output.tx >= STRANGERS || self.there.contains(&output.tx);
        !self.conflicts(tx) && tx.spends.iter().all(is_there)
    }
}

/// A hash that says what it is of.
pub fn word(salt: u64, number: u64) -> Hash256 {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..16].copy_from_slice(&salt.to_be_bytes());
    Hash256(bytes)
}

impl SimChain {
    /// A chain of some blocks in which nothing moved, the last of them made at that time.
    pub fn new(began_at: Timestamp) -> SimChain {
        let block = |number: u64| {
            let parent_hash = word(if number == 0 { 9_999 } else { 0 }, number.saturating_sub(1));
            let timestamp = began_at.minus((FIRST_BLOCKS - 1 - number) * FIRST_APART);
            let header = Header { number, hash: word(0, number), parent_hash, timestamp };
            Block { header, txs: Vec::new(), made: 0 }
        };
        SimChain { blocks: (0..FIRST_BLOCKS).map(block).collect(), ..SimChain::default() }
    }

    /// The highest block.
    pub fn best(&self) -> Header {
        self.blocks.last().expect("the first block").header
    }

    /// The blocks of the best chain.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The blocks of a chain that was the best before, if there was one.
    pub fn former(&self) -> &[Block] {
        self.branches.last().map_or(&self.blocks, |branch| branch)
    }

    /// The blocks of a node that stands on a branch of its own.
    pub fn orphan(&self) -> &[Block] {
        if self.orphan.is_empty() { &self.blocks } else { &self.orphan }
    }

    /// A node goes on alone from a block so far down, for so many blocks.
    pub fn part(&mut self, depth: usize, own: usize, now: Timestamp) {
        self.forks += 1;
        let kept = self.blocks.len().saturating_sub(depth).max(1);
        self.orphan = self.blocks[..kept].to_vec();
        for _ in 0..own {
            let parent = self.orphan.last().expect("the first block").header;
            let number = parent.number + 1;
            let timestamp = now.max(parent.timestamp.plus(1));
            let hash = word(ORPHANS + self.forks, number);
            let header = Header { number, hash, parent_hash: parent.hash, timestamp };
            self.orphan.push(Block { header, txs: Vec::new(), made: self.made });
        }
    }

    /// Whether the best chain holds money in the block of that height.
    pub fn is_in(&self, key: &str, height: u64) -> bool {
        let block = usize::try_from(height).ok().and_then(|height| self.blocks.get(height));
        block.is_some_and(|block| block.paid().any(|paid| paid.key == key))
    }

    /// Blocks that were mined until now, on whatever branch.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// What waits for a block.
    pub fn waiting(&self) -> &[Tx] {
        &self.waiting
    }

    /// What was sent once and is neither in a block of the best chain nor waits for one.
    pub fn gone(&self) -> &[Tx] {
        &self.gone
    }

    /// A transaction by its name.
    pub fn tx(&self, id: &str) -> Option<&Tx> {
        self.sent.get(id)
    }

    /// Every transaction that was ever sent.
    pub fn sent(&self) -> impl Iterator<Item = &Tx> {
        self.sent.values()
    }

    /// The output that money with this key is.
    pub fn output(&self, key: &str) -> Option<Output> {
        self.sent.values().find_map(|tx| {
            let place = tx.pays.iter().position(|paid| paid.key == key)?;
            Some(Output { tx: tx.number, place: u32::try_from(place).ok()? })
        })
    }

    /// The money that an output is.
    pub fn paid(&self, output: &Output) -> Option<&Paid> {
        let tx = self.sent.values().find(|tx| tx.number == output.tx)?;
        tx.pays.get(usize::try_from(output.place).ok()?)
    }

    /// All units of a coin that ever lay so deep at any of these addresses.
    pub fn received(&self, addresses: &[String], coin: usize, depth: u32) -> u128 {
        let all = self.sent.values().flat_map(|tx| &tx.pays);
        let came = all.filter(|paid| paid.coin == coin && addresses.contains(&paid.address));
        came.filter(|paid| self.deepest(&paid.key) >= depth).map(|paid| paid.units).sum()
    }

    /// Puts a transaction where miners look for it. What waits and spends the same is driven out by it; it is not let in
    /// itself when a block spends that already.
    pub fn send(&mut self, tx: Tx) {
        self.sent.insert(tx.id.clone(), tx.clone());
        if Ledger::of(&self.blocks).conflicts(&tx) {
            self.gone.push(tx);
            return;
        }
        let ledger = Ledger {
            spent: tx.spends.iter().map(|output| (*output, tx.number)).collect(),
            ..Ledger::default()
        };
        self.drive_out(&ledger);
        self.waiting.push(tx);
    }

    fn drive_out(&mut self, ledger: &Ledger) {
        let (out, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|tx| ledger.conflicts(tx));
        self.waiting = waiting;
        self.gone.extend::<Vec<Tx>>(out);
    }

    /// A transaction is no longer among those that wait.
    pub fn vanish(&mut self, place: usize) {
        let tx = self.waiting.remove(place);
        self.gone.push(tx);
    }

    /// One that was gone is sent again.
    pub fn come_back(&mut self, place: usize) {
        let tx = self.gone.remove(place);
        self.send(tx);
    }

    /// Mines a block with the transactions that `take` picks among those that wait.
    pub fn mine(&mut self, now: Timestamp, mut take: impl FnMut() -> bool) {
        let mut picked = Vec::new();
        if !self.waiting.is_empty() {
            let mut ledger = Ledger::of(&self.blocks);
            for tx in std::mem::take(&mut self.waiting) {
                if ledger.allows(&tx) && take() {
                    ledger.add(&tx);
                    picked.push(tx);
                } else {
                    self.waiting.push(tx);
                }
            }
            self.drive_out(&ledger);
        }
        let parent = self.best();
        let number = parent.number + 1;
        let timestamp = now.max(parent.timestamp.plus(1));
        let header = Header { number, hash: word(self.forks, number), parent_hash: parent.hash, timestamp };
        self.made += 1;
        self.blocks.push(Block { header, txs: picked, made: self.made });
        self.note();
    }

    /// Takes the last blocks away; their transactions wait again. What is mined then is another chain.
    pub fn take_away(&mut self, depth: usize) {
        self.forks += 1;
        let kept = self.blocks.len().saturating_sub(depth).max(1);
        self.branches.push(self.blocks.clone());
        if self.branches.len() > BRANCHES {
            self.branches.remove(0);
        }
        self.waiting.extend(self.blocks.drain(kept..).flat_map(|block| block.txs));
    }

    /// Nothing that waits is mined, as it is: something else spent it.
    pub fn forget_waiting(&mut self) {
        self.gone.append(&mut self.waiting);
    }

    /// What waits for a block by a node that knows `blocks`: all that is not in them and does not contradict them.
    pub fn unconfirmed<'a>(&'a self, blocks: &'a [Block]) -> impl Iterator<Item = &'a Tx> {
        let ledger = Ledger::of(blocks);
        let unknown = self.blocks.iter().flat_map(|block| &block.txs).chain(&self.waiting);
        unknown.filter(move |tx| !ledger.there.contains(&tx.number) && !ledger.conflicts(tx))
    }

    /// Everything paid that has `depth` blocks on it, its own included, with its block and transaction.
    pub fn paid_at_depth(&self, depth: u32) -> impl Iterator<Item = (&Block, &Tx, &Paid)> {
        let deep = (self.blocks.len() + 1).saturating_sub(usize::try_from(depth).unwrap_or(usize::MAX));
        let txs = self.blocks[..deep].iter().flat_map(|block| block.txs.iter().map(move |tx| (block, tx)));
        txs.flat_map(|(block, tx)| tx.pays.iter().map(move |paid| (block, tx, paid)))
    }

    /// The block of the best chain that holds another transaction which spends the same.
    pub fn rival(&self, tx: &Tx) -> Option<&Block> {
        let spends_same = |other: &Tx| {
            other.number != tx.number && other.spends.iter().any(|output| tx.spends.contains(output))
        };
        self.blocks.iter().find(|block| block.txs.iter().any(spends_same))
    }

    /// The most blocks that ever lay on a transaction which spends the same.
    pub fn deepest_rival(&self, tx: &Tx) -> u32 {
        let rivals = self.sent.values().filter(|other| {
            other.number != tx.number && other.spends.iter().any(|output| tx.spends.contains(output))
        });
        rivals.filter_map(|rival| rival.pays.first()).map(|paid| self.deepest(&paid.key)).max().unwrap_or(0)
    }

    /// The most blocks that ever lay on money while it was on the best chain.
    pub fn deepest(&self, key: &str) -> u32 {
        self.deepest.get(key).copied().unwrap_or(0)
    }

    /// All blocks that ever held it.
    pub fn held_by(&self, key: &str) -> &[Header] {
        self.held_by.get(key).map_or(&[], Vec::as_slice)
    }

    fn note(&mut self) {
        for (below, block) in (1..).zip(self.blocks.iter().rev()) {
            for paid in block.paid() {
                let deepest = self.deepest.entry(paid.key.clone()).or_insert(0);
                *deepest = below.max(*deepest);
                let held_by = self.held_by.entry(paid.key.clone()).or_default();
                if !held_by.contains(&block.header) {
                    held_by.push(block.header);
                }
            }
        }
    }
}
