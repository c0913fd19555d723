//! Refunds: from the link on which a payer names an address to the block that pays it.
//!
//! Nothing is held and nothing is sent here: the merchant's own wallet pays, and only a chain says that it did.

mod id;
mod secret;
mod steps;

pub use id::{MeantRefund, NotARefund, RefundId};
pub use secret::{ClaimHash, ClaimSecret, NotASecret};
pub use steps::Refundable;

use std::collections::{BTreeMap, BTreeSet};

use super::{BlockAt, Sequence, Standing, Status};
use crate::chain::{ChainId, CoinId};
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::money::{Credit, Decimals, Units};

/// How long a claim link waits for an address.
pub const CLAIM_SECONDS: u64 = 7 * DAY_SECONDS;

/// Transactions kept that may be a refund. To push the real one out takes as many payments of exactly its units to
/// exactly its address, and still does not: those that are known to be it go last.
const SIGHTINGS: usize = 8;

/// Refunds of one coin that a payment can have completed: their transactions are kept for ever.
const REFUNDS_OF_A_COIN: usize = 50;

/// How far a block's time may lie before the moment at which it was made: Bitcoin's rules allow about an hour, and no
/// chain more than this.
const BLOCK_TIME_SKEW_SECONDS: u64 = 2 * 60 * 60;

/// Where a refund stands, as the API says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefundStatus {
    /// The claim link is out.
    Requested,
    /// The payer gave an address.
    Claimed,
    /// The merchant confirmed that very address: money may be under way, and nothing takes that back.
    Confirmed,
    /// Its transaction is in a block, not deep enough yet.
    Sent,
    /// Its transaction lies deep enough, or did once.
    Completed,
    /// Nobody gave an address in time.
    Expired,
    /// The merchant took it back before confirming.
    Withdrawn,
}

impl RefundStatus {
    /// As written in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            RefundStatus::Requested => "requested",
            RefundStatus::Claimed => "claimed",
            RefundStatus::Confirmed => "confirmed",
            RefundStatus::Sent => "sent",
            RefundStatus::Completed => "completed",
            RefundStatus::Expired => "expired",
            RefundStatus::Withdrawn => "withdrawn",
        }
    }

    /// Whether its money goes back or went, which keeps its payment from having late money accepted.
    pub fn stands(self) -> bool {
        self.is_under_way() || self == RefundStatus::Completed
    }

    /// Whether it can still take money, which keeps its coin from another refund and its outputs from a sweep.
    pub fn is_under_way(self) -> bool {
        match self {
            RefundStatus::Requested
            | RefundStatus::Claimed
            | RefundStatus::Confirmed
            | RefundStatus::Sent => true,
            RefundStatus::Completed | RefundStatus::Expired | RefundStatus::Withdrawn => false,
        }
    }
}

/// The address that a payer gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) address: String,
    pub(crate) at: Timestamp,
}

/// The merchant's word that the address is the one to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confirmation {
    pub(crate) at: Timestamp,
    /// How far the chain had been scanned then; `None` where nobody scans it.
    pub(crate) scanned: Option<u64>,
}

impl Confirmation {
    /// Whether a block was made after the confirmation.
    ///
    /// Its own time proves it, except that miners' clocks differ: a refund mined at once may lie in a block that claims
    /// to be older. A height above all that was scanned proves it as well, as long as the watcher was not hours behind.
    fn is_before(self, block: BlockAt) -> bool {
        let above = self.scanned.is_some_and(|scanned| block.height > scanned);
        block.time > self.at || (above && block.time.plus(BLOCK_TIME_SKEW_SECONDS) > self.at)
    }
}

/// A transaction that pays exactly a refund's units to exactly its address, merged like a transfer (R22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// Whether it spends from the payment's own addresses.
    pub(crate) from_payment: bool,
    /// How many such payments it makes: as many refunds of that size to that address it can be.
    pub(crate) outputs: u32,
    /// The latest knowledge of where it is.
    pub(crate) latest: (Sequence, Standing),
    /// The earliest report of it being deep enough in a block after the confirmation.
    pub(crate) deep_since: Option<Timestamp>,
}

/// What the refunds of the coin that were completed before gave back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Earlier {
    /// All together.
    pub(crate) units: Units,
    /// What that was worth; `None` if some of it was asked for before this was kept.
    pub(crate) worth: Option<Credit>,
    /// Their transactions: none of them is ever another refund too.
    pub(crate) tx_ids: BTreeSet<String>,
    /// When the last of those that ended the payment was completed.
    pub(crate) ended_at: Option<Timestamp>,
}

/// What a chain's watcher says of a transaction that pays a confirmed refund's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundReport {
    /// In which coin it pays: a payment never has two confirmed refunds of one coin.
    pub coin: CoinId,
    /// Which transaction.
    pub tx_id: String,
    /// To which address.
    pub address: String,
    /// How much.
    pub units: Units,
    /// Whether it spends from the payment's own addresses.
    pub from_payment: bool,
    /// How many outputs, or movements, of that size to that address it has.
    pub outputs: u32,
    /// When, in the watcher's order.
    pub sequence: Sequence,
    /// By the watcher's clock.
    pub at: Timestamp,
    /// Where it is.
    pub standing: Standing,
}

/// The newest refund of one coin of a payment: the next one can be asked for when it takes no more money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Its place among all that were asked for of its payment, from 1 on.
    pub(crate) number: u64,
    pub(crate) coin: CoinId,
    pub(crate) chain: ChainId,
    pub(crate) decimals: Decimals,
    pub(crate) units: Units,
    /// What they were worth when it was asked for, by what counted then; `None` if that was before this was kept.
    pub(crate) worth: Option<Credit>,
    pub(crate) confirmations_required: u32,
    /// Where the payment stood when it was asked for: what gives back after `refunded` ends nothing any more.
    pub(crate) reason: Status,
    pub(crate) secret: ClaimHash,
    pub(crate) requested_at: Timestamp,
    pub(crate) claim: Option<Claim>,
    pub(crate) confirmation: Option<Confirmation>,
    pub(crate) named_tx: Option<String>,
    pub(crate) withdrawn_at: Option<Timestamp>,
    pub(crate) sightings: BTreeMap<String, Sighting>,
    pub(crate) earlier: Earlier,
}

impl Refund {
    /// Where it stands at `now`, which is the payment's own time.
    pub fn status(&self, now: Timestamp) -> RefundStatus {
        if self.withdrawn_at.is_some() {
            RefundStatus::Withdrawn
        } else if self.completed_at().is_some() {
            RefundStatus::Completed
        } else if self.sent().is_some() {
            RefundStatus::Sent
        } else if self.confirmation.is_some() {
            RefundStatus::Confirmed
        } else if self.claim.is_some() {
            RefundStatus::Claimed
        } else if now < self.claim_expires_at() {
            RefundStatus::Requested
        } else {
            RefundStatus::Expired
        }
    }

    /// Its coin.
    pub fn coin(&self) -> &CoinId {
        &self.coin
    }

    /// The coin's chain.
    pub fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// How much goes back.
    pub fn units(&self) -> Units {
        self.units
    }

    /// How much of the coin went back by now: by this refund, if it is complete, and all before it.
    pub fn given_back(&self) -> Units {
        let own = self.completed().map_or(Units(0), |_| self.units);
        self.earlier.units.plus(own)
    }

    /// What that was worth, exactly; `None` if some of it was asked for before this was kept.
    pub(super) fn worth_given_back(&self) -> Option<Credit> {
        let is_first = self.earlier.units == Units(0);
        let earlier = if is_first { Some(Credit::zero()) } else { self.earlier.worth.clone() };
        let own = if self.completed().is_some() { self.worth.clone() } else { Some(Credit::zero()) };
        Some([earlier?, own?].into_iter().sum())
    }

    /// Whether any of the coin went back before it.
    pub fn is_followup(&self) -> bool {
        self.earlier.units > Units(0)
    }

    /// Decimals of the coin's unit.
    pub fn decimals(&self) -> Decimals {
        self.decimals
    }

    /// The address that the payer gave.
    pub fn address(&self) -> Option<&str> {
        self.claim.as_ref().map(|claim| claim.address.as_str())
    }

    /// The transaction that pays it, or that the merchant says will.
    pub fn tx_id(&self) -> Option<&str> {
        let seen = self.completed().map(|(tx_id, _)| tx_id).or(self.sent().map(|(tx_id, _)| tx_id));
        seen.or(self.named_tx.as_deref())
    }

    /// The transaction that the merchant named.
    pub fn named_tx(&self) -> Option<&str> {
        self.named_tx.as_deref()
    }

    /// When the merchant asked for it.
    pub fn requested_at(&self) -> Timestamp {
        self.requested_at
    }

    /// From when on no address can be given any more.
    pub fn claim_expires_at(&self) -> Timestamp {
        self.requested_at.plus(CLAIM_SECONDS)
    }

    /// When the payer gave an address.
    pub fn claimed_at(&self) -> Option<Timestamp> {
        self.claim.as_ref().map(|claim| claim.at)
    }

    /// When the merchant confirmed that address.
    pub fn confirmed_at(&self) -> Option<Timestamp> {
        self.confirmation.map(|confirmation| confirmation.at)
    }

    /// How far its chain had been scanned when it was confirmed: above that, its transaction can lie.
    pub fn confirmed_height(&self) -> Option<u64> {
        self.confirmation.and_then(|confirmation| confirmation.scanned)
    }

    /// When its transaction was first reported deep enough: final, whatever the chain does later.
    pub fn completed_at(&self) -> Option<Timestamp> {
        self.completed().map(|(_, at)| at)
    }

    /// How deep its transaction must lie.
    pub fn confirmations_required(&self) -> u32 {
        self.confirmations_required
    }

    /// Blocks on its transaction, its own included, up to what is required.
    pub fn confirmations(&self) -> u32 {
        if self.completed().is_some() {
            return self.confirmations_required;
        }
        self.sent().map_or(0, |(_, confirmations)| confirmations)
    }

    /// Whether a transaction that pays its address can say no more: it lies deep enough, or it is none of ours.
    ///
    /// One in a block before the confirmation is never the refund, and yet lies deep enough some day: else its block
    /// would wait for ever.
    pub fn is_settled(&self, tx_id: &str) -> bool {
        let is_deep = |sighting: &Sighting| match sighting.latest.1 {
            Standing::InBlock { confirmations, .. } => confirmations >= self.confirmations_required,
            Standing::Unconfirmed { .. } | Standing::Lost { .. } | Standing::Replaced => false,
        };
        let says_no_more = |sighting: &Sighting| sighting.deep_since.is_some() || is_deep(sighting);
        self.completed().is_some() || self.sightings.get(tx_id).is_none_or(says_no_more)
    }

    /// How many such payments a transaction makes, if it was seen.
    pub fn outputs(&self, tx_id: &str) -> Option<u32> {
        self.sightings.get(tx_id).map(|sighting| sighting.outputs)
    }

    /// Whether a transaction is the refund, and not somebody else's payment of the same size, once it is seen.
    pub fn takes(&self, tx_id: &str, from_payment: bool) -> bool {
        from_payment || self.named_tx.as_deref() == Some(tx_id)
    }

    /// Whether a movement is what was confirmed: that address, those units.
    pub fn is_paid_by(&self, address: &str, units: Units) -> bool {
        self.confirmation.is_some() && units == self.units && self.address() == Some(address)
    }

    fn is_it(&self, tx_id: &str, sighting: &Sighting) -> bool {
        self.takes(tx_id, sighting.from_payment)
    }

    fn own_sightings(&self) -> impl Iterator<Item = (&str, &Sighting)> {
        let all = self.sightings.iter().map(|(tx_id, sighting)| (tx_id.as_str(), sighting));
        all.filter(|(tx_id, sighting)| self.is_it(tx_id, sighting))
    }

    /// The first transaction that lay deep enough.
    fn completed(&self) -> Option<(&str, Timestamp)> {
        let deep = self.own_sightings().filter_map(|(tx_id, sighting)| Some((tx_id, sighting.deep_since?)));
        deep.min_by_key(|(tx_id, at)| (*at, *tx_id))
    }

    /// The deepest transaction in a block after the confirmation.
    fn sent(&self) -> Option<(&str, u32)> {
        let in_block = self.own_sightings().filter_map(|(tx_id, sighting)| match sighting.latest.1 {
            Standing::InBlock { block, confirmations } if self.is_after_confirmation(block) => {
                Some((tx_id, confirmations.min(self.confirmations_required)))
            }
            Standing::InBlock { .. }
            | Standing::Unconfirmed { .. }
            | Standing::Lost { .. }
            | Standing::Replaced => None,
        });
        in_block.max_by_key(|(tx_id, confirmations)| (*confirmations, *tx_id))
    }

    fn is_after_confirmation(&self, block: BlockAt) -> bool {
        self.confirmation.is_some_and(|confirmation| confirmation.is_before(block))
    }

    /// Takes in what a chain says of a transaction; one that does not pay exactly this refund, or that paid another one,
    /// is none of ours.
    pub(super) fn merge(&mut self, report: &RefundReport) {
        let is_spent = self.earlier.tx_ids.contains(&report.tx_id);
        if is_spent || !self.is_paid_by(&report.address, report.units) {
            return;
        }
        let deep = match report.standing {
            Standing::InBlock { block, confirmations } => {
                confirmations >= self.confirmations_required && self.is_after_confirmation(block)
            }
            Standing::Unconfirmed { .. } | Standing::Lost { .. } | Standing::Replaced => false,
        };
        let latest = (report.sequence, report.standing);
        let (from_payment, outputs) = (report.from_payment, report.outputs);
        let new = Sighting { from_payment, outputs, latest, deep_since: None };
        let known = self.sightings.entry(report.tx_id.clone()).or_insert(new);
        known.from_payment |= report.from_payment;
        known.latest = known.latest.max(latest);
        if deep {
            known.deep_since = Some(known.deep_since.map_or(report.at, |since| since.min(report.at)));
        }
        self.forget_others();
    }

    /// Keeps the list short: the last by name of those that are not known to be the refund goes first.
    fn forget_others(&mut self) {
        if self.sightings.len() <= SIGHTINGS {
            return;
        }
        let mut by_name = self.sightings.iter().rev();
        let other = by_name.find(|(tx_id, sighting)| !self.is_it(tx_id, sighting));
        let last = other.or(self.sightings.last_key_value()).map(|(tx_id, _)| tx_id.clone());
        if let Some(tx_id) = last {
            self.sightings.remove(&tx_id);
        }
    }
}
