//! Where a refund stands, and who has to do what next.

use serde::Serialize;

use super::{Conclusion, conclude};
use crate::json::Time;
use crate::moment::Timestamp;
use crate::payment::{Payment, Refund, RefundStatus};

/// A refund as data.
#[derive(Debug, Serialize)]
pub(super) struct RefundLine {
    coin: String,
    chain: String,
    amount: String,
    status: &'static str,
    requested_at: Time,
    completed_at: Option<Time>,
    pub(super) because: Conclusion,
}

impl RefundLine {
    pub(super) fn new(payment: &Payment, refund: &Refund, now: Timestamp) -> RefundLine {
        let status = payment.refund_status(refund, now);
        let amount = refund.units().display(refund.decimals());
        let (coin, next) = (refund.coin(), next(refund, status));
        let asked = refund.requested_at();
        let sentence = format!(
            "A refund of {amount} {coin} was asked for on {asked}; it is {}: {next}.",
            status.as_str()
        );
        RefundLine {
            coin: coin.to_string(),
            chain: refund.chain().to_string(),
            amount,
            status: status.as_str(),
            requested_at: Time(asked),
            completed_at: refund.completed_at().map(Time),
            because: conclude(&["R16", "R24"], sentence),
        }
    }
}

fn next(refund: &Refund, status: RefundStatus) -> String {
    match status {
        RefundStatus::Requested => format!("the payer can give an address until {}", refund.claim_expires_at()),
        RefundStatus::Claimed => "the merchant has to confirm the address that the payer gave".to_owned(),
        RefundStatus::Confirmed => {
            "the merchant's wallet has to pay exactly that to the confirmed address, and the chain has to show it".to_owned()
        }
        RefundStatus::Sent => {
            let (have, need) = (refund.confirmations(), refund.confirmations_required());
            format!("its transaction has {have} of {need} confirmations")
        }
        RefundStatus::Completed => "its transaction lies as deep as the coin asks for".to_owned(),
        RefundStatus::Expired => "nobody gave an address in time".to_owned(),
        RefundStatus::Withdrawn => "the merchant took it back".to_owned(),
    }
}
