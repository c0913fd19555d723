//! Money that goes back: never twice, never more than came, and `refunded` only when all of it did (R16, R22, R23).

use super::*;
use crate::payment::{
    CLAIM_SECONDS, ClaimHash, ClaimSecret, MeantRefund, Refund, RefundReport, RefundStatus,
};

const PAYER: &str = "0xpayer";

/// After the end of the payments of these tests.
const OVER: u64 = LIFETIME_SECONDS + 600;

fn secret(number: u8) -> ClaimHash {
    ClaimSecret::new([number; 16]).hash()
}

fn ask(name: &str, units: Option<u128>, number: u8) -> Event {
    Event::RequestRefund { coin: coin(name), units: units.map(Units), secret: secret(number) }
}

fn claim(number: u8, address: &str) -> Event {
    Event::ClaimRefund { secret: secret(number), address: address.into() }
}

/// Whichever refund of the coin there is when it is said: [`meaning`] puts it there.
fn whichever(name: &str) -> MeantRefund {
    let code = payment(Mode::Live).id().code();
    MeantRefund { coin: coin(name), id: format!("{code}-0").parse().unwrap(), units: Units(0) }
}

fn confirm(name: &str, address: &str) -> Event {
    Event::ConfirmRefund { meant: whichever(name), address: address.into(), scanned: None }
}

fn name(coin_name: &str, tx_id: &str) -> Event {
    Event::NameRefundTransaction { meant: whichever(coin_name), tx_id: tx_id.into() }
}

fn withdraw(name: &str) -> Event {
    Event::WithdrawRefund { meant: whichever(name) }
}

/// The event, about the refund that a merchant sees now.
pub(super) fn meaning(payment: &Payment, mut event: Event) -> Event {
    if let Event::ConfirmRefund { meant, .. }
    | Event::NameRefundTransaction { meant, .. }
    | Event::WithdrawRefund { meant } = &mut event
        && meant.units == Units(0)
        && let Some(refund) = payment.refund(&meant.coin)
    {
        *meant = payment.meant(refund);
    }
    event
}

trait Act {
    /// What the payment is after an event about what is seen now.
    fn act(&self, event: Event, now: Timestamp) -> Result<Payment, Refusal>;
}

impl Act for Payment {
    fn act(&self, event: Event, now: Timestamp) -> Result<Payment, Refusal> {
        self.apply(meaning(self, event), now)
    }
}

/// A transaction that spends from the payment's addresses, unless its name says otherwise.
fn pays(coin_name: &str, tx_id: &str, units: u128, sequence: u64, standing: Standing) -> RefundReport {
    let at = match standing {
        Standing::Unconfirmed { at } | Standing::Lost { at, .. } => at,
        Standing::InBlock { block, .. } => block.time,
        Standing::Replaced => CREATED,
    };
    RefundReport {
        coin: coin(coin_name),
        tx_id: tx_id.into(),
        address: PAYER.into(),
        units: Units(units),
        from_payment: !tx_id.starts_with("other"),
        outputs: 1,
        sequence: Sequence(sequence),
        at,
        standing,
    }
}

fn seen(coin_name: &str, units: u128, seconds: u64, confirmations: u32) -> Event {
    Event::RefundSeen(pays(coin_name, "back", units, seconds, in_block(seconds, confirmations)))
}

pub(super) fn arb_step() -> impl Strategy<Value = Event> {
    let coins = || prop::sample::select(vec!["ETH", "ETH", "USDC"]);
    let address = || prop::sample::select(vec![PAYER, PAYER, "0xelse"]);
    let tx = prop::sample::select(vec!["back", "other-1", "other-2"]);
    prop_oneof![
        4 => (coins(), prop::option::of(1..6_u128), 0..3_u8).prop_map(|(coin, units, number)| ask(coin, units, number)),
        4 => (0..3_u8, address()).prop_map(|(number, address)| claim(number, address)),
        4 => (coins(), address()).prop_map(|(coin, address)| confirm(coin, address)),
        1 => (coins(), tx).prop_map(|(coin, tx)| name(coin, tx)),
        1 => coins().prop_map(withdraw),
        3 => (coins(), arb_report()).prop_map(|(name, report)| Event::RefundSeen(RefundReport { coin: coin(name), ..report })),
    ]
}

fn arb_report() -> impl Strategy<Value = RefundReport> {
    let tx = prop::sample::select(vec!["back", "back-again", "other-1", "other-2"]);
    (tx, 1..8_u128, 0..20_u64, arb_standing())
        .prop_map(|(tx, units, sequence, standing)| pays("ETH", tx, units, sequence, standing))
}

/// Payments with something to give back, and mostly what gives it back.
fn arb_refunds() -> impl Strategy<Value = (Payment, Vec<(Event, u64)>)> {
    let sure = || confirmed(&expired(), "ETH", 0, OVER);
    let start =
        prop::sample::select(vec![expired(), paid(), overpaid(), sure(), confirmed(&both(), "ETH", 0, OVER)]);
    let steps =
        prop::collection::vec((prop_oneof![8 => arb_step(), 1 => arb_event()], 0..CLAIM_SECONDS), 0..24);
    (start, steps).prop_map(|(start, steps)| {
        let mut now = OVER;
        let timed = steps.into_iter().map(|(event, pause)| {
            now += pause;
            (event, now)
        });
        (start, timed.collect())
    })
}

/// An expired payment with four counted units, part of which came late.
fn expired() -> Payment {
    let partial = counted(&chosen(), 0, 3, 60);
    let closed = partial.apply(closed(1_000_000), at(LIFETIME_SECONDS)).unwrap();
    let late = counted(&closed, 1, 1, OVER);
    assert_eq!((late.recorded_status(), late.has_late_money()), (Status::Expired, true));
    late
}

/// The same, and five units of another coin.
fn both() -> Payment {
    let dollars = Report {
        movement: Movement { coin: coin("USDC"), ..movement(7, 5) },
        ..report(7, 5, 3, in_block(OVER, REQUIRED))
    };
    expired().apply(Event::Reported(dollars), at(OVER)).unwrap()
}

fn overpaid() -> Payment {
    let payment = counted(&chosen(), 0, 6, 60);
    assert_eq!((payment.recorded_status(), payment.overpaid()), (Status::Overpaid, Cents(5_000)));
    payment
}

fn paid() -> Payment {
    let payment = counted(&chosen(), 0, 4, 60);
    assert_eq!(payment.recorded_status(), Status::Paid);
    payment
}

fn follow_all(payment: &Payment, events: &[Event], seconds: u64) -> Payment {
    events.iter().fold(payment.clone(), |payment, event| payment.act(event.clone(), at(seconds)).unwrap())
}

fn confirmed(payment: &Payment, name: &str, number: u8, seconds: u64) -> Payment {
    follow_all(payment, &[ask(name, None, number), claim(number, PAYER), confirm(name, PAYER)], seconds)
}

/// A payment whose counted coins all went back by `seconds` after its creation.
pub(crate) fn given_back(payment: &Payment, seconds: u64) -> Payment {
    let now = payment.terms().created_at.plus(seconds);
    let all = payment.refundable(now).unwrap();
    let apply = |payment: Payment, event| payment.act(event, now).unwrap();
    (0..).zip(all).fold(payment.clone(), |payment, (number, refundable)| {
        let (name, units) = (refundable.coin.as_str(), refundable.most.0);
        let confirmed = [ask(name, Some(units), number), claim(number, PAYER), confirm(name, PAYER)];
        let confirmed = confirmed.into_iter().fold(payment, apply);
        let block = BlockAt { height: 1, time: now.plus(1) };
        let standing = Standing::InBlock { block, confirmations: refundable.confirmations_required };
        apply(confirmed, Event::RefundSeen(pays(name, "back", units, 1, standing)))
    })
}

fn status(payment: &Payment, seconds: u64) -> RefundStatus {
    payment.refund_status(refund(payment), at(seconds))
}

fn refund(payment: &Payment) -> &Refund {
    payment.refund(&coin("ETH")).unwrap()
}

/// Confirm, withdraw and name: whatever a merchant can say of a refund.
fn words(meant: &MeantRefund) -> [Event; 3] {
    let meant = || meant.clone();
    [
        Event::ConfirmRefund { meant: meant(), address: PAYER.into(), scanned: None },
        Event::NameRefundTransaction { meant: meant(), tx_id: "back".into() },
        Event::WithdrawRefund { meant: meant() },
    ]
}

#[test]
fn a22_a_command_about_a_refund_that_another_replaced_moves_nothing() {
    let first = follow_all(&expired(), &[ask("ETH", Some(2), 1), claim(1, PAYER)], OVER);
    let meant = first.meant(refund(&first));
    let withdrawn = first.act(withdraw("ETH"), at(OVER)).unwrap();
    // Said twice, and of the same coin, to the same address, of the same size: and yet another refund.
    assert_eq!(
        withdrawn.apply(Event::WithdrawRefund { meant: meant.clone() }, at(OVER)),
        Ok(withdrawn.clone())
    );
    for units in [Some(2), Some(3)] {
        let second = follow_all(&withdrawn, &[ask("ETH", units, 2), claim(2, PAYER)], OVER);
        assert_ne!(second.refund_id(refund(&second)), meant.id);
        let sure = second.act(confirm("ETH", PAYER), at(OVER)).unwrap();
        for (payment, event) in
            words(&meant).into_iter().flat_map(|event| [(&second, event.clone()), (&sure, event)])
        {
            assert_eq!(payment.apply(event, at(OVER)), Err(Refusal::OtherRefund));
        }
        // The right name and another amount.
        let other = MeantRefund { units: Units(1), ..second.meant(refund(&second)) };
        for event in words(&other) {
            assert_eq!(second.apply(event, at(OVER)), Err(Refusal::OtherRefund));
        }
    }
}

#[test]
fn a_refund_is_named_as_it_is_shown_and_not_otherwise() {
    let asked = expired().apply(ask("ETH", None, 1), at(OVER)).unwrap();
    let id = asked.refund_id(refund(&asked));
    assert_eq!((id.to_string(), id.to_string().parse()), (format!("{}-1", asked.id().code()), Ok(id)));
    for wrong in [
        "",
        "1",
        "-1",
        &format!("{id}0-"),
        &format!("{}-01", asked.id().code()),
        &format!("{}-+1", asked.id().code()),
    ] {
        assert!(wrong.parse::<crate::payment::RefundId>().is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn r22_order_and_repetition_of_what_shows_a_refund_change_nothing(
        named in prop::option::of(prop::sample::select(vec!["other-1", "other-2"])),
        reports in prop::collection::vec(arb_report(), 0..12)
            .prop_flat_map(|reports| (Just(reports.clone()), Just([reports.clone(), reports].concat()).prop_shuffle())),
    ) {
        let (in_order, shuffled_twice) = reports;
        let start = confirmed(&expired(), "ETH", 0, OVER + 60);
        let start = named.map_or(start.clone(), |tx| start.act(name("ETH", tx), at(OVER + 61)).unwrap());
        let run = |reports: Vec<RefundReport>| {
            let events: Vec<_> = reports
                .into_iter()
                .map(|report| Event::RefundSeen(RefundReport { units: refund(&start).units(), ..report }))
                .collect();
            follow_all(&start, &events, 4 * LIFETIME_SECONDS)
        };
        prop_assert_eq!(run(in_order), run(shuffled_twice));
    }

    #[test]
    fn r16_refunded_only_when_every_coin_that_counted_went_back((start, history) in arb_refunds()) {
        let mut payment = start;
        for (event, now) in history {
            let next = step(&payment, &event, now);
            if next.recorded_status() == Status::Refunded && payment.recorded_status() != Status::Refunded {
                prop_assert!(next.counted().all(|transfer| next.given_back(&transfer.movement().coin) > Units(0)));
                prop_assert!(next.refunds().any(|refund| refund.completed_at().is_some()));
            }
            prop_assert_eq!(next.refunded_at().is_some(), next.recorded_status() == Status::Refunded);
            payment = next;
        }
    }

    /// What is confirmed stays as it is, whatever happens; before that, not more is promised than counted then.
    #[test]
    fn never_two_refunds_of_a_coin_and_never_another_address((start, history) in arb_refunds()) {
        let mut payment = start;
        for (event, now) in history {
            let next = step(&payment, &event, now);
            if let Some(before) = payment.refund(&coin("ETH")) {
                let after = next.refund(&coin("ETH")).unwrap();
                let promise = |refund: &Refund| (refund.units(), refund.address().map(str::to_owned), refund.secret, refund.confirmed_at());
                let replaced = before.secret != after.secret;
                if before.confirmed_at().is_some() && !replaced {
                    prop_assert_eq!(promise(before), promise(after));
                }
                if before.completed_at().is_some() && !replaced {
                    prop_assert!(after.completed_at() <= before.completed_at());
                }
                prop_assert!(!replaced || !payment.refund_status(before, at(now)).is_under_way());
                prop_assert!(before.given_back() <= after.given_back());
                prop_assert!(payment.refunded() <= next.refunded());
                if after.confirmed_at().is_some() && before.confirmed_at().is_none() {
                    let counted: u128 = payment.counted().map(|transfer| transfer.movement().units.0).sum();
                    prop_assert!(after.units().0 <= counted);
                }
            }
            if next.progress().late_accepted_at != payment.progress().late_accepted_at {
                prop_assert!(payment.refunds().all(|refund| !payment.refund_status(refund, at(now)).stands()));
            }
            payment = next;
        }
    }
}

#[test]
fn r16_a_refund_goes_from_the_link_to_the_block() {
    let asked = expired().apply(ask("ETH", None, 1), at(OVER)).unwrap();
    assert_eq!((status(&asked, OVER), refund(&asked).units()), (RefundStatus::Requested, Units(4)));
    let claimed = asked.apply(claim(1, PAYER), at(OVER + 10)).unwrap();
    assert_eq!(
        (status(&claimed, OVER + 10), refund(&claimed).address()),
        (RefundStatus::Claimed, Some(PAYER))
    );
    assert_eq!(claimed.refunds_awaited().count(), 0);
    let confirmed = claimed.act(confirm("ETH", PAYER), at(OVER + 20)).unwrap();
    assert_eq!(
        (status(&confirmed, OVER + 20), confirmed.refunds_awaited().count()),
        (RefundStatus::Confirmed, 1)
    );
    let sent = confirmed.apply(seen("ETH", 4, OVER + 30, 1), at(OVER + 30)).unwrap();
    assert_eq!((status(&sent, OVER + 30), refund(&sent).confirmations()), (RefundStatus::Sent, 1));
    assert_eq!((sent.recorded_status(), refund(&sent).tx_id()), (Status::Expired, Some("back")));
    let deep = Event::RefundSeen(pays("ETH", "back", 4, 9_999_999, in_block(OVER + 30, REQUIRED)));
    let done = sent.apply(deep, at(OVER + 60)).unwrap();
    assert_eq!(
        (status(&done, OVER + 60), done.recorded_status()),
        (RefundStatus::Completed, Status::Refunded)
    );
    assert_eq!((done.refunded_at(), done.refunds_awaited().count()), (Some(at(OVER + 30)), 0));
    let again = Err(Refusal::NothingToRefund { status: Status::Refunded });
    assert_eq!(done.apply(ask("ETH", None, 2), at(OVER + 70)), again);
}

/// A step of a payment's refunds, made out when it is its turn.
#[derive(Clone, Copy, Debug)]
enum Move {
    Ask(Option<u128>),
    Give,
    Confirm,
    /// The transaction of this number pays the newest refund.
    Pay(u8),
    /// The transfer of this number counts.
    Count(u32),
    /// It is taken away.
    Lose(u32),
    Accept,
}

fn arb_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => prop::option::of(1..4_u128).prop_map(Move::Ask),
        4 => Just(Move::Give),
        4 => Just(Move::Confirm),
        6 => (0..6_u8).prop_map(Move::Pay),
        1 => (2..5_u32).prop_map(Move::Count),
        1 => (0..5_u32).prop_map(Move::Lose),
        1 => Just(Move::Accept),
    ]
}

fn make(step: Move, payment: &Payment, turn: u8, seconds: u64) -> Event {
    let moved = |number, standing| Event::Reported(report(number, u128::from(number) + 1, seconds, standing));
    match step {
        Move::Ask(units) => ask("ETH", units, turn),
        Move::Give => Event::ClaimRefund {
            secret: payment.refund(&coin("ETH")).map_or(secret(turn), |refund| refund.secret),
            address: PAYER.into(),
        },
        Move::Confirm => confirm("ETH", PAYER),
        Move::Pay(number) => {
            let units = payment.refund(&coin("ETH")).map_or(0, |refund| refund.units().0);
            let deep = in_block(seconds, REQUIRED);
            Event::RefundSeen(pays("ETH", &format!("back-{number}"), units, seconds, deep))
        }
        Move::Count(number) => moved(number, in_block(seconds, REQUIRED)),
        Move::Lose(number) => moved(number, Standing::Lost { block: None, at: at(seconds) }),
        Move::Accept => Event::AcceptLate,
    }
}

fn units_counted(payment: &Payment) -> u128 {
    payment.counted().map(|transfer| transfer.movement().units.0).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Kept by hand: each transaction that completes a refund, and what it gave back.
    #[test]
    fn r16_never_more_goes_back_than_counted_and_refunded_means_all_of_it(
        start in prop::sample::select(vec![expired(), paid(), overpaid()]),
        moves in prop::collection::vec(arb_move(), 0..60),
    ) {
        let (mut payment, mut paid) = (start, BTreeMap::new());
        for (turn, step) in (1..).zip(moves) {
            let seconds = OVER + 60 * u64::from(turn);
            let event = make(step, &payment, turn, seconds);
            let is_word_of_refund = matches!(event, Event::RefundSeen(_));
            let Ok(next) = payment.act(event, at(seconds)) else { continue };
            let (before, after) = (payment.refund(&coin("ETH")), next.refund(&coin("ETH")));
            if let Some(done) = after.filter(|refund| refund.completed_at().is_some()) {
                let known = paid.insert(done.tx_id().unwrap().to_owned(), (done.secret, done.units().0));
                prop_assert!(known.is_none_or(|(secret, _)| secret == done.secret), "one transaction, two refunds");
            }
            let sum: u128 = paid.values().map(|(_, units)| units).sum();
            prop_assert_eq!(next.given_back(&coin("ETH")), Units(sum));
            let is_confirmed = |refund: Option<&Refund>| refund.and_then(Refund::confirmed_at).is_some();
            if is_confirmed(after) && !is_confirmed(before) {
                prop_assert!(sum + refund(&next).units().0 <= units_counted(&next));
            }
            if is_word_of_refund && payment.recorded_status() == Status::Expired {
                let all = units_counted(&next) > 0 && sum >= units_counted(&next);
                prop_assert_eq!(next.recorded_status() == Status::Refunded, all);
            }
            if next.late_accepted_at() != payment.late_accepted_at() {
                prop_assert_eq!(sum, 0);
            }
            payment = next;
        }
    }
}

#[test]
fn r16_part_of_the_money_leaves_the_rest_to_go_back_too() {
    let part =
        follow_all(&expired(), &[ask("ETH", Some(1), 1), claim(1, PAYER), confirm("ETH", PAYER)], OVER);
    let part = part.apply(seen("ETH", 1, OVER + 30, REQUIRED), at(OVER + 30)).unwrap();
    assert_eq!(
        (status(&part, OVER + 30), part.recorded_status()),
        (RefundStatus::Completed, Status::Expired)
    );
    assert_eq!(part.refundable(at(OVER + 40)).unwrap()[0].most, Units(3));
    assert_eq!(part.apply(ask("ETH", Some(4), 2), at(OVER + 40)), Err(Refusal::MoreThanRefundable));
    // More of the coin comes, and then all of the rest goes back.
    let more = counted(&part, 7, 2, OVER + 50);
    let asked = more.apply(ask("ETH", None, 2), at(OVER + 60)).unwrap();
    assert_eq!((refund(&asked).units(), asked.given_back(&coin("ETH"))), (Units(5), Units(1)));
    let goes = Err(Refusal::LateMoneyGoesBack { status: RefundStatus::Completed });
    let withdrawn = asked.act(withdraw("ETH"), at(OVER + 60)).unwrap();
    assert_eq!(withdrawn.apply(Event::AcceptLate, at(OVER + 60)), goes);
    let sure = follow_all(&asked, &[claim(2, PAYER), confirm("ETH", PAYER)], OVER + 60);
    let named = sure.act(name("ETH", "back"), at(OVER + 60));
    assert_eq!(named, Err(Refusal::PaidAnother));
    let replayed = sure.apply(seen("ETH", 5, OVER + 90, REQUIRED), at(OVER + 90)).unwrap();
    assert_eq!(status(&replayed, OVER + 90), RefundStatus::Confirmed);
    let deep = Event::RefundSeen(pays("ETH", "back-2", 5, 1, in_block(OVER + 99, REQUIRED)));
    let done = sure.apply(deep, at(OVER + 99)).unwrap();
    assert_eq!((done.recorded_status(), done.refunded_at()), (Status::Refunded, Some(at(OVER + 99))));
    assert_eq!(done.given_back(&coin("ETH")), Units(6));
}

#[test]
fn r16_an_excess_that_went_back_keeps_nothing_of_what_is_left() {
    let excess = confirmed(&overpaid(), "ETH", 1, 70).apply(seen("ETH", 2, 90, REQUIRED), at(90)).unwrap();
    assert_eq!(excess.apply(ask("ETH", None, 2), at(95)), Err(Refusal::MoreThanRefundable));
    let more = counted(&excess, 1, 1, 95);
    assert_eq!(more.refundable(at(95)).unwrap()[0].usual, Units(1));
    // The blocks of all but three units are taken back, and the payment ends.
    let three = counted(&excess, 1, 3, 100);
    let lost = three.apply(Event::Reported(report(0, 6, 9, Standing::Replaced)), at(110)).unwrap();
    let ended = lost.apply(closed(1_000_000), at(LIFETIME_SECONDS)).unwrap();
    assert_eq!(
        (ended.recorded_status(), ended.refundable(at(OVER)).unwrap()[0].most),
        (Status::Expired, Units(1))
    );
    let rest = confirmed(&ended, "ETH", 2, OVER);
    let rest =
        rest.apply(Event::RefundSeen(pays("ETH", "rest", 1, 1, in_block(OVER + 9, REQUIRED))), at(OVER + 9));
    assert_eq!(rest.unwrap().recorded_status(), Status::Refunded);
}

#[test]
fn r16_two_coins_need_two_refunds() {
    let both = both();
    assert_eq!(both.refundable(at(OVER)).unwrap().len(), 2);
    let one =
        confirmed(&both, "ETH", 1, OVER).apply(seen("ETH", 4, OVER + 30, REQUIRED), at(OVER + 30)).unwrap();
    assert_eq!((one.recorded_status(), one.refunded_at()), (Status::Expired, None));
    let two = confirmed(&one, "USDC", 2, OVER + 40);
    let two = two.apply(seen("USDC", 5, OVER + 50, REQUIRED), at(OVER + 50)).unwrap();
    assert_eq!((two.recorded_status(), two.refunded_at()), (Status::Refunded, Some(at(OVER + 50))));
    // What comes later is shown as late, can go back too, and moves nothing.
    let third = Report {
        movement: Movement { coin: coin("USDT"), ..movement(8, 2) },
        ..report(8, 2, 4, in_block(OVER + 90, REQUIRED))
    };
    let later = two.apply(Event::Reported(third), at(OVER + 90)).unwrap();
    let later = confirmed(&later, "USDT", 3, OVER + 90);
    let later = later.apply(seen("USDT", 2, OVER + 99, REQUIRED), at(OVER + 99)).unwrap();
    assert_eq!((later.recorded_status(), later.refunded_at()), (Status::Refunded, two.refunded_at()));
}

#[test]
fn r16_refunding_an_excess_leaves_overpaid() {
    // 150 USD came for 100, at 25 a unit: two units are too many.
    let payment = overpaid();
    let refundable = payment.refundable(at(70)).unwrap()[0].clone();
    assert_eq!((refundable.usual, refundable.most), (Units(2), Units(6)));
    assert_eq!(payment.apply(ask("ETH", Some(7), 1), at(70)), Err(Refusal::MoreThanRefundable));
    let done = confirmed(&payment, "ETH", 1, 70).apply(seen("ETH", 2, 90, REQUIRED), at(90)).unwrap();
    assert_eq!((status(&done, 90), done.recorded_status()), (RefundStatus::Completed, Status::Overpaid));
    assert_eq!((done.refunded_at(), done.refunded()), (None, Cents(5_000)));
    // All that came may go back as well, if that is said.
    let rest = follow_all(&done, &[ask("ETH", Some(4), 2), claim(2, PAYER), confirm("ETH", PAYER)], 100);
    let deep = Event::RefundSeen(pays("ETH", "rest", 4, 1, in_block(120, REQUIRED)));
    let all = rest.apply(deep, at(120)).unwrap();
    assert_eq!(
        (all.recorded_status(), all.refunded(), all.received()),
        (Status::Overpaid, Cents(15_000), Cents(15_000))
    );
    let nothing = Err(Refusal::NothingToRefund { status: Status::Overpaid });
    assert_eq!(all.apply(ask("ETH", Some(1), 3), at(130)), nothing);
}

#[test]
fn r16_a_paid_payment_gives_back_a_part_and_then_the_rest_and_stays_paid() {
    let payment = paid();
    let shown = |payment: &Payment| {
        (payment.recorded_status(), payment.paid_at(), payment.received(), payment.refunded_at())
    };
    let part = follow_all(&payment, &[ask("ETH", Some(1), 1), claim(1, PAYER), confirm("ETH", PAYER)], 70);
    let sent = part.apply(seen("ETH", 1, 80, REQUIRED - 1), at(80)).unwrap();
    assert_eq!(sent.refunded(), Cents::ZERO, "only the chain's depth proves it");
    let part = sent.apply(seen("ETH", 1, 90, REQUIRED), at(90)).unwrap();
    assert_eq!((shown(&part), part.refunded()), (shown(&payment), Cents(2_500)));
    assert_eq!(part.apply(ask("ETH", Some(4), 2), at(95)), Err(Refusal::MoreThanRefundable));
    let rest = confirmed(&part, "ETH", 2, 100);
    assert_eq!(refund(&rest).units(), Units(3));
    let deep = Event::RefundSeen(pays("ETH", "rest", 3, 1, in_block(120, REQUIRED)));
    let all = rest.apply(deep, at(120)).unwrap();
    assert_eq!((shown(&all), all.refunded()), (shown(&payment), Cents(10_000)));
    let nothing = Err(Refusal::NothingToRefund { status: Status::Paid });
    assert_eq!(all.apply(ask("ETH", None, 3), at(130)), nothing);
}

/// What went back keeps its worth whatever comes later, and all that came is worth all that was received.
#[test]
fn r16_what_went_back_is_worth_what_it_was_credited_for() {
    let part = follow_all(&paid(), &[ask("ETH", Some(3), 1), claim(1, PAYER), confirm("ETH", PAYER)], 70);
    let part = part.apply(seen("ETH", 3, 90, REQUIRED), at(90)).unwrap();
    // No quote holds any more: a unit has another worth.
    let later = 60 + 2 * QUOTE_SECONDS;
    let more = counted(&part, 5, 1, later);
    let received = more.received();
    assert!(![Cents(10_000), Cents(12_500)].contains(&received), "{received}");
    assert_eq!((part.refunded(), more.refunded()), (Cents(7_500), Cents(7_500)));
    let rest = follow_all(&more, &[ask("ETH", Some(2), 2), claim(2, PAYER), confirm("ETH", PAYER)], later);
    let deep = Event::RefundSeen(pays("ETH", "rest", 2, 1, in_block(later + 60, REQUIRED)));
    assert_eq!(rest.apply(deep, at(later + 60)).unwrap().refunded(), received);
}

#[test]
fn r16_an_excess_in_two_coins_goes_back_once() {
    let seconds = 60 + QUOTE_SECONDS;
    let dollars = Report {
        movement: Movement { coin: coin("USDC"), ..movement(7, 5) },
        ..report(7, 5, 3, in_block(seconds, REQUIRED))
    };
    let payment = overpaid().apply(Event::Reported(dollars), at(seconds)).unwrap();
    let excess = |payment: &Payment, name: &str| {
        let all = payment.refundable(at(seconds)).unwrap_or_default();
        all.into_iter()
            .find(|refundable| refundable.coin == coin(name))
            .map_or(0, |refundable| refundable.usual.0)
    };
    assert_eq!((excess(&payment, "ETH"), excess(&payment, "USDC")), (6, 5));
    let eth_back = payment.apply(ask("ETH", None, 1), at(seconds)).unwrap();
    assert_eq!((excess(&eth_back, "ETH"), excess(&eth_back, "USDC")), (6, 0));
    let part_back = payment.apply(ask("ETH", Some(1), 1), at(seconds)).unwrap();
    assert!(excess(&part_back, "USDC") > 0);
    let withdrawn = eth_back.act(withdraw("ETH"), at(seconds)).unwrap();
    assert_eq!(excess(&withdrawn, "USDC"), 5);
}

#[test]
fn r16_a_refund_and_an_acceptance_keep_each_other_out() {
    let asked = expired().apply(ask("ETH", None, 1), at(OVER)).unwrap();
    let stands = |status| Err(Refusal::LateMoneyGoesBack { status });
    assert_eq!(asked.apply(Event::AcceptLate, at(OVER)), stands(RefundStatus::Requested));
    let sure = follow_all(&asked, &[claim(1, PAYER), confirm("ETH", PAYER)], OVER);
    assert_eq!(sure.apply(Event::AcceptLate, at(OVER)), stands(RefundStatus::Confirmed));
    // Nobody gave an address in time, or it was taken back.
    let accepted = asked.apply(Event::AcceptLate, at(OVER + CLAIM_SECONDS)).unwrap();
    assert!(accepted.recorded_status().is_paid());
    assert!(accepted.apply(ask("ETH", Some(1), 2), at(OVER + CLAIM_SECONDS)).is_ok(), "it is paid now");
    let withdrawn = asked.act(withdraw("ETH"), at(OVER)).unwrap();
    assert!(withdrawn.apply(Event::AcceptLate, at(OVER)).is_ok());
}

#[test]
fn a_claim_link_is_good_for_one_address_and_seven_days() {
    let asked = expired().apply(ask("ETH", None, 1), at(OVER)).unwrap();
    assert_eq!(asked.apply(claim(2, PAYER), at(OVER)), Err(Refusal::NoClaim));
    let last_moment = asked.apply(claim(1, PAYER), at(OVER + CLAIM_SECONDS - 1)).unwrap();
    assert_eq!(status(&last_moment, OVER + 2 * CLAIM_SECONDS), RefundStatus::Claimed);
    assert_eq!(last_moment.apply(claim(1, PAYER), at(OVER + CLAIM_SECONDS)), Ok(last_moment.clone()));
    assert_eq!(last_moment.apply(claim(1, "0xelse"), at(OVER + CLAIM_SECONDS)), Err(Refusal::AddressSettled));
    let too_late = at(OVER + CLAIM_SECONDS);
    assert_eq!(asked.apply(claim(1, PAYER), too_late), Err(Refusal::NoClaim));
    let anew = asked.apply(ask("ETH", Some(1), 2), too_late).unwrap();
    assert_eq!((anew.refunds().count(), refund(&anew).units()), (1, Units(1)));
    assert_eq!(anew.apply(claim(1, PAYER), too_late), Err(Refusal::NoClaim));
}

#[test]
fn what_is_confirmed_cannot_be_taken_back_and_what_is_not_can() {
    let claimed = follow_all(&expired(), &[ask("ETH", None, 1), claim(1, PAYER)], OVER);
    assert_eq!(claimed.act(confirm("ETH", "0xelse"), at(OVER)), Err(Refusal::OtherAddress));
    let refused = |status, step| Err(Refusal::RefundStep { status, step });
    assert_eq!(
        claimed.act(name("ETH", "back"), at(OVER)),
        refused(RefundStatus::Claimed, "given a transaction")
    );
    let withdrawn = claimed.act(withdraw("ETH"), at(OVER)).unwrap();
    assert_eq!(withdrawn.act(confirm("ETH", PAYER), at(OVER)), refused(RefundStatus::Withdrawn, "confirmed"));
    let sure = claimed.act(confirm("ETH", PAYER), at(OVER)).unwrap();
    let back = sure.act(withdraw("ETH"), at(OVER));
    assert_eq!(back, refused(RefundStatus::Confirmed, "withdrawn"));
    let stands = Err(Refusal::RefundStands { status: RefundStatus::Confirmed });
    assert_eq!(sure.apply(ask("ETH", None, 2), at(OVER + 2 * CLAIM_SECONDS)), stands);
}

#[test]
fn money_that_a_reorganisation_took_is_not_given_back() {
    let claimed = follow_all(&overpaid(), &[ask("ETH", None, 1), claim(1, PAYER)], 70);
    let lost = report(0, 6, 9, Standing::Lost { block: None, at: at(80) });
    let poorer = claimed.apply(Event::Reported(lost), at(80)).unwrap();
    let nothing = Err(Refusal::NothingToRefund { status: Status::Pending });
    assert_eq!(poorer.act(confirm("ETH", PAYER), at(90)), nothing);
}

#[test]
fn only_that_address_those_units_and_a_block_after_the_confirmation_are_the_refund() {
    let sure = confirmed(&expired(), "ETH", 1, OVER);
    let unseen = |report: RefundReport| {
        let next = sure.apply(Event::RefundSeen(report), at(OVER + 900)).unwrap();
        assert_eq!(status(&next, OVER + 900), RefundStatus::Confirmed);
    };
    let deep = in_block(OVER + 30, REQUIRED);
    unseen(pays("ETH", "back", 3, 1, deep));
    unseen(pays("ETH", "back", 5, 1, deep));
    unseen(pays("USDC", "back", 4, 1, deep));
    unseen(RefundReport { address: "0xelse".into(), ..pays("ETH", "back", 4, 1, deep) });
    unseen(pays("ETH", "back", 4, 1, in_block(OVER, REQUIRED)));
    unseen(pays("ETH", "back", 4, 1, Standing::Unconfirmed { at: at(OVER + 30) }));
    // Somebody else's payment of the same size, until the merchant says that it is the refund.
    unseen(pays("ETH", "other", 4, 1, deep));
    let other = sure.apply(Event::RefundSeen(pays("ETH", "other", 4, 1, deep)), at(OVER + 900)).unwrap();
    let named = other.act(name("ETH", "other"), at(OVER + 999)).unwrap();
    assert_eq!(
        (status(&named, OVER + 999), named.recorded_status()),
        (RefundStatus::Completed, Status::Refunded)
    );
    assert_eq!(named.refunded_at(), Some(at(OVER + 30)));
}

#[test]
fn a_refund_that_others_pushed_out_is_one_when_it_is_named_and_read_again() {
    let sure = confirmed(&expired(), "ETH", 1, OVER);
    let deep = |tx: &str| Event::RefundSeen(pays("ETH", tx, 4, 1, in_block(OVER + 30, REQUIRED)));
    let others: Vec<_> = (1..=9).map(|number| deep(&format!("other-{number}"))).collect();
    let pushed = follow_all(&sure, &others, OVER + 60);
    assert_eq!((refund(&pushed).outputs("other-8"), refund(&pushed).outputs("other-9")), (Some(1), None));
    let named = pushed.act(name("ETH", "other-9"), at(OVER + 70)).unwrap();
    assert_eq!(status(&named, OVER + 70), RefundStatus::Confirmed);
    let again = follow_all(&named, &[deep("other-9"), deep("other-0")], OVER + 80);
    assert_eq!(
        (status(&again, OVER + 80), refund(&again).tx_id()),
        (RefundStatus::Completed, Some("other-9"))
    );
}

#[test]
fn a_block_before_the_confirmation_says_no_more_once_it_is_deep() {
    let sure = confirmed(&expired(), "ETH", 1, OVER);
    let seen_before = |confirmations| {
        let report = pays("ETH", "back", 4, 1, in_block(OVER - 60, confirmations));
        let next = sure.apply(Event::RefundSeen(report), at(OVER + 900)).unwrap();
        (status(&next, OVER + 900), refund(&next).is_settled("back"))
    };
    assert_eq!(seen_before(REQUIRED - 1), (RefundStatus::Confirmed, false));
    assert_eq!(seen_before(REQUIRED), (RefundStatus::Confirmed, true));
}

#[test]
fn a_block_above_what_was_scanned_is_after_the_confirmation_whatever_its_clock_says() {
    let claimed = follow_all(&expired(), &[ask("ETH", None, 1), claim(1, PAYER)], OVER);
    let meant = claimed.meant(refund(&claimed));
    let scanned = Event::ConfirmRefund { meant, address: PAYER.into(), scanned: Some(100) };
    let sure = claimed.apply(scanned, at(OVER)).unwrap();
    let seen_in = |height, seconds| {
        let block = BlockAt { height, time: at(seconds) };
        let standing = Standing::InBlock { block, confirmations: 1 };
        let next =
            sure.apply(Event::RefundSeen(pays("ETH", "back", 4, 1, standing)), at(OVER + 900)).unwrap();
        status(&next, OVER + 900) == RefundStatus::Sent
    };
    assert!(seen_in(101, OVER - 60), "its miner's clock is a minute behind");
    assert!(seen_in(99, OVER + 60), "a re-organisation put it below");
    assert!(!seen_in(100, OVER - 60), "it was there before");
    assert!(!seen_in(101, OVER - 9_000), "the watcher was hours behind");
}

#[test]
fn r22_a_reorganisation_takes_sent_back_and_completed_is_final() {
    let sure = confirmed(&expired(), "ETH", 1, OVER);
    let sent = sure.apply(seen("ETH", 4, OVER + 30, 1), at(OVER + 30)).unwrap();
    let lost = Standing::Lost { block: None, at: at(OVER + 60) };
    let gone = sent.apply(Event::RefundSeen(pays("ETH", "back", 4, 9_999_999, lost)), at(OVER + 60)).unwrap();
    assert_eq!(status(&gone, OVER + 60), RefundStatus::Confirmed);
    let done = sent.apply(seen("ETH", 4, OVER + 31, REQUIRED), at(OVER + 90)).unwrap();
    let gone = done.apply(Event::RefundSeen(pays("ETH", "back", 4, 9_999_999, lost)), at(OVER + 99)).unwrap();
    assert_eq!(
        (status(&gone, OVER + 99), gone.recorded_status()),
        (RefundStatus::Completed, Status::Refunded)
    );
}

#[test]
fn a_secret_has_128_bits_and_is_never_printed() {
    let secret = ClaimSecret::new([255; 16]);
    assert_eq!((secret.reveal().len(), secret.reveal().parse()), (22, Ok(secret.clone())));
    assert_ne!(ClaimSecret::new([0; 16]).hash(), secret.hash());
    assert!(!format!("{secret:?}{:?}", secret.hash()).contains(secret.reveal()));
    for wrong in ["", "short", &"0".repeat(22), &"1".repeat(23)] {
        assert!(wrong.parse::<ClaimSecret>().is_err(), "{wrong}");
    }
}
