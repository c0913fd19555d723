//! The movements of accepted assets to watched addresses in one block; pure.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use super::block::{Amount, Log, Sent};
use crate::chain::address::{AddressKey, EvmAddress};
use crate::chain::block::{Found, Hash256, Movement, Origin, Payout};
use crate::chain::{Asset, Chain, Coin};
use crate::money::Units;

/// `keccak256("Transfer(address,address,uint256)")`: the name of the event by which tokens tell of a movement.
pub const TRANSFER_EVENT: Hash256 = Hash256([
    0xdd, 0xf2, 0x52, 0xad, 0x1b, 0xe2, 0xc8, 0x9b, 0x69, 0xc2, 0xb0, 0x68, 0xfc, 0x37, 0x8d, 0xaa, 0x95,
    0x2b, 0xa7, 0xf1, 0x63, 0xc4, 0xa1, 0x16, 0x28, 0xf5, 0x5a, 0x4d, 0xf5, 0x23, 0xb3, 0xef,
]);

/// Everything in a block that concerns watched addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned<T> {
    /// Money, native first, in the order of the block.
    pub found: Vec<Found<T>>,
    /// Movements of more than we can count. They are not money, and somebody should look.
    pub unreadable: Vec<Movement<T>>,
}

/// Finds what moved to the addresses that `lookup` knows. `sent` is native money in the order in which it moved; `logs`
/// are the block's, in any order, each as often as it likes.
pub fn scan<T>(
    chain: &Chain,
    sent: &[Sent],
    logs: &[Log],
    lookup: impl Fn(&EvmAddress) -> Option<T>,
) -> Scanned<T> {
    let scanned = Scanned { found: Vec::new(), unreadable: Vec::new() };
    let mut scan = Scan { chain, lookup, scanned, counted: HashMap::new() };
    for (coin, moved) in moved(chain, sent, logs) {
        scan.take(coin, &moved);
    }
    scan.scanned
}

/// Finds what moved to addresses to which refunds are to go.
pub fn payouts(
    chain: &Chain,
    sent: &[Sent],
    logs: &[Log],
    destinations: &BTreeSet<EvmAddress>,
) -> Vec<Payout> {
    if destinations.is_empty() {
        return Vec::new();
    }
    let payout = |(coin, moved): (&Coin, Moved)| match moved.amount {
        Amount::Exact(units) if destinations.contains(&moved.to) => Some(Payout {
            tx_id: moved.tx.to_string(),
            to: moved.to.0.to_vec(),
            coin: coin.id.clone(),
            units,
            from: Origin::Account(AddressKey(moved.from.0)),
        }),
        Amount::Exact(_) | Amount::TooLarge => None,
    };
    moved(chain, sent, logs).filter_map(payout).collect()
}

/// Every movement of an accepted asset, native money first.
fn moved<'a>(chain: &'a Chain, sent: &[Sent], logs: &[Log]) -> impl Iterator<Item = (&'a Coin, Moved)> {
    let native = native_coin(chain).into_iter().flat_map(|coin| {
        let moved = |sent: &Sent| {
            let Sent { tx, from, to, value } = *sent;
            (coin, Moved { tx, contract: None, from, to, amount: value })
        };
        sent.iter().map(moved).collect::<Vec<_>>()
    });
    let coins: HashMap<EvmAddress, &Coin> = tokens(chain).collect();
    let mut logs: Vec<&Log> = logs.iter().filter(|log| !log.removed).collect();
    // Nodes number the logs of a block, or of each transaction: what one transaction made is in order either way.
    logs.sort_by_key(|log| (log.index, log.tx));
    // A log that is there twice would otherwise be money twice, under the next k; two that have one number are two.
    let mut known: Vec<&Log> = Vec::new();
    logs.retain(|log| {
        if known.last().is_some_and(|last| (last.index, last.tx) != (log.index, log.tx)) {
            known.clear();
        }
        let is_new = !known.contains(log);
        known.push(log);
        is_new
    });
    let of_tokens = |log: &Log| Some((*coins.get(&log.contract)?, transfer(log)?));
    native.chain(logs.into_iter().filter_map(of_tokens).collect::<Vec<_>>())
}

/// The token contracts that are accepted on the chain.
pub fn contracts(chain: &Chain) -> Vec<EvmAddress> {
    tokens(chain).map(|(contract, _)| contract).collect()
}

/// The chain's own money, if it is accepted.
pub fn native_coin(chain: &Chain) -> Option<&Coin> {
    chain.coins.iter().find(|coin| coin.asset == Asset::Native)
}

/// Native money that no transaction accounts for and that yet is there after a block: `chain:balance:height:address:units`.
///
/// The amount is part of the name: a block of the same height in another fork may hold another one, and what a name
/// stands for never changes.
pub fn unexplained<T>(
    (chain, coin): (&Chain, &Coin),
    height: u64,
    (address, units): (EvmAddress, Units),
    watched: T,
) -> Found<T> {
    let key = format!("{}:balance:{height}:{}:{}", chain.id, address.to_lower_hex(), units.0);
    let (coin, decimals) = (coin.id.clone(), coin.decimals);
    // No transaction can be named; the block is what there is to look at.
    let tx_id = format!("block:{height}");
    Found::plain(Movement { key, coin, decimals, tx_id, address: address.to_string(), watched }, units)
}

fn tokens(chain: &Chain) -> impl Iterator<Item = (EvmAddress, &Coin)> {
    chain.coins.iter().filter_map(|coin| match &coin.asset {
        Asset::Native => None,
        Asset::Token(contract) => contract.parse().ok().map(|contract| (contract, coin)),
    })
}

/// A scan under way.
struct Scan<'a, T, L> {
    chain: &'a Chain,
    lookup: L,
    scanned: Scanned<T>,
    /// Movements so far of one asset to one address in one transaction; `None` is native money.
    counted: HashMap<(Hash256, Option<EvmAddress>, EvmAddress), usize>,
}

/// What moved, before it is known whether it concerns us.
struct Moved {
    tx: Hash256,
    contract: Option<EvmAddress>,
    from: EvmAddress,
    to: EvmAddress,
    amount: Amount,
}

impl<T, L: Fn(&EvmAddress) -> Option<T>> Scan<'_, T, L> {
    /// Nothing moved by nothing, nor from an address to itself: neither is even asked about.
    fn take(&mut self, coin: &Coin, moved: &Moved) {
        if moved.amount == Amount::Exact(Units(0)) || moved.from == moved.to {
            return;
        }
        let Some(watched) = (self.lookup)(&moved.to) else { return };
        let next = self.counted.entry((moved.tx, moved.contract, moved.to)).or_default();
        let k = *next;
        *next = next.saturating_add(1);
        let (chain, asset, to) = (&self.chain.id, coin.asset.key(), moved.to.to_lower_hex());
        let movement = Movement {
            key: format!("{chain}:{}:{asset}:{to}:{k}", moved.tx),
            coin: coin.id.clone(),
            decimals: coin.decimals,
            tx_id: moved.tx.to_string(),
            address: moved.to.to_string(),
            watched,
        };
        match moved.amount {
            Amount::Exact(units) => self.scanned.found.push(Found::plain(movement, units)),
            Amount::TooLarge => self.scanned.unreadable.push(movement),
        }
    }
}

/// What the log tells of, if it is exactly the event of the token standard (ERC-20): both parties indexed, the value not.
fn transfer(log: &Log) -> Option<Moved> {
    let [TRANSFER_EVENT, sender, receiver] = *log.topics.as_slice() else { return None };
    let ([value], []) = log.data.as_chunks::<32>() else { return None };
    let amount = Amount::of_word(value);
    let (from, to) = (EvmAddress::in_word(sender.0)?, EvmAddress::in_word(receiver.0)?);
    Some(Moved { tx: log.tx, contract: Some(log.contract), from, to, amount })
}
