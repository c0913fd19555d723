//! Ids, codes and the fee: R4, R9, R12, R14.

use proptest::prelude::*;

use super::super::*;

proptest! {
    #[test]
    fn r12_id_and_code_name_the_same_payment(bits: u64, milliseconds in 0..1_u64 << 48, random: [u8; 10]) {
        let code = Code::from_random(bits);
        let id = PaymentId::new(milliseconds, random, code);
        prop_assert_eq!(id.code(), code);
        prop_assert_eq!(code.to_string().len(), 8);
        prop_assert_eq!(code.to_string().parse(), Ok(code));
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        prop_assert!(PaymentId::earliest(milliseconds) <= id && id < PaymentId::earliest(milliseconds + 1));
        prop_assert_eq!(&id.to_string()[14..15], "7");
    }

    #[test]
    fn r4_what_is_no_id_names_nothing(text in "[0-9a-zA-Z-]{0,40}") {
        if let Ok(name) = text.parse::<Name>() {
            let known = match name {
                Name::Code(code) => code.to_string() == text,
                Name::Id(id) => id.to_string() == text.to_lowercase(),
            };
            prop_assert!(known);
        }
    }
}

#[test]
fn r4_only_two_forms_are_accepted() {
    let id = PaymentId::new(1_700_000_000_000, [9; 10], Code::from_random(1));
    let hyphenated = id.to_string();
    for wrong in [
        hyphenated.replace('-', ""),
        format!("{{{hyphenated}}}"),
        format!("urn:uuid:{hyphenated}"),
        "1111111".into(),
        "111111111".into(),
        "zzzzzzzz".into(),
        "0OIl1111".into(),
        String::new(),
    ] {
        assert_eq!(wrong.parse::<Name>(), Err(NotAnId), "{wrong}");
    }
    let other = PaymentId::new(1_700_000_000_001, [9; 10], id.code());
    assert!(!Name::Id(other).names(id) && Name::Code(other.code()).names(id));
}

#[test]
fn r9_the_same_question_has_the_same_code() {
    let (secret, key) = (Secret::new([1; 32]), IdempotencyKey::new("order-42").unwrap());
    let code = |mode, attempt| Code::idempotent(&secret, mode, &key, attempt);
    assert_eq!(code(Mode::Live, 0), code(Mode::Live, 0));
    assert_ne!(code(Mode::Live, 0), code(Mode::Test, 0));
    assert_ne!(code(Mode::Live, 0), code(Mode::Live, 1));
    let long = "x".repeat(256);
    for wrong in ["", "two words", "caf\u{e9}", "a\n", long.as_str()] {
        assert_eq!(IdempotencyKey::new(wrong), None, "{wrong}");
    }
}

#[test]
fn r14_a_payment_is_free_only_if_it_fits_whole() {
    let terms =
        FeeTerms { rate: BasisPoints::new(100).unwrap(), minimum: Cents(10), free_volume: Cents(10_000) };
    assert_eq!(terms.fee(Cents(5_000), Cents(5_000)), Fee { usd: Cents::ZERO, free_tier: true });
    assert_eq!(terms.fee(Cents(5_001), Cents(5_000)), Fee { usd: Cents(50), free_tier: false });
    assert_eq!(terms.fee(Cents(1), Cents(10_000)).usd, Cents(10));
    let off = FeeTerms { free_volume: Cents::ZERO, ..terms };
    assert!(!off.fee(Cents(1), Cents::ZERO).free_tier);
}
