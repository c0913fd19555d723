//! What a watcher knows of a block, whatever the chain: where it stands, and what it moved to whom.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bitcoin::hex::DisplayHex;
pub use bitcoin::{OutPoint, Txid};

use super::CoinId;
use super::address::AddressKey;
use crate::moment::Timestamp;
use crate::money::{Decimals, Units};

/// 32 bytes that name a block or a transaction, or a word of an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash256(pub [u8; 32]);

/// `0x` and 64 lower-case digits.
impl fmt::Display for Hash256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0.as_hex())
    }
}

impl fmt::Debug for Hash256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a block stands in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its height.
    pub number: u64,
    /// Its name.
    pub hash: Hash256,
    /// The block that it builds on.
    pub parent_hash: Hash256,
    /// When it was made, by its maker's word.
    pub timestamp: Timestamp,
}

/// An asset moved to a watched address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement<T> {
    /// What names it for ever: `chain:txid:vout`, `chain:txid:asset:address:k`.
    pub key: String,
    /// The coin that the asset is.
    pub coin: CoinId,
    /// The coin's decimals.
    pub decimals: Decimals,
    /// The transaction, as people write it on that chain.
    pub tx_id: String,
    /// The watched address, as it was given out.
    pub address: String,
    /// What the list knows of the address.
    pub watched: T,
}

/// Of the outputs that a transaction spends, so many go with money that came: more than a transaction has that nodes relay.
pub const MAX_INPUTS: usize = 2_048;

/// But no fewer than this with each of very many outputs.
const LEAST_INPUTS: usize = 8;

/// How many of a transaction's inputs go with each of so many outputs that it pays: hundreds of inputs beside a thousand
/// outputs would fill the memory if each output carried them all.
pub fn inputs_kept(outputs: usize) -> usize {
    MAX_INPUTS.checked_div(outputs).unwrap_or(MAX_INPUTS).max(LEAST_INPUTS)
}

/// Money that came to a watched address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// What came, and where.
    pub movement: Movement<T>,
    /// How much; never zero.
    pub units: Units,
    /// Whether it was made by its block: a re-organisation unmakes it, so that it counts only when it can be spent.
    pub is_coinbase: bool,
    /// The outputs that its transaction and its `ancestors` spend, as many as [`inputs_kept`] says: whoever else spends one
    /// takes it away for ever. None where transactions spend no outputs.
    pub inputs: Vec<OutPoint>,
    /// Of money that waits for a block, the transactions that wait too and whose outputs it spends, directly or through
    /// others.
    pub ancestors: Vec<Txid>,
}

/// Money to an address to which a refund is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payout {
    /// The transaction, as people write it on that chain.
    pub tx_id: String,
    /// The address, as [`Family::destination`](super::Family::destination) reads it.
    pub to: Vec<u8>,
    /// The coin.
    pub coin: CoinId,
    /// How much.
    pub units: Units,
    /// Out of which pockets it came.
    pub from: Origin,
}

/// Out of which pockets money came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Of this address.
    Account(AddressKey),
    /// Of these outputs: all that the transaction spends, held once for all that it pays.
    Outputs(Arc<[OutPoint]>),
}

impl<T> Found<T> {
    /// Money of a transaction that spends no outputs.
    pub fn plain(movement: Movement<T>, units: Units) -> Found<T> {
        Found { movement, units, is_coinbase: false, inputs: Vec::new(), ancestors: Vec::new() }
    }
}

/// An awaited output that a transaction spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The output.
    pub outpoint: OutPoint,
    /// The transaction.
    pub tx_id: String,
}

/// What a block holds for watched addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedBlock<T> {
    /// The block that was scanned.
    pub header: Header,
    /// Money that came, in the order of the block.
    pub found: Vec<Found<T>>,
    /// Movements of more than we can count: not money, but a reason for an alarm.
    pub unreadable: Vec<Movement<T>>,
    /// Awaited outputs that were spent.
    pub spent: Vec<Spent>,
    /// Money to addresses to which refunds are to go.
    pub payouts: Vec<Payout>,
}

/// The names of all transactions that wait for a block, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mempool(HashSet<Txid>);

impl Mempool {
    /// Whether a transaction waits.
    pub fn holds(&self, tx_id: &str) -> bool {
        tx_id.parse::<Txid>().is_ok_and(|tx_id| self.0.contains(&tx_id))
    }

    /// The same, by its name.
    pub fn contains(&self, tx_id: &Txid) -> bool {
        self.0.contains(tx_id)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Txid> {
        self.0.iter()
    }
}

impl FromIterator<Txid> for Mempool {
    fn from_iter<I: IntoIterator<Item = Txid>>(tx_ids: I) -> Mempool {
        Mempool(tx_ids.into_iter().collect())
    }
}
