//! Why the status is what it is, what is due, and until when.

use super::{Conclusion, conclude};
use crate::moment::Timestamp;
use crate::money::{BasisPoints, Cents};
use crate::payment::{AWAITED_SECONDS, FeePaidBy, Payment, Status};

/// The sentence that a merchant asks for first.
pub(super) fn because(payment: &Payment, now: Timestamp) -> Conclusion {
    let (due, received) = (payment.terms().due(), payment.received());
    let on = |at: Option<Timestamp>| at.unwrap_or_default();
    match payment.status(now) {
        Status::KycRequired => {
            let identity = payment.identity().status.as_str();
            let sentence = "The payment is kyc_required because the payer must prove identity first";
            conclude(&["R16", "R18"], format!("{sentence}; identity is {identity}."))
        }
        Status::Pending => {
            let sentence = "The payment is pending because identity is approved and no money counts yet.";
            conclude(&["R16"], sentence.into())
        }
        Status::PartiallyPaid => {
            let missing = due.minus(received);
            let sentence =
                format!("{received} of the {due} USD that are due count, and {missing} USD are missing.");
            conclude(&["R16", "R21"], format!("The payment is partially_paid because {sentence}"))
        }
        Status::Paid => {
            let since = on(payment.paid_at());
            let sentence =
                format!("{received} USD count, which covers the {due} USD that are due; since {since}.");
            conclude(&["R16", "R21"], format!("The payment is paid because {sentence}"))
        }
        Status::Overpaid => {
            let more = payment.overpaid();
            let sentence = format!("{received} USD count, {more} USD more than the {due} USD that are due.");
            conclude(&["R16", "R21"], format!("The payment is overpaid because {sentence}"))
        }
        Status::Expired => {
            let sentence = format!("its ten days ended on {} without it.", payment.terms().expires_at());
            let text = format!("The payment is expired because {due} USD were due and {sentence}");
            conclude(&["R15", "R16"], text)
        }
        Status::Cancelled => {
            let at = on(payment.cancelled_at());
            conclude(&["R16"], format!("The payment is cancelled because the merchant withdrew it on {at}."))
        }
        Status::Refunded => {
            let at = on(payment.refunded_at());
            let sentence = format!("it had ended and its money was seen to go back on {at}.");
            conclude(&["R16", "R23"], format!("The payment is refunded because {sentence}"))
        }
    }
}

/// What is due, what is enough, and what the rates are less by.
pub(super) fn amounts(payment: &Payment) -> Vec<Conclusion> {
    let terms = payment.terms();
    let (due, fee) = (terms.due(), terms.fee.usd);
    let mut all = vec![match terms.request.fee_paid_by {
        FeePaidBy::Merchant => {
            conclude(&["R14"], format!("{due} USD are due; the merchant pays the fee of {fee} USD."))
        }
        FeePaidBy::Payer => {
            conclude(&["R14"], format!("{due} USD are due; that includes the fee of {fee} USD."))
        }
    }];
    if terms.tolerance > BasisPoints::ZERO {
        let (tolerance, enough) = (terms.tolerance, due.less(terms.tolerance));
        all.push(conclude(
            &["R21"],
            format!("{tolerance} of it may be missing, so {enough} USD are enough."),
        ));
    }
    if terms.spread > BasisPoints::ZERO {
        let sentence =
            format!("Rates are the market's less the spread of {} agreed at creation.", terms.spread);
        all.push(conclude(&["R20"], sentence));
    }
    if payment.awaits_price() {
        let sentence =
            "A transfer is on its way and has no price yet, so nothing more is asked for until it has.";
        all.push(conclude(&["R20"], sentence.into()));
    }
    let refunded = payment.refunded();
    if refunded > Cents::ZERO {
        let sentence = format!(
            "{refunded} USD went back, by what each refund was worth when it was asked for; the status does not reckon \
             with that until all of a payment that ended went back."
        );
        all.push(conclude(&["R16"], sentence));
    }
    all
}

/// Until when money is in time, and who closed the window where.
pub(super) fn window(payment: &Payment, now: Timestamp) -> Vec<Conclusion> {
    let expires_at = payment.terms().expires_at();
    let mut all = Vec::new();
    let over = payment.local(now) >= expires_at;
    if payment.status(now).is_open() {
        let until = expires_at.plus(AWAITED_SECONDS);
        all.push(conclude(&["R15"], if over {
            format!("Its time was over on {expires_at}; money that came in time holds it open until {until} at most.")
        } else {
            format!("Money first seen before {expires_at} is in time.")
        }));
    }
    for (chain, height) in payment.windows() {
        let sentence =
            format!("On {chain} the window closed at block {height}: money in later blocks is late.");
        all.push(conclude(&["R15"], sentence));
    }
    if let Some(at) = payment.late_accepted_at() {
        all.push(conclude(&["R16", "R23"], format!("The merchant accepted late money on {at}.")));
    }
    all
}
