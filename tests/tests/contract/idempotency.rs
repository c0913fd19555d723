//! `Idempotency-Key`: asking again finds the first answer (R9).

use std::collections::BTreeSet;

use serde_json::json;
use tests::product::{Caller, PAYMENTS, shared};

/// Calls at once for one key.
const AT_ONCE: usize = 50;

const REUSED: (u16, &str, &str) =
    (409, "idempotency_key_reused", "Idempotency-Key was already used with a different request");

/// Creates the same order under one key, many times at once; answers with ids and whether they were replays.
async fn create_at_once(caller: &Caller, key: &'static str) -> Vec<(String, bool)> {
    let calls: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let caller = caller.clone();
            tokio::spawn(async move {
                let answer = caller.create_once(key, &json!({ "title": "Order", "amount_usd": 5 })).await;
                assert_eq!(answer.status, 201, "{}", answer.text);
                let id = answer.field("id").as_str().unwrap().to_owned();
                (id, answer.header("idempotent-replayed") == "true")
            })
        })
        .collect();
    let mut made = Vec::new();
    for call in calls {
        made.push(call.await.unwrap());
    }
    made
}

#[test]
fn r9_fifty_calls_at_once_make_one_payment() {
    shared(async |product| {
        let shop = product.shop().await;
        let made = create_at_once(&shop.test, "order-1042").await;
        let ids: BTreeSet<_> = made.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(ids.len(), 1);
        assert_eq!(made.iter().filter(|(_, replayed)| !replayed).count(), 1);
        assert_eq!(shop.test.list("").await.listed(), Vec::from_iter(ids));
    });
}

#[test]
fn r9_a_replay_shows_the_payment_as_it_is_now() {
    shared(async |product| {
        let shop = product.shop().await;
        let order = json!({ "title": "Order", "amount_usd": "5.00" });
        let first = shop.test.create_once("a", &order).await;
        assert_eq!((first.status, first.header("idempotent-replayed")), (201, ""));
        let id = first.field("id").as_str().unwrap().to_owned();
        let cancelled = shop.test.cancel(&id).await.payment();
        let again = shop.test.create_once("a", &order).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"));
        assert_eq!(again.payment(), cancelled);
    });
}

#[test]
fn r9_the_same_request_is_known_after_defaults_and_rounding() {
    shared(async |product| {
        let shop = product.shop().await;
        let first = shop.test.create_once("a", &json!({ "title": "Order", "amount_usd": 5 })).await;
        for same in [
            json!({ "amount_usd": "5.001", "title": " Order " }),
            json!({ "title": "Order", "amount_usd": 5, "kyc_method": "id_upload", "fee_paid_by": null, "extra": 1 }),
        ] {
            let again = shop.test.create_once("a", &same).await;
            assert_eq!((again.status, again.field("id")), (201, first.field("id")), "{same}");
            assert_eq!(again.header("idempotent-replayed"), "true");
        }
    });
}

#[test]
fn r9_another_request_under_the_same_key_is_refused() {
    shared(async |product| {
        let shop = product.shop().await;
        let order = json!({ "title": "Order", "amount_usd": 5, "metadata": { "a": 1, "b": 2 } });
        shop.test.create_once("a", &order).await;
        for (field, other) in [
            ("title", json!("Order 2")),
            ("amount_usd", json!(5.01)),
            ("description", json!("")),
            ("kyc_method", json!("bankid")),
            ("allow_bankid", json!(true)),
            ("fee_paid_by", json!("payer")),
            ("metadata", json!({ "a": 1, "b": "2" })),
            ("metadata", json!({ "a": 1, "b": 2, "c": null })),
            ("metadata", json!({})),
        ] {
            let mut changed = order.clone();
            changed[field] = other;
            let (status, code, detail) = REUSED;
            shop.test.create_once("a", &changed).await.assert_refused(status, code, detail);
        }
        assert_eq!(shop.test.list("").await.listed().len(), 1);
    });
}

#[test]
fn r9_a_key_belongs_to_an_account_and_a_mode() {
    shared(async |product| {
        let (shop, other) = (product.shop().await, product.shop().await);
        let mut ids = BTreeSet::new();
        for caller in [&shop.test, &shop.live, &other.test, &other.live] {
            let made = caller.create_once("a", &json!({ "title": "Order", "amount_usd": 5 })).await;
            assert_eq!((made.status, made.header("idempotent-replayed")), (201, ""));
            ids.insert(made.field("id").as_str().unwrap().to_owned());
        }
        assert_eq!(ids.len(), 4);
    });
}

#[test]
fn r9_a_key_has_1_to_255_visible_ascii_characters() {
    shared(async |product| {
        let shop = product.shop().await;
        let order = json!({ "title": "Order", "amount_usd": 5 });
        let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
        for good in ["1", "!~", longest.as_str()] {
            assert_eq!(shop.test.create_once(good, &order).await.status, 201, "{good}");
        }
        for bad in ["", too_long.as_str(), "a b", "é"] {
            let answer = shop.test.create_once(bad, &order).await;
            let rule = "Idempotency-Key must be 1 to 255 visible ASCII characters";
            answer.assert_refused(400, "invalid_parameter", rule);
        }
    });
}

#[test]
fn r9_a_refused_request_uses_up_no_key() {
    shared(async |product| {
        let shop = product.shop().await;
        shop.test.create_once("a", &json!({ "title": "Order", "amount_usd": 0 })).await;
        let good = shop.test.create_once("a", &json!({ "title": "Order", "amount_usd": 5 })).await;
        assert_eq!((good.status, good.header("idempotent-replayed")), (201, ""));
    });
}

#[test]
fn c7_the_same_metadata_is_the_same_however_it_is_written() {
    shared(async |product| {
        let shop = product.shop().await;
        let create = async |metadata: &str| {
            let body = format!(r#"{{"title": "Order", "amount_usd": 5, "metadata": {metadata}}}"#);
            shop.test.call("POST", PAYMENTS, &[("Idempotency-Key", "a")], body.into()).await
        };
        let written = r#"{"z":1.0,"a":{"n":"\u00e9","l":[10,2]}}"#;
        let first = create(written).await;
        for same in [
            written,
            r#"{"a":{"l":[1e1,2.00],"n":"é"},"z":1}"#,
            r#"{ "\u0061": {"n": "\u00E9", "l": [10.0, 0.2e1]}, "z": 100e-2 }"#,
        ] {
            let again = create(same).await;
            assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"), "{same}");
            assert_eq!(again.field("id"), first.field("id"));
            assert!(again.text.contains(&format!(r#""metadata":{written},"#)), "{}", again.text);
        }
        let (status, code, detail) = REUSED;
        for other in [r#"{"z":1.0,"a":{"n":"e","l":[10,2]}}"#, r#"{"z":1.0,"a":{"n":"\u00e9","l":[2,10]}}"#] {
            create(other).await.assert_refused(status, code, detail);
        }
    });
}
