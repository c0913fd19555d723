//! The eight statuses of a payment, and what refuses a command.

use super::{KycStatus, RefundStatus};

/// Where a payment stands: exactly eight (contract, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// The payer must prove identity.
    KycRequired,
    /// Proven; waiting for money.
    Pending,
    /// Some money counted, not enough.
    PartiallyPaid,
    /// Enough.
    Paid,
    /// At least a cent more than enough.
    Overpaid,
    /// The ten days are over.
    Expired,
    /// Withdrawn by the merchant.
    Cancelled,
    /// It had ended, and the money that had come went back.
    Refunded,
}

impl Status {
    /// All of them, in the order of a payment's life.
    pub const ALL: [Status; 8] = [
        Status::KycRequired,
        Status::Pending,
        Status::PartiallyPaid,
        Status::Paid,
        Status::Overpaid,
        Status::Expired,
        Status::Cancelled,
        Status::Refunded,
    ];

    /// As written in the API and the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::KycRequired => "kyc_required",
            Status::Pending => "pending",
            Status::PartiallyPaid => "partially_paid",
            Status::Paid => "paid",
            Status::Overpaid => "overpaid",
            Status::Expired => "expired",
            Status::Cancelled => "cancelled",
            Status::Refunded => "refunded",
        }
    }

    /// The status of that name.
    pub fn from_name(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether time or the merchant can still end the payment.
    pub fn is_open(self) -> bool {
        match self {
            Status::KycRequired | Status::Pending | Status::PartiallyPaid => true,
            Status::Paid | Status::Overpaid | Status::Expired | Status::Cancelled | Status::Refunded => false,
        }
    }

    /// Whether what was due has come.
    pub fn is_paid(self) -> bool {
        match self {
            Status::Paid | Status::Overpaid => true,
            Status::KycRequired
            | Status::Pending
            | Status::PartiallyPaid
            | Status::Expired
            | Status::Cancelled
            | Status::Refunded => false,
        }
    }
}

/// Why a command is refused. A chain and the clock are never refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Only an open payment can be cancelled (R17).
    #[error("Payment is {} and cannot be cancelled", .status.as_str())]
    NotCancellable {
        /// Where it stands.
        status: Status,
    },
    /// Money is coming (R17).
    #[error("A transfer was seen and is not yet counted, so the payment cannot be cancelled")]
    MoneyOnItsWay,
    /// It has ended or is paid.
    #[error("Payment is {}", .status.as_str())]
    Ended {
        /// Where it stands.
        status: Status,
    },
    /// A coin can be chosen only after identity is approved (R19).
    #[error("Identity must be approved before a coin can be chosen")]
    IdentityRequired,
    /// The coin is settled while money is on its way (R19).
    #[error("A transfer was seen and is not yet counted, so the coin cannot be changed")]
    CoinSettled,
    /// What was sent may be all that is due (R20).
    #[error("A transfer is on its way and has no price yet, so nothing more is asked for until it has")]
    PriceAwaited,
    /// What was sent is enough once it counts.
    #[error("Nothing is left to pay")]
    NothingDue,
    /// No quote can hold the amount.
    #[error("The amount cannot be expressed in this coin")]
    NotExpressible,
    /// This step does not follow from where the identity check is (R18).
    #[error("Identity is {}", .status.as_str())]
    IdentityStep {
        /// Where it is.
        status: KycStatus,
    },
    /// Three attempts in all (R18).
    #[error("Identity was rejected and no attempts are left")]
    NoAttemptsLeft,
    /// Only money on an ended payment can be accepted late (R16).
    #[error("Payment is {} and has no late money to accept", .status.as_str())]
    NothingLate {
        /// Where it stands.
        status: Status,
    },
    /// Late money must cover what is due (R16).
    #[error("The money received does not cover what is due")]
    NotCovered,
    /// Only what counted of a payment that is paid or ended goes back (R16).
    #[error("Payment is {} and holds nothing to refund", .status.as_str())]
    NothingToRefund {
        /// Where it stands.
        status: Status,
    },
    /// Never more than was received.
    #[error("The amount is more than can be refunded")]
    MoreThanRefundable,
    /// What was given back, and by which transactions, is kept for ever.
    #[error("This payment gave back this coin too many times")]
    TooManyRefunds,
    /// A transaction is one refund.
    #[error("The transaction paid an earlier refund of this coin")]
    PaidAnother,
    /// The same, of whichever payment.
    #[error("The transaction pays another refund")]
    PaysAnother,
    /// One refund of a coin at a time.
    #[error("A refund of this coin is {} already", .status.as_str())]
    RefundStands {
        /// Where it stands.
        status: RefundStatus,
    },
    /// Money that goes back is not accepted.
    #[error("A refund of this payment is {}, so its late money cannot be accepted", .status.as_str())]
    LateMoneyGoesBack {
        /// Where it stands.
        status: RefundStatus,
    },
    /// No refund of that coin.
    #[error("Refund not found")]
    NoRefund,
    /// The merchant means one that was withdrawn, ran out or is complete, and another of its coin has its place.
    #[error("Another refund of this coin is there now than the one with that refund_id and amount")]
    OtherRefund,
    /// No such claim link, or not any more.
    #[error("This link is not valid")]
    NoClaim,
    /// A claim link is good for one address.
    #[error("An address was given already and cannot be changed")]
    AddressSettled,
    /// What is sent there comes back to where it is.
    #[error("The address is the one that the payment was sent to")]
    OwnAddress,
    /// The merchant confirms what the payer gave and nothing else.
    #[error("The payer gave another address")]
    OtherAddress,
    /// This step does not follow from where the refund stands.
    #[error("The refund is {} and cannot be {step}", .status.as_str())]
    RefundStep {
        /// Where it stands.
        status: RefundStatus,
        /// What was to be done to it.
        step: &'static str,
    },
    /// Gas is sent to the payment's own addresses.
    #[error("The address is none of the payment's")]
    NotAnAddressOfIts,
    /// Time passes by itself for live payments.
    #[error("Time can be advanced for test payments only")]
    LiveTime,
}
