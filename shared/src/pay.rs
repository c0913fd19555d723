//! A payment as its payer sees it: on the page, and as the JSON that keeps the page current.
//!
//! Pure. It holds nothing of the merchant's: no metadata, no account, and of the fee only what the payer pays.

mod claim;
mod link;
mod offer;
mod page;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test that overflows fails")]
mod tests;
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
mod words;

pub use claim::{ClaimPage, Form};
pub use link::{link_to, payment_link};
pub use offer::{NotOffered, OfferedCoin, Offers};
pub use page::{Message, PayPage, content_security_policy, unframed_policy};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::chain::{Asset, Chain, ChainId, Chains, CoinId, Family};
use crate::json::{Time, Usd};
use crate::moment::Timestamp;
use crate::money::{Cents, Decimals, Units};
use crate::payment::{
    AWAITED_SECONDS, FeePaidBy, KycMethod, KycStatus, Payment, Standing, Status, Transfer, TransferState,
};

/// Bytes of the hash that tells one state of the page from the next.
const FINGERPRINT_BYTES: usize = 8;

/// Digits of an amount that is only an estimate.
const ESTIMATE_DIGITS: usize = 5;

/// What the payer has to do, or to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Prove identity.
    Verify,
    /// Choose a coin.
    Choose,
    /// Send the quoted amount.
    Send,
    /// Ask for a new quote: the last one has lapsed, or is for more than what is left.
    Renew,
    /// Wait: all that is due was sent and does not count yet, or what was sent has no price yet.
    Confirm,
    /// Wait: the time is over, and the chains are looked through for money that came in time.
    Close,
    /// Nothing any more.
    End,
}

/// The payer's view of a payment at one moment. What does not apply is `null`; names are the API's where it has one.
#[derive(Debug, Serialize)]
pub struct PayView {
    short_code: String,
    title: String,
    description: Option<String>,
    livemode: bool,
    #[serde(serialize_with = "words::status")]
    status: Status,
    step: Step,
    #[serde(serialize_with = "words::identity")]
    kyc_status: KycStatus,
    kyc_attempts_left: u8,
    #[serde(serialize_with = "words::method")]
    kyc_method: KycMethod,
    allow_bankid: bool,
    amount_due_usd: Usd,
    fee_usd: Option<Usd>,
    amount_received_usd: Usd,
    on_its_way_usd: Usd,
    still_due_usd: Usd,
    awaits_price: bool,
    overpaid_usd: Usd,
    selected_coin: Option<String>,
    network: Option<String>,
    wallet_address: Option<String>,
    coin_amount: Option<String>,
    rate_usd: Option<String>,
    rate_expires_at: Option<Time>,
    payment_link: Option<String>,
    /// Whether the first code to scan is the address alone: a wallet that reads only half of a token's link would send the
    /// money to the token's contract (R27).
    #[serde(skip)]
    scans_address: bool,
    coins: Vec<CoinLine>,
    /// Why nothing can be chosen or, once a coin is, why it cannot be chosen again.
    not_offered: Option<&'static str>,
    transfers: Vec<TransferLine>,
    #[serde(skip)]
    transfers_total: u64,
    may_come_back: bool,
    late: bool,
    ended: bool,
    expires_at: Time,
    server_time: Time,
    fingerprint: String,
}

/// A coin in the list to choose from.
///
/// While an amount is being sent, prices of other coins are left out: they change every minute, and a page that changed
/// with them would take a half-copied address out of the payer's hands.
#[derive(Debug, Serialize)]
struct CoinLine {
    coin: String,
    network: String,
    rate_usd: Option<String>,
    estimate: Option<String>,
}

/// A transfer in the list of what came.
#[derive(Debug, Serialize)]
struct TransferLine {
    coin: String,
    network: String,
    tx_id: String,
    amount: String,
    credited_usd: Option<Usd>,
    #[serde(serialize_with = "words::transfer")]
    state: TransferState,
    confirmations: u32,
    confirmations_required: u32,
    late: bool,
}

/// Whether the payer of `payment` can choose a coin at `now`, so that it is worth knowing what is offered.
pub fn can_choose(payment: &Payment, now: Timestamp) -> bool {
    match step(payment, now) {
        Step::Choose | Step::Send | Step::Renew => true,
        Step::Verify | Step::Confirm | Step::Close | Step::End => false,
    }
}

fn step(payment: &Payment, now: Timestamp) -> Step {
    match payment.status(now) {
        Status::KycRequired => Step::Verify,
        Status::Pending | Status::PartiallyPaid if is_overdue(payment, now) => Step::Close,
        Status::Pending | Status::PartiallyPaid => next_step(payment, now),
        Status::Paid | Status::Overpaid | Status::Expired | Status::Cancelled | Status::Refunded => Step::End,
    }
}

/// Money that is on its way counts as paid here, so that nobody is asked to send it twice.
fn next_step(payment: &Payment, now: Timestamp) -> Step {
    let left = payment.still_due();
    match payment.quote() {
        _ if left == Cents::ZERO || payment.awaits_price() => Step::Confirm,
        None => Step::Choose,
        Some(quote) if payment.local(now) < quote.until && quote.usd == left => Step::Send,
        Some(_) => Step::Renew,
    }
}

fn is_overdue(payment: &Payment, now: Timestamp) -> bool {
    payment.local(now) >= payment.terms().expires_at()
}

impl PayView {
    /// What the payer of `payment` sees at `now`, by what is offered.
    pub fn new(
        payment: &Payment,
        chains: &Chains,
        offers: &Offers,
        now: Timestamp,
    ) -> Result<PayView, serde_json::Error> {
        let (terms, request) = (payment.terms(), &payment.terms().request);
        let (status, step) = (payment.status(now), step(payment, now));
        let (selection, quote) = (payment.selection(), payment.quote());
        let chain = selection.and_then(|selected| Some(chains.coin(&selected.coin)?.0));
        let held = quote.filter(|_| step == Step::Send);
        let shown = payment.shown_transfers();
        let mut view = PayView {
            short_code: payment.id().code().to_string(),
            title: request.title.clone(),
            description: request.description.clone(),
            livemode: payment.is_live(),
            status,
            step,
            kyc_status: payment.identity().status,
            kyc_attempts_left: payment.identity().attempts_left(),
            kyc_method: request.kyc_method,
            allow_bankid: request.allow_bankid,
            amount_due_usd: Usd(terms.due()),
            fee_usd: fee_in_total(payment).map(Usd),
            amount_received_usd: Usd(payment.received()),
            on_its_way_usd: Usd(on_its_way(payment)),
            still_due_usd: Usd(payment.still_due()),
            awaits_price: payment.awaits_price(),
            overpaid_usd: Usd(payment.overpaid()),
            selected_coin: selection.map(|selected| selected.coin.to_string()),
            network: chain.map(|chain| network(payment, chain)),
            wallet_address: selection.map(|selected| selected.address.clone()),
            coin_amount: quote.map(|quote| quote.units.display(quote.decimals)),
            rate_usd: quote.map(|quote| quote.rate.to_string()),
            rate_expires_at: quote.map(|quote| Time(quote.until)),
            payment_link: held.and_then(|quote| payment_link(payment, chains, quote)),
            scans_address: selection.is_some_and(|selected| is_token(chains, &selected.coin)),
            coins: coin_lines(payment, chains, &offers.coins, step),
            not_offered: not_offered(payment, offers, step).map(NotOffered::code),
            transfers: shown.map(|transfer| TransferLine::new(payment, transfer)).collect(),
            transfers_total: payment.transfers_total(),
            may_come_back: may_come_back(payment, now),
            late: payment.has_late_money(),
            ended: step == Step::End,
            expires_at: Time(terms.expires_at()),
            server_time: Time(Timestamp::default()),
            fingerprint: String::new(),
        };
        view.fingerprint = fingerprint(&serde_json::to_vec(&view)?);
        view.server_time = Time(payment.local(now));
        Ok(view)
    }
}

/// The fee, where it is part of what the payer owes (R14).
fn fee_in_total(payment: &Payment) -> Option<Cents> {
    let terms = payment.terms();
    let is_payers = terms.request.fee_paid_by == FeePaidBy::Payer && terms.fee.usd > Cents::ZERO;
    is_payers.then_some(terms.fee.usd)
}

/// What was sent and does not count yet: the rest of what is due, so that the page's three sums always add up to it.
fn on_its_way(payment: &Payment) -> Cents {
    payment.terms().due().minus(payment.still_due()).minus(payment.received())
}

/// Whether a transfer that the network took back may still be confirmed: who sent again at once might pay twice (R27).
fn may_come_back(payment: &Payment, now: Timestamp) -> bool {
    let mut in_hand = payment.transfers().filter(|transfer| !payment.is_own(transfer));
    let is_in_hand = in_hand.any(|transfer| match transfer.standing() {
        Standing::Lost { at, .. } => payment.local(now) < at.plus(AWAITED_SECONDS),
        Standing::Unconfirmed { .. } | Standing::InBlock { .. } | Standing::Replaced => false,
    });
    payment.still_due() > Cents::ZERO && (is_in_hand || payment.folded_may_come_back(now))
}

fn is_token(chains: &Chains, coin: &CoinId) -> bool {
    chains.coin(coin).is_some_and(|(_, coin)| coin.asset != Asset::Native)
}

impl TransferLine {
    fn new(payment: &Payment, transfer: &Transfer) -> TransferLine {
        let movement = transfer.movement();
        TransferLine {
            coin: movement.coin.to_string(),
            network: title_case(&movement.chain),
            tx_id: movement.tx_id.clone(),
            amount: movement.units.display(movement.decimals),
            credited_usd: payment.credit_of(transfer).map(|credit| Usd(credit.floor())),
            state: payment.state(transfer),
            confirmations: transfer.confirmations(),
            confirmations_required: movement.confirmations_required,
            late: payment.is_late(transfer),
        }
    }
}

/// What can be chosen: while money is on its way, only the coin it comes in (R19).
fn coin_lines(payment: &Payment, chains: &Chains, offered: &[OfferedCoin], step: Step) -> Vec<CoinLine> {
    let settled = payment.selection().filter(|_| payment.money_is_on_its_way());
    let open = offered.iter().filter(|offer| settled.is_none_or(|selected| selected.coin == offer.coin));
    let line = |offer: &OfferedCoin| {
        let (chain, coin) = chains.coin(&offer.coin)?;
        let units = Units::worth(payment.still_due(), offer.rate, coin.decimals).ok()?;
        Some(CoinLine {
            coin: coin.id.to_string(),
            network: network(payment, chain),
            rate_usd: (step != Step::Send).then(|| offer.rate.to_string()),
            estimate: (step != Step::Send).then(|| estimate(units, coin.decimals)),
        })
    };
    open.filter_map(line).collect()
}

/// What stands in the way of the payer's next step.
fn not_offered<'a>(payment: &Payment, offers: &'a Offers, step: Step) -> Option<&'a NotOffered> {
    match step {
        Step::Choose => offers.why_none(),
        Step::Renew => payment.selection().and_then(|selected| offers.why_not(&selected.coin)),
        Step::Verify | Step::Send | Step::Confirm | Step::Close | Step::End => None,
    }
}

/// The network's name; of a test payment the one that its links name, so that nobody takes it for the live one.
fn network(payment: &Payment, chain: &Chain) -> String {
    let name = title_case(&chain.id);
    match chain.family {
        _ if payment.is_live() => name,
        Family::Evm { test_chain_id, .. } => format!("{name} test network (chain id {test_chain_id})"),
        Family::Bitcoin { .. } => format!("{name} test network"),
    }
}

fn title_case(chain: &ChainId) -> String {
    let mut letters = chain.as_str().chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// The amount's first significant digits: what to expect, not what to send.
fn estimate(units: Units, decimals: Decimals) -> String {
    let exact = units.display(decimals);
    let whole = exact.find('.').unwrap_or(exact.len());
    let first = exact.find(|digit: char| matches!(digit, '1'..='9')).unwrap_or(0);
    let end = first.saturating_add(ESTIMATE_DIGITS).saturating_add(usize::from(first < whole)).max(whole);
    exact.get(..end).unwrap_or(&exact).trim_end_matches('.').to_owned()
}

fn fingerprint(shown: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(shown).into();
    let (head, _) = digest.split_first_chunk::<FINGERPRINT_BYTES>().unwrap_or((&[0; FINGERPRINT_BYTES], &[]));
    format!("{:016x}", u64::from_be_bytes(*head))
}
