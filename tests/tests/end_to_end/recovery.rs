//! Money that the watcher did not see, found by the operator's command on a real node.

use serde_json::json;
use shared::moment::DAY_SECONDS;
use tests::live::{Live, USDC};

#[tokio::test]
async fn r23_money_after_forty_three_days_is_found_by_the_operator() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, USDC).await;
    live.watch().await;
    live.tick("expire-payments").await;
    let live = live.later(44 * DAY_SECONDS).await;
    live.tick("expire-payments").await;
    let from = live.anvil.height().await;
    let tx = live.send(&quoted, quoted.units).await;
    live.confirm().await;
    let unseen = live.shop.get(&code).await;
    assert_eq!((&unseen["status"], &unseen["transfers"]), (&json!("expired"), &json!([])));

    let to = live.anvil.height().await.to_string();
    let said = live
        .recover(&[
            "rescan",
            "--address",
            &quoted.address.to_lowercase(),
            "--from",
            &from.to_string(),
            "--to",
            &to,
        ])
        .await;
    assert!(said.contains(&code) && said.contains(&tx) && said.contains("1 payments changed"), "{said}");
    live.priced(&code).await;
    let late = live.shop.get(&code).await;
    assert_eq!((&late["status"], &late["late"]), (&json!("expired"), &json!(true)));
    assert_eq!(late["amount_received_usd"], 49.99);

    for command in [
        vec!["rescan", "--address", &quoted.address],
        vec!["credit", "--tx", &tx],
        vec!["rescan", "--from", "0", "--to", &to],
    ] {
        let again = live.recover(&command).await;
        assert!(again.contains("1 transfers were known") && !again.contains(&code), "{command:?}: {again}");
    }
    assert_eq!(live.shop.get(&code).await, late);
    live.end().await;
}

#[tokio::test]
async fn r22_a_named_transaction_is_credited_once() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, USDC).await;
    live.watch().await;
    live.tick("expire-payments").await;
    let live = live.later(44 * DAY_SECONDS).await;
    let tx = live.send(&quoted, quoted.units).await;
    live.anvil.mine(1).await;
    live.watch().await;
    let said = live.recover(&["credit", "--tx", &tx]).await;
    assert!(said.contains(&code) && said.contains("confirming"), "{said}");
    live.priced(&code).await;
    let payment = live.shop.get(&code).await;
    assert_eq!(
        (&payment["transfers"][0]["tx_id"], &payment["amount_received_usd"]),
        (&json!(tx), &json!(49.99))
    );
    live.end().await;
}

#[tokio::test]
async fn a_difference_between_chain_and_record_is_told_and_nothing_else() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, USDC).await;
    // The merchant's first addresses are those of anvil's rich accounts.
    live.anvil.call("anvil_setBalance", json!([quoted.address, "0x0"])).await;
    live.send(&quoted, quoted.units).await;
    live.anvil.send([tests::anvil::Call::eth(&quoted.address, 5)]).await;
    live.anvil.mine(20).await;
    live.watch().await;
    let agreed = live.tick("reconcile-chains").await;
    let expected = json!({ "blocks": 2, "unread": 0, "behind": 0, "addresses": 1, "differences": 0 });
    assert_eq!(agreed["ethereum"], expected);

    // Nobody looks at the address any more, and money comes.
    live.tick("expire-payments").await;
    let live = live.later(60 * DAY_SECONDS).await;
    live.tick("expire-payments").await;
    let tx = live.send(&quoted, 7).await;
    live.anvil.mine(20).await;
    live.watch().await;
    let differs = live.tick("reconcile-chains").await;
    assert_eq!(differs["ethereum"]["differences"], 1, "{differs}");
    let log = live.log();
    assert!(
        log.contains("ReconciliationDifferences") && log.contains(&code) && log.contains("holds"),
        "{log}"
    );

    live.recover(&["credit", "--tx", &tx]).await;
    let agreed = live.tick("reconcile-chains").await;
    assert_eq!(agreed["ethereum"]["differences"], 0, "{agreed}");

    // Ether goes from an address that never sent any.
    live.anvil.call("anvil_setBalance", json!([quoted.address, "0x0"])).await;
    live.anvil.mine(20).await;
    live.watch().await;
    let differs = live.tick("reconcile-chains").await;
    assert_eq!(differs["ethereum"]["differences"], 1, "{differs}");
    assert!(live.log().contains("never sent any"), "{}", live.log());
    // Had the merchant sent something from there, it would be the merchant's own doing.
    live.anvil.call("anvil_setNonce", json!([quoted.address, "0x1"])).await;
    live.anvil.mine(20).await;
    live.watch().await;
    let agreed = live.tick("reconcile-chains").await;
    assert_eq!(agreed["ethereum"]["differences"], 0, "{agreed}");
    live.end().await;
}
