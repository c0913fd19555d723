//! What a block, or a transaction that waits for one, pays to watched addresses; pure.

#[cfg(test)]
mod tests;

use std::cell::LazyCell;
use std::sync::Arc;

use bitcoin::Txid;

use super::block::Block;
use super::network::Network;
use super::tx::{Kind, Tx};
use crate::chain::address::AddressKey;
use crate::chain::block::{Found, Movement, Origin, OutPoint, Payout, ScannedBlock, Spent, inputs_kept};
use crate::chain::{Asset, Chain, Coin};
use crate::money::Units;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<L, A, D> {
    /// What is known of an address, if it is watched.
    pub lookup: L,
    /// Whether it matters who spends an output.
    pub awaits: A,
    /// Whether refunds are to go to a script.
    pub is_destination: D,
}

/// Finds what the block at height `number` pays to watched addresses and to those of refunds, and who spends the outputs
/// that matter.
pub fn scan_block<T, L, A, D>(
    chain: &Chain,
    network: Network,
    block: &Block<'_>,
    number: u64,
    wanted: &Wanted<L, A, D>,
) -> ScannedBlock<T>
where
    L: Fn(&AddressKey) -> Option<T>,
    A: Fn(&OutPoint) -> bool,
    D: Fn(&[u8]) -> bool,
{
    let (mut found, mut spent, mut payouts) = (Vec::new(), Vec::new(), Vec::new());
    for (txid, tx) in block.transactions() {
        found.extend(scan_tx(chain, network, txid, tx, &wanted.lookup));
        payouts.extend(payouts_of(chain, txid, tx, &wanted.is_destination));
        let awaited = tx.inputs().filter(|outpoint| (wanted.awaits)(outpoint));
        spent.extend(awaited.map(|outpoint| Spent { outpoint, tx_id: txid.to_string() }));
    }
    ScannedBlock { header: block.header().at(number), found, unreadable: Vec::new(), spent, payouts }
}

/// What one transaction pays to scripts of refunds.
fn payouts_of(chain: &Chain, txid: Txid, tx: &Tx<'_>, is_destination: impl Fn(&[u8]) -> bool) -> Vec<Payout> {
    let Some(coin) = native(chain) else { return Vec::new() };
    let from: LazyCell<Arc<[OutPoint]>, _> = LazyCell::new(|| spent_by(tx).collect());
    let paid = tx.outputs().filter(|(_, output)| is_destination(output.script()));
    let payout = paid.map(|(_, output)| Payout {
        tx_id: txid.to_string(),
        to: output.script().to_vec(),
        coin: coin.id.clone(),
        units: output.units,
        from: Origin::Outputs(Arc::clone(&from)),
    });
    payout.collect()
}

fn native(chain: &Chain) -> Option<&Coin> {
    chain.coins.iter().find(|coin| coin.asset == Asset::Native)
}

/// What it spends, which for newly minted money is nothing.
fn spent_by(tx: &Tx<'_>) -> impl Iterator<Item = OutPoint> {
    tx.inputs().filter(|spent| !spent.is_null())
}

/// Finds what one transaction pays to the addresses that `lookup` knows: each output is a movement of its own, however
/// many go to one address.
pub fn scan_tx<T>(
    chain: &Chain,
    network: Network,
    txid: Txid,
    tx: &Tx<'_>,
    lookup: impl Fn(&AddressKey) -> Option<T>,
) -> Vec<Found<T>> {
    let Some(coin) = native(chain) else { return Vec::new() };
    let paid = tx.outputs().filter(|(_, output)| output.units != Units(0));
    let found = paid.filter_map(|(vout, output)| {
        let key = output.key_hash()?;
        let watched = lookup(&key)?;
        let movement = Movement {
            key: format!("{}:{txid}:{vout}", chain.id),
            coin: coin.id.clone(),
            decimals: coin.decimals,
            tx_id: txid.to_string(),
            address: network.witness_address(key).ok()?,
            watched,
        };
        let is_coinbase = tx.kind() == Kind::Coinbase;
        Some(Found { is_coinbase, ..Found::plain(movement, output.units) })
    });
    let mut found: Vec<Found<T>> = found.collect();
    if !found.is_empty() {
        let inputs: Vec<OutPoint> = spent_by(tx).take(inputs_kept(found.len())).collect();
        for found in &mut found {
            found.inputs.clone_from(&inputs);
        }
    }
    found
}
