//! Blocks, transactions and logs as the scan sees them.

use super::bloom::Bloom;
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
    /// What its logs may be about, by the header; `None` where the header does not say.
    pub bloom: Option<Bloom>,
}

/// One transaction, which may have failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tx {
    /// Its name.
    pub hash: Hash256,
    /// Who signed it.
    pub from: EvmAddress,
    /// Whom it calls or pays; `None` makes a contract.
    pub to: Option<EvmAddress>,
    /// The native money that it sends along.
    pub value: Amount,
    /// What it hands to whom it calls.
    pub input: Vec<u8>,
}

/// Units of an asset. The EVM counts in 256 bits and we in 128: no honest amount needs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// As many as this.
    Exact(Units),
    /// More than [`Units`] can hold: not money, and yet somebody should look.
    TooLarge,
}

impl Amount {
    /// A 256-bit number as the EVM stores it.
    pub fn of_word(word: &[u8; 32]) -> Amount {
        match word.as_chunks::<16>() {
            ([[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], low], _) => {
                Amount::Exact(Units(u128::from_be_bytes(*low)))
            }
            _ => Amount::TooLarge,
        }
    }
}

/// Native money that moved, in a transaction or in a call that one made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The transaction.
    pub tx: Hash256,
    /// Who paid.
    pub from: EvmAddress,
    /// Who was paid.
    pub to: EvmAddress,
    /// How much.
    pub value: Amount,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction.
    pub tx: Hash256,
    /// The block that holds it.
    pub block_hash: Hash256,
    /// A failed transaction moves nothing.
    pub succeeded: bool,
    /// What its sender paid for it in any case, in the chain's own money; `None` where somebody else may have paid, or in
    /// something else.
    pub fee: Option<Units>,
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
    /// Its place among the logs of its block, or of its transaction: nodes differ.
    pub index: u64,
    /// The node took it back.
    pub removed: bool,
}
