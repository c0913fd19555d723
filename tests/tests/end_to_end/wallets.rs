//! What lies at a merchant's addresses, as a real node knows it, and the sweep that the merchant's wallet signs (R24).

use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::bitcoind::Currency;
use tests::live_bitcoin::LiveBitcoin;
use tests::program::until;
use tests::shop::text;

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
