//! The payer's side over HTTP: the page, its state, and choosing a coin (R19, R24, R27).

use serde_json::json;
use shared::clock::Clock;
use shared::http::ApiError;
use shared::payment::{Code, IdentityStep, Payment};
use tests::answer::Answer;
use tests::product::{Caller, shared};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

async fn choose(payer: &Caller, code: &str, coin: &str, accept: &str) -> Answer {
    let body = format!("coin={coin}").into_bytes();
    payer.call("POST", &format!("/pay/{code}/coin"), &[FORM, ("Accept", accept)], body).await
}

#[test]
fn r27_the_page_is_for_everybody_with_the_link() {
    shared(async |product| {
        let shop = product.shop().await;
        let payer = product.caller_with(None);
        let order =
            json!({ "title": "<b>Tea & cake</b>", "amount_usd": 49.99, "metadata": { "secret": "inside" } });
        for caller in [&shop.test, &shop.live] {
            let code = caller.create(&order).await.field("short_code").as_str().unwrap().to_owned();
            for path in [format!("/pay/{code}"), format!("/pay/{code}/")] {
                let page = payer.get(&path).await;
                assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
                assert!(
                    !page.text.contains("<b>Tea") && page.text.contains("Tea &#38; cake"),
                    "{}",
                    page.text
                );
                assert!(!page.text.contains("inside"), "R6: metadata is the merchant's own");
                assert!(page.headers.get("set-cookie").is_none());
                // Any shop may frame it.
                assert!(page.headers.get("x-frame-options").is_none());
                assert!(!page.header("content-security-policy").contains("frame-ancestors 'none'"));
                assert!(!page.header("x-request-id").is_empty());
            }
            let state = payer.get(&format!("/pay/{code}/state")).await;
            assert_eq!((state.status, state.header("content-type")), (200, "application/json"));
            assert_eq!(state.json()["status"], "kyc_required");
            assert!(!state.text.contains("inside"), "{}", state.text);
        }
    });
}

#[test]
fn r27_an_unknown_code_gives_a_404_page() {
    shared(async |product| {
        let shop = product.shop().await;
        let payer = product.caller_with(None);
        let id = shop.test.created("10").await;
        for name in ["11111111", "1", &id, "0OIl0OIl"] {
            let page = payer.get(&format!("/pay/{name}")).await;
            assert_eq!(
                (page.status, page.header("content-type")),
                (404, "text/html; charset=utf-8"),
                "{name}"
            );
            assert_eq!(page.header("x-error-code"), "payment_not_found");
            assert!(page.text.contains("Payment not found"));
            let state = payer.get(&format!("/pay/{name}/state")).await;
            state.assert_refused(404, "payment_not_found", "Payment not found");
        }
    });
}

#[test]
fn r27_a_payment_that_ended_shows_its_state() {
    shared(async |product| {
        let shop = product.shop().await;
        let payer = product.caller_with(None);
        let advance = json!({ "scenario": "advance", "seconds": 864_000 });
        for (scenario, status) in [(json!({ "scenario": "pay" }), "paid"), (advance, "expired")] {
            let id = shop.test.created("10").await;
            let made = shop.test.simulate(&id, &scenario).await.payment();
            assert_eq!(made["status"], status);
            let code = made["short_code"].as_str().unwrap();
            let state = payer.get(&format!("/pay/{code}/state")).await;
            assert_eq!((state.status, &state.json()["status"]), (200, &json!(status)));
            assert_eq!(payer.get(&format!("/pay/{code}")).await.status, 200);
        }
    });
}

/// Money sent where nobody watches would never be seen.
#[test]
fn r24_no_live_coin_is_offered_while_nobody_watches_its_chain() {
    shared(async |product| {
        let shop = product.shop().await;
        let store = product.local.store();
        let xpub = tests::anvil::ANVIL_XPUB;
        store.set_xpub(&shop.account.merchant, "evm", xpub).await.unwrap();
        let made = shop.live.create(&json!({ "title": "Order", "amount_usd": 10 })).await.payment();
        let code: Code = made["short_code"].as_str().unwrap().parse().unwrap();
        let approve =
            |payment: &Payment| payment.decide_identity(IdentityStep::Approve, Clock::default().now());
        let approve = |payment: &Payment| approve(payment).map_err(ApiError::from);
        store.change_payment(code, approve).await.unwrap();
        let payer = product.caller_with(None);
        let refused = choose(&payer, &code.to_string(), "ETH", "application/json").await;
        let detail = "This coin cannot be paid at the moment, because its chain is not watched";
        refused.assert_refused(503, "chain_not_watched", detail);
    });
}

/// What is on a test page must never cost anybody money (contract, section 4).
#[test]
fn r24_nothing_on_a_test_page_can_be_paid_by_a_live_wallet() {
    shared(async |product| {
        let shop = product.shop().await;
        let payer = product.caller_with(None);
        for (coin, link, amount) in
            [("BTC", "bitcoin:tb1q", "0.00083334"), ("LTC", "litecoin:tltc1q", "0.625")]
        {
            let made = shop.test.create(&json!({ "title": "Order", "amount_usd": 50 })).await.payment();
            let (id, code) = (made["id"].as_str().unwrap(), made["short_code"].as_str().unwrap());
            shop.test.simulate(id, &json!({ "scenario": "approve_identity" })).await;
            let state = choose(&payer, code, coin, "application/json").await.json();
            let (shown, address) =
                (state["payment_link"].as_str().unwrap(), state["wallet_address"].as_str().unwrap());
            assert!(
                shown.starts_with(link) && shown.ends_with(&format!("{address}?amount={amount}")),
                "{shown}"
            );
            let paid = shop.test.simulate(id, &json!({ "scenario": "transfer" })).await.payment();
            assert_eq!((&paid["status"], &paid["wallet_address"]), (&json!("paid"), &json!(address)));
        }
    });
}

#[test]
fn r19_the_payer_chooses_the_coin_once_identity_is_approved() {
    shared(async |product| {
        let shop = product.shop().await;
        let payer = product.caller_with(None);
        let made = shop.test.create(&json!({ "title": "Order", "amount_usd": 10 })).await.payment();
        let (id, code) = (made["id"].as_str().unwrap(), made["short_code"].as_str().unwrap());
        let early = choose(&payer, code, "ETH", "application/json").await;
        early.assert_refused(400, "payment_state", "Identity must be approved before a coin can be chosen");
        shop.test.simulate(id, &json!({ "scenario": "approve_identity" })).await;
        let chosen = choose(&payer, code, "USDC", "application/json").await;
        assert_eq!(chosen.status, 200, "{}", chosen.text);
        let payment = shop.test.read(id).await.payment();
        let shown = ["selected_coin", "coin_amount"].map(|field| &payment[field]);
        assert_eq!(shown, [&json!("USDC"), &json!("10")]);
        assert!(chosen.text.contains(payment["wallet_address"].as_str().unwrap()));
        for coin in ["DOGE", "", "%20"] {
            let refused = choose(&payer, code, coin, "application/json").await;
            assert_eq!(
                (refused.status, refused.header("x-error-code")),
                (400, "invalid_parameter"),
                "{coin}"
            );
        }
        let unknown = choose(&payer, "11111111", "ETH", "application/json").await;
        unknown.assert_refused(404, "payment_not_found", "Payment not found");
        // Without script the form leads back to the page.
        let form = choose(&payer, code, "ETH", "text/html").await;
        assert_eq!((form.status, form.text.contains("<html")), (200, true), "the redirect was followed");
        assert_eq!(shop.test.read(id).await.field("selected_coin"), "ETH");
    });
}
