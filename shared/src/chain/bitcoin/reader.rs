//! The few forms in which Bitcoin writes things one after the other; every read may find that nothing is left.

use sha2::{Digest, Sha256};

/// What is still to be read.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { left: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.left.first().copied()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, left) = self.left.split_first()?;
        self.left = left;
        Some(*first)
    }

    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(bytes)?;
        self.left = left;
        Some(taken)
    }

    /// How many there are, in as few bytes as the number allows. It is not believed: each of so many things must then
    /// be there.
    pub(super) fn count(&mut self) -> Option<u64> {
        let (count, least) = match self.byte()? {
            0xfd => (u16::from_le_bytes(*self.take(2)?.first_chunk()?).into(), 0xfd),
            0xfe => (u32::from_le_bytes(*self.take(4)?.first_chunk()?).into(), 0x1_0000),
            0xff => (u64::from_le_bytes(*self.take(8)?.first_chunk()?), 0x1_0000_0000),
            small => (small.into(), 0),
        };
        (count >= least).then_some(count)
    }

    /// A length, and so many bytes.
    pub(super) fn script(&mut self) -> Option<&'a [u8]> {
        let bytes = self.count()?;
        self.take(usize::try_from(bytes).ok()?)
    }

    /// What `later`, which is this reader further on, has read since.
    pub(super) fn up_to(&self, later: &Reader<'a>) -> &'a [u8] {
        let read = self.left.len().saturating_sub(later.left.len());
        self.left.get(..read).unwrap_or_default()
    }
}

/// The hash of the hash, by which blocks and transactions are named.
pub(super) fn double_sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    Sha256::digest(hash.finalize()).into()
}
