//! The bloom filter in a block's header: what its logs are about, as three bits for each contract and each topic.
//!
//! What is not in the filter is in no log of the block. What is in it may be there by chance, the sooner the fuller it is.

use std::fmt;

use bitcoin::hex::FromHex;

use super::block::Log;
use super::trie::keccak;

/// Bytes of a filter.
const BYTES: usize = 256;

/// What a block's logs may be about.
#[derive(Clone, PartialEq, Eq)]
pub struct Bloom([u8; BYTES]);

impl Bloom {
    /// As nodes write it; `None` when that is no filter.
    pub fn parse(text: &str) -> Option<Bloom> {
        <[u8; BYTES]>::from_hex(text.strip_prefix("0x")?).ok().map(Bloom)
    }

    /// That of these logs.
    pub fn of<'a>(logs: impl IntoIterator<Item = &'a Log>) -> Bloom {
        let items = |log: &'a Log| {
            let topics = log.topics.iter().map(|topic| topic.0.as_slice());
            std::iter::once(log.contract.0.as_slice()).chain(topics)
        };
        Bloom::of_items(logs.into_iter().flat_map(items))
    }

    /// That of contracts and topics.
    pub fn of_items<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Bloom {
        let mut bloom = Bloom([0; BYTES]);
        for item in items {
            bloom.add(item);
        }
        bloom
    }

    /// That of several blocks or transactions together.
    pub fn union<'a>(all: impl IntoIterator<Item = &'a Bloom>) -> Bloom {
        let mut union = Bloom([0; BYTES]);
        for bloom in all {
            for (byte, more) in union.0.iter_mut().zip(bloom.0) {
                *byte |= more;
            }
        }
        union
    }

    /// Whether everything that is in the other one is in this one.
    pub fn covers(&self, other: &Bloom) -> bool {
        self.0.iter().zip(other.0).all(|(byte, other)| other & !byte == 0)
    }

    /// Whether a log of the block may be about a contract (its address), or have a topic.
    pub fn may_hold(&self, item: &[u8]) -> bool {
        places(item).into_iter().all(|(place, bit)| self.0.get(place).is_some_and(|byte| byte & bit != 0))
    }

    /// Whether the block has a log that is about all that this one is.
    pub fn may_hold_log(&self, log: &Log) -> bool {
        self.may_hold(&log.contract.0) && log.topics.iter().all(|topic| self.may_hold(&topic.0))
    }

    /// Whether there is nothing in it: no logs, or a network that makes no filters.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Its bits that are set, of 2,048.
    pub fn bits(&self) -> u32 {
        self.0.iter().map(|byte| byte.count_ones()).sum()
    }

    fn add(&mut self, item: &[u8]) {
        for (place, bit) in places(item) {
            if let Some(byte) = self.0.get_mut(place) {
                *byte |= bit;
            }
        }
    }
}

/// Byte and bit of each of an item's three places: eleven bits of each of the first three pairs of its hash's bytes, counted
/// from the filter's end.
fn places(item: &[u8]) -> [(usize, u8); 3] {
    let hash = keccak(item).0;
    let mut pairs = hash.as_chunks::<2>().0.iter().copied();
    std::array::from_fn(|_| {
        let pair = pairs.next().unwrap_or_default();
        let bit = usize::from(u16::from_be_bytes(pair) & 0x07ff);
        (BYTES.wrapping_sub(1).wrapping_sub(bit >> 3), 1 << (bit & 7))
    })
}

impl fmt::Debug for Bloom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bloom({} bits)", self.bits())
    }
}
