//! Why a transfer is worth what it is, whether it counts, and whether it is late.

use serde::Serialize;

use super::{Conclusion, conclude};
use crate::chain::{Chains, Depth, DepthRule};
use crate::json::{Time, Usd};
use crate::money::Credit;
use crate::payment::{HELD_RATE_SECONDS, Lateness, Payment, Price, Standing, Transfer, TransferState};

/// A transfer as data.
#[derive(Debug, Serialize)]
pub(super) struct TransferLine {
    id: String,
    coin: String,
    chain: String,
    tx_id: String,
    address: String,
    amount: String,
    state: &'static str,
    first_seen_at: Option<Time>,
    seen_unconfirmed_at: Option<Time>,
    block: Option<u64>,
    priced_by: Option<PricedBy>,
    credited_usd: Option<Usd>,
    credited_usd_exact: Option<String>,
    confirmations: u32,
    confirmations_required: u32,
    confirmation_rule: Option<RuleLine>,
    late: bool,
    pub(super) because: Vec<Conclusion>,
}

/// What decided the rate.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum PricedBy {
    Quote { issued_at: Time, usd: Usd, coin_amount: String, rate_usd: String },
    Minute { rate_usd: String },
    Awaited { minute: Time },
}

/// The chain's rule for this amount.
#[derive(Debug, Serialize)]
struct RuleLine {
    from_usd: Option<Usd>,
    below_usd: Option<Usd>,
    blocks: Option<u32>,
    finalized: bool,
}

impl TransferLine {
    pub(super) fn new(payment: &Payment, transfer: &Transfer, chains: &Chains) -> TransferLine {
        let movement = transfer.movement();
        let credit = payment.credit_of(transfer);
        let chain = chains.named(movement.chain.as_str());
        let due = payment.terms().due();
        let worth = credit.as_ref().map(Credit::ceil).filter(|worth| *worth > due);
        let rule = chain.map(|chain| chain.depth_rule(worth.unwrap_or(due)));
        let measure = if worth.is_some() { "what came" } else { "the amount due" };
        let is_own = payment.is_own(transfer);
        let mut because = vec![seen(transfer), standing(payment, transfer, rule, measure)];
        if !is_own {
            because.insert(1, price(payment, transfer, credit.as_ref()));
            because.push(timing(payment, transfer));
        }
        TransferLine {
            id: movement.id.to_string(),
            coin: movement.coin.to_string(),
            chain: movement.chain.to_string(),
            tx_id: movement.tx_id.clone(),
            address: movement.address.clone(),
            amount: movement.units.display(movement.decimals),
            state: payment.state(transfer).as_str(),
            first_seen_at: transfer.first_seen().map(Time),
            seen_unconfirmed_at: transfer.unconfirmed_at().map(Time),
            block: transfer.first_block().map(|block| block.height),
            priced_by: (!is_own).then(|| PricedBy::new(payment, transfer)),
            credited_usd: credit.as_ref().map(|credit| Usd(credit.floor())),
            credited_usd_exact: credit.as_ref().map(Credit::fraction),
            confirmations: transfer.confirmations(),
            confirmations_required: movement.confirmations_required,
            confirmation_rule: rule.map(RuleLine::new),
            late: payment.is_late(transfer),
            because,
        }
    }
}

impl PricedBy {
    fn new(payment: &Payment, transfer: &Transfer) -> PricedBy {
        match transfer.price(payment.quotes()) {
            Price::Quote(quote) => PricedBy::Quote {
                issued_at: Time(quote.issued_at),
                usd: Usd(quote.usd),
                coin_amount: quote.units.display(quote.decimals),
                rate_usd: quote.rate.to_string(),
            },
            Price::Market(rate) => PricedBy::Minute { rate_usd: rate.to_string() },
            Price::Awaited(minute) => PricedBy::Awaited { minute: Time(minute.start()) },
        }
    }
}

impl RuleLine {
    fn new(rule: DepthRule) -> RuleLine {
        let (blocks, finalized) = match rule.depth {
            Depth::Blocks(blocks) => (Some(blocks), false),
            Depth::Finalized(_) => (None, true),
        };
        RuleLine { from_usd: rule.from.map(Usd), below_usd: rule.below.map(Usd), blocks, finalized }
    }
}

/// What came, where, and when it was first seen.
fn seen(transfer: &Transfer) -> Conclusion {
    let movement = transfer.movement();
    let amount = movement.units.display(movement.decimals);
    let first = match (transfer.first_seen(), transfer.unconfirmed_at(), transfer.first_block()) {
        (Some(at), Some(sighted), _) if sighted == at => {
            format!("was first seen on {at}, before it was in a block")
        }
        (Some(at), _, Some(block)) if at < block.time => format!(
            "was first seen on {at}, in block {}, which claims to be made on {}",
            block.height, block.time
        ),
        (Some(at), _, Some(block)) => format!("was first seen in block {}, whose time is {at}", block.height),
        (Some(_) | None, Some(_) | None, Some(_) | None) => "was never seen to be there".to_owned(),
    };
    let sentence = format!(
        "{amount} {} on {} in transaction {} {first}.",
        movement.coin, movement.chain, movement.tx_id
    );
    conclude(&["R20"], sentence)
}

/// Which rate it has, and what that makes it worth.
fn price(payment: &Payment, transfer: &Transfer, credit: Option<&Credit>) -> Conclusion {
    let worth = credit.map(worth).unwrap_or_default();
    let sentence = match transfer.price(payment.quotes()) {
        Price::Quote(quote) => format!("The quote of {} held then, so it is worth {worth}.", quote.issued_at),
        Price::Market(rate) if mined_too_late(transfer) => {
            format!(
                "It took more than 24 hours into a block, so the rate of its block's minute counts, {rate} USD: {worth}."
            )
        }
        Price::Market(rate) => {
            format!(
                "No quote of its coin held then, so the accepted rate of that minute counts, {rate} USD: {worth}."
            )
        }
        Price::Awaited(minute) => {
            format!(
                "No quote of its coin held, and no rate is accepted yet for the minute {}.",
                minute.start()
            )
        }
    };
    conclude(&["R20", "R21"], sentence)
}

fn mined_too_late(transfer: &Transfer) -> bool {
    let waited =
        transfer.first_block().zip(transfer.first_seen()).map(|(block, seen)| block.time.since(seen));
    waited.is_some_and(|seconds| seconds > HELD_RATE_SECONDS)
}

/// Cents where that is exact, and the fraction where it is not.
fn worth(credit: &Credit) -> String {
    let (cents, fraction) = (credit.floor(), credit.fraction());
    if credit.is_whole() {
        format!("{cents} USD exactly")
    } else {
        format!("{fraction} USD, a little over {cents}")
    }
}

/// Whether it counts, and which rule says so.
fn standing(payment: &Payment, transfer: &Transfer, rule: Option<DepthRule>, measure: &str) -> Conclusion {
    let (have, need) = (transfer.confirmations(), transfer.movement().confirmations_required);
    let why = rule_in_words(rule, need, measure);
    let sentence = match (payment.state(transfer), transfer.standing()) {
        (TransferState::Seen, _) => format!("It is in no block yet; it counts with {why}."),
        (TransferState::Confirming, _) if have < need => {
            format!("It has {have} confirmations; it counts with {why}.")
        }
        (TransferState::Confirming, _) => format!("It has {why}, and counts as soon as it has a rate."),
        (TransferState::Own, _) => {
            let sentence = "It is the merchant's own: gas that a sweep proposed to send there, within seven days; it never counts.";
            return conclude(&["R36"], sentence.to_owned());
        }
        (TransferState::Counted, _) => format!("It counts, because it has {why}."),
        (TransferState::Lost, Standing::Replaced) => {
            "Another transaction spent the same coins, so it never comes back.".to_owned()
        }
        (TransferState::Lost, _) => {
            "The chain does not hold it any more; if it comes back, it counts again.".to_owned()
        }
    };
    conclude(&["R22"], sentence)
}

fn rule_in_words(rule: Option<DepthRule>, need: u32, measure: &str) -> String {
    let asked = rule.filter(|rule| rule.depth.confirmations() == need);
    let Some(DepthRule { from, below, depth }) = asked else {
        return format!("{need} confirmations, by the rule of that time and all that came in its block");
    };
    let depth = match depth {
        Depth::Blocks(1) => "1 confirmation".to_owned(),
        Depth::Blocks(blocks) => format!("{blocks} confirmations"),
        Depth::Finalized(shown) => format!("finality, shown as {shown} confirmations"),
    };
    match (from, below) {
        (_, Some(below)) => format!("{depth} because {measure} is below {below} USD"),
        (Some(from), None) => format!("{depth} because {measure} is {from} USD or more"),
        (None, None) => format!("{depth}, as for every amount"),
    }
}

/// Whether it came in time, and why not.
fn timing(payment: &Payment, transfer: &Transfer) -> Conclusion {
    let expires_at = payment.terms().expires_at();
    let why = match payment.lateness(transfer) {
        None => return conclude(&["R15"], "It came in time.".into()),
        Some(Lateness::Ended) => "the payment had ended when it was first seen".to_owned(),
        Some(Lateness::Overdue) => format!(
            "nobody saw it wait for a block before the end on {expires_at}, and its block's time is after that"
        ),
        Some(Lateness::AboveWindow { height, last }) => {
            format!("its block {height} lies above {last}, the last one in time")
        }
    };
    let then = if payment.late_accepted_at().is_some() {
        "; the merchant accepted it"
    } else {
        ", and changes no status until the merchant accepts it"
    };
    conclude(&["R15", "R23"], format!("It is late because {why}{then}."))
}
