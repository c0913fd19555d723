//! Test mode: what `simulate` can make happen, field by field, and whom it refuses (contract, section 4).

use serde_json::{Value, json};
use tests::product::shared;

const NAMES: &str = "scenario must be one of approve_identity, reject_identity, choose_coin, transfer, confirm, \
                     reorg, advance, pay, refund";

#[test]
fn a_live_key_finds_nothing_before_the_body_is_read() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.live.created("10").await;
        for body in ["{", r#"{"scenario": "pay"}"#, ""] {
            let path = format!("/api/v1/test/payments/{id}/simulate");
            let answer = shop.live.post(&path, body).await;
            answer.assert_refused(404, "payment_not_found", "Payment not found");
        }
        let theirs = shop.test.simulate(&id, &json!({ "scenario": "pay" })).await;
        theirs.assert_refused(404, "payment_not_found", "Payment not found");
        assert_eq!(shop.live.read(&id).await.field("status"), "kyc_required");
    });
}

#[test]
fn both_modes_behave_the_same_but_for_the_mode() {
    shared(async |product| {
        let shop = product.shop().await;
        let order = json!({ "title": "Order", "amount_usd": 5 });
        let (live, test) =
            (shop.live.create(&order).await.payment(), shop.test.create(&order).await.payment());
        assert_eq!((&live["livemode"], &test["livemode"]), (&json!(true), &json!(false)));
        let same = |payment: &Value| {
            let mut payment = payment.clone();
            for own in ["id", "short_code", "pay_url", "livemode", "created_at", "updated_at", "expires_at"] {
                payment[own] = json!(null);
            }
            payment
        };
        assert_eq!(same(&live), same(&test));
    });
}

#[test]
fn a_misspelt_field_value_is_refused() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        shop.test.simulate(&id, &json!({ "scenario": "choose_coin" })).await;
        let percent = "percent must be a number from 0.01 to 1000";
        let transfer_id = "transfer_id must have 1 to 64 letters, digits, `-` or `_`";
        let seconds = "seconds must be a whole number from 1 to 31622400";
        let reason = "reason must be a string of at most 500 characters";
        for (body, detail) in [
            (json!({}), NAMES),
            (json!({ "scenario": null }), NAMES),
            (json!({ "scenario": 1 }), NAMES),
            (json!({ "scenario": "Pay" }), NAMES),
            (json!({ "scenario": "refunds" }), NAMES),
            (json!({ "scenario": "approve_identity", "reason": 1 }), reason),
            (json!({ "scenario": "reject_identity", "reason": "x".repeat(501) }), reason),
            (json!({ "scenario": "choose_coin", "coin": 1 }), "coin must be the name of a coin"),
            (json!({ "scenario": "choose_coin", "coin": "" }), "coin must be the name of a coin"),
            (json!({ "scenario": "transfer", "percent": 0 }), percent),
            (json!({ "scenario": "transfer", "percent": 1000.01 }), percent),
            (json!({ "scenario": "transfer", "percent": "half" }), percent),
            (json!({ "scenario": "transfer", "amount_usd": true }), "amount_usd must be a number"),
            (json!({ "scenario": "transfer", "amount_usd": 0 }), "amount_usd must be at least 0.01"),
            (
                json!({ "scenario": "transfer", "percent": 1, "amount_usd": 1 }),
                "percent must not come with amount_usd",
            ),
            (json!({ "scenario": "transfer", "confirmed": "yes" }), "confirmed must be true or false"),
            (json!({ "scenario": "transfer", "transfer_id": "" }), transfer_id),
            (json!({ "scenario": "transfer", "transfer_id": "a b" }), transfer_id),
            (json!({ "scenario": "transfer", "transfer_id": "x".repeat(65) }), transfer_id),
            (json!({ "scenario": "transfer", "transfer_id": 7 }), transfer_id),
            (json!({ "scenario": "confirm" }), "transfer_id is required"),
            (json!({ "scenario": "reorg" }), "transfer_id is required"),
            (json!({ "scenario": "reorg", "transfer_id": 7 }), "transfer_id must be a string"),
            (json!({ "scenario": "advance" }), "seconds is required"),
            (json!({ "scenario": "advance", "seconds": 0 }), seconds),
            (json!({ "scenario": "advance", "seconds": 1.5 }), seconds),
            (json!({ "scenario": "advance", "seconds": "60" }), seconds),
            (json!({ "scenario": "advance", "seconds": 31_622_401 }), seconds),
        ] {
            shop.test.simulate(&id, &body).await.assert_refused(400, "invalid_parameter", detail);
        }
        assert_eq!(shop.test.read(&id).await.field("status"), "kyc_required");
    });
}

#[test]
fn a_scenario_that_the_state_does_not_allow_is_refused_with_the_reason() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        let no_coin = "scenario transfer needs a coin to be chosen first";
        let transfer = json!({ "scenario": "transfer" });
        shop.test.simulate(&id, &transfer).await.assert_refused(400, "invalid_parameter", no_coin);
        shop.test.simulate(&id, &json!({ "scenario": "approve_identity" })).await;
        shop.test.simulate(&id, &transfer).await.assert_refused(400, "invalid_parameter", no_coin);
        for scenario in ["confirm", "reorg"] {
            let answer = shop.test.simulate(&id, &json!({ "scenario": scenario, "transfer_id": "a" })).await;
            answer.assert_refused(400, "invalid_parameter", "transfer_id is no transfer of this payment");
        }
        let unknown = shop.test.simulate(&id, &json!({ "scenario": "choose_coin", "coin": "DOGE" })).await;
        unknown.assert_refused(400, "invalid_parameter", "coin is not offered for this payment");
        let paid = shop.test.simulate(&id, &json!({ "scenario": "pay" })).await;
        assert_eq!(paid.field("status"), "paid");
        for scenario in ["pay", "choose_coin"] {
            let answer = shop.test.simulate(&id, &json!({ "scenario": scenario })).await;
            answer.assert_refused(400, "payment_state", "Payment is paid");
        }
        let cancelled = shop.test.created("10").await;
        shop.test.cancel(&cancelled).await;
        for scenario in ["pay", "approve_identity", "reject_identity", "choose_coin"] {
            let answer = shop.test.simulate(&cancelled, &json!({ "scenario": scenario })).await;
            answer.assert_refused(400, "payment_state", "Payment is cancelled");
        }
    });
}

#[test]
fn identity_can_be_approved_and_rejected() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        let rejected =
            shop.test.simulate(&id, &json!({ "scenario": "reject_identity", "reason": "blurred" })).await;
        let rejected = rejected.payment();
        assert_eq!(
            (&rejected["kyc_status"], &rejected["status"]),
            (&json!("rejected"), &json!("kyc_required"))
        );
        let approved = shop.test.simulate(&id, &json!({ "scenario": "approve_identity" })).await.payment();
        assert_eq!((&approved["kyc_status"], &approved["status"]), (&json!("approved"), &json!("pending")));
    });
}

#[test]
fn a_coin_can_be_chosen_by_name_or_is_the_first_offered() {
    shared(async |product| {
        let shop = product.shop().await;
        for (scenario, coin, amount) in [
            (json!({ "scenario": "choose_coin" }), "ETH", "0.004"),
            (json!({ "scenario": "choose_coin", "coin": null }), "ETH", "0.004"),
            (json!({ "scenario": "choose_coin", "coin": "USDT" }), "USDT", "10.309279"),
        ] {
            let id = shop.test.created("10").await;
            shop.test.simulate(&id, &json!({ "scenario": "approve_identity" })).await;
            let chosen = shop.test.simulate(&id, &scenario).await.payment();
            assert_eq!((&chosen["selected_coin"], &chosen["coin_amount"]), (&json!(coin), &json!(amount)));
            assert!(chosen["wallet_address"].is_string() && chosen["rate_expires_at"].is_string());
        }
    });
}

#[test]
fn a_transfer_has_a_size_a_name_and_may_be_unconfirmed() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        for scenario in ["approve_identity", "choose_coin"] {
            shop.test.simulate(&id, &json!({ "scenario": scenario })).await;
        }
        let seen = json!({ "scenario": "transfer", "amount_usd": "2.50", "confirmed": false, "transfer_id": "first" });
        let payment = shop.test.simulate(&id, &seen).await.payment();
        let [transfer] = payment["transfers"].as_array().unwrap().as_slice() else { panic!("{payment}") };
        let wallet = &payment["wallet_address"];
        let expected = json!({
            "id": format!("ethereum:first:native:{}:0", wallet.as_str().unwrap().to_lowercase()), "coin": "ETH",
            "chain": "ethereum", "tx_id": "first", "address": wallet, "amount": "0.001", "credited_usd": 2.5,
            "rate_usd": "2500.00", "state": "seen", "confirmations": 0, "confirmations_required": 12,
            "first_seen_at": payment["updated_at"], "late": false,
        });
        assert_eq!(*transfer, expected);
        let order: Vec<_> = transfer.as_object().unwrap().keys().collect();
        assert_eq!(order, expected.as_object().unwrap().keys().collect::<Vec<_>>());
        assert_eq!((&payment["status"], &payment["amount_received_usd"]), (&json!("pending"), &json!(0.0)));
        let confirm = json!({ "scenario": "confirm", "transfer_id": "first" });
        let payment = shop.test.simulate(&id, &confirm).await.payment();
        let transfer = &payment["transfers"][0];
        assert_eq!((&transfer["state"], &transfer["confirmations"]), (&json!("counted"), &json!(12)));
        assert_eq!(
            (&payment["status"], &payment["amount_received_usd"]),
            (&json!("partially_paid"), &json!(2.5))
        );
        // By default: all that is due, confirmed, and a new transfer each time.
        let payment = shop.test.simulate(&id, &json!({ "scenario": "transfer" })).await.payment();
        assert_eq!((&payment["amount_received_usd"], &payment["overpaid_usd"]), (&json!(12.5), &json!(2.5)));
        let payment =
            shop.test.simulate(&id, &json!({ "scenario": "transfer", "percent": 10 })).await.payment();
        assert_eq!(
            (payment["transfers"].as_array().unwrap().len(), &payment["overpaid_usd"]),
            (3, &json!(3.5))
        );
        // By the id that the API shows, too.
        let reorg = json!({ "scenario": "reorg", "transfer_id": expected["id"] });
        let payment = shop.test.simulate(&id, &reorg).await.payment();
        assert_eq!(payment["amount_received_usd"], json!(11.0));
    });
}

#[test]
fn time_passes_for_one_payment_and_its_dates_stay() {
    shared(async |product| {
        let shop = product.shop().await;
        let (id, other) = (shop.test.created("10").await, shop.test.created("10").await);
        let before = shop.test.read(&id).await.payment();
        let almost = shop.test.simulate(&id, &json!({ "scenario": "advance", "seconds": 863_000 })).await;
        assert_eq!(almost.field("status"), "kyc_required");
        let expired =
            shop.test.simulate(&id, &json!({ "scenario": "advance", "seconds": 1_000 })).await.payment();
        assert_eq!(expired["status"], "expired");
        for date in ["created_at", "expires_at"] {
            assert_eq!(expired[date], before[date]);
        }
        assert_eq!(shop.test.read(&other).await.field("status"), "kyc_required");
        assert_eq!(shop.test.list("status=expired").await.listed(), [id]);
        assert_eq!(shop.test.list("status=kyc_required").await.listed(), [other]);
    });
}

#[test]
fn pay_is_the_short_way_to_paid_from_anywhere_open() {
    shared(async |product| {
        let shop = product.shop().await;
        let partial = [
            json!({ "scenario": "approve_identity" }),
            json!({ "scenario": "choose_coin", "coin": "USDC" }),
            json!({ "scenario": "transfer", "percent": 25 }),
        ];
        for steps in [0, 1, 2, 3] {
            let id = shop.test.created("10").await;
            for scenario in &partial[..steps] {
                assert_eq!(shop.test.simulate(&id, scenario).await.status, 200);
            }
            let paid = shop.test.simulate(&id, &json!({ "scenario": "pay" })).await.payment();
            assert_eq!(
                (&paid["status"], &paid["amount_received_usd"]),
                (&json!("paid"), &json!(10.0)),
                "{steps}"
            );
            assert_eq!((&paid["kyc_status"], &paid["late"]), (&json!("approved"), &json!(false)));
        }
    });
}

#[test]
fn c2_a_field_that_a_scenario_does_not_know_is_named() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        let transfer = "scenario, percent, amount_usd, confirmed, transfer_id";
        for (scenario, field, known) in [
            (json!({ "scenario": "transfer", "percnt": 50 }), "percnt", transfer),
            (json!({ "scenario": "transfer", "Percent": 50 }), "Percent", transfer),
            (json!({ "scenario": "transfer", "coin": "BTC" }), "coin", transfer),
            (json!({ "scenario": "transfer", "amount": null }), "amount", transfer),
            (json!({ "scenario": "pay", "percent": 50 }), "percent", "scenario, coin"),
            (json!({ "scenario": "choose_coin", "network": "base" }), "network", "scenario, coin"),
            (json!({ "scenario": "advance", "days": 1 }), "days", "scenario, seconds"),
            (json!({ "scenario": "confirm", "transfer_id": "a", "id": "a" }), "id", "scenario, transfer_id"),
            (json!({ "scenario": "reject_identity", "Reason": "" }), "Reason", "scenario, reason"),
        ] {
            let answer = shop.test.simulate(&id, &scenario).await;
            let detail = format!("`{field}` is no field here; known are {known}");
            answer.assert_refused(400, "invalid_parameter", &detail);
        }
        assert_eq!(shop.test.read(&id).await.field("status"), "kyc_required", "nothing was done");
        for coin in ["DOGE", "btc", "ETHH"] {
            let answer = shop.test.simulate(&id, &json!({ "scenario": "pay", "coin": coin })).await;
            answer.assert_refused(400, "invalid_parameter", "coin is not offered for this payment");
        }
        for coin in ["BTC", "LTC", "USDC"] {
            let id = shop.test.created("10").await;
            let paid = shop.test.simulate(&id, &json!({ "scenario": "pay", "coin": coin })).await.payment();
            assert_eq!((&paid["status"], &paid["selected_coin"]), (&json!("paid"), &json!(coin)));
            assert_eq!(paid["transfers"][0]["coin"], coin);
        }
    });
}

#[test]
fn c15_pay_confirms_what_is_on_its_way_and_pays_the_rest() {
    shared(async |product| {
        let shop = product.shop().await;
        for (parts, coin, count) in [
            (&[100][..], None, 1),
            (&[30], None, 2),
            (&[30, 20], Some("BTC"), 3),
            (&[60, 40], Some("USDT"), 2),
        ] {
            let id = shop.test.created("10").await;
            for scenario in ["approve_identity", "choose_coin"] {
                shop.test.simulate(&id, &json!({ "scenario": scenario })).await;
            }
            for percent in parts {
                let seen = json!({ "scenario": "transfer", "percent": percent, "confirmed": false });
                assert_eq!(shop.test.simulate(&id, &seen).await.field("status"), "pending");
            }
            let paid = shop.test.simulate(&id, &json!({ "scenario": "pay", "coin": coin })).await.payment();
            assert_eq!((&paid["status"], &paid["overpaid_usd"]), (&json!("paid"), &json!(0.0)), "{parts:?}");
            let transfers = paid["transfers"].as_array().unwrap();
            assert_eq!(transfers.len(), count, "{parts:?}");
            assert!(transfers.iter().all(|transfer| transfer["state"] == "counted"), "{paid}");
        }
    });
}
