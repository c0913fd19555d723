//! The movements of accepted assets to watched addresses in one block; pure.
//!
//! Native money that a contract sends leaves neither a log nor a transaction to the address, and is not seen here.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::block::{Amount, Block, Hash256, Log, Tx};
use crate::chain::address::EvmAddress;
use crate::chain::{Asset, Chain, Coin, CoinId};
use crate::money::{Decimals, Units};

/// `keccak256("Transfer(address,address,uint256)")`: the name of the event by which tokens tell of a movement.
pub const TRANSFER_EVENT: Hash256 = Hash256([
    0xdd, 0xf2, 0x52, 0xad, 0x1b, 0xe2, 0xc8, 0x9b, 0x69, 0xc2, 0xb0, 0x68, 0xfc, 0x37, 0x8d, 0xaa, 0x95,
    0x2b, 0xa7, 0xf1, 0x63, 0xc4, 0xa1, 0x16, 0x28, 0xf5, 0x5a, 0x4d, 0xf5, 0x23, 0xb3, 0xef,
]);

/// Money that came to a watched address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// What came, and where.
    pub movement: Movement<T>,
    /// How much; never zero.
    pub units: Units,
    /// Whether it counts only once the transaction's receipt says that it succeeded. Logs exist of successful ones alone.
    pub needs_receipt: bool,
}

/// An asset moved to a watched address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement<T> {
    /// What names it for ever: `chain:txid:asset:address:k`, where k counts, from 0, the movements of that asset to that
    /// address within the transaction. No place in a block is part of it: that changes in a re-organisation.
    pub key: String,
    /// The coin that the asset is.
    pub coin: CoinId,
    /// The coin's decimals.
    pub decimals: Decimals,
    /// The transaction.
    pub tx: Hash256,
    /// The watched address.
    pub address: EvmAddress,
    /// What the lookup knows of the address.
    pub watched: T,
}

/// Everything in a block that concerns watched addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned<T> {
    /// Money, native first, in the order of the block.
    pub found: Vec<Found<T>>,
    /// Movements of more than we can count. They are not money, and somebody should look.
    pub unreadable: Vec<Movement<T>>,
}

/// Finds what moved to the addresses that `lookup` knows. `logs` are the block's, in any order, each as often as it likes.
pub fn scan<T>(
    chain: &Chain,
    block: &Block,
    logs: &[Log],
    lookup: impl Fn(&EvmAddress) -> Option<T>,
) -> Scanned<T> {
    let mut scan = Scan { chain, lookup, scanned: Scanned { found: Vec::new(), unreadable: Vec::new() } };
    scan.native(&block.transactions);
    scan.tokens(logs);
    scan.scanned
}

/// The token contracts that are accepted on the chain.
pub fn contracts(chain: &Chain) -> Vec<EvmAddress> {
    tokens(chain).map(|(contract, _)| contract).collect()
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
}

impl<T, L: Fn(&EvmAddress) -> Option<T>> Scan<'_, T, L> {
    /// A transaction carries native money to one address at most, so that `k` is always 0.
    fn native(&mut self, transactions: &[Tx]) {
        let Some(coin) = self.chain.coins.iter().find(|coin| coin.asset == Asset::Native) else {
            return;
        };
        for tx in transactions {
            let Some(address) = tx.to else { continue };
            if let Some(watched) = self.watched(address, tx.value) {
                let movement = self.movement(coin, tx.hash, address, 0, watched);
                self.keep(movement, tx.value, true);
            }
        }
    }

    fn tokens(&mut self, logs: &[Log]) {
        let coins: HashMap<EvmAddress, &Coin> = tokens(self.chain).collect();
        let mut logs: Vec<&Log> = logs.iter().filter(|log| !log.removed).collect();
        logs.sort_unstable_by_key(|log| log.index);
        // A log that is there twice would otherwise be money twice, under the next k.
        logs.dedup_by_key(|log| log.index);
        let mut movements: HashMap<(Hash256, EvmAddress, EvmAddress), usize> = HashMap::new();
        for log in logs {
            let Some((coin, (address, amount))) = coins.get(&log.contract).zip(transfer(log)) else {
                continue;
            };
            if let Some(watched) = self.watched(address, amount) {
                let next = movements.entry((log.tx, log.contract, address)).or_default();
                let movement = self.movement(coin, log.tx, address, *next, watched);
                *next = next.saturating_add(1);
                self.keep(movement, amount, false);
            }
        }
    }

    /// Nothing moved by nothing: a zero is not even asked about.
    fn watched(&self, address: EvmAddress, amount: Amount) -> Option<T> {
        if amount == Amount::Exact(Units(0)) { None } else { (self.lookup)(&address) }
    }

    fn movement(&self, coin: &Coin, tx: Hash256, address: EvmAddress, k: usize, watched: T) -> Movement<T> {
        let (chain, asset) = (&self.chain.id, coin.asset.key());
        let key = format!("{chain}:{tx}:{asset}:{}:{k}", address.to_lower_hex());
        Movement { key, coin: coin.id.clone(), decimals: coin.decimals, tx, address, watched }
    }

    fn keep(&mut self, movement: Movement<T>, amount: Amount, needs_receipt: bool) {
        match amount {
            Amount::Exact(units) => self.scanned.found.push(Found { movement, units, needs_receipt }),
            Amount::TooLarge => self.scanned.unreadable.push(movement),
        }
    }
}

/// Receiver and amount, if the log is exactly the event of the token standard (ERC-20): both parties indexed, the value not.
fn transfer(log: &Log) -> Option<(EvmAddress, Amount)> {
    let [TRANSFER_EVENT, _sender, receiver] = *log.topics.as_slice() else { return None };
    let ([high, low], []) = log.data.as_chunks::<16>() else { return None };
    let units = Units(u128::from_be_bytes(*low));
    let amount = if *high == [0; 16] { Amount::Exact(units) } else { Amount::TooLarge };
    Some((EvmAddress::in_word(receiver.0)?, amount))
}
