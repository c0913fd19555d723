//! Gas that a sweep asked for is the merchant's own, and what a payer sends is not (R36).

use super::*;
use crate::payment::transfer::TransferState::{Counted, Lost, Own};

const WEEK: u64 = 7 * DAY_SECONDS;

pub(super) fn proposed(units: u128) -> Event {
    Event::ProposeTopUp { coin: coin("ETH"), address: "0xabc".into(), units: Units(units) }
}

/// Long after the one quote of ETH: nobody is asked for any.
const SWEPT: u64 = DAY_SECONDS;

/// Three quarters of what is due came in a token, and a sweep proposed to send ten units of ETH.
fn swept() -> Payment {
    let dollars = |number| Report {
        movement: Movement { coin: coin("USDC"), ..movement(number, 2) },
        ..report(number, 2, 1, in_block(60, REQUIRED))
    };
    let payment = approved().apply(Event::Choose(offer("USDC", 2_500)), at(10)).unwrap();
    let payment = payment.apply(Event::Reported(dollars(90)), at(60)).unwrap();
    assert_eq!((payment.recorded_status(), payment.received()), (Status::PartiallyPaid, Cents(5_000)));
    payment.apply(proposed(10), at(SWEPT)).unwrap()
}

fn sent(payment: &Payment, number: u32, units: u128, seconds: u64) -> Payment {
    let report = report(number, units, 1, in_block(seconds, REQUIRED));
    payment.apply(Event::Reported(report), at(seconds)).unwrap()
}

fn state(payment: &Payment, number: u32) -> TransferState {
    payment.state(payment.transfer(&movement(number, 1).id).unwrap())
}

fn figures(payment: &Payment) -> (Status, Cents, Cents, Cents, bool, bool) {
    let (received, due) = (payment.received(), payment.still_due());
    let (late, coming) = (payment.has_late_money(), payment.money_is_on_its_way());
    (payment.recorded_status(), received, due, payment.overpaid(), late, coming)
}

#[test]
fn r36_gas_that_a_sweep_asked_for_is_shown_and_counts_for_nothing() {
    let expired = swept().apply(closed(99_999_999), at(LIFETIME_SECONDS)).unwrap();
    let expired = expired.apply(proposed(10), at(LIFETIME_SECONDS + 9)).unwrap();
    for (before, seconds) in
        [(swept(), SWEPT + 60), (swept(), SWEPT + WEEK - 1), (expired, LIFETIME_SECONDS + 60)]
    {
        let topped = sent(&before, 1, 10, seconds);
        assert_eq!((state(&topped, 1), figures(&topped)), (Own, figures(&before)));
        let transfer = topped.transfer(&movement(1, 10).id).unwrap();
        assert_eq!((topped.credit_of(transfer), topped.lateness(transfer)), (None, None));
        let now = at(9 * LIFETIME_SECONDS);
        assert_eq!(topped.refundable(now), before.refundable(now));
        // It holds nothing open while it confirms, or when a block takes it away.
        let unconfirmed =
            before.apply(Event::Reported(report(1, 10, 1, in_block(seconds, 1))), at(seconds)).unwrap();
        assert_eq!(state(&unconfirmed, 1), Own);
        let gone = lost(&unconfirmed, 1, 10, seconds);
        assert_eq!(state(&gone, 1), Lost);
        for held in [&unconfirmed, &gone] {
            assert!(!held.awaits_money(at(seconds)));
        }
    }
    assert!(sent(&swept(), 1, 10, SWEPT + 60).apply(Event::Cancel, at(SWEPT + 90)).is_ok());
}

#[test]
fn r36_only_up_to_what_was_proposed_within_seven_days_and_to_that_address() {
    let counts = |payment: &Payment, report: Report| {
        let next = payment.apply(Event::Reported(report.clone()), report.at).unwrap();
        assert_eq!(next.state(next.transfer(&report.movement.id).unwrap()), Counted, "{report:?}");
    };
    let of = |units, seconds| report(1, units, 1, in_block(seconds, REQUIRED));
    let swept = swept();
    counts(&swept, of(11, SWEPT + 60));
    counts(&swept, of(10, SWEPT - 120));
    counts(&swept, of(10, SWEPT + WEEK));
    let there = of(10, SWEPT + 60);
    counts(
        &swept,
        Report { movement: Movement { address: "0xelse".into(), ..movement(1, 10) }, ..there.clone() },
    );
    counts(&swept, Report { movement: Movement { coin: coin("USDT"), ..movement(1, 10) }, ..there });
    // In parts, until nothing is left of it; what is too much for the rest is a payer's, and so is dust.
    let parts = [(1, 4), (2, 7), (3, 6), (4, 1)].into_iter();
    let parts = parts.fold(swept, |payment, (number, units)| {
        sent(&payment, number, units, SWEPT + 60 + u64::from(number))
    });
    assert_eq!([1, 2, 3, 4].map(|number| state(&parts, number)), [Own, Counted, Own, Counted]);
}

#[test]
fn r36_a_sweep_that_is_repeated_proposes_no_more_and_a_new_one_after_an_answer_does() {
    let often = (0..20).fold(swept(), |payment, n| payment.apply(proposed(10), at(SWEPT + 60 * n)).unwrap());
    assert_eq!(often, swept());
    let twice = sent(&sent(&often, 1, 10, SWEPT + 2_000), 2, 10, SWEPT + 2_100);
    assert_eq!([1, 2].map(|number| state(&twice, number)), [Own, Counted]);
    let next = sent(&often, 1, 10, SWEPT + 2_000).apply(proposed(10), at(SWEPT + 3_000)).unwrap();
    let next = sent(&next, 2, 10, SWEPT + 3_100);
    assert_eq!([1, 2].map(|number| state(&next, number)), [Own, Own]);
    // However often somebody asks, what is kept of it is bounded, and what was answered stays.
    let many =
        (0..200).fold(next, |payment, n| payment.apply(proposed(20 + n), at(SWEPT + 4_000 + 60)).unwrap());
    assert!(many.progress().top_ups.len() <= 8);
    assert_eq!([1, 2].map(|number| state(&many, number)), [Own, Own]);
    let elsewhere = Event::ProposeTopUp { coin: coin("ETH"), address: "0xelse".into(), units: Units(1) };
    assert_eq!(swept().apply(elsewhere, at(SWEPT)), Err(Refusal::NotAnAddressOfIts));
}

/// An honest payer of the same coin is never mistaken for the merchant.
#[test]
fn r36_what_a_quote_asked_for_is_the_payers() {
    let quoted = swept().apply(Event::Choose(offer("ETH", 2_500)), at(SWEPT + 600)).unwrap();
    assert_eq!(quoted.quote().unwrap().units, Units(2));
    // While it holds, and exactly what it asked for at any time after.
    for (units, seconds) in [(2, SWEPT + 660), (1, SWEPT + 660), (2, SWEPT + 600 + 2 * QUOTE_SECONDS)] {
        assert_eq!(state(&sent(&quoted, 1, units, seconds), 1), Counted, "{units} {seconds}");
    }
    // In a block that claims to be older than the quote, and in a run that had begun before it.
    let coarse = Report { at: at(SWEPT + 590), ..report(1, 2, 1, in_block(SWEPT + 612, REQUIRED)) };
    let coarse = quoted.apply(Event::Reported(coarse), at(SWEPT + 630)).unwrap();
    assert_eq!(state(&coarse, 1), Counted);
    // A quote that is made afterwards makes nothing the payer's that was the merchant's.
    let own = sent(&swept(), 1, 2, SWEPT + 60);
    let later = own.apply(Event::Choose(offer("ETH", 2_500)), at(SWEPT + 70)).unwrap();
    assert_eq!((state(&own, 1), state(&later, 1)), (Own, Own));
}

/// Whoever has the pay link can ask for quotes, and whoever knows the address can send dust.
#[test]
fn r36_exactly_what_was_proposed_is_the_merchants_whatever_strangers_do() {
    let quoted = swept().apply(Event::Choose(offer("ETH", 2_500)), at(SWEPT + 600)).unwrap();
    assert_eq!(state(&sent(&quoted, 1, 10, SWEPT + 660), 1), Own, "the quote is for 2");
    let dusty = (10..30).fold(swept(), |payment, number| sent(&payment, number, 1, SWEPT + 30));
    let topped = sent(&dusty, 1, 10, SWEPT + 60);
    assert_eq!((state(&topped, 1), state(&topped, 10)), (Own, Counted));
}

#[test]
fn r36_b5_what_a_quote_asked_for_stays_the_payers_when_the_quote_is_forgotten() {
    let quoted = swept().apply(Event::Choose(offer("ETH", 2_500)), at(SWEPT + 600)).unwrap();
    let part = sent(&quoted, 1, 1, SWEPT + 660);
    assert_eq!(state(&part, 1), Counted);
    let often = (0..120).fold(part.clone(), |payment, n| {
        payment.apply(Event::Choose(offer("ETH", 500 + 10 * n)), at(SWEPT + 700 + 20 * n)).unwrap()
    });
    assert!(often.quotes().iter().all(|quote| quote.issued_at != at(SWEPT + 600)), "it is forgotten");
    assert_eq!((state(&often, 1), often.received()), (Counted, part.received()));
}

fn arb_sent() -> impl Strategy<Value = Vec<Report>> {
    let one = (0..5_u32, 0..5_u64, 0..400_u64, 1..=REQUIRED, any::<bool>());
    prop::collection::vec(one, 0..10).prop_map(|all| {
        let told =
            |(n, (number, block, reported, confirmations, is_lost)): (usize, (u32, u64, u64, u32, bool))| {
                let standing = if is_lost {
                    Standing::Lost { block: None, at: at(SWEPT + reported) }
                } else {
                    in_block(SWEPT + 60 * block, confirmations)
                };
                Report {
                    at: at(SWEPT + reported),
                    ..report(number, 2 * u128::from(number) + 1, n as u64, standing)
                }
            };
        all.into_iter().enumerate().map(told).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn r36_order_and_repetition_of_reports_make_nothing_else_own(
        (in_order, shuffled_twice) in arb_sent()
            .prop_flat_map(|reports| (Just(reports.clone()), Just([reports.clone(), reports].concat()).prop_shuffle())),
        again in prop::option::of(60..300_u64),
    ) {
        let start = again.map_or(swept(), |seconds| swept().apply(proposed(12), at(SWEPT + seconds)).unwrap());
        let run = |reports: &[Report]| start.apply_reports(reports, at(SWEPT + 900));
        let payment = run(&in_order);
        prop_assert_eq!(&payment, &run(&shuffled_twice));
        let own = payment.transfers().filter(|transfer| payment.is_own(transfer));
        let units: u128 = own.map(|transfer| transfer.movement().units.0).sum();
        let proposed = again.map_or(10, |_| 10 + 12);
        prop_assert!(units <= proposed);
    }
}
