//! The payer's side over HTTP: the page, its state, and choosing a coin (R19, R24, R27).

use local::Options;
use serde_json::json;
use shared::chain::ChainId;
use shared::clock::Clock;
use shared::http::ApiError;
use shared::moment::Timestamp;
use shared::payment::{Code, IdentityStep, Payment};
use shared::store::Cursor;
use tests::answer::Answer;
use tests::product::{Caller, Product, Shop, alone, shared};

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
        assert_told(&shop, &code.to_string(), "ETH", "chain_not_watched", "cannot be watched right now")
            .await;

        // Somebody watched it: a day ago, too long ago, until its node parted from what was read, and lately.
        let (ethereum, now) = (ChainId::new("ethereum").unwrap(), Clock::default().now());
        let read_at = [now.minus(24 * 60 * 60), now.minus(31 * 60), Timestamp(0), now.minus(29 * 60)];
        for (version, fresh_at) in (1..).zip(read_at) {
            let cursor = Cursor { version, height: 7, fresh_at, ..Cursor::default() };
            assert!(store.move_cursor(&ethereum, version - 1, &cursor).await.unwrap());
            let chosen = choose(&payer, &code.to_string(), "ETH", "application/json").await;
            if version == 4 {
                assert_eq!(chosen.status, 200, "{}", chosen.text);
                continue;
            }
            let detail = "ETH cannot be paid at the moment, because its chain was not read to its tip lately. \
                          Try again in a minute";
            chosen.assert_refused(503, "chain_not_current", detail);
            assert_told(&shop, &code.to_string(), "ETH", "chain_not_current", "cannot be watched right now")
                .await;
        }
    });
}

/// What page, state and explanation say of a coin that is not offered.
async fn assert_told(shop: &Shop<'_>, payment: &str, coin: &str, reason: &str, on_page: &str) {
    let payer = shop.product.caller_with(None);
    let state = payer.get(&format!("/pay/{payment}/state")).await.json();
    assert_eq!((&state["not_offered"], &state["coins"]), (&json!(reason), &json!([])));
    let page = payer.get(&format!("/pay/{payment}")).await;
    assert!(page.text.contains(on_page) && !page.text.contains("price for any coin"), "{}", page.text);
    let owner = if state["livemode"] == true { &shop.live } else { &shop.test };
    let explained = owner.explain(payment).await.json();
    let coins = explained["explanation"]["coins"].as_array().unwrap();
    let line = coins.iter().find(|line| line["coin"] == coin).unwrap();
    assert_eq!((&line["offered"], &line["code"]), (&json!(false), &json!(reason)));
    let sentence = line["because"]["sentence"].as_str().unwrap();
    assert!(
        explained["explanation"]["sentences"].as_array().unwrap().contains(&json!(sentence)),
        "{sentence}"
    );
}

#[test]
fn c3_a_live_payment_without_an_extended_key_says_so() {
    shared(async |product| {
        let shop = product.shop().await;
        let made = shop.live.create(&json!({ "title": "Order", "amount_usd": 10 })).await.payment();
        let code = made["short_code"].as_str().unwrap();
        let approve = |payment: &Payment| {
            payment.decide_identity(IdentityStep::Approve, Clock::default().now()).map_err(ApiError::from)
        };
        product.local.store().change_payment(code.parse().unwrap(), approve).await.unwrap();
        let refused = choose(&product.caller_with(None), code, "BTC", "application/json").await;
        let detail = "BTC cannot be paid to this account, which has no extended public key for it";
        refused.assert_refused(400, "no_extended_key", detail);
        assert_told(&shop, code, "BTC", "no_extended_key", "has not said yet where its coins are to be sent")
            .await;
    });
}

#[test]
fn r5_every_amount_that_can_be_created_can_be_paid() {
    shared(async |product| {
        let shop = product.shop().await;
        for amount in ["0.01", "0.02", "0.10", "0.50", "0.99", "1", "4.99", "999999999.99"] {
            let id = shop.test.created(amount).await;
            let paid = shop.test.simulate(&id, &json!({ "scenario": "pay" })).await;
            assert_eq!(paid.status, 200, "{amount}: {}", paid.text);
            assert_eq!(paid.field("status"), "paid", "{amount}");
        }
        // 300 satoshis can be sent, and 167 cannot.
        for (amount, status) in [("0.18", 200), ("0.10", 400)] {
            let id = shop.test.created(amount).await;
            shop.test.simulate(&id, &json!({ "scenario": "approve_identity" })).await;
            let chosen = shop.test.simulate(&id, &json!({ "scenario": "choose_coin", "coin": "BTC" })).await;
            assert_eq!(chosen.status, status, "{}", chosen.text);
            if status == 400 {
                let detail = "The amount is too small for BTC, of which at least 0.00000294 BTC can be sent";
                chosen.assert_refused(400, "below_minimum", detail);
                let code = shop.test.read(&id).await.field("short_code").as_str().unwrap().to_owned();
                let payer = product.caller_with(None);
                choose(&payer, &code, "BTC", "application/json").await.assert_refused(
                    400,
                    "below_minimum",
                    detail,
                );
                let page = choose(&payer, &code, "BTC", "text/html").await;
                assert!(page.status == 400 && page.text.contains(detail), "{}", page.text);
                let state = payer.get(&format!("/pay/{code}/state")).await.json();
                let offered: Vec<_> =
                    state["coins"].as_array().unwrap().iter().map(|line| &line["coin"]).collect();
                assert_eq!(offered, ["ETH", "USDC", "USDT", "LTC"]);
            }
        }
    });
}

/// A deployment may offer little, and an operator may want no small payments.
#[test]
fn c3_an_amount_that_no_coin_takes_is_what_is_said() {
    alone(async {
        let mut options = Options::default();
        let chains = r#"[{"chain":"bitcoin","family":"bitcoin","hrp":"bc","test_hrp":"tb","coins":[
            {"coin":"BTC","asset":"native","decimals":8,"rate":"BTC"},
            {"coin":"BIG","asset":"native","decimals":8,"rate":"BTC","minimum_usd":"5.00"}],
            "confirmations":[{"blocks":6}]}]"#;
        options.environment.insert("CHAINS".into(), chains.into());
        let product = Product::start(options).await;
        let shop = product.shop().await;
        let id = shop.test.created("0.10").await;
        let code = shop.test.read(&id).await.field("short_code").as_str().unwrap().to_owned();
        shop.test.simulate(&id, &json!({ "scenario": "approve_identity" })).await;
        let any = shop.test.simulate(&id, &json!({ "scenario": "choose_coin" })).await;
        any.assert_refused(400, "below_minimum", "The amount is too small for every coin");
        let pay = shop.test.simulate(&id, &json!({ "scenario": "pay" })).await;
        pay.assert_refused(400, "below_minimum", "The amount is too small for every coin");
        assert_told(&shop, &code, "BTC", "below_minimum", "too small to be sent in any coin").await;
        let big = shop.test.simulate(&id, &json!({ "scenario": "choose_coin", "coin": "BIG" })).await;
        let detail = "The amount is too small for BIG, of which at least 5.00 USD can be sent";
        big.assert_refused(400, "below_minimum", detail);
        product.local.shutdown().await;
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
