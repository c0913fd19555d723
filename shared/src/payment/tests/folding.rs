//! Folding changes nothing that anybody asks a payment.

use proptest::prelude::*;

use super::*;
use crate::wallet::Wallet;

/// Everything that follows from a payment's transfers.
#[derive(Debug, PartialEq)]
struct Seen {
    status: Status,
    money: (Cents, Cents, Cents),
    paid_at: Option<Timestamp>,
    next_check: Option<Timestamp>,
    there: (bool, bool, bool, bool),
    awaited: Vec<(bool, bool)>,
    height: u64,
    refundable: Vec<Refundable>,
    wallets: Vec<Wallet>,
    sequence: Sequence,
    total: u64,
}

fn seen(payment: &Payment, now: u64) -> Seen {
    let moments = [now, now + AWAITED_SECONDS / 2, now + 2 * AWAITED_SECONDS];
    Seen {
        status: payment.recorded_status(),
        money: (payment.received(), payment.overpaid(), payment.still_due()),
        paid_at: payment.paid_at(),
        next_check: payment.next_check(),
        there: (
            payment.has_late_money(),
            payment.money_is_on_its_way(),
            payment.money_was_seen(),
            payment.awaits_price(),
        ),
        awaited: moments
            .map(|now| (payment.awaits_money(at(now)), payment.awaits_money_in_time(at(now))))
            .to_vec(),
        height: payment.last_height_in_time(&ethereum()),
        refundable: payment.refundable(at(now)).unwrap_or_default(),
        wallets: payment.wallets(),
        sequence: payment.next_sequence(),
        total: payment.transfers_total(),
    }
}

/// A payment some of whose transfers lie beside it.
struct Parted {
    payment: Payment,
    beside: BTreeMap<TransferId, Transfer>,
}

impl Parted {
    /// Folds those transfers in hand that the bits name.
    fn fold(&mut self, bits: u8) {
        let in_hand: Vec<_> =
            self.payment.transfers().map(|transfer| transfer.movement().id.clone()).collect();
        let named = in_hand.into_iter().enumerate().filter(|(place, _)| bits & (1 << (place % 8)) != 0);
        let ids: Vec<_> = named.map(|(_, id)| id).collect();
        for transfer in self.payment.fold(&ids) {
            self.beside.insert(transfer.movement().id.clone(), transfer);
        }
    }

    fn unfold(&mut self, id: &TransferId) {
        self.payment.unfold(self.beside.remove(id));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is folded whenever, all that follows is what follows without, and in the end everything is there again.
    #[test]
    fn a20_folding_any_transfers_at_any_time_changes_nothing(
        (start, history) in arb_history(), bits in prop::collection::vec(any::<u8>(), 24),
    ) {
        let mut plain = start.clone();
        let mut parted = Parted { payment: start, beside: BTreeMap::new() };
        for ((event, now), bits) in history.into_iter().zip(bits) {
            plain = step(&plain, &event, now);
            if let Event::Reported(report) = &event {
                parted.unfold(&report.movement.id);
            }
            parted.payment = step(&parted.payment, &event, now);
            parted.fold(bits);
            prop_assert_eq!(seen(&parted.payment, now), seen(&plain, now), "after {:?}", event);
        }
        for id in parted.beside.keys().cloned().collect::<Vec<_>>() {
            parted.unfold(&id);
        }
        for transfer in plain.transfers() {
            let again = parted.payment.transfer(&transfer.movement().id).unwrap();
            let (one, other) = (again.price(parted.payment.quotes()), transfer.price(plain.quotes()));
            match (one, other) {
                // A quote that is kept with its transfer is not told when the next one cut it short.
                (Price::Quote(one), Price::Quote(other)) => prop_assert!(one.is(other)),
                (one, other) => prop_assert_eq!(one, other),
            }
            prop_assert_eq!(Transfer { pin: None, ..again.clone() }, Transfer { pin: None, ..transfer.clone() });
        }
        prop_assert!(!parted.payment.has_folded());
        prop_assert!(parted.payment.progress.folded.groups.is_empty());
    }
}

/// Dust that was deep at so many moments, each its own, before and after the payment was paid.
#[test]
fn a20_sums_by_moment_stay_few_and_say_when_it_was_paid() {
    let mut payment = chosen();
    let cents = |number: u32| number + 10;
    for number in 0..200 {
        payment = counted(&payment, cents(number), 0, 60 + u64::from(number));
        if number == 100 {
            payment = counted(&payment, 1, 4, 160);
        }
        let ids: Vec<_> = payment.transfers().map(|transfer| transfer.movement().id.clone()).collect();
        payment.fold(&ids);
    }
    assert_eq!((payment.recorded_status(), payment.paid_at()), (Status::Paid, Some(at(160))));
    assert_eq!((payment.transfers_total(), payment.transfers().count()), (201, 0));
    assert!(payment.progress.folded.counted.0.len() <= 32);
}

/// Whoever makes many quotes and pays dust at each makes no item too large, and changes no price (R20).
#[test]
fn b5_quotes_are_bounded_and_what_a_forgotten_one_prices_keeps_its_price() {
    let mut payment = counted(&chosen(), 0, 1, 20);
    let first = payment.received();
    for number in 1..=150_u32 {
        let seconds = 100 + u64::from(number) * 20;
        let coin = if number % 2 == 0 { "ETH" } else { "USDC" };
        let chosen =
            payment.apply(Event::Choose(offer(coin, 2_500 + u64::from(number))), at(seconds)).unwrap();
        let dust = Movement { coin: super::coin(coin), ..movement(number, 0) };
        let dust = Report { movement: dust, ..report(number, 0, 2, in_block(seconds + 1, REQUIRED)) };
        payment = chosen.apply(Event::Reported(dust), at(seconds + 1)).unwrap();
        assert!(payment.quotes().iter().count() <= super::super::quote::QUOTES_KEPT);
    }
    assert_eq!(payment.quotes().issued(), 151);
    assert_eq!((payment.received(), payment.recorded_status()), (first, Status::PartiallyPaid));
    let oldest = payment.transfer(&movement(0, 1).id).unwrap();
    assert!(matches!(oldest.price(payment.quotes()), Price::Quote(quote) if quote.issued_at == at(10)));
    assert!(payment.quotes().iter().all(|quote| quote.issued_at != at(10)), "its quote is forgotten");
}
