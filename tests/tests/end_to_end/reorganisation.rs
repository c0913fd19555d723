//! Money that a re-organisation takes back, and that returns.

use serde_json::{Value, json};
use tests::live::{COINS, CONFIRMATIONS, Live, USDC};

#[tokio::test]
async fn r22_a_reorganisation_takes_money_back_and_its_return_counts_once() {
    let Some(live) = Live::start().await else { return };
    for coin in COINS {
        let code = live.approved("49.99").await;
        let quoted = live.choose(&code, coin).await;
        let tx = live.send(&quoted, quoted.units).await;
        live.confirm().await;
        let paid = live.shop.get(&code).await;
        assert_eq!(paid["status"], "paid", "{coin:?}");
        let signed = live.anvil.signed(&tx).await;

        live.anvil.reorg(CONFIRMATIONS + 1).await;
        live.watch().await;
        let taken = live.shop.get(&code).await;
        assert_eq!((&taken["status"], &taken["paid_at"]), (&json!("pending"), &Value::Null), "{coin:?}");
        assert_eq!(
            (&taken["amount_received_usd"], &taken["transfers"][0]["state"]),
            (&json!(0.0), &json!("lost"))
        );

        live.anvil.resend(&signed).await;
        live.anvil.mine(1).await;
        live.watch().await;
        let back = live.shop.get(&code).await;
        assert_eq!(
            (&back["status"], &back["transfers"][0]["state"]),
            (&json!("pending"), &json!("confirming"))
        );
        live.confirm().await;
        live.watch().await;
        let again = live.shop.get(&code).await;
        assert_eq!(
            (&again["status"], &again["amount_received_usd"]),
            (&json!("paid"), &json!(49.99)),
            "{coin:?}"
        );
        assert_eq!(again["transfers"].as_array().unwrap().len(), 1, "{again}");
        assert_eq!(again["transfers"][0]["id"], paid["transfers"][0]["id"]);
        assert_eq!(again["transfers"][0]["credited_usd"], paid["transfers"][0]["credited_usd"]);
    }
    live.end().await;
}

#[tokio::test]
async fn r16_a_reorganisation_moves_back_along_the_same_line() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("30").await;
    let quoted = live.choose(&code, USDC).await;
    for (units, status) in [(10_000_000, "partially_paid"), (20_000_000, "paid"), (5_000_000, "overpaid")] {
        live.send(&quoted, units).await;
        live.confirm().await;
        assert_eq!(live.shop.get(&code).await["status"], status);
    }
    // Each reaches one transfer deeper. The chain stays as high as it was; its last blocks are others, and empty.
    let depth = CONFIRMATIONS + 1;
    for (depth, status, received) in
        [(depth, "paid", 30.0), (depth * 2, "partially_paid", 10.0), (depth * 3, "pending", 0.0)]
    {
        live.anvil.reorg(depth).await;
        live.watch().await;
        let payment = live.shop.get(&code).await;
        assert_eq!((&payment["status"], &payment["amount_received_usd"]), (&json!(status), &json!(received)));
        assert_eq!(payment["paid_at"] == Value::Null, status != "paid");
    }
    live.end().await;
}

#[tokio::test]
async fn r22_a_transfer_that_moves_to_another_block_counts_once() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, USDC).await;
    let tx = live.send(&quoted, quoted.units).await;
    live.watch().await;
    let signed = live.anvil.signed(&tx).await;
    // Between two looks of the watcher the block goes and the transfer is in a later one.
    live.anvil.reorg(1).await;
    live.anvil.resend(&signed).await;
    live.confirm().await;
    let payment = live.shop.get(&code).await;
    assert_eq!((&payment["status"], &payment["amount_received_usd"]), (&json!("paid"), &json!(49.99)));
    assert_eq!(payment["transfers"].as_array().unwrap().len(), 1);
    live.end().await;
}
