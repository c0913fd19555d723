//! A payment: what was asked for, what was decided, what the chains reported, and the status that follows from those.
//!
//! Pure. Callers bring what happened and what time it is; `apply` says what the payment is now.

mod apply;
mod fee;
mod folded;
mod id;
mod identity;
mod ledger;
mod metadata;
mod quote;
mod refund;
mod request;
mod status;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test that overflows fails")]
pub(crate) mod tests;
mod top_up;
mod transfer;

pub use fee::{Fee, FeeTerms};
pub use folded::TRANSFERS_SHOWN;
pub(crate) use folded::{Folded, Group, GroupKey, Step, Steps, Sum, Sums};
pub use id::{Code, IdempotencyKey, Name, NotAnId, PaymentId, Secret};
pub use identity::{Identity, IdentityStep, KycStatus};
pub use ledger::{AWAITED_SECONDS, Lateness};
pub use metadata::Metadata;
pub use quote::{QUOTE_SECONDS, Quote, Quotes};
pub use refund::{
    CLAIM_SECONDS, ClaimHash, ClaimSecret, MeantRefund, NotARefund, NotASecret, Refund, RefundId,
    RefundReport, RefundStatus, Refundable,
};
pub(crate) use refund::{Claim, Confirmation, Earlier, Sighting};
pub use request::{FeePaidBy, Fields, InvalidParameter, KycMethod, Request};
pub use status::{Refusal, Status};
pub(crate) use top_up::{Answer, TopUp};
pub(crate) use transfer::Pin;
pub use transfer::{
    BlockAt, HELD_RATE_SECONDS, Movement, Price, Report, Sequence, Standing, Transfer, TransferId,
    TransferState,
};

use std::collections::BTreeMap;

use crate::chain::{ChainId, CoinId};
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::money::{BasisPoints, Cents, Decimals, Rate, Units};

/// How long a payment stays open (R15).
pub const LIFETIME_SECONDS: u64 = 10 * DAY_SECONDS;

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
    /// How much less than the market's rate a coin is worth to this payment: the account's at creation, so that a watcher
    /// days behind prices as one on time.
    pub spread: BasisPoints,
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

    /// What a coin is worth to this payment when the market says `accepted`.
    pub fn rate(&self, accepted: Rate) -> Rate {
        accepted.less(self.spread)
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
    /// The accepted rate now, before the payment's spread.
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
    /// The merchant gives money back, to an address that the payer has still to name.
    RequestRefund {
        /// In which coin.
        coin: CoinId,
        /// How much; `None`: all that can go back.
        units: Option<Units>,
        /// Of the secret in the claim link.
        secret: ClaimHash,
    },
    /// The payer named the address, on a claim link.
    ClaimRefund {
        /// Of the secret in the link.
        secret: ClaimHash,
        /// Where the money is to go.
        address: String,
    },
    /// The merchant confirmed that very address.
    ConfirmRefund {
        /// Which refund.
        meant: MeantRefund,
        /// The address as the merchant read it.
        address: String,
        /// How far the coin's chain is scanned, where anybody scans it.
        scanned: Option<u64>,
    },
    /// The merchant said which transaction pays a refund.
    NameRefundTransaction {
        /// Which refund.
        meant: MeantRefund,
        /// Which transaction.
        tx_id: String,
    },
    /// The merchant took a refund back.
    WithdrawRefund {
        /// Which one.
        meant: MeantRefund,
    },
    /// A sweep told the merchant to send gas to one of the addresses (R36).
    ProposeTopUp {
        /// The chain's own coin.
        coin: CoinId,
        /// Where to.
        address: String,
        /// How much.
        units: Units,
    },
    /// A chain's watcher reported a transaction that pays a refund's address.
    RefundSeen(RefundReport),
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
    /// Those in hand: the newest, and those that somebody asked for.
    pub(crate) transfers: BTreeMap<TransferId, Transfer>,
    /// All others.
    pub(crate) folded: Folded,
    pub(crate) windows: BTreeMap<ChainId, u64>,
    pub(crate) ending: Option<Ending>,
    pub(crate) late_accepted_at: Option<Timestamp>,
    pub(crate) deferral: Option<Deferral>,
    pub(crate) advanced_seconds: u64,
    pub(crate) updated_at: Timestamp,
    pub(crate) cancelled_at: Option<Timestamp>,
    pub(crate) refunds: BTreeMap<CoinId, Refund>,
    /// By the time at which they were made.
    pub(crate) top_ups: Vec<TopUp>,
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
                let same = || self.terms.request.is_same_as(&there.terms.request);
                if asked.request_hash == kept.request_hash || same() {
                    Meeting::SameRequest
                } else {
                    Meeting::OtherRequest
                }
            }
            (Some(_) | None, Some(_) | None) => Meeting::Collision,
        }
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

    /// When the sweep has to look at it; `None` when time cannot change it.
    pub fn next_check(&self) -> Option<Timestamp> {
        let open = self.progress.ending.is_none() && self.recorded_status().is_open();
        let deferred = self.progress.deferral.map(|deferral| deferral.until);
        open.then(|| deferred.unwrap_or_else(|| self.terms.expires_at()))
    }
}
