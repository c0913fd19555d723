//! Nodes that stand elsewhere than the one that was asked before (R37, R24).

use serde_json::{Value, json};
use tests::anvil::Anvil;
use tests::bitcoind::Currency;
use tests::live::{ETH, Live, USDC};
use tests::live_bitcoin::LiveBitcoin;
use tests::proxy::{Question, Says};

/// From now on another node answers.
fn answer_from(live: &Live, other: &Anvil) {
    let url = other.url().to_owned();
    live.proxy.rule(move |question: Question| {
        let url = url.clone();
        async move {
            let asked =
                json!({ "jsonrpc": "2.0", "id": 1, "method": question.method, "params": question.params });
            let answer = reqwest::Client::new().post(url).json(&asked).send().await.unwrap();
            let mut answer: Value = answer.json().await.unwrap();
            if answer["error"].is_null() {
                Says::Result(answer["result"].take())
            } else {
                Says::Error(-32000, "the other node does not know")
            }
        }
    });
}

/// A payment as the shop sees it, but for when it was last told of: blocks lately read are read, and told, again.
async fn seen(live: &Live, code: &str) -> Value {
    let mut payment = live.shop.get(code).await;
    payment.as_object_mut().unwrap().remove("updated_at");
    payment
}

/// The watcher's one chain, after a run.
async fn looked(live: &Live) -> Value {
    live.look().await.remove("ethereum").unwrap()
}

#[tokio::test]
async fn r37_one_run_by_a_node_below_ours_on_its_own_branch_changes_nothing() {
    let Some(live) = Live::start().await else { return };
    let Some(other) = Anvil::start().await else { return };
    let (small, large) = (live.approved("49.99").await, live.approved("20000").await);
    for (code, coin) in [(&small, USDC), (&large, ETH)] {
        let quoted = live.choose(code, coin).await;
        live.send(&quoted, quoted.units).await;
    }
    // The large one counts when its block is final.
    live.anvil.mine(101).await;
    live.watch().await;
    let mut payments = Vec::new();
    for code in [&small, &large] {
        payments.push(seen(&live, code).await);
    }
    assert!(payments.iter().all(|payment| payment["status"] == "paid"), "{payments:?}");
    other.mine(live.anvil.height().await - 25).await;
    for runs in [1, 2, 1, 5] {
        answer_from(&live, &other);
        for _ in 0..runs {
            let ran = looked(&live).await;
            assert!(ran["node_behind"] == true || ran["fork_too_deep"] == true, "{ran}");
            assert_eq!((&ran["lost"], &ran["caught_up"]), (&json!(0), &json!(false)), "{ran}");
        }
        assert_eq!(seen(&live, &small).await, payments[0]);
        assert_eq!(seen(&live, &large).await, payments[1]);
        live.proxy.clear();
        live.watch().await;
        assert_eq!(seen(&live, &large).await, payments[1]);
    }
    assert!(live.log().contains("denies a block that was final"), "{}", live.log());
    live.end().await;
}

#[tokio::test]
async fn a14_the_operator_lets_a_chain_go_on_whose_final_blocks_are_gone() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("49.99").await;
    let quoted = live.choose(&code, USDC).await;
    let tx = live.send(&quoted, quoted.units).await;
    let height = live.anvil.height().await;
    live.anvil.mine(150).await;
    live.watch().await;
    let signed = live.anvil.signed(&tx).await;
    live.anvil.reorg(151).await;
    for _ in 0..4 {
        let ran = looked(&live).await;
        assert_eq!((&ran["fork_too_deep"], &ran["lost"]), (&json!(true), &json!(0)), "{ran}");
    }
    assert_eq!(live.shop.get(&code).await["status"], "paid");
    // No coin of the chain is offered meanwhile.
    let next = live.approved("10").await;
    let refused = live.shop.choose(&next, "USDC").await;
    refused.assert_refused(
        503,
        "chain_not_current",
        "USDC cannot be paid at the moment, because its chain was not read to its tip lately. Try again in a minute",
    );

    let from = height.to_string();
    let said = live.recover(&["resume", "--from", &from, "--past-final"]).await;
    assert!(said.contains(&format!("goes on with block {height}")), "{said}");
    live.watch().await;
    let taken = live.shop.get(&code).await;
    assert_eq!((&taken["status"], &taken["transfers"][0]["state"]), (&json!("pending"), &json!("lost")));
    live.anvil.resend(&signed).await;
    live.anvil.mine(1).await;
    live.confirm().await;
    live.priced(&code).await;
    assert_eq!(live.shop.get(&code).await["status"], "paid");
    assert_eq!(live.shop.choose(&next, "USDC").await.status, 200);
    live.end().await;
}

/// Bitcoin's kind knows nothing final.
#[tokio::test]
async fn a14_a_reorganisation_deeper_than_the_kept_hashes_is_followed() {
    let Some(live) = LiveBitcoin::start(Currency::Bitcoin).await else { return };
    let (code, quoted) = live.quoted("49.99").await;
    live.mine(12).await;
    live.node.send(&quoted.address, quoted.units).await;
    live.mine(1).await;
    assert_eq!(live.shop.get(&code).await["status"], "paid");
    live.mine(145).await;
    live.node.reorg(157).await;
    for _ in 0..2 {
        let ran = live.tick("WatchChains").await;
        assert_eq!(ran["bitcoin"]["fork_too_deep"], true, "{ran}");
    }
    assert_eq!(live.shop.get(&code).await["status"], "paid");
    live.watch().await;
    let taken = live.shop.get(&code).await;
    assert_eq!(taken["status"], "pending", "{taken}");
    live.quoted("10").await;
    live.end().await;
}
