//! Where a node's events of a block cannot be all, or cannot be what they say: by the header's bloom filter, by what the
//! transactions themselves speak of, and by the names that the events go by. Receipts decide; this is pure.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::block::{Block, Hash256, Log, Tx};
use super::bloom::Bloom;
use super::scan::TRANSFER_EVENT;
use crate::chain::address::EvmAddress;

/// Bits of a filter.
const BITS: u128 = 2_048;

/// A filter that gives a wrong hint in more than one of so many blocks is taken for too full to be a reason by itself.
pub(super) const ONE_IN: u32 = 16;

/// What a filter says of events that a node does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// Nothing.
    Nothing,
    /// There may be some, and in a filter as full as this that means little.
    Weak,
    /// There are some, or it would be a rare chance.
    Strong,
}

/// What is looked for in a block's events.
#[derive(Clone, Copy)]
pub(super) struct Sought<'a> {
    /// The tokens.
    pub(super) contracts: &'a [EvmAddress],
    /// Everybody who is looked for, if they are few enough.
    pub(super) receivers: Option<&'a [EvmAddress]>,
    /// Whether somebody is.
    pub(super) is_wanted: &'a dyn Fn(&EvmAddress) -> bool,
}

/// Transactions whose events are to be read from their receipts: those that speak of somebody who is looked for and have
/// no event for it, and those with an event for somebody that cannot be there or is not to be told from another one.
pub(super) fn doubtful(block: &Block, logs: &[Log], sought: Sought<'_>) -> Vec<Hash256> {
    let bloom = block.bloom.as_ref();
    let wanted = |log: &&Log| receiver(log).is_some_and(|to| (sought.is_wanted)(&to));
    let ours: Vec<&Log> = logs.iter().filter(|log| !log.removed).filter(wanted).collect();
    let mut places: BTreeMap<(Hash256, u64), usize> = BTreeMap::new();
    for log in &ours {
        let times = places.entry((log.tx, log.index)).or_default();
        *times = times.saturating_add(1);
    }
    let here: BTreeSet<Hash256> = block.transactions.iter().map(|tx| tx.hash).collect();
    let is_odd = |log: &&&Log| {
        let is_twice = places.get(&(log.tx, log.index)).is_some_and(|times| *times > 1);
        is_twice || !here.contains(&log.tx) || bloom.is_some_and(|bloom| !bloom.may_hold_log(log))
    };
    let mut all: BTreeSet<Hash256> = ours.iter().filter(is_odd).map(|log| log.tx).collect();
    if let Some(bloom) = bloom.filter(|bloom| speaks_of_any(bloom, sought.contracts)) {
        let told: BTreeSet<(Hash256, EvmAddress)> =
            ours.iter().filter_map(|log| Some((log.tx, receiver(log)?))).collect();
        let is_untold = |tx: &&Tx| {
            let mut named = named(&tx.input).filter(|to| (sought.is_wanted)(to));
            named.any(|to| bloom.may_hold(&word(&to)) && !told.contains(&(tx.hash, to)))
        };
        all.extend(block.transactions.iter().filter(is_untold).map(|tx| tx.hash));
    }
    all.into_iter().collect()
}

/// What the filter says of events that are not among these.
pub(super) fn hint(block: &Block, logs: &[Log], sought: Sought<'_>) -> Hint {
    let Some(bloom) = &block.bloom else { return Hint::Nothing };
    if !speaks_of_any(bloom, sought.contracts) {
        return Hint::Nothing;
    }
    let told: BTreeSet<Hash256> = logs.iter().flat_map(|log| log.topics.iter().copied()).collect();
    let untold = |to: &&EvmAddress| {
        let word = word(to);
        bloom.may_hold(&word) && !told.contains(&Hash256(word))
    };
    let heard: BTreeSet<EvmAddress> = logs.iter().map(|log| log.contract).collect();
    let is_silent = |contract: &EvmAddress| bloom.may_hold(&contract.0) && !heard.contains(contract);
    let silent = sought.contracts.iter().any(is_silent);
    let (is_hinted, chances) = match sought.receivers {
        Some(receivers) => {
            let there = |to: &EvmAddress| bloom.may_hold(&word(to));
            let hinted = receivers.iter().any(|to| untold(&to)) || (silent && receivers.iter().any(there));
            (hinted, receivers.len())
        }
        None => (silent, sought.contracts.len()),
    };
    match is_hinted {
        false => Hint::Nothing,
        true if is_rare(bloom, chances) => Hint::Strong,
        true => Hint::Weak,
    }
}

/// Whether a filter as full as this holds one of so many items by chance in one of [`ONE_IN`] blocks at most: each has
/// three bits.
fn is_rare(bloom: &Bloom, items: usize) -> bool {
    let items = u128::try_from(items).unwrap_or(u128::MAX);
    let by_chance = u128::from(bloom.bits()).saturating_pow(3).saturating_mul(items);
    by_chance.saturating_mul(u128::from(ONE_IN)) <= BITS.saturating_pow(3)
}

/// Whether one of the tokens may have told of a movement.
fn speaks_of_any(bloom: &Bloom, contracts: &[EvmAddress]) -> bool {
    bloom.may_hold(&TRANSFER_EVENT.0) && contracts.iter().any(|contract| bloom.may_hold(&contract.0))
}

/// To whom a movement goes, by its event.
fn receiver(log: &Log) -> Option<EvmAddress> {
    let [TRANSFER_EVENT, _, to] = *log.topics.as_slice() else { return None };
    EvmAddress::in_word(to.0)
}

/// Addresses that a call's arguments may name: words that begin with zeros. Calls within calls are moved on by the four
/// bytes of their name.
fn named(input: &[u8]) -> impl Iterator<Item = EvmAddress> {
    let words = input.get(4..).unwrap_or_default().windows(32).step_by(4);
    let word = |word: &[u8]| <[u8; 32]>::try_from(word).ok().and_then(EvmAddress::in_word);
    words.filter_map(word)
}

/// An address as events carry it.
fn word(address: &EvmAddress) -> [u8; 32] {
    let mut word = [0; 32];
    if let Some(place) = word.last_chunk_mut::<20>() {
        *place = address.0;
    }
    word
}
