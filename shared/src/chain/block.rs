//! What a watcher knows of a block, whatever the chain: where it stands, and what it moved to whom.

use std::fmt;

use bitcoin::hex::DisplayHex;

use super::CoinId;
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

/// Money that came to a watched address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// What came, and where.
    pub movement: Movement<T>,
    /// How much; never zero.
    pub units: Units,
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
}
