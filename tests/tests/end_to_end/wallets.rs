//! What lies at a merchant's addresses, as a real node knows it, and the sweep that the merchant's wallet signs (R24).

use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::bitcoind::Currency;
use tests::live::{ETH, Live, USDC};
use tests::live_bitcoin::LiveBitcoin;
use tests::program::until;
use tests::shop::text;

/// Where the merchant keeps what is swept.
const BACK: &str = "0x52908400098527886E0F7030069857D2E4169EE7";

/// The balance of the merchant's first wallet, once it is listed with so much received.
async fn balance(live: &LiveBitcoin, received: &str) -> Value {
    let coin = async || {
        let listed = Answer::of(live.shop.api(Method::GET, "/wallets")).await.json();
        listed["wallets"][0]["coins"][0].clone()
    };
    until("what came is listed", async || coin().await["received"] == received).await;
    coin().await["balance"].clone()
}

async fn sweep(live: &LiveBitcoin, coin: &str, to: &str, fee_rate: u64) -> Value {
    let body = json!({ "coin": coin, "to": to, "fee_rate_sat_vb": fee_rate });
    let swept = Answer::of(live.shop.api(Method::POST, "/wallets/sweep").json(&body)).await;
    assert_eq!(swept.status, 200, "{}", swept.text);
    swept.json()["sweep"].clone()
}

#[tokio::test]
async fn r24_a_sweep_spends_what_is_unspent_and_what_came_since_anybody_looked() {
    let Some(live) = LiveBitcoin::start(Currency::Bitcoin).await else { return };
    let (_, quoted) = live.quoted("60").await;
    live.node.send_many(&[(quoted.address.clone(), 700), (quoted.address.clone(), quoted.units)]).await;
    live.mine(15).await;
    assert_eq!(balance(&live, "0.001007").await, Value::Null);
    let looked = live.tick("reconcile-chains").await["bitcoin"].clone();
    assert_eq!((&looked["addresses"], &looked["differences"]), (&json!(1), &json!(0)));
    assert_eq!(balance(&live, "0.001007").await, "0.001007");

    // The smaller output is not worth its place in the transaction. The node takes the transaction, which waits.
    let to = live.node.own_address().await;
    let swept = sweep(&live, "BTC", &to, 11).await;
    assert_eq!(swept["inputs"], 1, "{swept}");
    live.node.resend(&live.sign(&text(&swept["psbt"])).await).await;
    live.tick("reconcile-chains").await;
    assert_eq!(balance(&live, "0.001007").await, "0.000007");
    let rest = sweep(&live, "BTC", &to, 1).await;
    assert_eq!((&rest["inputs"], &rest["amount"]), (&json!(1), &json!("0.0000059")));

    // More comes, and nobody has looked since.
    live.node.send(&quoted.address, 50_000).await;
    live.mine(1).await;
    let both = sweep(&live, "BTC", &to, 1).await;
    assert_eq!(both["inputs"], 2, "{both}");
    live.node.resend(&live.sign(&text(&both["psbt"])).await).await;
    live.mine(15).await;
    let looked = live.tick("reconcile-chains").await["bitcoin"].clone();
    assert_eq!(looked["differences"], 0, "{looked}");
    assert_eq!(balance(&live, "0.001507").await, "0");
    assert_eq!(sweep(&live, "BTC", &to, 1).await["psbt"], Value::Null);
    live.end().await;
}

/// What somebody who looks at a payment sees of its money.
fn figures(payment: &Value) -> Vec<&Value> {
    ["status", "amount_received_usd", "overpaid_usd", "paid_at", "late"].map(|field| &payment[field]).to_vec()
}

#[tokio::test]
async fn a8_gas_that_a_sweep_asked_for_is_the_merchants_own_and_ether_that_a_payer_was_asked_for_is_not() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("61").await;
    let quoted = live.choose(&code, USDC).await;
    live.send(&quoted, 58_000_000).await;
    live.confirm().await;
    let before = live.shop.get(&code).await;
    assert_eq!((&before["status"], &before["amount_received_usd"]), (&json!("partially_paid"), &json!(58.0)));
    let sweep = async || {
        let body = json!({ "coin": "USDC", "to": BACK, "max_fee_per_gas": 30_000_000_000_u64 });
        Answer::of(live.shop.api(Method::POST, "/wallets/sweep").json(&body)).await.json()["sweep"].clone()
    };
    until("the tokens can be swept", async || !sweep().await["top_ups"].as_array().unwrap().is_empty()).await;
    let top_up = sweep().await["top_ups"][0].clone();
    assert_eq!((&top_up["to"], &top_up["value"]), (&json!(quoted.address), &json!("3000000000000000")));

    let step = live.page_step(&code).await;
    // The merchant sends what was proposed: more than the three dollars that are missing.
    live.anvil.send_eth(&quoted.address, 3_000_000_000_000_000).await;
    live.anvil.mine(1).await;
    live.watch().await;
    live.confirm().await;
    let topped = live.shop.get(&code).await;
    assert_eq!(figures(&topped), figures(&before), "{topped}");
    let transfers = topped["transfers"].as_array().unwrap();
    let own: Vec<&Value> = transfers.iter().filter(|transfer| transfer["coin"] == "ETH").collect();
    let [own] = own.as_slice() else { panic!("{topped}") };
    assert_eq!(
        (&own["state"], &own["late"], &own["credited_usd"]),
        (&json!("own"), &json!(false), &Value::Null)
    );
    assert_eq!(live.page_step(&code).await, step);
    // The payer pays the rest in the same coin, to the same address.
    let rest = live.choose(&code, ETH).await;
    assert_eq!(rest.address, quoted.address);
    live.send(&rest, rest.units).await;
    live.confirm().await;
    let paid = live.shop.get(&code).await;
    assert_eq!((&paid["status"], &paid["amount_received_usd"]), (&json!("paid"), &json!(61.0)), "{paid}");
    live.end().await;
}

#[tokio::test]
async fn r24_balances_of_litecoins_are_known() {
    let Some(live) = LiveBitcoin::start(Currency::Litecoin).await else { return };
    let (_, quoted) = live.quoted("60").await;
    live.node.send(&quoted.address, quoted.units).await;
    live.mine(15).await;
    assert_eq!(balance(&live, "0.75").await, Value::Null);
    let looked = live.tick("reconcile-chains").await["litecoin"].clone();
    assert_eq!((&looked["addresses"], &looked["differences"]), (&json!(1), &json!(0)));
    assert_eq!(balance(&live, "0.75").await, "0.75");
    live.end().await;
}
