//! Money that comes: exact, short, too much, in parts, in another coin, and what only looks like money.

use serde_json::{Value, json};
use tests::anvil::Call;
use tests::live::{COINS, CONFIRMATIONS, ETH, Live, USDC};

fn states(payment: &Value) -> Vec<&str> {
    payment["transfers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|transfer| transfer["state"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_live_payment_is_paid_in_ether_and_in_a_token() {
    let Some(live) = Live::start().await else { return };
    for coin in COINS {
        let code = live.approved("49.99").await;
        let quoted = live.choose(&code, coin).await;
        let tx = live.send(&quoted, quoted.units).await;
        live.watch().await;
        let seen = live.shop.get(&code).await;
        assert_eq!((&seen["status"], states(&seen)), (&json!("pending"), vec!["confirming"]), "{coin:?}");
        assert_eq!(seen["transfers"][0]["confirmations"], 1);
        assert_eq!(live.page_step(&code).await, "confirm");

        live.anvil.mine(CONFIRMATIONS - 2).await;
        live.watch().await;
        assert_eq!(live.shop.get(&code).await["status"], "pending", "one block short");

        live.anvil.mine(1).await;
        live.watch().await;
        let paid = live.shop.get(&code).await;
        assert_eq!(paid["status"], "paid", "{coin:?}");
        assert_eq!((&paid["amount_received_usd"], &paid["overpaid_usd"]), (&json!(49.99), &json!(0.0)));
        assert_ne!(paid["paid_at"], Value::Null);
        assert_eq!((&paid["transfers"][0]["tx_id"], states(&paid)), (&json!(tx), vec!["counted"]));
        assert_eq!(live.page_step(&code).await, "end");
    }
    live.end().await;
}

#[tokio::test]
async fn r19_no_address_exists_before_identity_is_approved() {
    let Some(live) = Live::start().await else { return };
    let payment = live.shop.create("49.99").await;
    let refused = live.shop.choose(payment["short_code"].as_str().unwrap(), "ETH").await.refusal(400);
    assert!(refused.to_lowercase().contains("identity"), "{refused}");
    let payment = live.shop.get(payment["id"].as_str().unwrap()).await;
    assert_eq!((&payment["wallet_address"], &payment["status"]), (&Value::Null, &json!("kyc_required")));
    live.end().await;
}

#[tokio::test]
async fn r16_too_much_is_overpaid() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, USDC).await;
    live.send(&quoted, quoted.units + 10_010_000).await;
    live.confirm().await;
    let payment = live.shop.get(&code).await;
    assert_eq!(payment["status"], "overpaid");
    assert_eq!((&payment["amount_received_usd"], &payment["overpaid_usd"]), (&json!(60.0), &json!(10.01)));
    live.end().await;
}

#[tokio::test]
async fn r21_two_transfers_sum_up() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, ETH).await;
    // Two in one block, and one unit short.
    let half = quoted.units / 2;
    live.anvil.send([live.call(&quoted, half), live.call(&quoted, quoted.units - half - 1)]).await;
    live.confirm().await;
    let payment = live.shop.get(&code).await;
    assert_eq!((&payment["status"], states(&payment)), (&json!("partially_paid"), vec!["counted"; 2]));
    assert_eq!(payment["amount_received_usd"], 49.98);

    live.send(&quoted, 1).await;
    live.confirm().await;
    let payment = live.shop.get(&code).await;
    assert_eq!((&payment["status"], states(&payment)), (&json!("paid"), vec!["counted"; 3]));
    assert_eq!((&payment["amount_received_usd"], &payment["overpaid_usd"]), (&json!(49.99), &json!(0.0)));
    live.end().await;
}

#[tokio::test]
async fn r20_a_new_quote_covers_what_a_part_has_left_in_whichever_coin() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("100").await;
    let first = live.choose(&code, ETH).await;
    live.send(&first, first.units / 4).await;
    live.watch().await;
    let refused = live.shop.choose(&code, "USDC").await;
    assert_eq!(refused.status, 400, "R19: the coin is settled while money is on its way");
    live.confirm().await;
    let rest = live.choose(&code, ETH).await;
    assert_eq!((&rest.address, rest.units), (&first.address, first.units / 4 * 3));
    let rest = live.choose(&code, USDC).await;
    assert_eq!((&rest.address, rest.units), (&first.address, 75_000_000));
    live.send(&rest, rest.units).await;
    live.confirm().await;
    let payment = live.shop.get(&code).await;
    assert_eq!((&payment["status"], &payment["amount_received_usd"]), (&json!("paid"), &json!(100.0)));
    live.end().await;
}

#[tokio::test]
async fn r22_a_wrong_token_and_nothing_at_all_are_no_transfers() {
    let Some(live) = Live::start().await else { return };
    let worthless = live.anvil.deploy_token().await;
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, USDC).await;
    let calls = [
        Call::token(&worthless, &quoted.address, quoted.units),
        Call::token(&live.token, &quoted.address, 0),
        Call::announce(&live.token, &quoted.address, 0, 0),
        Call::eth(&quoted.address, 0),
    ];
    live.anvil.send(calls).await;
    live.confirm().await;
    let payment = live.shop.get(&code).await;
    assert_eq!((&payment["status"], states(&payment)), (&json!("pending"), vec![]));
    assert_eq!(payment["amount_received_usd"], 0.0);

    // What comes beside it still counts.
    live.send(&quoted, quoted.units).await;
    live.confirm().await;
    assert_eq!(live.shop.get(&code).await["status"], "paid");
    live.end().await;
}

#[tokio::test]
async fn r19_money_in_another_coin_counts_at_the_rate_of_its_minute() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, ETH).await;
    live.anvil.send([Call::token(&live.token, &quoted.address, 20_000_000)]).await;
    live.priced(&code).await;
    let payment = live.shop.get(&code).await;
    assert_eq!((&payment["status"], &payment["selected_coin"]), (&json!("partially_paid"), &json!("ETH")));
    let transfer = &payment["transfers"][0];
    assert_eq!((&transfer["coin"], &transfer["credited_usd"]), (&json!("USDC"), &json!(20.0)));
    assert_eq!(payment["amount_received_usd"], 20.0);
    live.end().await;
}

#[tokio::test]
async fn r16_a_payment_is_the_sum_of_all_its_coins() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("50").await;
    let token = live.choose(&code, USDC).await;
    let ether = live.choose(&code, ETH).await;
    assert_eq!(token.address, ether.address, "R19: one address serves every coin of the family");
    // Both quotes hold: each coin counts at its own.
    live.anvil.send([live.call(&token, token.units / 2), live.call(&ether, ether.units / 2)]).await;
    live.confirm().await;
    let payment = live.shop.get(&code).await;
    assert_eq!((&payment["status"], &payment["amount_received_usd"]), (&json!("paid"), &json!(50.0)));
    live.end().await;
}

#[tokio::test]
async fn large_payments_wait_until_their_block_is_final() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("12000").await;
    let quoted = live.choose(&code, USDC).await;
    live.send(&quoted, quoted.units).await;
    live.anvil.mine(CONFIRMATIONS * 4).await;
    live.watch().await;
    let payment = live.shop.get(&code).await;
    assert_eq!((&payment["status"], states(&payment)), (&json!("pending"), vec!["confirming"]));
    live.anvil.mine(64).await;
    live.watch().await;
    let payment = live.shop.get(&code).await;
    assert_eq!((&payment["status"], states(&payment)), (&json!("paid"), vec!["counted"]));
    live.end().await;
}

#[tokio::test]
async fn r17_a_payment_with_money_on_its_way_cannot_be_cancelled() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, USDC).await;
    live.send(&quoted, 5_000_000).await;
    live.watch().await;
    let refused = live.shop.cancel(&code).await.refusal(400);
    assert!(refused.contains("transfer"), "{refused}");
    assert_eq!(live.shop.get(&code).await["status"], "pending");

    live.confirm().await;
    let cancelled = live.shop.cancel(&code).await.payment();
    assert_eq!((&cancelled["status"], &cancelled["amount_received_usd"]), (&json!("cancelled"), &json!(5.0)));
    live.end().await;
}

#[tokio::test]
async fn r23_money_after_cancellation_keeps_the_status_and_is_late() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, USDC).await;
    let cancelled = live.shop.cancel(&code).await.payment();
    assert_eq!((&cancelled["status"], &cancelled["late"]), (&json!("cancelled"), &json!(false)));
    live.send(&quoted, quoted.units).await;
    live.confirm().await;
    let payment = live.shop.get(&code).await;
    assert_eq!((&payment["status"], &payment["late"]), (&json!("cancelled"), &json!(true)));
    assert_eq!((&payment["amount_received_usd"], &payment["paid_at"]), (&json!(49.99), &Value::Null));
    live.end().await;
}
