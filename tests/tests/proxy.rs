//! The proxy of tests in front of a real node: what it leaves alone, and what its rules do.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tests::anvil::Anvil;
use tests::bitcoind::{Bitcoind, Currency};
use tests::proxy::{Proxy, Says};

async fn post(url: &str, body: Value) -> reqwest::Response {
    reqwest::Client::new().post(url).json(&body).send().await.unwrap()
}

fn question(id: u64, method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": [] })
}

#[tokio::test]
async fn answers_pass_but_for_those_that_a_rule_concerns() {
    let Some(anvil) = Anvil::start().await else { return };
    let proxy = Proxy::start(anvil.url()).await;
    let direct = post(anvil.url(), question(7, "eth_blockNumber")).await.text().await.unwrap();
    let through = post(proxy.url(), question(7, "eth_blockNumber")).await.text().await.unwrap();
    assert_eq!(direct, through);

    let once = proxy.rule(|question| async move {
        match (question.method.as_str(), question.times) {
            ("eth_blockNumber", 1) => Says::Result(json!("0x99")),
            _ => Says::Pass,
        }
    });
    proxy.always("eth_gasPrice", Says::Error(-32005, "too many"));
    let batch =
        json!([question(3, "eth_blockNumber"), question(1, "eth_gasPrice"), question(2, "eth_chainId")]);
    let replies: Value = post(proxy.url(), batch.clone()).await.json().await.unwrap();
    assert_eq!(
        replies,
        json!([
            { "jsonrpc": "2.0", "id": 3, "result": "0x99" },
            { "jsonrpc": "2.0", "id": 1, "error": { "code": -32005, "message": "too many" } },
            { "jsonrpc": "2.0", "id": 2, "result": "0x7a69" },
        ])
    );
    let replies: Value = post(proxy.url(), batch.clone()).await.json().await.unwrap();
    assert_eq!(replies[0]["result"], "0x0", "the second time, the node itself is heard");
    assert_eq!((proxy.asked("eth_blockNumber"), proxy.asked("eth_chainId")), (3, 2));

    proxy.change("eth_chainId", |_, id| Some(json!(format!("{}0", id.as_str()?))));
    let later = vec![("retry-after", "2".to_owned())];
    let refusal = proxy.always("eth_gasPrice", Says::Status(429, later, "slower".to_owned()));
    let refused = post(proxy.url(), batch.clone()).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"2".parse().unwrap()));
    proxy.remove(refusal);
    proxy.remove(once);
    let replies: Value = post(proxy.url(), batch).await.json().await.unwrap();
    assert_eq!((&replies[1]["error"]["code"], &replies[2]["result"]), (&json!(-32005), &json!("0x7a690")));
    proxy.clear();
    let reply: Value = post(proxy.url(), question(1, "eth_chainId")).await.json().await.unwrap();
    assert_eq!(reply["result"], "0x7a69");
}

#[tokio::test]
async fn a_caller_keeps_its_name_and_password() {
    let Some(node) = Bitcoind::start(Currency::Bitcoin).await else { return };
    let proxy = Proxy::start(&node.url()).await;
    let ask = question(1, "getblockcount");
    let direct = post(&node.url(), ask.clone()).await.text().await.unwrap();
    assert_eq!(post(proxy.url(), ask.clone()).await.text().await.unwrap(), direct);
    let batch: Value = post(proxy.url(), json!([ask.clone()])).await.json().await.unwrap();
    assert_eq!(batch[0], serde_json::from_str::<Value>(&direct).unwrap());
    let mut nameless = reqwest::Url::parse(proxy.url()).unwrap();
    nameless.set_password(Some("wrong")).unwrap();
    assert_eq!(post(nameless.as_str(), ask).await.status().as_u16(), 401);
}
