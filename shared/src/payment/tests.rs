//! What must hold for every history of a payment, and the few cases worth telling as a story.

mod folding;
mod names;
pub(crate) mod refunds;
mod requests;
mod top_ups;

use proptest::prelude::*;

use super::*;
use crate::moment::Minute;
use crate::money::Units;

const CREATED: Timestamp = Timestamp(1_700_000_000);
const DUE: Cents = Cents(10_000);
const REQUIRED: u32 = 3;

fn coin(name: &str) -> CoinId {
    CoinId::new(name).unwrap()
}

fn ethereum() -> ChainId {
    ChainId::new("ethereum").unwrap()
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    CREATED.plus(seconds)
}

fn request(amount: Cents) -> Request {
    Request {
        title: "Order #1234".into(),
        description: None,
        amount,
        kyc_method: KycMethod::IdUpload,
        allow_bankid: false,
        fee_paid_by: FeePaidBy::Merchant,
        metadata: None,
    }
}

fn payment(mode: Mode) -> Payment {
    let fee = Fee { usd: Cents(100), free_tier: false };
    let terms = Terms {
        request: request(DUE),
        fee,
        tolerance: BasisPoints::ZERO,
        spread: BasisPoints::ZERO,
        created_at: CREATED,
        idempotency: None,
    };
    let id = PaymentId::new(CREATED.0 * 1_000, [7; 10], Code::from_random(42));
    Payment::new(id, MerchantId::new("mer_1"), mode, terms)
}

fn approved() -> Payment {
    let steps = [IdentityStep::Start, IdentityStep::Submit, IdentityStep::Approve];
    steps
        .into_iter()
        .fold(payment(Mode::Live), |payment, step| payment.apply(Event::Identity(step), at(1)).unwrap())
}

/// 100 USD at 2,500 is 0.04 ETH; in these tests an ETH has two decimals, so that is 4 units.
pub(crate) fn offer(name: &str, dollars: u64) -> Offer {
    let address = GivenAddress { family: "evm".into(), address: "0xabc".into(), xpub: "f".into(), index: 0 };
    let rate = Rate::new(dollars * 100_000_000).unwrap();
    Offer { coin: coin(name), decimals: Decimals::new(2).unwrap(), rate, address }
}

pub(crate) fn chosen() -> Payment {
    approved().apply(Event::Choose(offer("ETH", 2_500)), at(10)).unwrap()
}

fn movement(number: u32, units: u128) -> Movement {
    Movement {
        id: TransferId::new(format!("ethereum:0x{number}:native:0xabc:0")),
        coin: coin("ETH"),
        decimals: Decimals::new(2).unwrap(),
        chain: ethereum(),
        tx_id: format!("0x{number}"),
        address: "0xabc".into(),
        units: Units(units),
        confirmations_required: REQUIRED,
    }
}

fn report(number: u32, units: u128, sequence: u64, standing: Standing) -> Report {
    let moment = match standing {
        Standing::Unconfirmed { at } => Some(at),
        Standing::InBlock { block, .. } => Some(block.time),
        Standing::Lost { .. } | Standing::Replaced => None,
    };
    let rates = moment.map(|moment| (moment.minute(), market(moment.minute()))).into_iter().collect();
    let at = moment.unwrap_or(CREATED);
    Report { movement: movement(number, units), sequence: Sequence(sequence), at, standing, rates }
}

/// The market moves, the same way for everybody.
fn market(minute: Minute) -> Rate {
    Rate::new((2_000 + minute.0 % 700) * 100_000_000).unwrap()
}

fn in_block(seconds: u64, confirmations: u32) -> Standing {
    Standing::InBlock { block: BlockAt { height: seconds / 12, time: at(seconds) }, confirmations }
}

pub(crate) fn counted(payment: &Payment, number: u32, units: u128, seconds: u64) -> Payment {
    let sequence = payment.transfers().count() as u64 + 1;
    payment
        .apply(Event::Reported(report(number, units, sequence, in_block(seconds, REQUIRED))), at(seconds))
        .unwrap()
}

/// A re-organisation took away the transfer that was counted with that number.
pub(crate) fn lost(payment: &Payment, number: u32, units: u128, seconds: u64) -> Payment {
    let sequence = payment.transfers().count() as u64 + 1;
    let standing = Standing::Lost { block: None, at: at(seconds) };
    payment.apply(Event::Reported(report(number, units, sequence, standing)), at(seconds)).unwrap()
}

fn closed(height: u64) -> Event {
    Event::Expire { windows: vec![Window { chain: ethereum(), height }], complete: true }
}

fn arb_standing() -> impl Strategy<Value = Standing> {
    let seconds = 0..2 * LIFETIME_SECONDS;
    let block = seconds.clone().prop_map(|seconds| BlockAt { height: seconds / 12, time: at(seconds) });
    prop_oneof![
        2 => seconds.clone().prop_map(|seconds| Standing::Unconfirmed { at: at(seconds) }),
        6 => (block.clone(), 1..=REQUIRED).prop_map(|(block, confirmations)| Standing::InBlock { block, confirmations }),
        2 => (prop::option::of(block), seconds).prop_map(|(block, seconds)| Standing::Lost { block, at: at(seconds) }),
        1 => Just(Standing::Replaced),
    ]
}

/// Four transfers of fixed size; the watcher's order is the place in the list.
fn arb_reports() -> impl Strategy<Value = Vec<Report>> {
    let one = (0..4_u32, arb_standing(), prop::option::of(0..2 * LIFETIME_SECONDS));
    prop::collection::vec(one, 0..10).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        numbered
            .map(|(n, (number, standing, reported))| {
                let report = report(number, u128::from(number) + 1, n as u64, standing);
                Report { at: reported.map_or(report.at, at), ..report }
            })
            .collect()
    })
}

fn arb_command() -> impl Strategy<Value = Event> {
    use IdentityStep::{Approve, Reject, Start, Submit};
    prop_oneof![
        3 => prop::sample::select(vec![Start, Submit, Approve, Reject]).prop_map(Event::Identity),
        3 => (prop::sample::select(vec!["ETH", "USDC"]), 1..5_000_u64).prop_map(|(name, rate)| Event::Choose(offer(name, rate))),
        1 => Just(Event::Cancel),
        3 => (0..200_000_u64, any::<bool>()).prop_map(|(height, complete)| Event::Expire {
            windows: vec![Window { chain: ethereum(), height }], complete
        }),
        1 => Just(Event::AcceptLate),
        2 => (1..6_u128).prop_map(top_ups::proposed),
        4 => refunds::arb_step(),
    ]
}

fn arb_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => arb_command(),
        3 => (0..4_u32, 0..20_u64, arb_standing())
            .prop_map(|(number, sequence, standing)| Event::Reported(report(number, u128::from(number) + 1, sequence, standing))),
    ]
}

/// Events at moments that never go back, from a payment that may already have its address.
fn arb_history() -> impl Strategy<Value = (Payment, Vec<(Event, u64)>)> {
    let start = prop::sample::select(vec![payment(Mode::Live), approved(), chosen()]);
    let steps = prop::collection::vec((arb_event(), 0..LIFETIME_SECONDS / 4), 0..24);
    (start, steps).prop_map(|(start, steps)| {
        let mut now = 20;
        let timed = steps.into_iter().map(|(event, pause)| {
            now += pause;
            (event, now)
        });
        (start, timed.collect())
    })
}

/// One step of a history: what is refused changes nothing, and no money comes before there is an address.
fn step(payment: &Payment, event: &Event, now: u64) -> Payment {
    let impossible = matches!(event, Event::Reported(_)) && payment.addresses().is_empty();
    let event = refunds::meaning(payment, event.clone());
    let next = (!impossible).then(|| payment.apply(event, at(now)).ok()).flatten();
    next.unwrap_or_else(|| payment.clone())
}

fn follow(start: &Payment, history: &[(Event, u64)]) -> Payment {
    history.iter().fold(start.clone(), |payment, (event, now)| step(&payment, event, *now))
}

/// A payment as any history may leave it.
pub(crate) fn arb_payment() -> impl Strategy<Value = Payment> {
    arb_history().prop_map(|(start, history)| follow(&start, &history))
}

/// The moves that R16 allows in one step, and standing still.
fn allowed(from: Status, to: Status, event: &Event) -> bool {
    use Status::{Cancelled, Expired, KycRequired, Overpaid, Paid, PartiallyPaid, Pending, Refunded};
    let along_the_line = [Pending, PartiallyPaid, Paid, Overpaid];
    match (from, to) {
        _ if from == to => true,
        (KycRequired, Pending) => matches!(event, Event::Identity(IdentityStep::Approve)),
        (from, to) if along_the_line.contains(&from) && along_the_line.contains(&to) => {
            matches!(event, Event::Reported(_))
        }
        (KycRequired | Pending | PartiallyPaid, Cancelled) => *event == Event::Cancel,
        (KycRequired | Pending | PartiallyPaid, Expired) => matches!(event, Event::Expire { .. }),
        (Expired | Cancelled, Refunded) => {
            matches!(event, Event::RefundSeen(_) | Event::NameRefundTransaction { .. })
        }
        (Expired | Cancelled, Paid | Overpaid) => *event == Event::AcceptLate,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn r22_order_and_repetition_of_reports_change_nothing(
        (start, history) in arb_history(),
        reports in arb_reports().prop_flat_map(|reports| (Just(reports.clone()), Just([reports.clone(), reports].concat()).prop_shuffle())),
        now in 0..2 * LIFETIME_SECONDS,
    ) {
        let start = follow(&start, &history);
        let (in_order, shuffled_twice) = reports;
        let run = |reports: Vec<Report>| {
            let all = reports.into_iter().map(|report| (Event::Reported(report), 4 * LIFETIME_SECONDS + now));
            follow(&start, &all.collect::<Vec<_>>())
        };
        prop_assert_eq!(run(in_order), run(shuffled_twice));
    }

    #[test]
    fn r22_an_event_twice_is_an_event_once((start, history) in arb_history(), event in arb_event(), pause in 0..LIFETIME_SECONDS) {
        let payment = follow(&start, &history);
        let now = at(6 * LIFETIME_SECONDS + pause);
        let event = refunds::meaning(&payment, event);
        if let Ok(once) = payment.apply(event.clone(), now) {
            prop_assert_eq!(once.apply(event, now), Ok(once));
        }
    }

    #[test]
    fn r16_no_other_move_ever((start, history) in arb_history()) {
        let mut payment = start;
        for (event, now) in history {
            let next = step(&payment, &event, now);
            let (from, to) = (payment.recorded_status(), next.recorded_status());
            prop_assert!(allowed(from, to, &event), "{from:?} -> {to:?} by {event:?}");
            prop_assert_eq!(next.paid_at().is_some(), to.is_paid());
            payment = next;
        }
    }

    #[test]
    fn r21_received_is_what_the_counted_transfers_are_worth((start, history) in arb_history()) {
        let payment = follow(&start, &history);
        let mut hundredths_of_a_cent = 0_u128;
        let mut exact = true;
        for transfer in payment.transfers().filter(|transfer| payment.state(transfer) == TransferState::Counted) {
            let units = transfer.movement().units.0;
            match transfer.price(payment.quotes()) {
                Price::Quote(quote) => {
                    let worth = units * u128::from(quote.usd.0) * 100;
                    exact &= worth.is_multiple_of(quote.units.0);
                    hundredths_of_a_cent += worth / quote.units.0;
                }
                Price::Market(rate) => hundredths_of_a_cent += units * u128::from(rate.get() / 1_000_000),
                Price::Awaited(_) => prop_assert!(false, "a counted transfer has a rate"),
            }
        }
        if exact {
            prop_assert_eq!(u128::from(payment.received().0), hundredths_of_a_cent / 100);
        }
        if payment.recorded_status().is_paid() {
            prop_assert!(payment.received() >= DUE);
        }
    }

    #[test]
    fn r15_expired_is_never_taken_back_for_money_in_time((start, history) in arb_history(), height in 0..200_000_u64) {
        let payment = follow(&start, &history);
        let now = at(8 * LIFETIME_SECONDS);
        let expired = payment.apply(closed(height), now).unwrap();
        let open = payment.recorded_status().is_open();
        prop_assert!(!open || expired.recorded_status() == Status::Expired);
    }
}

#[test]
fn r20_a_held_rate_counts_and_a_lapsed_one_gives_way_to_the_market() {
    let held = counted(&chosen(), 0, 4, 10 + QUOTE_SECONDS - 1);
    assert_eq!((held.recorded_status(), held.received()), (Status::Paid, DUE));
    let lapsed = counted(&chosen(), 0, 4, 10 + QUOTE_SECONDS);
    let market = market(at(10 + QUOTE_SECONDS).minute());
    assert_eq!(lapsed.received().0, 4 * market.get() / 100_000_000);
}

#[test]
fn r20_a_held_rate_is_lost_after_a_day_outside_a_block() {
    let sighted = report(0, 4, 1, Standing::Unconfirmed { at: at(20) });
    let payment = chosen().apply(Event::Reported(sighted), at(20)).unwrap();
    let within = counted(&payment, 0, 4, 20 + DAY_SECONDS);
    assert_eq!(within.recorded_status(), Status::Paid);
    let after = counted(&payment, 0, 4, 21 + DAY_SECONDS);
    assert_eq!(after.received().0, 4 * market(at(21 + DAY_SECONDS).minute()).get() / 100_000_000);
}

#[test]
fn r20_a_transfer_without_a_rate_is_shown_and_holds_the_payment_open() {
    let unpriced = Report { rates: vec![], ..report(0, 4, 1, in_block(10 + QUOTE_SECONDS, REQUIRED)) };
    let payment = chosen().apply(Event::Reported(unpriced.clone()), at(2_000)).unwrap();
    assert_eq!((payment.received(), payment.recorded_status()), (Cents::ZERO, Status::Pending));
    assert_eq!(payment.apply(Event::Cancel, at(2_000)), Err(Refusal::MoneyOnItsWay));
    let overdue = payment.apply(closed(99_999_999), at(LIFETIME_SECONDS)).unwrap();
    assert_eq!(overdue.recorded_status(), Status::Pending);
    let minute = at(10 + QUOTE_SECONDS).minute();
    let priced = Report { rates: vec![(minute, market(minute))], ..unpriced };
    let paid = overdue.apply(Event::Reported(priced), at(LIFETIME_SECONDS)).unwrap();
    assert!(paid.received() > Cents::ZERO);
}

#[test]
fn r20_what_has_no_price_yet_is_not_asked_for_again() {
    // Half of what is due, in another coin than the one that is quoted.
    let dollars = Movement { coin: coin("USDC"), ..movement(7, 2) };
    let unpriced = Report { movement: dollars, rates: vec![], ..report(7, 2, 1, in_block(60, REQUIRED)) };
    for standing in [in_block(60, REQUIRED), in_block(60, 1), Standing::Unconfirmed { at: at(60) }] {
        let unpriced = Report { standing, ..unpriced.clone() };
        let coming = chosen().apply(Event::Reported(unpriced.clone()), at(70)).unwrap();
        assert!(coming.awaits_price() && coming.still_due() == DUE, "{standing:?}");
        assert_eq!(coming.apply(Event::Choose(offer("ETH", 2_500)), at(71)), Err(Refusal::PriceAwaited));
        let minute = at(60).minute();
        let priced = Report { rates: vec![(minute, market(minute))], ..unpriced };
        let priced = coming.apply(Event::Reported(priced), at(80)).unwrap();
        assert!(!priced.awaits_price() && priced.still_due() < DUE, "{standing:?}");
        assert!(priced.apply(Event::Choose(offer("ETH", 2_500)), at(81)).is_ok(), "{standing:?}");
    }
    // What is gone, or came too late, leaves all that is due to be paid.
    let gone = Report { standing: Standing::Lost { block: None, at: at(60) }, ..unpriced };
    assert!(!chosen().apply(Event::Reported(gone), at(70)).unwrap().awaits_price());
}

#[test]
fn r20_first_seen_is_the_earlier_of_a_blocks_time_and_the_first_report() {
    let (ahead, behind) = (11 + 20 * 60, 5);
    for (block_time, reported, first_seen) in [(ahead, 12, 12), (behind, 12, behind), (60, ahead, 60)] {
        let told = Report { at: at(reported), ..report(0, 4, 1, in_block(block_time, REQUIRED)) };
        let paid = chosen().apply(Event::Reported(told.clone()), at(reported)).unwrap();
        let shown = |payment: &Payment| {
            let transfer = payment.transfers().next().unwrap();
            (payment.recorded_status(), payment.received(), transfer.first_seen())
        };
        assert_eq!(shown(&paid), (Status::Paid, DUE, Some(at(first_seen))), "{block_time} {reported}");
        // Read again months later.
        let again = Report { at: at(9 * LIFETIME_SECONDS), sequence: Sequence(9), ..told };
        assert_eq!(
            shown(&paid.apply(Event::Reported(again), at(9 * LIFETIME_SECONDS)).unwrap()),
            shown(&paid)
        );
    }
    // An early report of a block whose time lies after the end makes no money in time (R15).
    let over = Report {
        at: at(LIFETIME_SECONDS - 60),
        ..report(0, 4, 1, in_block(LIFETIME_SECONDS + 60, REQUIRED))
    };
    let late = chosen().apply(Event::Reported(over), at(LIFETIME_SECONDS - 60)).unwrap();
    assert!(late.has_late_money());
}

/// Each report asks for what its reporter knew; what counts is asked of the latest knowledge, in any order.
#[test]
fn r22_how_deep_money_must_lie_follows_what_was_known_last() {
    let asks = |required, sequence, confirmations| {
        let movement = Movement { confirmations_required: required, ..movement(0, 4) };
        Report { movement, ..report(0, 4, sequence, in_block(60, confirmations)) }
    };
    let after = |reports: &[Report]| {
        let payment = chosen().apply_reports(reports, at(90));
        let transfer = payment.transfers().next().unwrap();
        (payment.state(transfer), transfer.movement().confirmations_required, transfer.deep_since().is_some())
    };
    let (unpriced, priced, next) = (asks(6, 1, 1), asks(1, 1, 1), asks(6, 2, 2));
    assert_eq!(after(std::slice::from_ref(&unpriced)), (TransferState::Confirming, 6, false));
    for both in [[unpriced.clone(), priced.clone()], [priced.clone(), unpriced.clone()]] {
        assert_eq!(after(&both), (TransferState::Counted, 1, true));
    }
    for both in [[unpriced.clone(), next.clone()], [next, unpriced]] {
        assert_eq!(after(&both), (TransferState::Confirming, 6, false));
    }
}

#[test]
fn r15_money_in_time_that_confirms_late_still_counts() {
    let last_moment = report(0, 4, 1, Standing::Unconfirmed { at: at(LIFETIME_SECONDS - 1) });
    let payment = chosen().apply(Event::Choose(offer("ETH", 2_500)), at(LIFETIME_SECONDS - 60)).unwrap();
    let payment = payment.apply(Event::Reported(last_moment), at(LIFETIME_SECONDS)).unwrap();
    let waiting = payment.apply(closed(0), at(LIFETIME_SECONDS + 60)).unwrap();
    assert_eq!(waiting.recorded_status(), Status::Pending);
    assert_eq!(waiting.next_check(), Some(at(LIFETIME_SECONDS + 120)));
    let paid = counted(&waiting, 0, 4, LIFETIME_SECONDS + 600);
    assert_eq!((paid.recorded_status(), paid.has_late_money()), (Status::Paid, false));
    let given_up = waiting.apply(closed(0), at(LIFETIME_SECONDS + 3 * DAY_SECONDS)).unwrap();
    assert_eq!(given_up.recorded_status(), Status::Expired);
}

#[test]
fn r15_money_above_the_closing_height_is_late() {
    let overdue = chosen()
        .apply(
            Event::Expire { windows: vec![Window { chain: ethereum(), height: 50 }], complete: false },
            at(LIFETIME_SECONDS),
        )
        .unwrap();
    let above = Standing::InBlock {
        block: BlockAt { height: 51, time: at(LIFETIME_SECONDS - 5) },
        confirmations: REQUIRED,
    };
    let payment = overdue.apply(Event::Reported(report(0, 4, 1, above)), at(LIFETIME_SECONDS + 9)).unwrap();
    assert!(payment.has_late_money());
    assert_eq!((payment.recorded_status(), payment.received() > Cents::ZERO), (Status::Pending, true));
    assert_eq!(
        payment.apply(closed(60), at(LIFETIME_SECONDS + 60)).unwrap().recorded_status(),
        Status::Expired
    );
}

#[test]
fn r16_a_reorganisation_takes_money_back_and_its_return_counts_once() {
    let paid = counted(&chosen(), 0, 4, 60);
    assert_eq!(paid.recorded_status(), Status::Paid);
    let lost =
        report(0, 4, 5, Standing::Lost { block: Some(BlockAt { height: 5, time: at(60) }), at: at(90) });
    let back = paid.apply(Event::Reported(lost), at(90)).unwrap();
    assert_eq!(
        (back.recorded_status(), back.paid_at(), back.received()),
        (Status::Pending, None, Cents::ZERO)
    );
    let again = back.apply(Event::Reported(report(0, 4, 6, in_block(9_000, REQUIRED))), at(9_100)).unwrap();
    assert_eq!((again.recorded_status(), again.received()), (Status::Paid, DUE));
}

#[test]
fn r17_cancel_says_what_stands_in_its_way() {
    assert_eq!(
        counted(&chosen(), 0, 4, 60).apply(Event::Cancel, at(61)),
        Err(Refusal::NotCancellable { status: Status::Paid })
    );
    let seen = chosen()
        .apply(Event::Reported(report(0, 1, 1, Standing::Unconfirmed { at: at(20) })), at(20))
        .unwrap();
    assert_eq!(seen.apply(Event::Cancel, at(21)), Err(Refusal::MoneyOnItsWay));
    let unpaid = payment(Mode::Live);
    assert_eq!(
        unpaid.apply(Event::Cancel, at(LIFETIME_SECONDS)),
        Err(Refusal::NotCancellable { status: Status::Expired })
    );
    let cancelled = counted(&chosen(), 0, 1, 60).apply(Event::Cancel, at(70)).unwrap();
    assert_eq!((cancelled.recorded_status(), cancelled.received()), (Status::Cancelled, Cents(2_500)));
    assert_eq!(cancelled.apply(Event::Cancel, at(99)), Ok(cancelled.clone()));
}

#[test]
fn r18_a_rejected_payer_has_three_attempts_in_all() {
    let attempt = [IdentityStep::Start, IdentityStep::Submit, IdentityStep::Reject];
    let all = attempt.iter().cycle().take(9);
    let rejected =
        all.fold(payment(Mode::Live), |payment, step| payment.apply(Event::Identity(*step), at(1)).unwrap());
    assert_eq!(rejected.apply(Event::Identity(IdentityStep::Start), at(2)), Err(Refusal::NoAttemptsLeft));
}

#[test]
fn r19_a_coin_needs_identity_and_is_settled_while_money_is_on_its_way() {
    assert_eq!(
        payment(Mode::Live).apply(Event::Choose(offer("ETH", 1)), at(1)),
        Err(Refusal::IdentityRequired)
    );
    let changed = chosen().apply(Event::Choose(offer("USDC", 1)), at(11)).unwrap();
    assert_eq!(changed.selection().unwrap().coin, coin("USDC"));
    for on_its_way in [Standing::Unconfirmed { at: at(60) }, in_block(60, REQUIRED - 1)] {
        let coming = changed.apply(Event::Reported(report(0, 1, 1, on_its_way)), at(60)).unwrap();
        assert_eq!(coming.apply(Event::Choose(offer("ETH", 1)), at(61)), Err(Refusal::CoinSettled));
        let rest = coming.apply(Event::Choose(offer("USDC", 1)), at(61)).unwrap();
        assert_eq!(rest.quote().unwrap().usd, Cents(7_500));
    }
}

/// What came is counted, so nothing can be credited twice: the rest is a quote like any other (decision 6).
#[test]
fn r19_the_rest_can_be_paid_in_another_coin_once_what_came_counts() {
    let partial = counted(&chosen(), 0, 1, 60);
    let rest = partial.apply(Event::Choose(offer("USDC", 1)), at(61)).unwrap();
    let quote = rest.quote().unwrap().clone();
    assert_eq!((quote.coin, quote.usd, rest.still_due()), (coin("USDC"), Cents(7_500), Cents(7_500)));
    let in_usdc = Movement { coin: coin("USDC"), ..movement(1, quote.units.0) };
    let paid = Report { movement: in_usdc, ..report(1, quote.units.0, 2, in_block(90, REQUIRED)) };
    let paid = rest.apply(Event::Reported(paid), at(100)).unwrap();
    assert_eq!((paid.recorded_status(), paid.received()), (Status::Paid, DUE));
    // A re-organisation that takes the first coin's money leaves what came in the second.
    let lost = Standing::Lost { block: Some(BlockAt { height: 5, time: at(60) }), at: at(110) };
    let back = paid.apply(Event::Reported(report(0, 1, 3, lost)), at(110)).unwrap();
    assert_eq!((back.recorded_status(), back.received()), (Status::PartiallyPaid, Cents(7_500)));
}

proptest! {
    #[test]
    fn r21_the_quoted_units_settle_the_dollars_exactly_at_any_spread(
        spread in 0..=2_000_u64, rate in 1..u64::MAX / 2, cents in 1..100_000_000_u64, decimals in 0..=18_u8,
    ) {
        let Some(quoted) = with_spread(spread, cents).quoted(rate, decimals) else { return Ok(()) };
        let quote = quoted.quote().unwrap().clone();
        prop_assert!(quote.rate <= Rate::new(rate).unwrap());
        let movement = Movement { decimals: quote.decimals, ..movement(0, quote.units.0) };
        let report = Report { movement, ..report(0, 1, 1, in_block(60, REQUIRED)) };
        let paid = quoted.apply(Event::Reported(report), at(60)).unwrap();
        prop_assert_eq!((paid.recorded_status(), paid.received(), paid.overpaid()), (Status::Paid, Cents(cents), Cents::ZERO));
    }
}

impl Payment {
    /// With a quote, if the amount can be expressed.
    fn quoted(&self, rate: u64, decimals: u8) -> Option<Payment> {
        let (rate, decimals) = (Rate::new(rate).unwrap(), Decimals::new(decimals).unwrap());
        let offer = Offer { decimals, rate, ..offer("ETH", 1) };
        self.apply(Event::Choose(offer), at(10))
            .ok()
            .filter(|payment| payment.quote().unwrap().units > Units(0))
    }
}

fn with_spread(basis_points: u64, cents: u64) -> Payment {
    let Payment { id, merchant, mode, terms, progress } = approved();
    let terms =
        Terms { request: request(Cents(cents)), spread: BasisPoints::new(basis_points).unwrap(), ..terms };
    Payment { id, merchant, mode, terms, progress }
}

#[test]
fn r20_a_spread_makes_the_payer_send_more_and_prices_what_the_market_prices_alike() {
    let payment = with_spread(100, 10_000);
    let quoted = payment.quoted(200_000_000_000, 18).unwrap();
    let quote = quoted.quote().unwrap();
    // 100 USD at 2,000 less one percent.
    assert_eq!(
        (quote.rate.to_string(), quote.units.display(quote.decimals)),
        ("1980.00".into(), "0.05050506".into())
    );
    let seconds = 10 + QUOTE_SECONDS;
    let lapsed = counted(&quoted, 0, 4, seconds);
    let kept = market(at(seconds).minute()).get() / 100 * 99;
    let priced = lapsed.transfers().next().unwrap().price(lapsed.quotes());
    assert_eq!(priced, Price::Market(Rate::new(kept).unwrap()));
    let steepest = Rate::new(1).unwrap().less(BasisPoints::WHOLE);
    assert_eq!(steepest.get(), 1, "a rate is never nothing");
}

#[test]
fn r23_late_money_keeps_the_status_until_the_merchant_accepts_it() {
    let expired = chosen().apply(closed(1), at(LIFETIME_SECONDS)).unwrap();
    let late = counted(&expired, 0, 9, LIFETIME_SECONDS + 60);
    assert_eq!((late.recorded_status(), late.has_late_money()), (Status::Expired, true));
    assert!(late.received() > DUE);
    let accepted = late.apply(Event::AcceptLate, at(LIFETIME_SECONDS + 70)).unwrap();
    assert_eq!(accepted.recorded_status(), Status::Overpaid);
    let short = counted(&expired, 0, 1, LIFETIME_SECONDS + 60);
    assert_eq!(short.apply(Event::AcceptLate, at(LIFETIME_SECONDS + 70)), Err(Refusal::NotCovered));
}

#[test]
fn r15_no_quote_is_made_once_the_time_is_over() {
    let over = Err(Refusal::Ended { status: Status::Expired });
    assert_eq!(chosen().apply(Event::Choose(offer("ETH", 2_500)), at(LIFETIME_SECONDS)), over);
    assert!(chosen().apply(Event::Choose(offer("ETH", 2_500)), at(LIFETIME_SECONDS - 1)).is_ok());
}

#[test]
fn r22_reports_at_once_are_the_same_as_one_after_the_other() {
    let reports = [
        report(0, 1, 1, in_block(60, 1)),
        report(1, 2, 1, in_block(72, 2)),
        report(0, 1, 2, in_block(60, REQUIRED)),
    ];
    let one_by_one = reports
        .iter()
        .fold(chosen(), |payment, report| payment.apply(Event::Reported(report.clone()), at(90)).unwrap());
    assert_eq!(chosen().apply_reports(&reports, at(90)), one_by_one);
    assert_eq!(one_by_one.apply_reports(&reports, at(99)), one_by_one);
}
