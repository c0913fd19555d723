//! Where a chain and the record do not agree; pure.

use std::collections::BTreeSet;
use std::fmt;

use super::is_in;
use crate::chain::block::ScannedBlock;
use crate::chain::{Asset, Chain, CoinId, Family, Internal};
use crate::money::Units;
use crate::payment::{Code, Movement, Payment, Standing, Transfer, TransferId};
use crate::store::Look;

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
    /// The payment itself cannot be read.
    Unreadable(String),
    /// An address holds more of a coin than can lie there by the record.
    HoldsMore {
        /// The address.
        address: String,
        /// The coin.
        coin: CoinId,
        /// What it holds.
        holds: Units,
        /// What came, without what was seen to be gone.
        recorded: Units,
    },
    /// An address that never sent anything holds less of a coin than came to it by the record.
    HoldsLess {
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
            What::Unreadable(cause) => write!(f, "the payment cannot be read: {cause}"),
            What::HoldsMore { address, coin, holds, recorded } => {
                let (holds, recorded) = (holds.0, recorded.0);
                write!(
                    f,
                    "{address} holds {holds} units of {coin}, and by the record only {recorded} of what came can be there"
                )
            }
            What::HoldsLess { address, coin, holds, recorded } => {
                let (holds, recorded) = (holds.0, recorded.0);
                write!(
                    f,
                    "{address} holds {holds} units of {coin}, though {recorded} came to it by the record and it never sent any"
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

/// Whether an address holds more of a coin at a height than it can by the record.
pub(super) fn holds_more(
    payment: &Payment,
    chain: &Chain,
    address: &str,
    coin: &CoinId,
    holds: Units,
    (look, height): (Option<&Look>, u64),
) -> Option<Difference> {
    let can_hold = can_hold(payment, chain, address, coin, (look, height));
    let (address, coin) = (address.to_owned(), coin.clone());
    let what = What::HoldsMore { address, coin, holds, recorded: can_hold };
    (holds > can_hold).then(|| Difference { code: payment.id().code(), what })
}

/// The most that an address can hold by the record: all that came to it, and of that no more than what lay there at the
/// last look and what came since, because what had left by then does not come back.
///
/// Both sums are of the record as it is now: what is recorded only after the look, in a block below it, is in both, and in
/// what the look saw. Where outputs are looked at this is not so. A look sees those that are known by then, and one that
/// was spent by a transaction which never got into a block is there again.
fn can_hold(
    payment: &Payment,
    chain: &Chain,
    address: &str,
    coin: &CoinId,
    (look, height): (Option<&Look>, u64),
) -> Units {
    let came = |height| came(payment, chain, address, coin, height);
    let all = came(height);
    let seen = look.filter(|look| look.height <= height);
    let seen = seen.and_then(|look| Some((look.height, *look.balances.get(coin)?)));
    match (chain.family, seen) {
        (Family::Evm { .. }, Some((seen_at, units))) => all.min(units.plus(all.minus(came(seen_at)))),
        (Family::Evm { .. }, None) | (Family::Bitcoin { .. }, _) => all,
    }
}

/// Whether it holds less, which is a difference for an address that never sent anything.
pub(super) fn holds_less(
    payment: &Payment,
    chain: &Chain,
    address: &str,
    coin: &CoinId,
    holds: Units,
    height: u64,
) -> Option<Difference> {
    let recorded = came(payment, chain, address, coin, height);
    let (address, coin) = (address.to_owned(), coin.clone());
    let what = What::HoldsLess { address, coin, holds, recorded };
    (holds < recorded).then(|| Difference { code: payment.id().code(), what })
}

/// What came of a coin to an address in blocks up to a height, by the record.
pub(super) fn came(payment: &Payment, chain: &Chain, address: &str, coin: &CoinId, height: u64) -> Units {
    let known = transfers_up_to(payment, chain, address, height);
    let of_coin = known.filter(|known| known.movement().coin == *coin);
    of_coin.fold(Units(0), |sum, known| sum.plus(known.movement().units))
}

/// The transfers that brought something to an address in blocks up to a height.
pub(super) fn transfers_up_to<'a>(
    payment: &'a Payment,
    chain: &'a Chain,
    address: &'a str,
    height: u64,
) -> impl Iterator<Item = &'a Transfer> {
    payment.transfers().filter(move |known| {
        let is_there = match known.standing() {
            Standing::InBlock { block, .. } => block.height <= height,
            Standing::Unconfirmed { .. } | Standing::Lost { .. } | Standing::Replaced => false,
        };
        let movement = known.movement();
        is_there && movement.chain == chain.id && movement.address == address
    })
}
