//! Why a payment stands where it stands: each transfer, quote, refund, window and rule behind its status, as data and as sentences.
//!
//! Pure, and for the merchant only. It decides nothing: every figure comes from the payment, which is what decides.

mod coin;
mod quote;
mod refund;
mod status;
#[cfg(test)]
mod tests;
mod transfer;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chain::Chains;
use crate::json::{Time, Usd};
use crate::moment::Timestamp;
use crate::pay::Offers;
use crate::payment::{Payment, TRANSFERS_SHOWN};

use coin::CoinLine;
use quote::QuoteLine;
use refund::RefundLine;
use transfer::TransferLine;

/// What the rulings that an explanation cites come to, in a sentence each.
const RULINGS: [(&str, &str); 12] = [
    (
        "R5",
        "Every amount that can be created can be paid in at least one coin; a coin has no minimum but what its chain itself \
         refuses, unless the operator set one.",
    ),
    ("R14", "What is due is the amount, and the fee as well if the payer pays it."),
    (
        "R15",
        "A payment is open for exactly ten days; money that came in time still counts afterwards and holds it open \
         meanwhile, for 72 hours at most.",
    ),
    (
        "R16",
        "A status moves only from kyc_required to pending to partially_paid to paid to overpaid and, when blocks are \
         taken back, back along that line; to cancelled or expired from the first three; to refunded from those two, or \
         to paid and overpaid when the merchant accepts late money. What goes back of a paid or overpaid payment leaves \
         its status.",
    ),
    ("R18", "The payer proves identity before a coin can be chosen, in three attempts at most."),
    ("R19", "A coin can be changed while no money is on its way; every address given out stays watched."),
    (
        "R20",
        "A quote holds for 15 minutes. A transfer first seen while its coin's newest quote holds counts at that rate if \
         it is in a block within 24 hours, any other at the accepted rate of its minute.",
    ),
    (
        "R21",
        "A transfer credits its units times the quote's ratio of dollars to units, exactly; sums are rounded down to \
         cents.",
    ),
    (
        "R22",
        "A transfer counts once, when it has the confirmations of its coin, by the larger of what is due and what came.",
    ),
    ("R23", "Money first seen after the end keeps the status; the merchant accepts it or refunds it."),
    (
        "R24",
        "The server holds no private key of anyone: only the merchant's own wallet can pay. A live coin is \
         offered only while its chain was read to its newest block within the last 30 minutes.",
    ),
    ("R36", "Gas that a sweep proposed to send to an address is the merchant's own and counts for nothing."),
];

/// The explanation of one payment at one moment.
#[derive(Debug, Serialize)]
pub struct Explanation {
    id: String,
    short_code: String,
    status: &'static str,
    because: Conclusion,
    livemode: bool,
    at: Time,
    amounts: Amounts,
    window: WindowLine,
    quotes: Vec<QuoteLine>,
    transfers: Vec<TransferLine>,
    transfers_total: u64,
    earlier: Option<Conclusion>,
    refunds: Vec<RefundLine>,
    coins: Vec<CoinLine>,
    sentences: Vec<String>,
    rulings: BTreeMap<&'static str, &'static str>,
}

/// Something that follows, in words, and from which rulings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Conclusion {
    sentence: String,
    rulings: &'static [&'static str],
}

fn conclude(rulings: &'static [&'static str], sentence: String) -> Conclusion {
    Conclusion { sentence, rulings }
}

/// The sums behind the status.
#[derive(Debug, Serialize)]
struct Amounts {
    amount_due_usd: Usd,
    enough_usd: Usd,
    amount_received_usd: Usd,
    still_due_usd: Usd,
    overpaid_usd: Usd,
    refunded_usd: Usd,
    awaits_price: bool,
    tolerance_basis_points: u64,
    spread_basis_points: u64,
    because: Vec<Conclusion>,
}

/// The time in which money is in time.
#[derive(Debug, Serialize)]
struct WindowLine {
    created_at: Time,
    expires_at: Time,
    closed: Vec<ClosedChain>,
    late_accepted_at: Option<Time>,
    because: Vec<Conclusion>,
}

/// A chain that was scanned past the end.
#[derive(Debug, Serialize)]
struct ClosedChain {
    chain: String,
    last_height: u64,
}

impl Explanation {
    /// Explains `payment` at `now`; the settings' chains say what their confirmation rules are, `offers` what it can be paid
    /// in as long as it is open.
    pub fn new(payment: &Payment, chains: &Chains, offers: &Offers, now: Timestamp) -> Explanation {
        let shown = payment.shown_transfers();
        let mut explanation = Explanation {
            id: payment.id().to_string(),
            short_code: payment.id().code().to_string(),
            status: payment.status(now).as_str(),
            because: status::because(payment, now),
            livemode: payment.is_live(),
            at: Time(payment.local(now)),
            amounts: Amounts::new(payment),
            window: WindowLine::new(payment, now),
            quotes: payment.quotes().iter().map(|quote| QuoteLine::new(payment, quote, now)).collect(),
            transfers: shown.map(|transfer| TransferLine::new(payment, transfer, chains)).collect(),
            transfers_total: payment.transfers_total(),
            earlier: earlier(payment),
            refunds: payment.refunds().map(|refund| RefundLine::new(payment, refund, now)).collect(),
            coins: coin::lines(offers),
            sentences: Vec::new(),
            rulings: BTreeMap::new(),
        };
        explanation.sentences =
            explanation.conclusions().map(|conclusion| conclusion.sentence.clone()).collect();
        let cited: Vec<_> =
            explanation.conclusions().flat_map(|conclusion| conclusion.rulings).copied().collect();
        explanation.rulings = RULINGS.into_iter().filter(|(number, _)| cited.contains(number)).collect();
        explanation
    }

    /// Everything that follows, in the order in which a person would ask.
    fn conclusions(&self) -> impl Iterator<Item = &Conclusion> {
        let transfers = self.transfers.iter().flat_map(|line| &line.because);
        let quotes = self.quotes.iter().map(|line| &line.because);
        let sums = self.amounts.because.iter().chain(&self.window.because);
        let refunds = self.refunds.iter().map(|line| &line.because);
        let coins = self.coins.iter().filter_map(|line| line.because.as_ref());
        let transfers = transfers.chain(&self.earlier);
        [&self.because].into_iter().chain(sums).chain(transfers).chain(refunds).chain(quotes).chain(coins)
    }
}

/// What is not told one by one: whoever wants to know pages through the payment's transfers.
fn earlier(payment: &Payment) -> Option<Conclusion> {
    let shown = u64::try_from(TRANSFERS_SHOWN).unwrap_or(u64::MAX);
    let earlier = payment.transfers_total().checked_sub(shown).filter(|earlier| *earlier > 0)?;
    let sentence = format!(
        "{earlier} earlier transfers are not explained one by one; what counts of them is part of the amounts."
    );
    Some(conclude(&["R22"], sentence))
}

impl Amounts {
    fn new(payment: &Payment) -> Amounts {
        let terms = payment.terms();
        Amounts {
            amount_due_usd: Usd(terms.due()),
            enough_usd: Usd(terms.due().less(terms.tolerance)),
            amount_received_usd: Usd(payment.received()),
            still_due_usd: Usd(payment.still_due()),
            overpaid_usd: Usd(payment.overpaid()),
            refunded_usd: Usd(payment.refunded()),
            awaits_price: payment.awaits_price(),
            tolerance_basis_points: terms.tolerance.get(),
            spread_basis_points: terms.spread.get(),
            because: status::amounts(payment),
        }
    }
}

impl WindowLine {
    fn new(payment: &Payment, now: Timestamp) -> WindowLine {
        let closed = payment.windows();
        WindowLine {
            created_at: Time(payment.terms().created_at),
            expires_at: Time(payment.terms().expires_at()),
            closed: closed
                .map(|(chain, last_height)| ClosedChain { chain: chain.to_string(), last_height })
                .collect(),
            late_accepted_at: payment.late_accepted_at().map(Time),
            because: status::window(payment, now),
        }
    }
}
