//! A raw block, read whole or not at all: half a block, or one with other transactions than its header names, is refused.

#[cfg(test)]
mod tests;

use bitcoin::Txid;
use bitcoin::hashes::Hash;

use super::reader::{Reader, double_sha256};
use super::tx::{Kind, Tx};
use crate::chain::block::{Hash256, Header};
use crate::moment::Timestamp;

/// Version, parent, root of the transactions, time, target, nonce.
const HEADER_BYTES: usize = 80;

/// What is wrong with the bytes that a node sent for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// They end early, go on too long, or are no transactions.
    #[error("the block is cut short or malformed")]
    Malformed,
    /// The header's hash is not the one that was asked for.
    #[error("this is another block than was asked for")]
    OtherBlock,
    /// Transactions are missing, added or repeated.
    #[error("the block's transactions are not those that its header names")]
    OtherTransactions,
}

/// A block's own words about where it stands; its height is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawHeader {
    hash: Hash256,
    parent_hash: Hash256,
    root: [u8; 32],
    timestamp: Timestamp,
}

/// Every transaction of a block, in their order, with their names.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    header: RawHeader,
    transactions: Vec<(Txid, Tx<'a>)>,
}

impl RawHeader {
    /// Exactly one header.
    pub fn parse(bytes: &[u8]) -> Option<RawHeader> {
        let mut reader = Reader::new(bytes);
        let header = RawHeader::read(&mut reader)?;
        reader.is_empty().then_some(header)
    }

    fn read(reader: &mut Reader<'_>) -> Option<RawHeader> {
        let bytes = reader.take(HEADER_BYTES)?;
        let (_version, rest) = bytes.split_first_chunk::<4>()?;
        let (parent, rest) = rest.split_first_chunk::<32>()?;
        let (root, rest) = rest.split_first_chunk::<32>()?;
        let time = u32::from_le_bytes(*rest.first_chunk()?);
        Some(RawHeader {
            // As it is hashed and not as it is written: what people see first is the same for every block, zeros.
            hash: Hash256(double_sha256(&[bytes])),
            parent_hash: Hash256(*parent),
            root: *root,
            timestamp: Timestamp(time.into()),
        })
    }

    /// Its name.
    pub fn hash(&self) -> Hash256 {
        self.hash
    }

    /// The header with the height at which a node has it.
    pub fn at(&self, number: u64) -> Header {
        Header { number, hash: self.hash, parent_hash: self.parent_hash, timestamp: self.timestamp }
    }
}

impl<'a> Block<'a> {
    /// Reads the block of that hash.
    pub fn parse(bytes: &'a [u8], hash: Hash256) -> Result<Block<'a>, BlockError> {
        let mut reader = Reader::new(bytes);
        let header = RawHeader::read(&mut reader).ok_or(BlockError::Malformed)?;
        if header.hash != hash {
            return Err(BlockError::OtherBlock);
        }
        let mut transactions = Vec::new();
        for _ in 0..reader.count().ok_or(BlockError::Malformed)? {
            let tx = Tx::read(&mut reader).ok_or(BlockError::Malformed)?;
            transactions.push((tx.txid(), tx));
        }
        // Litecoin's extension block follows the transaction that stands for it, which is the last.
        let extended = transactions.last().is_some_and(|(_, tx)| tx.kind() == Kind::Extension);
        if !extended && !reader.is_empty() {
            return Err(BlockError::Malformed);
        }
        let names = transactions.iter().map(|(txid, _)| txid.to_byte_array()).collect();
        if merkle_root(names) != Some(header.root) {
            return Err(BlockError::OtherTransactions);
        }
        Ok(Block { header, transactions })
    }

    /// Where it stands.
    pub fn header(&self) -> RawHeader {
        self.header
    }

    /// Its transactions with their names.
    pub fn transactions(&self) -> impl Iterator<Item = (Txid, &Tx<'a>)> {
        self.transactions.iter().map(|(txid, tx)| (*txid, tx))
    }
}

/// The one hash of all names; `None` when two neighbours are the same, by which a list with repetitions could pass for
/// the one without (CVE-2012-2459), and for no names at all.
fn merkle_root(mut level: Vec<[u8; 32]>) -> Option<[u8; 32]> {
    while level.len() > 1 {
        let parent = |pair: &[[u8; 32]]| match pair {
            [left, right] if left == right => None,
            [left, right] => Some(double_sha256(&[left, right])),
            [alone] => Some(double_sha256(&[alone, alone])),
            _ => None,
        };
        level = level.chunks(2).map(parent).collect::<Option<_>>()?;
    }
    level.pop()
}
