//! Tables that hang (R46), items that cannot be read (R8), and many writes at once (R24), with the functions' real programs.
#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use std::time::Duration;

use local::Options;
use serde_json::json;
use tests::answer::Answer;
use tests::database;
use tests::product::{PAYMENTS, Product, alone};
use tests::silence::{Silence, Way};
use tokio::time::Instant;

/// What a function may take for a call: the template's time-out.
const CALL: Duration = Duration::from_secs(10);

/// How connections die: before they carry a request, or its answer.
const SILENCES: [Silence; 2] = [Silence::OfBoth, Silence::OfAnswers];

async fn product(way: &Way) -> Product {
    let mut options = Options::default();
    options.environment.insert("AWS_ENDPOINT_URL_DYNAMODB".into(), way.endpoint().to_owned());
    let product = Product::start_without_prices(options).await;
    way.lead_to(product.local.dynamodb_endpoint());
    product.local.tick("refresh-rates").await.unwrap();
    product
}

/// The answer to a call, which comes within the call's time.
async fn in_time(what: &str, call: impl Future<Output = Answer>) -> Answer {
    let started = Instant::now();
    let answer = call.await;
    assert!(answer.status < 300, "{what}: {} {}", answer.status, answer.text);
    assert!(started.elapsed() < CALL, "{what}: {:?}", started.elapsed());
    answer
}

#[test]
fn b2_connections_that_died_silently_cost_a_call_some_time_and_nothing_else() {
    alone(async {
        let way = Way::start().await;
        let product = product(&way).await;
        let shop = product.shop().await;
        let (choose, pay) = (json!({ "scenario": "choose_coin" }), json!({ "scenario": "pay" }));
        for silence in SILENCES {
            let approved = shop.test.created("10").await;
            shop.test.simulate(&approved, &json!({ "scenario": "approve_identity" })).await;
            shop.test.read(&approved).await;
            shop.test.list("").await;
            let before = shop.test.list("limit=200").await.listed().len();

            way.die(silence);
            let made =
                in_time("create", shop.test.create(&json!({ "title": "Order", "amount_usd": 7 }))).await;
            assert_eq!(made.status, 201);
            way.die(silence);
            in_time("read", shop.test.read(&approved)).await;
            way.die(silence);
            in_time("choose", shop.test.simulate(&approved, &choose)).await;
            way.die(silence);
            let listed = in_time("list", shop.test.list("limit=200")).await.listed().len();
            assert_eq!(listed, before + 1, "{silence:?}: a write that was done and not answered is our own");
            way.die(silence);
            let paid = in_time("pay", shop.test.simulate(&approved, &pay)).await.payment();
            assert_eq!((&paid["status"], paid["transfers"].as_array().unwrap().len()), (&json!("paid"), 1));
        }
        // However often a write was repeated, the two payments took an index each.
        let wallets = shop.test.get("/api/v1/wallets").await.json();
        assert_eq!(wallets["keys"][0]["highest_index_given_out"], 1, "{wallets}");
        product.local.shutdown().await;
    });
}

#[test]
fn b2_a_payers_call_survives_a_silent_connection() {
    alone(async {
        let way = Way::start().await;
        let product = product(&way).await;
        let shop = product.shop().await;
        let payment = shop.test.create(&json!({ "title": "Order", "amount_usd": 7 })).await.payment();
        let (id, code) = (payment["id"].as_str().unwrap(), payment["short_code"].as_str().unwrap());
        shop.test.simulate(id, &json!({ "scenario": "approve_identity" })).await;
        let payer = product.caller_with(None);
        let (page, coin) = (format!("/pay/{code}"), format!("/pay/{code}/coin"));
        let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")];
        payer.get(&page).await;
        payer.call("POST", &coin, &form, b"coin=ETH".to_vec()).await;
        for silence in SILENCES {
            way.die(silence);
            in_time("page", payer.get(&page)).await;
            way.die(silence);
            in_time("choose", payer.call("POST", &coin, &form, b"coin=USDC".to_vec())).await;
        }
        let read = shop.test.get(&format!("{PAYMENTS}/{id}")).await.payment();
        assert_eq!(read["selected_coin"], "USDC");
        product.local.shutdown().await;
    });
}

/// Choices at once: more than there are places in any of the counters' memories.
const AT_ONCE: usize = 48;

#[test]
fn b4_choices_at_once_take_one_index_for_each_family() {
    alone(async {
        let product = Product::start(Options::default()).await;
        let shop = product.shop().await;
        let payment = shop.test.create(&json!({ "title": "Order", "amount_usd": 70 })).await.payment();
        let (id, code) = (payment["id"].as_str().unwrap(), payment["short_code"].as_str().unwrap());
        shop.test.simulate(id, &json!({ "scenario": "approve_identity" })).await;
        let payer = product.caller_with(None);
        let path = format!("/pay/{code}/coin");
        let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")];
        let coins = ["ETH", "BTC", "LTC", "USDC"];
        let choices = (0..AT_ONCE).map(|number| {
            let body = format!("coin={}", coins[number % coins.len()]);
            payer.call("POST", &path, &form, body.into_bytes())
        });
        let answers = futures_util::future::join_all(choices).await;
        for answer in &answers {
            // So many changes of one payment at once may be too many for some, who are told to try again.
            assert!([200, 503].contains(&answer.status), "{} {}", answer.status, answer.text);
        }
        for coin in coins {
            let chosen = payer.call("POST", &path, &form, format!("coin={coin}").into_bytes()).await;
            assert_eq!(chosen.status, 200, "{}", chosen.text);
        }
        // EVM networks, Bitcoin and Litecoin: the indexes 0, 1 and 2 of the deployment's one test key.
        let wallets = shop.test.get("/api/v1/wallets").await.json();
        assert_eq!(wallets["keys"][0]["highest_index_given_out"], 2, "{wallets}");
        product.local.shutdown().await;
    });
}

#[test]
fn b3_a_payment_that_cannot_be_read_takes_no_list_away() {
    alone(async {
        let product = Product::start(Options::default()).await;
        let shop = product.shop().await;
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(shop.test.created("5").await);
        }
        ids.reverse();
        let broken = shop.test.read(&ids.remove(1)).await.payment();
        let update = json!({
            "TableName": product.table("PaymentsTable"),
            "Key": { "code": { "S": broken["short_code"] } },
            "UpdateExpression": "SET amount = :words",
            "ExpressionAttributeValues": { ":words": { "S": "five dollars" } },
        });
        database::call(product.local.dynamodb_endpoint(), "UpdateItem", &update).await;
        assert_eq!(shop.test.list("").await.listed(), ids);
        let first = shop.test.list("limit=2").await;
        assert_eq!((first.listed(), first.json()["has_more"].clone()), (ids[..2].to_vec(), json!(true)));
        let cursor = first.json()["next_cursor"].as_str().unwrap().to_owned();
        let rest = shop.test.list(&format!("limit=2&cursor={cursor}")).await;
        assert_eq!((rest.listed(), rest.json()["has_more"].clone()), (ids[2..].to_vec(), json!(false)));
        let log = product.local.log().join("\n");
        assert!(log.contains("an item cannot be read and is left out"), "{log}");
        assert!(log.contains("\"UnreadableItems\":1"), "{log}");
        assert_eq!(shop.test.read(broken["id"].as_str().unwrap()).await.status, 500);
        product.local.shutdown().await;
    });
}
