//! A chain that forks, with everything that was ever paid on it.

use std::collections::BTreeMap;

use shared::chain::address::AddressKey;
use shared::chain::block::{Hash256, Header};
use shared::moment::Timestamp;

/// Branches kept that were the best chain before.
const BRANCHES: usize = 2;

/// Money in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// Its key in the record, for ever.
    pub key: String,
    /// The transaction; several with one number are one transaction.
    pub tx: u64,
    /// The coin's place in the settings.
    pub coin: usize,
    /// To whom.
    pub address: String,
    /// The same, as watch lists know it.
    pub to: AddressKey,
    /// How much.
    pub units: u128,
}

/// A block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Where it stands.
    pub header: Header,
    /// What moved in it.
    pub paid: Vec<Paid>,
}

/// The best chain, those it was before, and what waits to be mined.
#[derive(Debug, Default)]
pub struct SimChain {
    blocks: Vec<Block>,
    branches: Vec<Vec<Block>>,
    waiting: Vec<Paid>,
    forks: u64,
    deepest: BTreeMap<String, u32>,
    moved: BTreeMap<String, Vec<Hash256>>,
}

/// A hash that says what it is of.
fn word(salt: u64, number: u64) -> Hash256 {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..16].copy_from_slice(&salt.to_be_bytes());
    Hash256(bytes)
}

/// The name of a transaction.
pub fn tx_id(tx: u64) -> String {
    word(7_777, tx).to_string()
}

impl SimChain {
    /// A chain of one block.
    pub fn new(began_at: Timestamp) -> SimChain {
        let header = Header { number: 0, hash: word(0, 0), parent_hash: word(9_999, 0), timestamp: began_at };
        SimChain { blocks: vec![Block { header, paid: Vec::new() }], ..SimChain::default() }
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

    /// Puts money where miners look for it.
    pub fn send(&mut self, paid: Paid) {
        self.waiting.push(paid);
    }

    /// How many movements were sent whose keys begin so.
    pub fn sent(&self, prefix: &str) -> usize {
        let mined = self.blocks.iter().flat_map(|block| &block.paid);
        mined.chain(&self.waiting).filter(|paid| paid.key.starts_with(prefix)).count()
    }

    /// Mines a block with the transactions that `take` picks among those that wait.
    pub fn mine(&mut self, now: Timestamp, mut take: impl FnMut(u64) -> bool) {
        let parent = self.best();
        let mut picked: BTreeMap<u64, bool> = BTreeMap::new();
        let (paid, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|paid| *picked.entry(paid.tx).or_insert_with(|| take(paid.tx)));
        self.waiting = waiting;
        let number = parent.number + 1;
        let timestamp = now.max(parent.timestamp.plus(1));
        let header = Header { number, hash: word(self.forks, number), parent_hash: parent.hash, timestamp };
        self.blocks.push(Block { header, paid });
        self.note();
    }

    /// Takes the last blocks away; their money waits again. What is mined then is another chain.
    pub fn take_away(&mut self, depth: usize) {
        self.forks += 1;
        let kept = self.blocks.len().saturating_sub(depth).max(1);
        self.branches.push(self.blocks.clone());
        if self.branches.len() > BRANCHES {
            self.branches.remove(0);
        }
        self.waiting.extend(self.blocks.drain(kept..).flat_map(|block| block.paid));
    }

    /// Money that waits and is never mined: another transaction spent it.
    pub fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Everything paid that has `depth` blocks on it, its own included, with its block.
    pub fn paid_at_depth(&self, depth: u32) -> impl Iterator<Item = (&Block, &Paid)> {
        let deep = (self.blocks.len() + 1).saturating_sub(usize::try_from(depth).unwrap_or(usize::MAX));
        self.blocks[..deep].iter().flat_map(|block| block.paid.iter().map(move |paid| (block, paid)))
    }

    /// The most blocks that ever lay on a payment while it was on the best chain.
    pub fn deepest(&self, key: &str) -> u32 {
        self.deepest.get(key).copied().unwrap_or(0)
    }

    /// Whether money was in one block only, ever.
    pub fn never_moved(&self, key: &str) -> bool {
        self.moved.get(key).is_some_and(|blocks| blocks.len() == 1)
    }

    fn note(&mut self) {
        for (below, block) in (1..).zip(self.blocks.iter().rev()) {
            for paid in &block.paid {
                let deepest = self.deepest.entry(paid.key.clone()).or_insert(0);
                *deepest = below.max(*deepest);
                let moved = self.moved.entry(paid.key.clone()).or_default();
                if !moved.contains(&block.header.hash) {
                    moved.push(block.header.hash);
                }
            }
        }
    }
}
