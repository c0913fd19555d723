//! Two networks of one family side by side: a payment has one address, and money counts on whichever it comes.

use serde_json::{Value, json};
use tests::anvil::{Anvil, Call};
use tests::live::{BASE_CHAIN_ID, BASE_COINS, CONFIRMATIONS, ETH, Live, USDC};

/// Two nodes and the gateway on both.
async fn start() -> Option<(Live, Anvil)> {
    let other = Anvil::start_with(&["--chain-id", &BASE_CHAIN_ID.to_string()]).await?;
    Some((Live::start_on_two(Anvil::start().await?, &other).await, other))
}

fn transfers(payment: &Value) -> Vec<(&str, &str, &str)> {
    let transfers = payment["transfers"].as_array().unwrap().iter();
    transfers
        .map(|transfer| {
            let text = |field: &str| transfer[field].as_str().unwrap();
            (text("chain"), text("coin"), text("state"))
        })
        .collect()
}

#[tokio::test]
async fn a_second_network_is_configuration_and_is_paid_on_its_own() {
    let Some((live, other)) = start().await else { return };
    let [native, stable] = BASE_COINS;
    for coin in [native, stable] {
        let code = live.approved("49.99").await;
        let quoted = live.choose(&code, coin).await;
        let page = live.shop.page_state(&code).await;
        assert_eq!((&page["network"], &page["selected_coin"]), (&json!("Base"), &json!(coin.name)));
        assert!(page["payment_link"].as_str().unwrap().contains(&format!("@{BASE_CHAIN_ID}")), "{page}");
        other.send([live.call(&quoted, quoted.units)]).await;
        other.mine(CONFIRMATIONS).await;
        live.watch().await;
        let paid = live.shop.get(&code).await;
        assert_eq!(
            (&paid["status"], transfers(&paid)),
            (&json!("paid"), vec![("base", coin.name, "counted")])
        );
    }
    live.end().await;
}

#[tokio::test]
async fn r19_a_payment_quoted_on_one_network_is_paid_on_either() {
    let Some((live, other)) = start().await else { return };
    let code = live.approved("50").await;
    let on_base = live.choose(&code, BASE_COINS[1]).await;
    let quoted = live.choose(&code, USDC).await;
    assert_eq!(on_base.address, quoted.address, "one address per family");
    live.send(&quoted, quoted.units / 2).await;
    other.send([live.call(&on_base, on_base.units / 4)]).await;
    live.confirm().await;
    let part = live.shop.get(&code).await;
    assert_eq!((&part["status"], &part["amount_received_usd"]), (&json!("partially_paid"), &json!(25.0)));

    // The rest comes on the network that was not asked for, in a coin without a quote.
    other.send([Call::eth(&quoted.address, 5_000_000_000_000_000)]).await;
    for _ in 0..2 {
        other.mine(CONFIRMATIONS).await;
        live.priced(&code).await;
    }
    let paid = live.shop.get(&code).await;
    assert_eq!((&paid["status"], &paid["amount_received_usd"]), (&json!("paid"), &json!(50.0)), "{paid}");
    let mut came: Vec<_> = transfers(&paid).into_iter().map(|(chain, coin, _)| (chain, coin)).collect();
    came.sort_unstable();
    assert_eq!(came, [("base", "ETH-base"), ("base", "USDC-base"), ("ethereum", "USDC")]);
    live.end().await;
}

#[tokio::test]
async fn a_networks_node_that_fails_holds_up_no_other() {
    let Some((live, other)) = start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, ETH).await;
    live.send(&quoted, quoted.units).await;
    live.anvil.mine(CONFIRMATIONS).await;
    drop(other);
    let error = live.failing_tick("WatchChains").await;
    assert!(error.contains("base") && !error.contains("ethereum"), "{error}");
    assert_eq!(live.shop.get(&code).await["status"], "paid");
    live.end().await;
}

#[tokio::test]
async fn r22_money_of_a_contract_pays() {
    let Some(live) = Live::start().await else { return };
    let forwarder = "0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";
    live.anvil.set_code(forwarder, "5f5f5f5f345f355af100").await;
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, ETH).await;
    live.anvil.send([Call::bare(forwarder, quoted.units, &quoted.address, 0)]).await;
    live.confirm().await;
    let paid = live.shop.get(&code).await;
    assert_eq!((&paid["status"], &paid["amount_received_usd"]), (&json!("paid"), &json!(49.99)));
    live.end().await;
}
