//! Where a chain and the record do not agree; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::is_in;
use crate::chain::block::ScannedBlock;
use crate::chain::{Asset, Chain, CoinId, Internal};
use crate::money::Units;
use crate::payment::{Code, Movement, Payment, Standing, Transfer, TransferId};
use crate::store::Given;

/// Something that somebody must look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose payment.
    pub code: Code,
    /// What of it.
    pub what: What,
}

/// What does not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The record has a transfer in a block which does not pay it.
    NotPaid(TransferId),
    /// A block pays something that the record does not have in it.
    NotRecorded(TransferId),
    /// The two have it with different amounts.
    OtherAmount(TransferId),
    /// An address holds more of a coin than ever came to it by the record.
    HoldsMore {
        /// The address.
        address: String,
        /// The coin.
        coin: CoinId,
        /// What it holds.
        holds: Units,
        /// What came.
        recorded: Units,
    },
}

/// In words for the log; no payer's data is part of it.
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::NotPaid(id) => write!(f, "the record has transfer {id}, and its block does not pay it"),
            What::NotRecorded(id) => {
                write!(f, "a block pays transfer {id}, and the record does not have it there")
            }
            What::OtherAmount(id) => {
                write!(f, "the record has another amount of transfer {id} than its block")
            }
            What::HoldsMore { address, coin, holds, recorded } => {
                let (holds, recorded) = (holds.0, recorded.0);
                write!(
                    f,
                    "{address} holds {holds} units of {coin}, and only {recorded} came to it by the record"
                )
            }
        }
    }
}

/// How a block and a payment differ. What the node could not look for is not missed.
pub(super) fn in_block(
    payment: &Payment,
    chain: &Chain,
    scanned: &ScannedBlock<Code>,
    is_whole: bool,
) -> Vec<Difference> {
    let (code, height) = (payment.id().code(), scanned.header.number);
    let mut differences = Vec::new();
    let mut paid = BTreeSet::new();
    for found in scanned.found.iter().filter(|found| found.movement.watched == code) {
        let id = TransferId::new(&found.movement.key);
        match payment.transfer(&id).filter(|known| is_in(known.standing(), height)) {
            None => differences.push(What::NotRecorded(id.clone())),
            Some(known) if known.movement().units != found.units => {
                differences.push(What::OtherAmount(id.clone()));
            }
            Some(_) => {}
        }
        paid.insert(id);
    }
    let recorded = payment
        .transfers()
        .filter(|known| known.movement().chain == chain.id && is_in(known.standing(), height));
    let missing = recorded.filter(|known| !paid.contains(&known.movement().id));
    let certain = missing.filter(|known| is_whole && can_be_read_again(chain, known.movement()));
    differences.extend(certain.map(|known| What::NotPaid(known.movement().id.clone())));
    differences.into_iter().map(|what| Difference { code, what }).collect()
}

/// Money found by balances is found only while the node keeps them, which is for minutes.
fn can_be_read_again(chain: &Chain, movement: &Movement) -> bool {
    let asset = chain.coin(&movement.coin).map(|coin| &coin.asset);
    match chain.internal {
        Internal::Unseen | Internal::Traces => true,
        Internal::Balances => asset.is_some_and(|asset| *asset != Asset::Native),
    }
}

/// How an address's balances at a height and a payment differ.
pub(super) fn in_balances(
    payment: &Payment,
    chain: &Chain,
    given: &Given,
    holds: &BTreeMap<CoinId, Units>,
    height: u64,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (coin, holds) in holds {
        let came = payment.transfers().filter(|known| came_by(known, chain, given, coin, height));
        let recorded =
            came.fold(Units(0), |sum, known| Units(sum.0.saturating_add(known.movement().units.0)));
        if *holds > recorded {
            let (address, coin, holds) = (given.address.clone(), coin.clone(), *holds);
            let what = What::HoldsMore { address, coin, holds, recorded };
            differences.push(Difference { code: payment.id().code(), what });
        }
    }
    differences
}

/// Whether a transfer brought some of the coin to the address, in a block up to the height.
fn came_by(known: &Transfer, chain: &Chain, given: &Given, coin: &CoinId, height: u64) -> bool {
    let Movement { chain: on, address, coin: of, .. } = known.movement();
    let is_there = match known.standing() {
        Standing::InBlock { block, .. } => block.height <= height,
        Standing::Unconfirmed { .. } | Standing::Lost { .. } | Standing::Replaced => false,
    };
    is_there && *on == chain.id && *address == given.address && of == coin
}
