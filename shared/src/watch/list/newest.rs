//! The addresses that were listed last: those to which money is likeliest to come.

use std::collections::{BTreeMap, HashMap};

use crate::chain::address::AddressKey;

/// Addresses whose balances are compared in every block at most: twenty questions to a node.
pub(super) const NEWEST: usize = 5_000;

/// At most [`NEWEST`] addresses, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Newest {
    by_turn: BTreeMap<u64, AddressKey>,
    turns: HashMap<AddressKey, u64>,
    next: u64,
}

impl Newest {
    /// One that comes again is new again.
    pub(super) fn insert(&mut self, address: AddressKey) {
        if let Some(former) = self.turns.insert(address, self.next) {
            self.by_turn.remove(&former);
        }
        self.by_turn.insert(self.next, address);
        self.next = self.next.saturating_add(1);
        if self.by_turn.len() > NEWEST
            && let Some((_, oldest)) = self.by_turn.pop_first()
        {
            self.turns.remove(&oldest);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_turn.len()
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = AddressKey> {
        self.by_turn.values().copied()
    }
}
