//! A payment: what was asked for, what was decided, what the chains reported, and the status that follows from those.
//!
//! Pure. Callers bring what happened and what time it is; `apply` says what the payment is now.

mod fee;
mod id;
mod identity;
mod ledger;
mod quote;
mod request;
mod status;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test that overflows fails")]
pub(crate) mod tests;
mod transfer;

pub use fee::{Fee, FeeTerms};
pub use id::{Code, IdempotencyKey, Name, NotAnId, PaymentId, Secret};
pub use identity::{Identity, IdentityStep, KycStatus};
pub use quote::{QUOTE_SECONDS, Quote, Quotes};
pub use request::{FeePaidBy, Fields, InvalidParameter, KycMethod, Metadata, Request};
pub use status::{Refusal, Status};
pub use transfer::{
    BlockAt, Movement, Price, Report, Sequence, Standing, Transfer, TransferId, TransferState,
};

use std::collections::BTreeMap;

use crate::chain::{ChainId, CoinId};
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::money::{BasisPoints, Cents, Decimals, Rate, Units};

/// How long a payment stays open (R15).
pub const LIFETIME_SECONDS: u64 = 10 * DAY_SECONDS;

/// First and longest wait before an overdue payment that money holds open is looked at again.
const FIRST_WAIT_SECONDS: u64 = 60;
const LONGEST_WAIT_SECONDS: u64 = 30 * 60;

/// An account that calls the API and owns payments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MerchantId(String);

impl MerchantId {
    /// The id as the operator's command made it.
    pub fn new(id: impl Into<String>) -> MerchantId {
        MerchantId(id.into())
    }

    /// The id itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Real money, or a rehearsal. The two never see each other (contract, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Real money.
    Live,
    /// A rehearsal.
    Test,
}

impl Mode {
    /// As written in keys and the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Live => "live",
            Mode::Test => "test",
        }
    }

    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<Mode> {
        [Mode::Live, Mode::Test].into_iter().find(|mode| mode.as_str() == name)
    }
}

/// What a new payment finds under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// Itself: our own write, retried.
    Itself,
    /// What the same key and request made before.
    SameRequest,
    /// What the same key made for another request.
    OtherRequest,
    /// Somebody else's payment, by chance.
    Collision,
}

/// What was agreed at creation. Never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What the merchant asked for.
    pub request: Request,
    /// The gateway's fee.
    pub fee: Fee,
    /// How much of what is due may be missing (R21).
    pub tolerance: BasisPoints,
    /// When it was created.
    pub created_at: Timestamp,
    /// Hashes of an `Idempotency-Key` and the request it came with.
    pub idempotency: Option<Idempotency>,
}

/// What is kept to know a repeated request again (R9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Of mode, merchant and key.
    pub key_hash: [u8; 32],
    /// Of the request after defaults.
    pub request_hash: [u8; 32],
}

impl Terms {
    /// What the payer owes (R14).
    pub fn due(&self) -> Cents {
        match self.request.fee_paid_by {
            FeePaidBy::Merchant => self.request.amount,
            FeePaidBy::Payer => self.request.amount.plus(self.fee.usd),
        }
    }

    /// Exactly ten days after creation (R15).
    pub fn expires_at(&self) -> Timestamp {
        self.created_at.plus(LIFETIME_SECONDS)
    }
}

/// An address made for one payment, ever (R24).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenAddress {
    /// The family of chains on which it exists.
    pub family: String,
    /// The address as payers see it.
    pub address: String,
    /// The extended key that it comes from, by its fingerprint.
    pub xpub: String,
    /// Its place under that key.
    pub index: u32,
}

/// What the payer pays with now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The coin.
    pub coin: CoinId,
    /// Where to.
    pub address: String,
}

/// How a payment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its time ran out.
    Expired,
    /// The merchant withdrew it.
    Cancelled,
    /// Its money went back.
    Refunded,
}

impl Ending {
    const ALL: [Ending; 3] = [Ending::Expired, Ending::Cancelled, Ending::Refunded];

    /// As written in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Ending::Expired => "expired",
            Ending::Cancelled => "cancelled",
            Ending::Refunded => "refunded",
        }
    }

    /// The ending of that name.
    pub fn from_name(name: &str) -> Option<Ending> {
        Ending::ALL.into_iter().find(|ending| ending.as_str() == name)
    }
}

/// An overdue payment that must wait is looked at again, each time later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferral {
    /// When.
    pub until: Timestamp,
    /// After how many waits.
    pub waits: u32,
}

/// A coin offered to the payer, with an address to pay it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The coin.
    pub coin: CoinId,
    /// Decimals of its unit.
    pub decimals: Decimals,
    /// The accepted rate now.
    pub rate: Rate,
    /// The payment's address of the coin's family, new or not.
    pub address: GivenAddress,
}

/// The height at which a chain closed a payment's window (R15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The chain.
    pub chain: ChainId,
    /// The last height that can hold money in time.
    pub height: u64,
}

/// Something that happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The identity check went on.
    Identity(IdentityStep),
    /// The payer chose a coin, or wants a new quote.
    Choose(Offer),
    /// The merchant withdrew the payment.
    Cancel,
    /// The sweep looked at an overdue payment.
    Expire {
        /// Which of its chains have closed its window.
        windows: Vec<Window>,
        /// Whether those are all the chains on which it has an address.
        complete: bool,
    },
    /// The merchant accepts late money.
    AcceptLate,
    /// The money was seen to go back.
    Refunded,
    /// Time passed for a test payment alone.
    Advance {
        /// How much.
        seconds: u64,
    },
    /// A chain's watcher reported a transfer.
    Reported(Report),
}

/// One request for a USD amount, and everything that became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    id: PaymentId,
    merchant: MerchantId,
    mode: Mode,
    terms: Terms,
    progress: Progress,
}

/// What changes about a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) identity: Identity,
    pub(crate) selection: Option<Selection>,
    pub(crate) quotes: Quotes,
    pub(crate) addresses: Vec<GivenAddress>,
    pub(crate) transfers: BTreeMap<TransferId, Transfer>,
    pub(crate) windows: BTreeMap<ChainId, u64>,
    pub(crate) ending: Option<Ending>,
    pub(crate) late_accepted_at: Option<Timestamp>,
    pub(crate) deferral: Option<Deferral>,
    pub(crate) advanced_seconds: u64,
    pub(crate) updated_at: Timestamp,
    pub(crate) cancelled_at: Option<Timestamp>,
    pub(crate) refunded_at: Option<Timestamp>,
}

impl Payment {
    /// A payment starts with identity unproven and nothing paid; there is no other way to start one.
    pub fn new(id: PaymentId, merchant: MerchantId, mode: Mode, terms: Terms) -> Payment {
        let progress = Progress { updated_at: terms.created_at, ..Progress::default() };
        Payment { id, merchant, mode, terms, progress }
    }

    /// A payment read back from the table. Only the store may claim to remember one.
    pub(crate) fn restore(
        id: PaymentId,
        merchant: MerchantId,
        mode: Mode,
        terms: Terms,
        progress: Progress,
    ) -> Payment {
        Payment { id, merchant, mode, terms, progress }
    }

    /// What it means that `there` already has this payment's key (R9).
    pub fn meets(&self, there: &Payment) -> Meeting {
        if there.id == self.id {
            return Meeting::Itself;
        }
        match (self.terms.idempotency, there.terms.idempotency) {
            (Some(asked), Some(kept))
                if there.merchant == self.merchant && asked.key_hash == kept.key_hash =>
            {
                if asked.request_hash == kept.request_hash {
                    Meeting::SameRequest
                } else {
                    Meeting::OtherRequest
                }
            }
            (Some(_) | None, Some(_) | None) => Meeting::Collision,
        }
    }

    /// The payment after `event`.
    ///
    /// The same event twice is the same as once, because a write that was retried looks to its writer like somebody
    /// else's. Money is recorded whatever the status: it is never forgotten.
    pub fn apply(&self, event: Event, now: Timestamp) -> Result<Payment, Refusal> {
        let mut next = self.clone();
        match event {
            Event::Identity(step) => next.identify(step, now)?,
            Event::Choose(offer) => next.choose(offer, now)?,
            Event::Cancel => next.cancel(now)?,
            Event::Expire { windows, complete } => next.expire(windows, complete, now),
            Event::AcceptLate => next.accept_late(now)?,
            Event::Refunded => next.refunded(now)?,
            Event::Advance { seconds } => next.advance(seconds)?,
            Event::Reported(report) => next.report(report),
        }
        if next != *self {
            next.progress.updated_at = next.local(now).max(self.progress.updated_at);
        }
        Ok(next)
    }

    fn identify(&mut self, step: IdentityStep, now: Timestamp) -> Result<(), Refusal> {
        let next = self.progress.identity.step(step)?;
        let status = self.status(now);
        if next != self.progress.identity && status != Status::KycRequired {
            return Err(Refusal::Ended { status });
        }
        self.progress.identity = next;
        Ok(())
    }

    /// Whether the payer may choose `coin`, or have a new quote in it, at `now` (R19).
    pub fn may_choose(&self, coin: &CoinId, now: Timestamp) -> Result<(), Refusal> {
        match self.status(now) {
            Status::Pending | Status::PartiallyPaid => {}
            Status::KycRequired => return Err(Refusal::IdentityRequired),
            status @ (Status::Paid
            | Status::Overpaid
            | Status::Expired
            | Status::Cancelled
            | Status::Refunded) => {
                return Err(Refusal::Ended { status });
            }
        }
        let other_coin = self.progress.selection.as_ref().is_some_and(|selected| selected.coin != *coin);
        if other_coin && self.money_was_seen() {
            return Err(Refusal::CoinSettled);
        }
        if self.still_due() == Cents::ZERO { Err(Refusal::NothingDue) } else { Ok(()) }
    }

    /// Whether a coin that is not offered below `minimum` is offered: it decides about a first payment only.
    pub fn accepts(&self, minimum: Cents) -> bool {
        self.money_was_seen() || self.still_due() >= minimum
    }

    fn choose(&mut self, offer: Offer, now: Timestamp) -> Result<(), Refusal> {
        self.may_choose(&offer.coin, now)?;
        let usd = self.still_due();
        let worth = Units::worth(usd, offer.rate, offer.decimals);
        let units =
            worth.and_then(|units| units.payable(offer.decimals)).map_err(|_| Refusal::NotExpressible)?;
        let given = self.address_of(&offer.address.family).map(|given| given.address.clone());
        let address = given.unwrap_or_else(|| {
            self.progress.addresses.push(offer.address.clone());
            offer.address.address.clone()
        });
        let issued_at = self.local(now);
        let until = issued_at.plus(QUOTE_SECONDS);
        let Offer { coin, decimals, rate, .. } = offer;
        let quote = Quote { coin: coin.clone(), usd, decimals, units, rate, issued_at, until };
        let Progress { quotes, transfers, selection, .. } = &mut self.progress;
        let relied_on = quotes.clone();
        let priced = |quote: &Quote| {
            transfers.values().any(|transfer| transfer.price(&relied_on) == Price::Quote(quote))
        };
        quotes.issue(quote, priced);
        *selection = Some(Selection { coin, address });
        Ok(())
    }

    fn cancel(&mut self, now: Timestamp) -> Result<(), Refusal> {
        match self.status(now) {
            Status::Cancelled => Ok(()),
            status @ (Status::Paid | Status::Overpaid | Status::Expired | Status::Refunded) => {
                Err(Refusal::NotCancellable { status })
            }
            Status::KycRequired | Status::Pending | Status::PartiallyPaid if self.awaits_money(now) => {
                Err(Refusal::MoneyOnItsWay)
            }
            Status::KycRequired | Status::Pending | Status::PartiallyPaid => {
                self.progress.ending = Some(Ending::Cancelled);
                self.progress.cancelled_at = Some(self.local(now));
                Ok(())
            }
        }
    }

    /// Ends an overdue payment, or puts off looking again while money in time holds it open (R15).
    fn expire(&mut self, windows: Vec<Window>, complete: bool, now: Timestamp) {
        let local = self.local(now);
        let open = self.progress.ending.is_none() && self.recorded_status().is_open();
        if local < self.terms.expires_at() || !open {
            return;
        }
        for window in windows {
            let height = window.height.max(self.last_height_in_time(&window.chain));
            self.progress.windows.entry(window.chain).or_insert(height);
        }
        let closed = complete || self.progress.addresses.is_empty();
        if closed && !self.awaits_money_in_time(now) {
            self.progress.ending = Some(Ending::Expired);
            self.progress.deferral = None;
        } else if self.progress.deferral.is_none_or(|deferral| deferral.until <= local) {
            let waits = self.progress.deferral.map_or(0, |deferral| deferral.waits.saturating_add(1));
            let doubled = 2_u64.checked_pow(waits).and_then(|factor| FIRST_WAIT_SECONDS.checked_mul(factor));
            let wait = doubled.map_or(LONGEST_WAIT_SECONDS, |wait| wait.min(LONGEST_WAIT_SECONDS));
            self.progress.deferral = Some(Deferral { until: local.plus(wait), waits });
        }
    }

    fn accept_late(&mut self, now: Timestamp) -> Result<(), Refusal> {
        match self.status(now) {
            Status::Expired | Status::Cancelled if self.received_covers() => {
                self.progress.late_accepted_at = Some(self.local(now));
                self.progress.ending = None;
                Ok(())
            }
            Status::Expired | Status::Cancelled => Err(Refusal::NotCovered),
            Status::Paid | Status::Overpaid if self.progress.late_accepted_at.is_some() => Ok(()),
            status @ (Status::KycRequired
            | Status::Pending
            | Status::PartiallyPaid
            | Status::Paid
            | Status::Overpaid
            | Status::Refunded) => Err(Refusal::NothingLate { status }),
        }
    }

    fn refunded(&mut self, now: Timestamp) -> Result<(), Refusal> {
        match self.status(now) {
            Status::Refunded => Ok(()),
            Status::Expired | Status::Cancelled if self.received() > Cents::ZERO => {
                self.progress.ending = Some(Ending::Refunded);
                self.progress.refunded_at = Some(self.local(now));
                Ok(())
            }
            status @ (Status::KycRequired
            | Status::Pending
            | Status::PartiallyPaid
            | Status::Paid
            | Status::Overpaid
            | Status::Expired
            | Status::Cancelled) => Err(Refusal::NothingToRefund { status }),
        }
    }

    fn advance(&mut self, seconds: u64) -> Result<(), Refusal> {
        match self.mode {
            Mode::Live => Err(Refusal::LiveTime),
            Mode::Test => {
                self.progress.advanced_seconds = self.progress.advanced_seconds.saturating_add(seconds);
                Ok(())
            }
        }
    }

    fn report(&mut self, report: Report) {
        let after_end = self.progress.ending.is_some();
        let id = report.movement.id.clone();
        let known = self.progress.transfers.entry(id).or_insert_with(|| Transfer::new(&report, after_end));
        known.merge(report);
    }

    /// Takes the steps that the payer has still to take, then decides: what a reviewer's word comes to (R18).
    pub fn decide_identity(&self, decision: IdentityStep, now: Timestamp) -> Result<Payment, Refusal> {
        let steps = self.progress.identity.steps_to_decision().iter().chain([&decision]);
        steps.into_iter().try_fold(self.clone(), |payment, step| payment.apply(Event::Identity(*step), now))
    }

    /// The payment's own time: ahead of everyone's if a test advanced it.
    pub fn local(&self, now: Timestamp) -> Timestamp {
        now.plus(self.progress.advanced_seconds)
    }

    /// Its id.
    pub fn id(&self) -> PaymentId {
        self.id
    }

    /// Whose it is.
    pub fn merchant(&self) -> &MerchantId {
        &self.merchant
    }

    /// Real money or a rehearsal.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether it is about real money.
    pub fn is_live(&self) -> bool {
        self.mode == Mode::Live
    }

    /// What was agreed at creation.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The payer's identity check.
    pub fn identity(&self) -> Identity {
        self.progress.identity
    }

    /// What the payer pays with now.
    pub fn selection(&self) -> Option<&Selection> {
        self.progress.selection.as_ref()
    }

    /// The newest quote of the selected coin.
    pub fn quote(&self) -> Option<&Quote> {
        self.progress.quotes.newest(&self.progress.selection.as_ref()?.coin)
    }

    /// All quotes that are kept.
    pub fn quotes(&self) -> &Quotes {
        &self.progress.quotes
    }

    /// Every address given out for it.
    pub fn addresses(&self) -> &[GivenAddress] {
        &self.progress.addresses
    }

    /// Its address of a family of chains, if one was given out.
    pub fn address_of(&self, family: &str) -> Option<&GivenAddress> {
        self.progress.addresses.iter().find(|given| given.family == family)
    }

    /// When it last changed.
    pub fn updated_at(&self) -> Timestamp {
        self.progress.updated_at
    }

    /// When the merchant withdrew it.
    pub fn cancelled_at(&self) -> Option<Timestamp> {
        self.progress.cancelled_at
    }

    /// When its money was seen to have gone back.
    pub fn refunded_at(&self) -> Option<Timestamp> {
        self.progress.refunded_at
    }

    /// When the sweep has to look at it; `None` when time cannot change it.
    pub fn next_check(&self) -> Option<Timestamp> {
        let open = self.progress.ending.is_none() && self.recorded_status().is_open();
        let deferred = self.progress.deferral.map(|deferral| deferral.until);
        open.then(|| deferred.unwrap_or_else(|| self.terms.expires_at()))
    }
}
