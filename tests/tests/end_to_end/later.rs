//! Ten days later, by the clock: what was paid in part expires, and money that still comes is late.

use serde_json::{Value, json};
use shared::payment::LIFETIME_SECONDS;
use tests::live::{ETH, Live, USDC};

#[tokio::test]
async fn r15_an_underpaid_payment_expires_after_ten_days_and_later_money_is_late() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, ETH).await;
    live.send(&quoted, quoted.units / 2).await;
    live.confirm().await;
    let part = live.shop.get(&code).await;
    assert_eq!((&part["status"], &part["late"]), (&json!("partially_paid"), &json!(false)));
    assert_eq!(part["amount_received_usd"], 24.99, "R21: rounded down");

    // The watcher has read a tip after the end by then.
    let live = live.later(LIFETIME_SECONDS).await;
    live.tick("expire-payments").await;
    let expired = live.shop.get(&code).await;
    assert_eq!((&expired["status"], &expired["late"]), (&json!("expired"), &json!(false)));
    assert_eq!(expired["amount_received_usd"], 24.99);
    assert_eq!(live.page_step(&code).await, "end");
    assert_eq!(live.shop.choose(&code, "ETH").await.status, 400);
    assert_eq!(live.shop.cancel(&code).await.status, 400);

    live.send(&quoted, quoted.units).await;
    live.priced(&code).await;
    let late = live.shop.get(&code).await;
    assert_eq!((&late["status"], &late["late"]), (&json!("expired"), &json!(true)), "R23");
    assert_eq!((&late["amount_received_usd"], &late["paid_at"]), (&json!(74.98), &Value::Null));
    let flags: Vec<_> =
        late["transfers"].as_array().unwrap().iter().map(|transfer| &transfer["late"]).collect();
    assert_eq!(flags.len(), 2);
    assert!(flags.contains(&&json!(true)) && flags.contains(&&json!(false)), "{flags:?}");
    live.end().await;
}

#[tokio::test]
async fn r15_money_in_time_that_still_confirms_holds_the_payment_open() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, USDC).await;
    live.send(&quoted, quoted.units).await;
    live.watch().await;

    // Ten days without a block but one: the transfer is in time and has two of three confirmations.
    let live = live.later(LIFETIME_SECONDS).await;
    live.tick("expire-payments").await;
    let held = live.shop.get(&code).await;
    assert_eq!((&held["status"], &held["transfers"][0]["late"]), (&json!("pending"), &json!(false)));

    live.confirm().await;
    let paid = live.shop.get(&code).await;
    assert_eq!((&paid["status"], &paid["late"]), (&json!("paid"), &json!(false)));
    live.end().await;
}

#[tokio::test]
async fn r15_without_an_address_a_payment_expires_by_the_clock_alone() {
    let Some(live) = Live::start().await else { return };
    let payment = live.shop.create("49.99").await;
    let live = live.later(LIFETIME_SECONDS).await;
    let id = payment["id"].as_str().unwrap();
    assert_eq!(live.shop.get(id).await["status"], "expired", "before the sweep has run");
    live.tick("expire-payments").await;
    assert_eq!(live.shop.get(id).await["status"], "expired");
    live.end().await;
}
