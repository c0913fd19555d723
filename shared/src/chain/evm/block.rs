//! Blocks, transactions and logs as the scan sees them.

use crate::chain::address::EvmAddress;
pub use crate::chain::block::{Hash256, Header};
use crate::money::Units;

/// A block with its transactions, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it stands.
    pub header: Header,
    /// What it holds, failed ones too.
    pub transactions: Vec<Tx>,
}

/// One transaction, which may have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tx {
    /// Its name.
    pub hash: Hash256,
    /// Whom it calls or pays; `None` makes a contract.
    pub to: Option<EvmAddress>,
    /// The native money that it sends along.
    pub value: Amount,
}

/// Units of an asset. The EVM counts in 256 bits and we in 128: no honest amount needs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// As many as this.
    Exact(Units),
    /// More than [`Units`] can hold: not money, and yet somebody should look.
    TooLarge,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The block that holds it.
    pub block_hash: Hash256,
    /// A failed transaction moves nothing.
    pub succeeded: bool,
}

/// One event of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The contract.
    pub contract: EvmAddress,
    /// The event's name and its indexed values.
    pub topics: Vec<Hash256>,
    /// Its other values.
    pub data: Vec<u8>,
    /// The transaction that made it.
    pub tx: Hash256,
    /// Its place among the logs of its block.
    pub index: u64,
    /// The node took it back.
    pub removed: bool,
}
