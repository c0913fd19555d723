//! Money is never created, lost or rounded twice.

use proptest::prelude::*;

use super::*;

const ETHER: Decimals = Decimals(18);

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

#[test]
fn r5_amounts_are_rounded_half_up_once_and_then_checked() {
    let cases = [
        ("49.99", Ok(4_999)),
        ("49.990000000000002", Ok(4_999)),
        ("49.985", Ok(4_999)),
        ("49.98499999999999999999999999999999999999999999", Ok(4_998)),
        ("0.005", Ok(1)),
        ("0.0049", Err(AmountError::TooSmall)),
        ("0", Err(AmountError::TooSmall)),
        ("-0.0", Err(AmountError::TooSmall)),
        ("-5", Err(AmountError::TooSmall)),
        ("1e2", Ok(10_000)),
        ("1E+2", Ok(10_000)),
        ("12345e-3", Ok(1_235)),
        ("5e-3", Ok(1)),
        ("5e-4", Err(AmountError::TooSmall)),
        ("999999999.99", Ok(99_999_999_999)),
        ("999999999.994", Ok(99_999_999_999)),
        ("999999999.995", Err(AmountError::TooLarge)),
        ("1e400", Err(AmountError::TooLarge)),
        ("1e-400", Err(AmountError::TooSmall)),
        ("1e99999999999999999999", Err(AmountError::TooLarge)),
        ("0e99999999999999999999", Err(AmountError::TooSmall)),
    ];
    for (text, expected) in cases {
        assert_eq!(Cents::parse_amount(text), expected.map(Cents), "{text}");
    }
}

#[test]
fn r5_only_jsons_grammar_is_a_number() {
    for text in [
        "", " 1", "1 ", "+1", "01", "1.", ".5", "1e", "1e+", "NaN", "Infinity", "0x10", "1_000", "1,5",
        "--1", "1e1.5",
    ] {
        assert_eq!(Cents::parse_amount(text), Err(AmountError::NotANumber), "{text:?}");
    }
}

#[test]
fn r11_money_is_written_with_its_decimals() {
    assert_eq!([Cents(4_999), Cents(50), Cents(0)].map(|c| c.to_string()), ["49.99", "0.50", "0.00"]);
    assert_eq!(Units(12_500_000_000_000_000).display(ETHER), "0.0125");
    assert_eq!(Units(3_000_000).display(Decimals(6)), "3");
    assert_eq!([rate("2500"), rate("0.999850")].map(|r| r.to_string()), ["2500.00", "0.99985"]);
}

#[test]
fn r14_the_documented_fee() {
    let fee = BasisPoints::new(100).unwrap();
    assert_eq!(Cents(4_999).share(fee), Cents(50));
    assert_eq!([Cents(49).share(fee), Cents(50).share(fee)], [Cents(0), Cents(1)]);
}

#[test]
fn r21_a_quoted_amount_is_rounded_up_to_what_can_be_typed() {
    let payable = |units, decimals| Units(units).payable(Decimals(decimals)).map(|units| units.0);
    assert_eq!(payable(20_767_778_477_029_579, 18), Ok(20_767_780_000_000_000));
    assert_eq!(payable(20_767_780_000_000_000, 18), Ok(20_767_780_000_000_000));
    assert_eq!([payable(49_990_001, 6), payable(1, 8)], [Ok(49_990_001), Ok(1)]);
    assert_eq!(payable(u128::MAX, 18), Err(Overflow));
}

proptest! {
    #[test]
    fn r5_what_is_written_is_what_is_read(cents in 1..=MAX_AMOUNT.0) {
        prop_assert_eq!(Cents::parse_amount(&Cents(cents).to_string()), Ok(Cents(cents)));
    }

    #[test]
    fn r21_paying_the_quoted_units_settles_exactly(usd in 1..=MAX_AMOUNT.0, price in 1..u64::MAX, places in 0..=18_u8) {
        let (usd, price, decimals) = (Cents(usd), Rate(price), Decimals(places));
        if let Ok(units) = Units::worth(usd, price, decimals) {
            let paid = Credit::quoted(units, usd, units);
            prop_assert_eq!(paid.floor(), usd);
            prop_assert!(paid.covers(usd, BasisPoints::ZERO));
            prop_assert!(!Credit::quoted(Units(units.0.saturating_sub(1)), usd, units).covers(usd, BasisPoints::ZERO));
            prop_assert!(Credit::market(units, price, decimals).covers(usd, BasisPoints::ZERO));
            if units.0 > 1 {
                prop_assert!(!Credit::market(Units(units.0.saturating_sub(1)), price, decimals).covers(usd, BasisPoints::ZERO));
            }
        }
    }

    #[test]
    fn r21_splitting_a_transfer_changes_nothing(usd in 1..=MAX_AMOUNT.0, quoted in 1..u128::MAX, parts in prop::collection::vec(any::<u64>(), 1..9)) {
        let whole = Credit::quoted(Units(parts.iter().copied().map(u128::from).sum()), Cents(usd), Units(quoted));
        let split: Credit = parts.iter().map(|&part| Credit::quoted(Units(part.into()), Cents(usd), Units(quoted))).sum();
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn a_rate_reads_what_it_wrote(price in 1..u64::MAX) {
        prop_assert_eq!(Rate(price).to_string().parse(), Ok(Rate(price)));
    }
}

#[test]
fn units_are_read_exactly_or_not_at_all() {
    let eight = Decimals(8);
    for (text, units) in [
        ("0.0125", 1_250_000),
        ("1", 100_000_000),
        ("1.50", 150_000_000),
        ("0.000000010", 1),
        ("007", 700_000_000),
    ] {
        assert_eq!(Units::parse(text, eight), Ok(Units(units)), "{text}");
    }
    for wrong in [
        "",
        "0",
        "0.0",
        "-1",
        "+1",
        "1e3",
        ".5",
        "5.",
        "1,5",
        " 1",
        "0.000000001",
        "1.2.3",
        "9".repeat(39).as_str(),
    ] {
        assert_eq!(Units::parse(wrong, eight), Err(InvalidUnits), "{wrong:?}");
    }
    assert_eq!(Units::parse("3", Decimals(0)), Ok(Units(3)));
}

proptest! {
    #[test]
    fn units_shown_are_the_units_read(units in 1..u128::MAX, decimals in 0..=Decimals::MAX) {
        let decimals = Decimals(decimals);
        prop_assert_eq!(Units::parse(&Units(units).display(decimals), decimals), Ok(Units(units)));
    }

    /// What goes back for an excess never leaves less than what was due.
    #[test]
    fn r21_units_of_a_credit_are_never_worth_more_than_asked(units in 1..1_u128 << 80, usd: u32, price: u32, asked: u32) {
        let (usd, asked) = (Cents(usd.into()), Cents(asked.into()));
        let credit = Credit::quoted(Units(units), usd, Units(u128::from(price) + 1));
        let part = credit.units_worth(asked, Units(units));
        prop_assert!(part.0 <= units);
        prop_assert!(credit.portion(part, Units(units)).ceil() <= asked);
        prop_assert!(credit.floor() <= credit.ceil());
    }
}
