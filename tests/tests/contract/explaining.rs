//! `GET /payments/{id}/explain`: every transfer, quote and rule behind a status, as data and in words.

use serde_json::{Value, json};
use tests::product::{Caller, PAYMENTS, shared};

async fn explained(caller: &Caller, id: &str) -> Value {
    let answer = caller.explain(id).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["success"], true);
    body["explanation"].clone()
}

#[test]
fn a_refund_is_explained_with_what_it_waits_for() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        for scenario in [
            json!({ "scenario": "approve_identity" }),
            json!({ "scenario": "choose_coin", "coin": "ETH" }),
            json!({ "scenario": "transfer", "percent": 60 }),
        ] {
            shop.test.simulate(&id, &scenario).await;
        }
        shop.test.cancel(&id).await;
        let asked = shop.test.post(&format!("{PAYMENTS}/{id}/refunds"), r#"{"coin": "ETH"}"#).await;
        assert!(asked.status < 300, "{}", asked.text);
        let explanation = explained(&shop.test, &id).await;
        let refund = &explanation["refunds"][0];
        assert_eq!((&refund["amount"], &refund["status"]), (&json!("0.0024"), &json!("requested")));
        let sentence = refund["because"]["sentence"].as_str().unwrap();
        assert!(sentence.contains("it is requested: the payer can give an address until "), "{sentence}");
        assert!(explanation["sentences"].as_array().unwrap().contains(&json!(sentence)));
        assert!(explanation["rulings"]["R24"].is_string());
    });
}

#[test]
fn an_explanation_agrees_with_the_payment_that_it_explains() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("49.99").await;
        for scenario in [
            json!({ "scenario": "approve_identity" }),
            json!({ "scenario": "choose_coin", "coin": "ETH" }),
            json!({ "scenario": "transfer", "percent": 60, "transfer_id": "a" }),
            json!({ "scenario": "advance", "seconds": 901 }),
            json!({ "scenario": "choose_coin", "coin": "USDT" }),
            json!({ "scenario": "transfer", "percent": 10, "transfer_id": "b", "confirmed": false }),
        ] {
            assert_eq!(shop.test.simulate(&id, &scenario).await.status, 200);
            let payment = shop.test.read(&id).await.payment();
            let explanation = explained(&shop.test, &id).await;
            for field in ["id", "short_code", "status", "livemode"] {
                assert_eq!(explanation[field], payment[field], "{field}");
            }
            for field in ["amount_due_usd", "amount_received_usd", "overpaid_usd"] {
                assert_eq!(explanation["amounts"][field], payment[field], "{field}");
            }
            let shown = payment["transfers"].as_array().unwrap();
            for (line, transfer) in explanation["transfers"].as_array().unwrap().iter().zip(shown) {
                for field in
                    ["id", "amount", "state", "credited_usd", "confirmations", "late", "first_seen_at"]
                {
                    assert_eq!(line[field], transfer[field], "{field}");
                }
            }
            assert_eq!(explanation["transfers"].as_array().unwrap().len(), shown.len());
        }
        let last = explained(&shop.test, &id).await;
        let sentences: Vec<_> =
            last["sentences"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        for part in [
            "The payment is partially_paid because 29.99 of the 49.99 USD that are due count",
            "It counts, because it has 12 confirmations because the amount due is below 10000.00 USD.",
            "It is in no block yet; it counts with 12 confirmations",
            "It came in time.",
        ] {
            assert!(sentences.iter().any(|sentence| sentence.contains(part)), "{part}: {sentences:#?}");
        }
        let cited: Vec<_> = last["rulings"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(cited, ["R14", "R15", "R16", "R20", "R21", "R22"]);
    });
}
