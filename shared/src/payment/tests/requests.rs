//! What may be asked for: R5, R6, R7, R9.

use super::super::*;

fn refused(body: &str) -> String {
    Request::parse(body).unwrap_err().to_string()
}

#[test]
fn r6_defaults_fill_what_is_absent_or_null() {
    let bare = Request::parse(r#"{"title":" Order #1234 ","amount_usd":49.99}"#).unwrap();
    assert_eq!((bare.title.as_str(), bare.amount), ("Order #1234", Cents(4_999)));
    let nulls = r#"{"title":"Order #1234","amount_usd":"49.990","description":null,"kyc_method":null,
        "allow_bankid":null,"fee_paid_by":null,"metadata":null,"colour":"blue"}"#;
    assert_eq!(Request::parse(nulls), Ok(bare.clone()));
    assert_eq!(Request::parse(nulls).unwrap().hash(), bare.hash());
}

#[test]
fn r6_each_field_is_named_with_the_rule_it_broke() {
    let with = |field: &str| refused(&format!(r#"{{"title":"T","amount_usd":1,{field}}}"#));
    let long = |n: usize| "é".repeat(n);
    assert_eq!(refused("{}"), "title is required");
    assert_eq!(refused(r#"{"title":"T"}"#), "amount_usd is required");
    assert_eq!(refused(r#"{"title":5,"amount_usd":1}"#), "title must be a string");
    assert_eq!(refused(r#"{"title":"  ","amount_usd":1}"#), "title must have 1 to 200 characters");
    assert_eq!(
        refused(&format!(r#"{{"title":"{}","amount_usd":1}}"#, long(201))),
        "title must have 1 to 200 characters"
    );
    assert!(Request::parse(&format!(r#"{{"title":"{}","amount_usd":1}}"#, long(200))).is_ok());
    assert_eq!(
        refused(r#"{"title":"a\u0007b","amount_usd":1}"#),
        "title must not contain control characters"
    );
    assert_eq!(
        with(r#""description":"a\u0007b""#),
        "description must not contain control characters other than line feed and tab"
    );
    assert_eq!(
        with(&format!(r#""description":"{}""#, long(2_001))),
        "description must have at most 2000 characters"
    );
    assert_eq!(with(r#""kyc_method":"passport""#), "kyc_method must be `id_upload` or `bankid`");
    assert_eq!(with(r#""allow_bankid":"yes""#), "allow_bankid must be true or false");
    assert_eq!(with(r#""fee_paid_by":1"#), "fee_paid_by must be `merchant` or `payer`");
    assert_eq!(with(r#""currency":"EUR""#), "currency must be `USD`");
    assert_eq!(with(r#""metadata":[1]"#), "metadata must be an object");
    let keys: Vec<_> = (0..51).map(|n| format!(r#""k{n}":1"#)).collect();
    assert_eq!(with(&format!(r#""metadata":{{{}}}"#, keys.join(","))), "metadata must have at most 50 keys");
    assert_eq!(
        with(&format!(r#""metadata":{{"k":"{}"}}"#, "x".repeat(8_185))),
        "metadata must be at most 8 KiB as JSON"
    );
}

#[test]
fn r5_an_amount_is_a_number_or_a_string_with_one() {
    let amount = |json: &str| {
        Request::parse(&format!(r#"{{"title":"T","amount_usd":{json}}}"#)).map(|request| request.amount)
    };
    assert_eq!(amount("49.990000000000002"), Ok(Cents(4_999)));
    assert_eq!(amount(r#""1e2""#), Ok(Cents(10_000)));
    for wrong in ["true", "[1]", "{}", r#"" 1""#, r#""NaN""#, r#""""#, r#""0x1""#] {
        assert_eq!(amount(wrong).unwrap_err().to_string(), "amount_usd must be a number", "{wrong}");
    }
    assert_eq!(amount("1e400").unwrap_err().to_string(), "amount_usd must be at most 999999999.99");
    assert_eq!(amount("0.004").unwrap_err().to_string(), "amount_usd must be at least 0.01");
}

#[test]
fn r6_metadata_keeps_types_order_and_digits() {
    let body = r#"{"title":"T","amount_usd":1,"metadata": { "z" : 1.00, "a" : [ null , "x \" y" ], "n": 12345678901234567890123 } }"#;
    let metadata = Request::parse(body).unwrap().metadata.unwrap();
    assert_eq!(metadata.as_json(), r#"{"z":1.00,"a":[null,"x \" y"],"n":12345678901234567890123}"#);
}

#[test]
fn r7_only_a_json_object_is_read() {
    assert_eq!(refused("{"), "The request body is not valid JSON");
    assert_eq!(refused(""), "The request body is empty");
    for wrong in ["[]", "5", "\"x\"", "null"] {
        assert_eq!(refused(wrong), "The request body must be a JSON object", "{wrong}");
    }
}

#[test]
fn r9_another_request_has_another_hash() {
    let base = r#"{"title":"T","amount_usd":1}"#;
    let others = [
        r#"{"title":"U","amount_usd":1}"#,
        r#"{"title":"T","amount_usd":1.01}"#,
        r#"{"title":"T","amount_usd":1,"description":""}"#,
        r#"{"title":"T","amount_usd":1,"metadata":{}}"#,
        r#"{"title":"T","amount_usd":1,"allow_bankid":true}"#,
        r#"{"title":"T","amount_usd":1,"fee_paid_by":"payer"}"#,
        r#"{"title":"T","amount_usd":1,"kyc_method":"bankid"}"#,
    ];
    let hash = |body: &str| Request::parse(body).unwrap().hash();
    for other in others {
        assert_ne!(hash(base), hash(other), "{other}");
    }
}
