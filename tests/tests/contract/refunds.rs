//! Money that goes back, as merchant and payer see it, made to happen in test mode (R16, R23; issue 3, part 6).

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::keys::Scope;
use shared::payment::Mode;
use tests::answer::Answer;
use tests::product::{Caller, Product, Shop, shared};

const TEN_DAYS: u64 = 864_000;
const SEVEN_DAYS: u64 = 604_800;
const ADDRESS: &str = "0x52908400098527886E0F7030069857D2E4169EE7";
const OTHER: &str = "0xde709f2102306220921060314715629080e2fb77";

fn choose(coin: &str) -> Value {
    json!({ "scenario": "choose_coin", "coin": coin })
}

fn transfer(percent: u64) -> Value {
    json!({ "scenario": "transfer", "percent": percent })
}

fn advance(seconds: u64) -> Value {
    json!({ "scenario": "advance", "seconds": seconds })
}

/// A payment of 10 USD to which these percent came in ETH.
async fn received(caller: &Caller, percent: u64) -> String {
    let id = caller.created("10").await;
    let steps = [json!({ "scenario": "approve_identity" }), choose("ETH"), transfer(percent)];
    caller.play(&id, &steps).await;
    id
}

/// The same, withdrawn; what came can go back.
async fn cancelled(caller: &Caller, percent: u64) -> String {
    let id = received(caller, percent).await;
    assert_eq!(caller.cancel(&id).await.field("status"), "cancelled");
    id
}

async fn ask(caller: &Caller, id: &str, body: Value) -> Answer {
    caller.refunds("POST", id, "", &body).await
}

/// The claim link's path.
fn link(asked: &Answer) -> String {
    let url = asked.refund()["claim_url"].as_str().unwrap().to_owned();
    url[url.find("/refund/").unwrap()..].to_owned()
}

/// The payer gives an address, and says so twice.
async fn give(product: &Product, link: &str, address: &str, sure: bool) -> Answer {
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let body = format!("address={address}{}", if sure { "&sure=yes" } else { "" });
    product.caller_with(None).call("POST", link, &[form], body.into()).await
}

async fn confirm(caller: &Caller, id: &str, coin: &str) -> Answer {
    caller.command(id, coin, "confirm", &json!({ "address": ADDRESS })).await
}

/// From the wish to the merchant's confirmation.
async fn confirmed(product: &Product, caller: &Caller, id: &str, coin: &str) -> Value {
    let asked = ask(caller, id, json!({ "coin": coin })).await;
    let given = give(product, &link(&asked), ADDRESS, true).await;
    assert!(given.status == 200 && given.text.contains(ADDRESS), "the redirect was followed: {}", given.text);
    confirm(caller, id, coin).await.refund()
}

async fn listed(caller: &Caller, id: &str) -> Vec<Value> {
    let answer = caller.refunds("GET", id, "", &json!(null)).await;
    assert_eq!((answer.status, &answer.json()["success"]), (200, &json!(true)));
    answer.json()["refunds"].as_array().unwrap().clone()
}

#[test]
fn r16_what_came_to_a_payment_that_ended_goes_back_and_then_it_is_refunded() {
    shared(async |product| {
        let shop = product.shop().await;
        let expired = received(&shop.test, 50).await;
        assert_eq!(shop.test.play(&expired, &[advance(TEN_DAYS)]).await.field("status"), "expired");
        for (id, status) in [(expired, "expired"), (cancelled(&shop.test, 50).await, "cancelled")] {
            let asked = ask(&shop.test, &id, json!(null)).await;
            assert_eq!(asked.status, 201);
            let refund = asked.refund();
            let shown = ["coin", "chain", "amount", "status"].map(|field| refund[field].clone());
            assert_eq!(shown, ["ETH", "ethereum", "0.002", "requested"].map(Value::from));
            give(product, &link(&asked), ADDRESS, true).await;
            assert_eq!(listed(&shop.test, &id).await[0]["status"], "claimed");
            let refund = confirm(&shop.test, &id, "ETH").await;
            let pay = format!("ethereum:{ADDRESS}@11155111?value=2000000000000000");
            assert_eq!(
                (&refund.refund()["payment_link"], &refund.refund()["psbt"]),
                (&json!(pay), &json!(null))
            );
            assert_eq!(confirm(&shop.test, &id, "ETH").await.text, refund.text, "the same again");
            assert_eq!(shop.test.read(&id).await.field("status"), status, "only the chain says refunded");
            let done = shop.test.play(&id, &[json!({ "scenario": "refund" })]).await;
            assert_eq!(done.field("status"), "refunded");
            assert!(done.field("refunded_at").is_string());
            assert_eq!(done.field("amount_received_usd"), 5.0);
            let [refund] = listed(&shop.test, &id).await.try_into().unwrap();
            assert_eq!((&refund["status"], &refund["confirmations"]), (&json!("completed"), &json!(12)));
            assert!(refund["completed_at"].is_string() && refund["tx_id"].is_string());
            let late = confirm(&shop.test, &id, "ETH").await.refund();
            assert_eq!((&late["payment_link"], &late["psbt"]), (&json!(null), &json!(null)));
            let again = ask(&shop.test, &id, json!(null)).await;
            again.assert_refused(400, "payment_state", "Payment is refunded and holds nothing to refund");
            let detail = "Payment is refunded and cannot be cancelled";
            shop.test.cancel(&id).await.assert_refused(400, "payment_state", detail);
        }
    });
}

#[test]
fn r16_refunding_an_excess_leaves_overpaid() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = received(&shop.test, 150).await;
        let more = ask(&shop.test, &id, json!({ "amount": "0.0060001" })).await;
        more.assert_refused(400, "invalid_parameter", "amount must be at most 0.006");
        let refund = confirmed(product, &shop.test, &id, "ETH").await;
        assert_eq!((&refund["amount"], &refund["status"]), (&json!("0.002"), &json!("confirmed")));
        product.local.streams_idle().await.unwrap();
        let sweep = async || {
            let body = json!({ "coin": "ETH", "to": OTHER }).to_string();
            let swept = shop.test.post("/api/v1/wallets/sweep", &body).await.json()["sweep"].clone();
            let many = |field: &str| swept[field].as_array().unwrap().len();
            (many("transactions"), many("left_out"))
        };
        assert_eq!(sweep().await, (0, 1), "the refund needs what lies there");
        let done = shop.test.play(&id, &[json!({ "scenario": "refund", "coin": "ETH" })]).await;
        assert_eq!((done.field("status"), done.field("refunded_at")), (json!("overpaid"), json!(null)));
        assert!(done.text.contains(r#""refunded_usd":5.00"#), "{}", done.text);
        let again = ask(&shop.test, &id, json!(null)).await;
        let detail = "amount is required, because the excess went back already";
        again.assert_refused(400, "invalid_parameter", detail);
        assert_eq!(listed(&shop.test, &id).await[0]["status"], "completed");
        assert_eq!(sweep().await, (1, 0), "what is left is the merchant's");
        let id = received(&shop.test, 40).await;
        let detail = "Payment is partially_paid and holds nothing to refund";
        ask(&shop.test, &id, json!(null)).await.assert_refused(400, "payment_state", detail);
    });
}

#[test]
fn r16_a_paid_payment_gives_back_part_or_whole_and_stays_paid() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = received(&shop.test, 100).await;
        let before = shop.test.read(&id).await;
        assert!(before.text.contains(r#""refunded_usd":0.00"#), "{}", before.text);
        let unchanged = |now: &Answer| {
            for field in
                ["status", "paid_at", "amount_received_usd", "overpaid_usd", "refunded_at", "fee_usd"]
            {
                assert_eq!(now.field(field), before.field(field), "{field}");
            }
            assert_eq!(now.field("status"), "paid");
        };
        let give_back = async |body: Value| {
            let asked = ask(&shop.test, &id, body).await;
            give(product, &link(&asked), ADDRESS, true).await;
            assert_eq!(confirm(&shop.test, &id, "ETH").await.refund()["status"], "confirmed");
            unchanged(&shop.test.read(&id).await);
            shop.test.play(&id, &[json!({ "scenario": "refund" })]).await
        };
        let part = give_back(json!({ "amount": "0.001" })).await;
        unchanged(&part);
        assert!(part.text.contains(r#""refunded_usd":2.50"#), "{}", part.text);
        let more = ask(&shop.test, &id, json!({ "amount": "0.0031" })).await;
        more.assert_refused(400, "invalid_parameter", "amount must be at most 0.003");
        let whole = give_back(json!(null)).await;
        unchanged(&whole);
        assert!(whole.text.contains(r#""refunded_usd":10.00"#), "{}", whole.text);
        let why = shop.test.explain(&id).await;
        assert!(why.text.contains("10.00 USD went back"), "{}", why.text);
        let again = ask(&shop.test, &id, json!(null)).await;
        again.assert_refused(400, "payment_state", "Payment is paid and holds nothing to refund");
    });
}

#[test]
fn r16_two_coins_need_two_refunds() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = received(&shop.test, 30).await;
        shop.test.play(&id, &[choose("USDC"), transfer(30)]).await;
        shop.test.cancel(&id).await;
        let unclear = ask(&shop.test, &id, json!(null)).await;
        unclear.assert_refused(400, "invalid_parameter", "coin must be one that can go back: ETH, USDC");
        confirmed(product, &shop.test, &id, "ETH").await;
        let one = shop.test.play(&id, &[json!({ "scenario": "refund" })]).await;
        assert_eq!((one.field("status"), one.field("refunded_at")), (json!("cancelled"), json!(null)));
        let refund = confirmed(product, &shop.test, &id, "USDC").await;
        assert!(refund["payment_link"].as_str().unwrap().contains("/transfer?address="));
        let two = shop.test.play(&id, &[json!({ "scenario": "refund" })]).await;
        assert_eq!((two.field("status"), listed(&shop.test, &id).await.len()), (json!("refunded"), 2));
    });
}

#[test]
fn r16_a_refund_and_an_acceptance_keep_each_other_out() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        shop.test.play(&id, &[json!({ "scenario": "approve_identity" }), choose("ETH")]).await;
        shop.test.cancel(&id).await;
        shop.test.play(&id, &[transfer(100)]).await;
        let asked = ask(&shop.test, &id, json!(null)).await;
        let detail = "A refund of this payment is requested, so its late money cannot be accepted";
        shop.test.accept_late(&id).await.assert_refused(400, "payment_state", detail);
        give(product, &link(&asked), ADDRESS, true).await;
        let withdrawn = shop.test.delete_refund(&id, "ETH").await.refund();
        assert_eq!(withdrawn["status"], "withdrawn");
        let gone = give(product, &link(&asked), ADDRESS, true).await;
        assert_eq!((gone.status, gone.header("x-error-code")), (404, "refund_not_found"));
        let late = confirm(&shop.test, &id, "ETH").await;
        late.assert_refused(400, "payment_state", "The refund is withdrawn and cannot be confirmed");
        assert_eq!(shop.test.accept_late(&id).await.field("status"), "paid");
        // It is paid now, and gives back as such.
        assert_eq!(ask(&shop.test, &id, json!({ "amount": "0.001" })).await.status, 201);
        // What is confirmed cannot be taken back.
        let sure = cancelled(&shop.test, 50).await;
        confirmed(product, &shop.test, &sure, "ETH").await;
        let detail = "The refund is confirmed and cannot be withdrawn";
        for rest in ["withdraw", "withdraw/"] {
            let refused = shop.test.command(&sure, "ETH", rest, &json!({})).await;
            refused.assert_refused(400, "payment_state", detail);
        }
        shop.test.delete_refund(&sure, "ETH").await.assert_refused(400, "payment_state", detail);
    });
}

#[test]
fn a_claim_link_takes_one_address_within_seven_days() {
    shared(async |product| {
        let shop = product.shop().await;
        let payer = product.caller_with(None);
        let id = cancelled(&shop.test, 50).await;
        let asked = link(&ask(&shop.test, &id, json!(null)).await);
        let wallet = shop.test.read(&id).await.field("wallet_address").as_str().unwrap().to_owned();
        let page = payer.get(&asked).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(page.text.contains("TEST") && page.text.contains("0.002"), "{}", page.text);
        for header in
            [("referrer-policy", "no-referrer"), ("x-robots-tag", "noindex"), ("cache-control", "no-store")]
        {
            assert_eq!(page.header(header.0), header.1);
        }
        assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
        let token = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";
        let zero = format!("0x{}", "0".repeat(40));
        let mistyped = ADDRESS.replace("EE7", "Ee7");
        for wrong in
            ["", "0x", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", &mistyped, &zero, token, &wallet]
        {
            let refused = give(product, &asked, wrong, true).await;
            assert_eq!((refused.status, refused.text.contains("role=\"alert\"")), (400, true), "{wrong}");
        }
        // Once more before it is settled.
        let look = give(product, &asked, &ADDRESS.to_lowercase(), false).await;
        assert!(look.text.contains(ADDRESS) && look.text.contains("Is this your address?"), "{}", look.text);
        assert_eq!(listed(&shop.test, &id).await[0]["status"], "requested");
        assert_eq!(give(product, &asked, &ADDRESS.to_lowercase(), true).await.status, 200);
        assert_eq!(listed(&shop.test, &id).await[0]["address"], ADDRESS);
        assert_eq!(give(product, &asked, OTHER, true).await.status, 400);
        let shown = payer.get(&format!("{asked}/")).await;
        assert!(shown.text.contains(ADDRESS) && !shown.text.contains("<input"), "{}", shown.text);
        // Nobody gives an address for seven days.
        let id = cancelled(&shop.test, 50).await;
        let old = link(&ask(&shop.test, &id, json!(null)).await);
        shop.test.play(&id, &[advance(SEVEN_DAYS)]).await;
        assert_eq!(give(product, &old, ADDRESS, true).await.status, 404);
        assert_eq!(listed(&shop.test, &id).await[0]["status"], "expired");
        let new = link(&ask(&shop.test, &id, json!({ "amount": "0.001" })).await);
        let (old, new) = (payer.get(&old).await, payer.get(&new).await);
        assert_eq!((old.status, new.status), (404, 200));
    });
}

#[test]
fn whatever_is_wrong_with_a_claim_link_looks_the_same() {
    shared(async |product| {
        let shop = product.shop().await;
        let payer = product.caller_with(None);
        let id = cancelled(&shop.test, 50).await;
        let none = cancelled(&shop.test, 50).await;
        let right = link(&ask(&shop.test, &id, json!(null)).await);
        let (code, secret) = right["/refund/".len()..].split_once('/').unwrap();
        let of_none = shop.test.read(&none).await.field("short_code").as_str().unwrap().to_owned();
        let mut pages = Vec::new();
        for wrong in [
            format!("/refund/{code}/{}", "1".repeat(22)),
            format!("/refund/{code}/short"),
            format!("/refund/{of_none}/{secret}"),
            format!("/refund/11111111/{secret}"),
            format!("/refund/{id}/{secret}"),
        ] {
            let page = payer.get(&wrong).await;
            assert_eq!((page.status, page.header("x-error-code")), (404, "refund_not_found"), "{wrong}");
            pages.push(page.text);
        }
        assert!(pages.windows(2).all(|pair| pair[0] == pair[1]));
        // The secret is told once, to the merchant.
        let told = [
            shop.test.refunds("GET", &id, "", &json!(null)).await.text,
            shop.test.read(&id).await.text,
            shop.test.explain(&id).await.text,
        ];
        assert!(told.iter().all(|text| !text.contains(secret) && !text.contains("claim_url")));
    });
}

#[test]
fn r4_refunds_are_invisible_to_others_and_need_their_scope() {
    shared(async |product| {
        let (shop, stranger) = (product.shop().await, product.shop().await);
        let id = cancelled(&shop.test, 50).await;
        confirmed(product, &shop.test, &id, "ETH").await;
        let reader = product.key(&shop.account.merchant, Mode::Test, &[Scope::PaymentsRead], None).await;
        let reader = product.caller(&reader);
        let (name, tx) = ("11111111-1", format!("0x{}", "a".repeat(64)));
        let calls = [
            ("POST", "", json!(null)),
            ("GET", "", json!(null)),
            ("POST", "/ETH/confirm", json!({ "refund_id": name, "amount": "1", "address": ADDRESS })),
            ("POST", "/ETH/transaction", json!({ "refund_id": name, "amount": "1", "tx_id": tx })),
            ("POST", "/ETH/withdraw", json!({ "refund_id": name, "amount": "1" })),
            ("DELETE", "/ETH?refund_id=11111111-1&amount=1", json!(null)),
        ];
        for (method, rest, body) in calls {
            for caller in [&stranger.test, &shop.live] {
                let hidden = caller.refunds(method, &id, rest, &body).await;
                hidden.assert_refused(404, "payment_not_found", "Payment not found");
            }
            let seen = reader.refunds(method, &id, rest, &body).await;
            match method {
                "GET" => assert_eq!(seen.status, 200),
                _ => seen.assert_refused(403, "missing_scope", "Key lacks permission"),
            }
            if rest.contains("ETH") {
                let none = shop.test.refunds(method, &id, &rest.replace("ETH", "USDT"), &body).await;
                none.assert_refused(404, "refund_not_found", "Refund not found");
            }
        }
    });
}

#[test]
fn the_merchant_confirms_what_the_payer_gave_and_names_a_transaction() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = cancelled(&shop.test, 50).await;
        for (body, detail) in [
            (json!({ "amount": 1 }), "amount must be a string with a decimal number"),
            (json!({ "amount": "0" }), "amount must be a positive number with at most 18 decimals"),
            (json!({ "amount": "-1" }), "amount must be a positive number with at most 18 decimals"),
            (json!({ "amount": "0.0021" }), "amount must be at most 0.002"),
            (json!({ "coin": "USDC" }), "coin must be one that can go back: ETH"),
            (json!({ "coin": 7 }), "coin must be the name of a coin"),
        ] {
            ask(&shop.test, &id, body).await.assert_refused(400, "invalid_parameter", detail);
        }
        let asked = ask(&shop.test, &id, json!({ "coin": "ETH", "amount": "0.0015" })).await;
        let early = confirm(&shop.test, &id, "ETH").await;
        early.assert_refused(400, "payment_state", "The refund is requested and cannot be confirmed");
        give(product, &link(&asked), ADDRESS, true).await;
        let word = async |body: Value| shop.test.command(&id, "ETH", "confirm", &body).await;
        for other in [OTHER, "nonsense"] {
            let refused = word(json!({ "address": other })).await;
            refused.assert_refused(400, "payment_state", "The payer gave another address");
        }
        word(json!({})).await.assert_refused(400, "invalid_parameter", "address is required");
        let rate = word(json!({ "address": ADDRESS, "fee_rate_sat_vb": 0 })).await;
        rate.assert_refused(
            400,
            "invalid_parameter",
            "fee_rate_sat_vb must be a whole number from 1 to 1000",
        );
        let rule = "tx_id must be the id of a transaction on the coin's chain";
        let wrong = word(json!({ "address": ADDRESS, "tx_id": "0x12" })).await;
        wrong.assert_refused(400, "invalid_parameter", rule);
        let tx = |digit: &str| format!("0x{}", digit.repeat(64));
        let sure = word(json!({ "address": ADDRESS.to_lowercase(), "tx_id": tx("A") })).await.refund();
        assert_eq!((&sure["status"], &sure["tx_id"]), (&json!("confirmed"), &json!(tx("a"))));
        let name = json!({ "tx_id": tx("b") });
        let named = shop.test.command(&id, "ETH", "transaction", &name).await.refund();
        assert_eq!(named["tx_id"], tx("b"));
        shop.test.play(&id, &[json!({ "scenario": "refund" }), json!({ "scenario": "refund" })]).await;
        let [done] = listed(&shop.test, &id).await.try_into().unwrap();
        assert_eq!((&done["amount"], &done["tx_id"]), (&json!("0.0015"), &json!(tx("b"))));
        let other = shop.test.command(&id, "ETH", "transaction", &json!({ "tx_id": tx("c") })).await;
        other.assert_refused(
            400,
            "payment_state",
            "The refund is completed and cannot be given a transaction",
        );
    });
}

#[test]
fn a22_a_command_names_the_refund_that_it_means_as_the_merchant_saw_it() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = cancelled(&shop.test, 50).await;
        let tx = format!("0x{}", "a".repeat(64));
        let words = |name: &str, amount: &str| {
            let seen = |mut body: Value| {
                body["refund_id"] = json!(name);
                body["amount"] = json!(amount);
                body
            };
            [
                ("POST", "/ETH/confirm".to_owned(), seen(json!({ "address": ADDRESS }))),
                ("POST", "/ETH/transaction".to_owned(), seen(json!({ "tx_id": tx }))),
                ("POST", "/ETH/withdraw".to_owned(), seen(json!({}))),
                ("DELETE", format!("/ETH?refund_id={name}&amount={amount}"), Value::Null),
            ]
        };
        let ask_and_give = async |body: Value| {
            let asked = ask(&shop.test, &id, body).await;
            give(product, &link(&asked), ADDRESS, true).await;
            let refund = asked.refund();
            (refund["id"].as_str().unwrap().to_owned(), refund["amount"].as_str().unwrap().to_owned())
        };
        // Missing is not the same as another.
        let (first, amount) = ask_and_give(json!({ "amount": "0.001" })).await;
        let code = shop.test.read(&id).await.field("short_code").as_str().unwrap().to_owned();
        assert_eq!((first.as_str(), amount.as_str()), (format!("{code}-1").as_str(), "0.001"));
        for (method, rest, body) in words(&first, &amount) {
            for field in ["refund_id", "amount"] {
                let (mut body, rest) = (body.clone(), rest.replace(field, "another"));
                body.as_object_mut().map(|body| body.remove(field));
                let detail = format!("{field} is required, as the refund shows it");
                let missing = shop.test.refunds(method, &id, &rest, &body).await;
                missing.assert_refused(400, "invalid_parameter", &detail);
            }
        }
        // The first is withdrawn, twice over, and another asked for to the same address.
        for _ in 0..2 {
            assert_eq!(shop.test.delete_refund(&id, "ETH").await.refund()["status"], "withdrawn");
        }
        let (second, other) = ask_and_give(json!({ "amount": "0.0015" })).await;
        let detail = "Another refund of this coin is there now than the one with that refund_id and amount";
        for (name, amount) in [(&first, &amount), (&first, &other), (&second, &amount), (&id, &other)] {
            for (method, rest, body) in words(name, amount) {
                let refused = shop.test.refunds(method, &id, &rest, &body).await;
                refused.assert_refused(409, "other_refund", detail);
            }
        }
        let [listed] = listed(&shop.test, &id).await.try_into().unwrap();
        assert_eq!((&listed["id"], &listed["status"]), (&json!(second), &json!("claimed")));
        assert_eq!(confirm(&shop.test, &id, "ETH").await.refund()["status"], "confirmed");
    });
}

#[test]
fn a_simulated_refund_needs_a_confirmed_one() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = cancelled(&shop.test, 50).await;
        let scenario = json!({ "scenario": "refund" });
        let detail = "scenario refund needs one confirmed refund";
        shop.test.simulate(&id, &scenario).await.assert_refused(400, "invalid_parameter", detail);
        ask(&shop.test, &id, json!(null)).await;
        shop.test.simulate(&id, &scenario).await.assert_refused(400, "invalid_parameter", detail);
    });
}

/// How many of the answers have that status.
fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[test]
fn never_twice_whoever_asks_at_once() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = cancelled(&shop.test, 50).await;
        let asked = join_all((0..6).map(|_| ask(&shop.test, &id, json!(null)))).await;
        assert_eq!(count(&asked, 201), 1, "one wins");
        assert_eq!(
            count(&asked, 400) + count(&asked, 503),
            5,
            "the others see the winner, or are told to try again"
        );
        let link = link(asked.iter().find(|answer| answer.status == 201).unwrap());
        let addresses = [ADDRESS, OTHER, ADDRESS, OTHER];
        let given = join_all(addresses.map(|address| give(product, &link, address, true))).await;
        assert!(count(&given, 200) > 0);
        let kept = listed(&shop.test, &id).await[0]["address"].clone();
        let confirm = json!({ "address": kept });
        let word = || shop.test.command(&id, "ETH", "confirm", &confirm);
        let withdraw = || shop.test.delete_refund(&id, "ETH");
        let (confirmed, withdrawn) =
            tokio::join!(join_all([word(), word()]), join_all([withdraw(), withdraw()]));
        let status = listed(&shop.test, &id).await[0]["status"].clone();
        let (sure, back) = (count(&confirmed, 200), count(&withdrawn, 200));
        match status.as_str().unwrap() {
            "confirmed" => assert!(sure > 0 && back == 0, "{sure} {back}"),
            "withdrawn" => assert!(back > 0 && sure == 0, "{sure} {back}"),
            other => panic!("{other}"),
        }
        race_with_acceptance(&shop).await;
    });
}

async fn race_with_acceptance(shop: &Shop<'_>) {
    let id = shop.test.created("10").await;
    shop.test.play(&id, &[json!({ "scenario": "approve_identity" }), choose("ETH")]).await;
    shop.test.cancel(&id).await;
    shop.test.play(&id, &[transfer(100)]).await;
    let (asked, accepted) = tokio::join!(ask(&shop.test, &id, json!(null)), shop.test.accept_late(&id));
    assert!(asked.status == 201 || accepted.status == 200, "{} {}", asked.text, accepted.text);
    // Both, if it was accepted first: what was paid can go back too.
    let status = shop.test.read(&id).await.field("status");
    assert_eq!(status, if accepted.status == 200 { "paid" } else { "cancelled" });
}
