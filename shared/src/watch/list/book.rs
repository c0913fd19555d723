//! Whose an address is, for a million of them: 26 bytes each.

use std::collections::HashMap;

use crate::chain::address::AddressKey;
use crate::payment::Code;

/// New ones wait in a map, and move to the sorted entries when they are this many.
const NEW: usize = 8_192;

/// An address and the code of its payment, packed.
type Entry = ([u8; 20], [u8; 6]);

/// Addresses and their payments.
#[derive(Debug, Default)]
pub(super) struct Book {
    sorted: Vec<Entry>,
    new: HashMap<AddressKey, Code>,
}

impl Book {
    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty() && self.new.is_empty()
    }

    /// Each of them once, though one that was written again lately is kept twice.
    pub(super) fn addresses(&self) -> impl Iterator<Item = AddressKey> {
        let sorted = self.sorted.iter().map(|(address, _)| AddressKey(*address));
        sorted.filter(|address| !self.new.contains_key(address)).chain(self.new.keys().copied())
    }

    pub(super) fn code(&self, address: &AddressKey) -> Option<Code> {
        if let Some(code) = self.new.get(address) {
            return Some(*code);
        }
        let place = self.sorted.binary_search_by(|(known, _)| known.cmp(&address.0)).ok()?;
        self.sorted.get(place).map(|(_, code)| Code::from_bytes(*code))
    }

    pub(super) fn insert(&mut self, address: AddressKey, code: Code) {
        self.new.insert(address, code);
        if self.new.len() >= NEW.max(self.sorted.len().div_euclid(16)) {
            self.sort_in();
        }
    }

    fn sort_in(&mut self) {
        self.sorted.reserve_exact(self.new.len());
        self.sorted.extend(self.new.drain().map(|(address, code)| (address.0, code.to_bytes())));
        // An address has one payment for ever, so that which of two equal entries stays does not matter.
        self.sorted.sort_unstable();
        self.sorted.dedup_by_key(|(address, _)| *address);
    }
}

#[cfg(test)]
mod tests {
    //! A book is a map.

    use super::*;

    #[test]
    fn an_address_is_found_whether_it_was_written_lately_or_long_ago() {
        let mut book = Book::default();
        let address = |number: u64| {
            let mut key = [0; 20];
            key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            AddressKey(key)
        };
        assert!(book.is_empty());
        for round in 0..2 {
            for number in 0..20_000 {
                book.insert(address(number), Code::from_random(number));
            }
            assert!(!book.is_empty(), "round {round}");
            for number in 0..20_000 {
                assert_eq!(book.code(&address(number)), Some(Code::from_random(number)));
            }
            assert_eq!(book.code(&address(20_000)), None);
        }
        assert!(book.sorted.len() + book.new.len() < 40_000);
    }
}
