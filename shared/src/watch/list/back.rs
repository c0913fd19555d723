//! How far blocks were read again for addresses that a run learned late, when a run had no time for all of them (R38).

use std::collections::HashSet;

use crate::chain::address::AddressKey;
use crate::chain::block::Header;
use crate::store::{BlockHash, Cursor};
use crate::watch::follow;

/// Where the last run stopped.
#[derive(Debug)]
pub(in crate::watch) struct LeftOff {
    height: u64,
    hash: BlockHash,
    addresses: HashSet<AddressKey>,
}

impl LeftOff {
    /// The blocks up to this one were read again for these addresses.
    pub(in crate::watch) fn at(header: &Header, addresses: impl Iterator<Item = AddressKey>) -> LeftOff {
        LeftOff { height: header.number, hash: follow::kept(header.hash), addresses: addresses.collect() }
    }

    /// Whether what was read is still part of the chain, as far as that is known.
    pub(super) fn holds(&self, cursor: &Cursor) -> bool {
        let is_kept = self.height >= cursor.lowest_kept();
        !is_kept || cursor.hash_at(self.height) == Some(self.hash)
    }

    /// From where an address is to be read again that was listed at `height`.
    pub(super) fn after(&self, address: &AddressKey, height: u64) -> u64 {
        if self.addresses.contains(address) { height.max(self.height) } else { height }
    }
}
