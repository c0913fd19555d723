//! Which rate follows from which prices, for every mix of sources.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000);

fn said(source: Source, hundred_millionths: u64) -> Quotation {
    Quotation { source, rate: Rate::new(hundred_millionths).unwrap(), as_of: NOW }
}

/// One source after the other quotes one of the prices.
fn all_say(prices: &[u64]) -> Vec<Quotation> {
    Source::ALL.into_iter().zip(prices).map(|(source, &price)| said(source, price)).collect()
}

fn accepted(prices: &[u64]) -> Result<u64, NoRate> {
    accept(&all_say(prices), NOW).map(Rate::get)
}

#[test]
fn r20_the_median_of_those_that_agree() {
    assert_eq!(accepted(&[1_000, 1_010, 1_020]), Ok(1_010));
    assert_eq!(accepted(&[1_000, 1_001]), Ok(1_000), "the mean is rounded down");
    assert_eq!(accepted(&[1, 1]), Ok(1));
    assert_eq!(accepted(&[u64::MAX, u64::MAX, u64::MAX]), Ok(u64::MAX));
}

#[test]
fn r20_an_outlier_is_beyond_two_percent_of_the_median() {
    assert_eq!(accepted(&[10_000, 10_100, 10_302]), Ok(10_100), "2 % away is no outlier");
    assert_eq!(accepted(&[10_000, 10_100, 10_303]), Ok(10_050));
    assert_eq!(accepted(&[9_897, 10_100, 10_200]), Ok(10_150));
}

#[test]
fn r20_two_sources_that_contradict_each_other_give_no_rate() {
    assert_eq!(accepted(&[10_000, 10_200]), Ok(10_100));
    assert_eq!(accepted(&[10_000, 10_201]), Err(NoRate::Disagreement));
    assert_eq!(accepted(&[10_000, 10_390]), Err(NoRate::Disagreement));
    assert_eq!(accepted(&[10_000, 11_000, 12_000]), Err(NoRate::Disagreement));
}

#[test]
fn r20_of_two_camps_neither_is_believed() {
    let rates = |prices: [u64; 4]| prices.map(|price| Rate::new(price).unwrap()).to_vec();
    assert_eq!(median_of_agreeing(rates([100, 100, 103, 103])), None);
    assert_eq!(median_of_agreeing(rates([90, 100, 102, 120])), Rate::new(101));
}

#[test]
fn r20_one_source_is_not_enough_however_often_it_speaks() {
    assert_eq!(accepted(&[]), Err(NoRate::TooFew));
    assert_eq!(accepted(&[1_000]), Err(NoRate::TooFew));
    assert_eq!(accept(&[said(Source::Kraken, 1_000); 3], NOW), Err(NoRate::TooFew));
}

#[test]
fn r20_of_one_source_the_newest_price_counts() {
    let before = Quotation { as_of: NOW.minus(1), ..said(Source::Kraken, 1_000) };
    let quotations = [said(Source::Kraken, 1_010), before, said(Source::CoinGecko, 1_010)];
    assert_eq!(accept(&quotations, NOW).map(Rate::get), Ok(1_010));
}

#[test]
fn r20_no_price_is_older_than_five_minutes_or_from_the_future() {
    let aged = |as_of| [said(Source::Kraken, 1_000), Quotation { as_of, ..said(Source::Coinbase, 1_000) }];
    assert!(accept(&aged(NOW.minus(300)), NOW).is_ok());
    assert_eq!(accept(&aged(NOW.minus(301)), NOW), Err(NoRate::TooFew));
    assert!(accept(&aged(NOW.plus(60)), NOW).is_ok());
    assert_eq!(accept(&aged(NOW.plus(61)), NOW), Err(NoRate::TooFew));
}

fn arb_quotation() -> impl Strategy<Value = Quotation> {
    let source = prop::sample::select(Source::ALL.to_vec());
    (source, 9_500..10_500_u64, 0..400_u64)
        .prop_map(|(source, price, age)| Quotation { as_of: NOW.minus(age), ..said(source, price) })
}

/// Two honest prices: at most 2 % of the lower one apart.
fn arb_honest() -> impl Strategy<Value = (u64, u64)> {
    (1..u64::MAX).prop_flat_map(|low| (Just(low), low..=low.saturating_add(low / 50)))
}

proptest! {
    #[test]
    fn r20_the_order_of_answers_does_not_matter(
        (one, other) in prop::collection::vec(arb_quotation(), 0..6)
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        prop_assert_eq!(accept(&one, NOW), accept(&other, NOW));
    }

    #[test]
    fn r20_a_single_liar_never_moves_the_rate_out_of_the_honest_range(
        (low, high) in arb_honest(),
        lie in 1..u64::MAX,
    ) {
        let rate = accepted(&[low, high, lie]).unwrap();
        prop_assert!((low..=high).contains(&rate), "{} is outside {}..={}", rate, low, high);
    }

    #[test]
    fn r20_a_liar_near_the_honest_prices_never_moves_the_rate_out_of_their_range(
        low in 5_000..1_000_000_u64,
        spread in 0..=20_u64,
        offset in -40..=60_i64,
    ) {
        let thousandth = low / 1_000;
        let high = low.saturating_add(thousandth.saturating_mul(spread));
        let lie = low.saturating_add_signed(i64::try_from(thousandth).unwrap().saturating_mul(offset));
        let rate = accepted(&[lie, high, low]).unwrap();
        prop_assert!((low..=high).contains(&rate), "{} is outside {}..={}", rate, low, high);
    }

    #[test]
    fn r20_a_rate_always_has_two_witnesses_within_two_percent(prices in prop::collection::vec(9_000..11_000_u64, 0..4)) {
        if let Ok(rate) = accepted(&prices) {
            let witnesses = prices.iter().filter(|price| price.abs_diff(rate).saturating_mul(50) <= rate).count();
            prop_assert!(witnesses >= 2, "{} from {:?}", rate, prices);
        }
    }

    #[test]
    fn r20_a_stale_price_is_as_none(
        quotations in prop::collection::vec(arb_quotation(), 0..6),
        price in 1..u64::MAX,
        age in 301..1_000_000_u64,
    ) {
        let stale = Quotation { as_of: NOW.minus(age), ..said(Source::Kraken, price) };
        let with_stale: Vec<_> = quotations.iter().copied().chain([stale]).collect();
        prop_assert_eq!(accept(&with_stale, NOW), accept(&quotations, NOW));
    }
}
