//! Creating a payment, and how it is shown: section 2, R5–R7, R11, R12, R14.

use serde_json::{Value, json};
use shared::account::Account;
use shared::admin;
use shared::money::{BasisPoints, Cents};
use tests::product::{PAYMENTS, shared};

/// The fields of a payment in the order that is promised.
const FIELDS: [&str; 33] = [
    "id",
    "short_code",
    "title",
    "description",
    "metadata",
    "amount_usd",
    "amount_received_usd",
    "amount_due_usd",
    "overpaid_usd",
    "status",
    "pay_url",
    "fee_usd",
    "fee_paid_by",
    "fee_free_tier",
    "kyc_method",
    "allow_bankid",
    "kyc_status",
    "selected_coin",
    "wallet_address",
    "coin_amount",
    "rate_usd",
    "rate_expires_at",
    "transfers",
    "transfers_total",
    "refunded_usd",
    "late",
    "livemode",
    "created_at",
    "updated_at",
    "expires_at",
    "paid_at",
    "cancelled_at",
    "refunded_at",
];

fn fields(payment: &Value) -> Vec<&str> {
    payment.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_fresh_payment_is_the_documented_one() {
    shared(async |product| {
        let shop = product.shop().await;
        let order = json!({
            "title": "Order #1042", "description": "2 × T-shirt", "amount_usd": 49.99, "metadata": { "order_id": "1042" },
        });
        let answer = shop.live.create(&order).await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("content-type"), "application/json");
        let body = answer.json();
        assert_eq!(fields(&body), ["success", "payment"]);
        let payment = answer.payment();
        assert_eq!(fields(&payment), FIELDS);
        let (id, code) = (payment["id"].as_str().unwrap(), payment["short_code"].as_str().unwrap());
        let created_at = payment["created_at"].as_str().unwrap();
        let expected = json!({
            "id": id, "short_code": code, "title": "Order #1042", "description": "2 × T-shirt",
            "metadata": { "order_id": "1042" }, "amount_usd": 49.99, "amount_received_usd": 0.0,
            "amount_due_usd": 49.99, "overpaid_usd": 0.0, "status": "kyc_required",
            "pay_url": format!("{}/pay/{code}", product.local.base_url()), "fee_usd": 0.5, "fee_paid_by": "merchant",
            "fee_free_tier": false, "kyc_method": "id_upload", "allow_bankid": false, "kyc_status": "not_started",
            "selected_coin": null, "wallet_address": null, "coin_amount": null, "rate_usd": null,
            "rate_expires_at": null, "transfers": [], "transfers_total": 0, "refunded_usd": 0.0, "late": false,
            "livemode": true, "created_at": created_at, "updated_at": created_at, "expires_at": payment["expires_at"], "paid_at": null, "cancelled_at": null,
            "refunded_at": null,
        });
        assert_eq!(payment, expected);
    });
}

#[test]
fn a_payment_is_the_same_everywhere() {
    shared(async |product| {
        let shop = product.shop().await;
        let created = shop.test.create(&json!({ "title": "Order", "amount_usd": 5 })).await.payment();
        let id = created["id"].as_str().unwrap();
        assert_eq!(shop.test.read(id).await.payment(), created);
        assert_eq!(shop.test.list("").await.json()["payments"][0], created);
        let cancelled = shop.test.cancel(id).await.payment();
        assert_eq!(fields(&cancelled), FIELDS);
        assert_eq!(shop.test.read(id).await.payment(), cancelled);
        let deleted = shop.test.call("DELETE", &format!("{PAYMENTS}/{id}"), &[], Vec::new()).await;
        assert_eq!((deleted.status, deleted.payment()), (200, cancelled));
        let other = shop.test.created("5").await;
        let paid = shop.test.simulate(&other, &json!({ "scenario": "pay" })).await.payment();
        assert_eq!(fields(&paid), FIELDS);
        assert_eq!(shop.test.read(&other).await.payment(), paid);
    });
}

#[test]
fn r5_an_amount_is_a_json_number_or_a_string_with_one() {
    shared(async |product| {
        let shop = product.shop().await;
        for (sent, shown) in [
            ("49.99", "49.99"),
            ("\"49.99\"", "49.99"),
            // As PHP, JavaScript and Python write sums of binary floats.
            ("49.990000000000002", "49.99"),
            ("0.30000000000000004", "0.30"),
            ("29.999999999999996", "30.00"),
            ("1e2", "100.00"),
            ("\"4.999E+1\"", "49.99"),
            ("0.005", "0.01"),
            ("1.005", "1.01"),
            ("7", "7.00"),
            ("999999999.99", "999999999.99"),
            ("999999999.994999", "999999999.99"),
        ] {
            let body = format!(r#"{{"title": "Order", "amount_usd": {sent}}}"#);
            let answer = shop.test.post(PAYMENTS, &body).await;
            assert!(answer.text.contains(&format!(r#""amount_usd":{shown},"#)), "{sent}: {}", answer.text);
        }
    });
}

#[test]
fn r5_what_is_no_amount_is_refused() {
    shared(async |product| {
        let shop = product.shop().await;
        for (sent, rule) in [
            ("null", "is required"),
            ("true", "must be a number"),
            ("[1]", "must be a number"),
            ("{}", "must be a number"),
            ("\"\"", "must be a number"),
            ("\" 1\"", "must be a number"),
            ("\"1,00\"", "must be a number"),
            ("\"NaN\"", "must be a number"),
            ("\"Infinity\"", "must be a number"),
            ("\"0x10\"", "must be a number"),
            ("\"+1\"", "must be a number"),
            ("\"01\"", "must be a number"),
            ("\"$5\"", "must be a number"),
            ("0", "must be at least 0.01"),
            ("-5", "must be at least 0.01"),
            ("0.0049999", "must be at least 0.01"),
            ("999999999.995", "must be at most 999999999.99"),
            ("1e999999999999", "must be at most 999999999.99"),
        ] {
            let body = format!(r#"{{"title": "Order", "amount_usd": {sent}}}"#);
            let answer = shop.test.post(PAYMENTS, &body).await;
            answer.assert_refused(400, "invalid_parameter", &format!("amount_usd {rule}"));
        }
        for sent in ["NaN", "Infinity", "-Infinity", "1.", ".5", "01", "1e"] {
            let body = format!(r#"{{"title": "Order", "amount_usd": {sent}}}"#);
            let answer = shop.test.post(PAYMENTS, &body).await;
            answer.assert_refused(400, "invalid_parameter", "The request body is not valid JSON");
        }
    });
}

#[test]
fn r6_fields_are_checked_and_the_rule_is_named() {
    shared(async |product| {
        let shop = product.shop().await;
        let keys: serde_json::Map<_, _> = (0..51).map(|n| (format!("k{n}"), json!(n))).collect();
        let control = "must not contain control characters";
        for (field, value, rule) in [
            ("title", json!(null), "is required"),
            ("title", json!(5), "must be a string"),
            ("title", json!("  "), "must have 1 to 200 characters"),
            ("title", json!("é".repeat(201)), "must have 1 to 200 characters"),
            ("title", json!("a\nb"), control),
            ("title", json!("a\u{7f}b"), control),
            ("description", json!([]), "must be a string"),
            ("description", json!("x".repeat(2_001)), "must have at most 2000 characters"),
            (
                "description",
                json!("a\u{0}"),
                "must not contain control characters other than line feed and tab",
            ),
            ("currency", json!("EUR"), "must be `USD`"),
            ("currency", json!("usd"), "must be `USD`"),
            ("currency", json!(""), "must be `USD`"),
            ("currency", json!(840), "must be `USD`"),
            ("currency", json!(["USD"]), "must be `USD`"),
            ("kyc_method", json!("passport"), "must be `id_upload` or `bankid`"),
            ("kyc_method", json!(1), "must be `id_upload` or `bankid`"),
            ("allow_bankid", json!("true"), "must be true or false"),
            ("allow_bankid", json!(1), "must be true or false"),
            ("fee_paid_by", json!("nobody"), "must be `merchant` or `payer`"),
            ("metadata", json!("text"), "must be an object"),
            ("metadata", json!([1]), "must be an object"),
            ("metadata", json!(keys), "must have at most 50 keys"),
            ("metadata", json!({ "k": "x".repeat(8 * 1024) }), "must be at most 8 KiB as JSON"),
        ] {
            let mut order = json!({ "title": "Order", "amount_usd": 5 });
            order[field] = value;
            let answer = shop.test.create(&order).await;
            answer.assert_refused(400, "invalid_parameter", &format!("{field} {rule}"));
        }
    });
}

#[test]
fn r6_what_fits_is_kept_as_it_came() {
    shared(async |product| {
        let shop = product.shop().await;
        let title = "é".repeat(200);
        let description = format!("one\n\ttwo {}", "x".repeat(1_990));
        let metadata = r#"{"z": 1, "a": [1.10, null, true, 12345678901234567890123], "z2": {"b": "  \" "}}"#;
        let kept = r#""metadata":{"z":1,"a":[1.10,null,true,12345678901234567890123],"z2":{"b":"  \" "}},"#;
        let body = format!(
            r#"{{"title": {}, "description": {}, "amount_usd": 5, "metadata": {metadata}, "unknown": {{}}}}"#,
            json!(format!("  {title}\t")),
            json!(description),
        );
        let answer = shop.test.post(PAYMENTS, &body).await;
        assert_eq!((answer.field("title"), answer.field("description")), (json!(title), json!(description)));
        assert!(answer.text.contains(kept), "{}", answer.text);
        let read = shop.test.read(answer.field("id").as_str().unwrap()).await;
        assert_eq!(read.text, answer.text);
    });
}

#[test]
fn r6_null_means_the_default() {
    shared(async |product| {
        let shop = product.shop().await;
        let order = json!({
            "title": "Order", "amount_usd": 5, "description": null, "kyc_method": null, "allow_bankid": null,
            "fee_paid_by": null, "metadata": null,
        });
        let payment = shop.test.create(&order).await.payment();
        let defaults =
            ["description", "kyc_method", "allow_bankid", "fee_paid_by", "metadata"].map(|f| &payment[f]);
        assert_eq!(
            defaults,
            [&json!(null), &json!("id_upload"), &json!(false), &json!("merchant"), &json!(null)]
        );
        let order = json!({
            "title": "Order", "amount_usd": 5, "kyc_method": "bankid", "allow_bankid": true, "fee_paid_by": "payer",
        });
        let payment = shop.test.create(&order).await.payment();
        let chosen = ["kyc_method", "allow_bankid", "fee_paid_by"].map(|field| &payment[field]);
        assert_eq!(chosen, [&json!("bankid"), &json!(true), &json!("payer")]);
    });
}

#[test]
fn r7_a_body_is_a_json_object_of_at_most_64_kib() {
    shared(async |product| {
        let shop = product.shop().await;
        let good = r#"{"title": "Order", "amount_usd": 5}"#;
        let not_json = "The request body is not valid JSON";
        for (body, detail) in [
            (b"{".to_vec(), not_json),
            (b"title=Order&amount_usd=5".to_vec(), not_json),
            (format!("{good}x").into(), not_json),
            (b"[]".to_vec(), "The request body must be a JSON object"),
            (b"\"text\"".to_vec(), "The request body must be a JSON object"),
            (b"null".to_vec(), "The request body must be a JSON object"),
            (format!("{good}{}", " ".repeat(64 * 1024)).into(), "The request body must be at most 64 KiB"),
        ] {
            let json = [("Content-Type", "application/json")];
            let answer = shop.test.call("POST", PAYMENTS, &json, body).await;
            answer.assert_refused(400, "invalid_parameter", detail);
        }
        let padding = (64_usize * 1024).checked_sub(good.len()).unwrap();
        let largest = format!("{good}{}", " ".repeat(padding));
        assert_eq!(shop.test.post(PAYMENTS, &largest).await.status, 201);
    });
}

#[test]
fn r7_a_media_type_other_than_json_is_refused() {
    shared(async |product| {
        let shop = product.shop().await;
        let body = || br#"{"title": "Order", "amount_usd": 5}"#.to_vec();
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.shop+json"] {
            let answer = shop.test.call("POST", PAYMENTS, &[("Content-Type", good)], body()).await;
            assert_eq!(answer.status, 201, "{good}");
        }
        assert_eq!(shop.test.call("POST", PAYMENTS, &[], body()).await.status, 201);
        for bad in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/json5",
        ] {
            let answer = shop.test.call("POST", PAYMENTS, &[("Content-Type", bad)], body()).await;
            answer.assert_refused(400, "invalid_parameter", "Content-Type must be application/json");
        }
    });
}

#[test]
fn r11_money_has_two_decimals_and_times_are_utc() {
    shared(async |product| {
        let shop = product.shop().await;
        let answer = shop.test.post(PAYMENTS, r#"{"title": "Order", "amount_usd": 50}"#).await;
        for exact in [
            r#""amount_usd":50.00,"#,
            r#""amount_received_usd":0.00,"#,
            r#""amount_due_usd":50.00,"#,
            r#""overpaid_usd":0.00,"#,
            r#""fee_usd":0.50,"#,
        ] {
            assert!(answer.text.contains(exact), "{exact}: {}", answer.text);
        }
        for field in ["created_at", "updated_at", "expires_at"] {
            let time = answer.field(field);
            let time = time.as_str().unwrap();
            let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            assert_eq!(shape, "0000-00-00T00:00:00+00:00", "{time}");
        }
        let paid =
            shop.test.simulate(answer.field("id").as_str().unwrap(), &json!({ "scenario": "pay" })).await;
        for exact in [r#""coin_amount":"0.02","#, r#""rate_usd":"2500.00","#, r#""credited_usd":50.00,"#] {
            assert!(paid.text.contains(exact), "{exact}: {}", paid.text);
        }
    });
}

#[test]
fn r12_the_code_has_eight_base58_characters_and_is_in_the_link() {
    shared(async |product| {
        let shop = product.shop().await;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..5 {
            let payment = shop.test.create(&json!({ "title": "Order", "amount_usd": 5 })).await.payment();
            let code = payment["short_code"].as_str().unwrap().to_owned();
            assert!(
                code.len() == 8 && code.chars().all(|c| c.is_ascii_alphanumeric() && !"0OIl".contains(c)),
                "{code}"
            );
            assert_eq!(payment["pay_url"], format!("{}/pay/{code}", product.local.base_url()));
            assert!(seen.insert(code));
        }
    });
}

#[test]
fn r14_the_fee_is_one_percent_and_the_payer_may_bear_it() {
    shared(async |product| {
        let shop = product.shop().await;
        for (amount, fee, due_of_payer) in [
            ("49.99", r#""fee_usd":0.50,"#, r#""amount_due_usd":50.49,"#),
            ("0.49", r#""fee_usd":0.00,"#, r#""amount_due_usd":0.49,"#),
            ("0.50", r#""fee_usd":0.01,"#, r#""amount_due_usd":0.51,"#),
            ("999999999.99", r#""fee_usd":10000000.00,"#, r#""amount_due_usd":1009999999.99,"#),
        ] {
            let body = |by| format!(r#"{{"title": "Order", "amount_usd": {amount}, "fee_paid_by": "{by}"}}"#);
            let merchant = shop.test.post(PAYMENTS, &body("merchant")).await;
            let own = format!(r#""amount_due_usd":{amount},"#);
            assert!(merchant.text.contains(fee) && merchant.text.contains(&own), "{}", merchant.text);
            let payer = shop.test.post(PAYMENTS, &body("payer")).await;
            assert!(payer.text.contains(fee) && payer.text.contains(due_of_payer), "{}", payer.text);
        }
    });
}

#[test]
fn r14_an_account_may_have_terms_of_its_own() {
    shared(async |product| {
        let store = product.local.store();
        let opened = admin::open_account(&store, "Model").await.unwrap();
        let account = Account {
            merchant: shared::payment::MerchantId::new(format!("{}-own", opened.merchant.as_str())),
            fee_rate: BasisPoints::new(250),
            fee_minimum: Some(Cents(30)),
            ..opened
        };
        assert!(store.insert_account(&account).await.unwrap());
        let shop = product.shop_of(account).await;
        for (amount, fee) in [(json!(100), json!(2.5)), (json!(5), json!(0.3))] {
            let made = shop.test.create(&json!({ "title": "Order", "amount_usd": amount })).await;
            assert_eq!(made.field("fee_usd"), fee);
        }
    });
}

#[test]
fn c2_dollars_may_be_named_and_nothing_else() {
    shared(async |product| {
        let shop = product.shop().await;
        for currency in [json!("USD"), json!(null)] {
            let order = json!({ "title": "Order", "amount_usd": 5, "currency": currency });
            assert_eq!(shop.test.create(&order).await.field("amount_usd"), json!(5.0), "{currency}");
        }
        let order = json!({ "title": "Order", "amount_usd": 5, "currency": "EUR" });
        let refused = shop.live.create(&order).await;
        refused.assert_refused(400, "invalid_parameter", "currency must be `USD`");
    });
}

#[test]
fn c7_ends_of_lines_are_line_feeds_and_an_empty_array_is_an_empty_object() {
    shared(async |product| {
        let shop = product.shop().await;
        let longest = format!("{}\r\n", "x".repeat(1_999));
        for (sent, kept) in [
            ("one\r\ntwo\rthree\n", "one\ntwo\nthree\n"),
            ("\r\r\n\n\r", "\n\n\n\n"),
            (longest.as_str(), &longest.replace('\r', "")),
        ] {
            let order = json!({ "title": "Order", "amount_usd": 5, "description": sent });
            assert_eq!(shop.test.create(&order).await.field("description"), json!(kept));
        }
        for metadata in ["[]", "[ ]", "{}"] {
            let body = format!(r#"{{"title": "Order", "amount_usd": 5, "metadata": {metadata}}}"#);
            let answer = shop.test.post(PAYMENTS, &body).await;
            assert!(answer.text.contains(r#""metadata":{},"#), "{}", answer.text);
        }
    });
}

#[test]
fn c7_json_that_readers_take_for_different_things_is_refused_as_what_it_is() {
    shared(async |product| {
        let shop = product.shop().await;
        let lone = "must not contain a lone surrogate (half of a pair of \\u escapes), which is no character";
        let deep = format!("{}1{}", "{\"a\":".repeat(33), "}".repeat(33));
        for (field, json, detail) in [
            (
                "metadata",
                r#"{"a":1,"b":2,"a":3}"#,
                "metadata must not have the name \"a\" twice in one object".to_owned(),
            ),
            (
                "metadata",
                r#"{"x":[{"a":1,"\u0061":3}]}"#,
                "metadata must not have the name \"a\" twice in one object".to_owned(),
            ),
            ("metadata", deep.as_str(), "metadata must have at most 32 levels".to_owned()),
            ("metadata", r#"{"a":"\ud83d"}"#, format!("metadata {lone}")),
            ("metadata", r#"{"a":1e309}"#, "metadata must not have a number beyond 10^308".to_owned()),
            ("metadata", r#"{"a":-1e400}"#, "metadata must not have a number beyond 10^308".to_owned()),
            ("title", r#""\ud83d""#, format!("title {lone}")),
            ("description", r#""a\udc00b""#, format!("description {lone}")),
            (
                "title\": \"Order\", \"title",
                "\"Order\"",
                "The request body must not have the field \"title\" twice".to_owned(),
            ),
            ("\\ud83d", "1", format!("The request body {lone}")),
        ] {
            let title = if field.starts_with("title") { "" } else { r#""title": "Order","# };
            let body = format!(r#"{{{title} "amount_usd": 5, "{field}": {json}}}"#);
            shop.test.post(PAYMENTS, &body).await.assert_refused(400, "invalid_parameter", &detail);
        }
    });
}

#[test]
fn c8_a_body_that_is_no_text_is_called_what_it_is() {
    shared(async |product| {
        let shop = product.shop().await;
        let good = r#"{"title": "Order", "amount_usd": 5}"#;
        let wide = |bytes: fn(u16) -> [u8; 2], mark: &[u8]| {
            let text = good.encode_utf16().flat_map(bytes);
            mark.iter().copied().chain(text).collect::<Vec<_>>()
        };
        let utf_16 = "The request body must be UTF-8, and is UTF-16 or UTF-32";
        let latin = [&good.as_bytes()[..11], b"\xe9", &good.as_bytes()[11..]].concat();
        for (body, detail) in [
            (Vec::new(), "The request body is empty"),
            (b" \r\n".to_vec(), "The request body is empty"),
            (
                [b"\xef\xbb\xbf", good.as_bytes()].concat(),
                "The request body must not begin with a byte order mark",
            ),
            (wide(u16::to_le_bytes, b"\xff\xfe"), utf_16),
            (wide(u16::to_be_bytes, b"\xfe\xff"), utf_16),
            (wide(u16::to_le_bytes, b""), utf_16),
            (wide(u16::to_be_bytes, b""), utf_16),
            (latin, "The request body must be UTF-8"),
            (b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec(), "The request body must not be compressed"),
        ] {
            for kind in [&[("Content-Type", "application/json")][..], &[]] {
                let answer = shop.test.call("POST", PAYMENTS, kind, body.clone()).await;
                answer.assert_refused(400, "invalid_parameter", detail);
            }
        }
        for encoding in ["gzip", "br", "x", "identity, gzip"] {
            let headers = [("Content-Type", "application/json"), ("Content-Encoding", encoding)];
            let answer = shop.test.call("POST", PAYMENTS, &headers, good.into()).await;
            let detail = "Content-Encoding must not be sent: the request body must not be compressed";
            answer.assert_refused(400, "invalid_parameter", detail);
        }
        let headers = [("Content-Type", "application/json"), ("Content-Encoding", "identity")];
        assert_eq!(shop.test.call("POST", PAYMENTS, &headers, good.into()).await.status, 201);
    });
}
