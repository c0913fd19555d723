//! A refund, as the API shows it.

use serde::Serialize;

use crate::json::Time;
use crate::moment::Timestamp;
use crate::payment::{Payment, Refund};

/// The body of an answer about one refund, and what only that call tells.
#[derive(Debug, Serialize)]
pub struct OneRefund<Extra> {
    success: bool,
    refund: Extended<Extra>,
}

#[derive(Debug, Serialize)]
struct Extended<Extra> {
    #[serde(flatten)]
    refund: RefundView,
    #[serde(flatten)]
    extra: Extra,
}

/// What only the call that asks for a refund tells, and only once.
#[derive(Debug, Serialize)]
pub struct Asked {
    /// The link on which the payer gives an address.
    pub claim_url: String,
}

/// What only the call that confirms a refund tells: how the merchant's own wallet pays it. Nothing once a block holds its
/// transaction, so that no wallet pays it again.
#[derive(Debug, Serialize)]
pub struct Payable {
    /// Address and amount for a wallet to open (EIP-681, BIP21).
    pub payment_link: Option<String>,
    /// A transaction to sign (BIP174), where the coin has such a thing.
    pub psbt: Option<String>,
}

/// Nothing more.
#[derive(Debug, Serialize)]
pub struct Plain {}

/// The body of the answer about all refunds of a payment.
#[derive(Debug, Serialize)]
pub struct Refunds {
    success: bool,
    refunds: Vec<RefundView>,
}

/// A refund, the same everywhere. What does not apply yet is `null`.
#[derive(Debug, Serialize)]
pub struct RefundView {
    id: String,
    coin: String,
    chain: String,
    amount: String,
    status: &'static str,
    address: Option<String>,
    tx_id: Option<String>,
    confirmations: u32,
    confirmations_required: u32,
    claim_expires_at: Time,
    requested_at: Time,
    claimed_at: Option<Time>,
    confirmed_at: Option<Time>,
    completed_at: Option<Time>,
}

impl<Extra> OneRefund<Extra> {
    /// The answer about `refund` at `now`.
    pub fn new(payment: &Payment, refund: &Refund, extra: Extra, now: Timestamp) -> OneRefund<Extra> {
        let refund = RefundView::new(payment, refund, now);
        OneRefund { success: true, refund: Extended { refund, extra } }
    }
}

impl Refunds {
    /// The answer about all of them at `now`.
    pub fn new(payment: &Payment, now: Timestamp) -> Refunds {
        let refunds = payment.refunds().map(|refund| RefundView::new(payment, refund, now)).collect();
        Refunds { success: true, refunds }
    }
}

impl RefundView {
    fn new(payment: &Payment, refund: &Refund, now: Timestamp) -> RefundView {
        RefundView {
            id: payment.refund_id(refund).to_string(),
            coin: refund.coin().to_string(),
            chain: refund.chain().to_string(),
            amount: refund.units().display(refund.decimals()),
            status: payment.refund_status(refund, now).as_str(),
            address: refund.address().map(str::to_owned),
            tx_id: refund.tx_id().map(str::to_owned),
            confirmations: refund.confirmations(),
            confirmations_required: refund.confirmations_required(),
            claim_expires_at: Time(refund.claim_expires_at()),
            requested_at: Time(refund.requested_at()),
            claimed_at: refund.claimed_at().map(Time),
            confirmed_at: refund.confirmed_at().map(Time),
            completed_at: refund.completed_at().map(Time),
        }
    }
}
