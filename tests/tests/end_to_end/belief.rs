//! Nodes that answer wrongly once, or always: nothing is lost, doubled or taken back by it (R37). Each for an address that
//! was given out just now, whose blocks are read again for two minutes, and for one that is older.

use serde_json::{Value, json};
use tests::anvil::{Anvil, Call};
use tests::live::{ETH, Live, Quoted, USDC};
use tests::proxy::{Question, Says};

/// Older than the time for which blocks are read again.
const OLD_SECONDS: u64 = 130;

/// A gateway with a payment that waits for money, its address new or old.
async fn waiting(internal: &str, amount: &str, is_old: bool) -> Option<(Live, String, Quoted)> {
    let live = Live::start_looking_by(internal, Anvil::start().await?).await;
    let code = live.approved(amount).await;
    let quoted = live.choose(&code, if internal == "none" { USDC } else { ETH }).await;
    live.watch().await;
    let live = if is_old { live.later(OLD_SECONDS).await } else { live };
    live.watch().await;
    Some((live, code, quoted))
}

/// A block's list of transactions, emptied as often as the function says.
fn emptied(is_emptied: impl Fn(u64) -> bool) -> impl Fn(&Question, Value) -> Option<Value> {
    move |question, mut block| {
        let is_full =
            question.params[1] == true && block["transactions"].as_array().is_some_and(|all| !all.is_empty());
        if !is_full || !is_emptied(question.times) {
            return None;
        }
        block["transactions"] = json!([]);
        Some(block)
    }
}

async fn assert_paid_once(live: &Live, code: &str, amount: f64, tx: &str) {
    let payment = live.shop.get(code).await;
    assert_eq!(
        (&payment["status"], &payment["amount_received_usd"]),
        (&json!("paid"), &json!(amount)),
        "{payment}"
    );
    let transfers = payment["transfers"].as_array().unwrap();
    let counted: Vec<_> = transfers.iter().filter(|transfer| transfer["state"] == "counted").collect();
    assert_eq!(counted.len(), 1, "{payment}");
    assert_eq!(counted[0]["tx_id"], tx);
}

#[tokio::test]
async fn a1_a3_an_empty_list_of_transactions_is_asked_for_again() {
    for (internal, is_old) in [("balances", false), ("balances", true), ("traces", false), ("traces", true)] {
        let Some((live, code, quoted)) = waiting(internal, "50", is_old).await else { return };
        live.proxy.change("eth_getBlockByNumber", emptied(|times| times == 1));
        let tx = live.send(&quoted, quoted.units).await;
        live.confirm().await;
        assert_paid_once(&live, &code, 50.0, &tx).await;
        assert_eq!(live.shop.get(&code).await["transfers"].as_array().unwrap().len(), 1);
        live.end().await;
    }
}

#[tokio::test]
async fn a1_a3_a_list_that_stays_empty_holds_the_block_up_and_says_so() {
    for (internal, is_old) in [("balances", true), ("traces", false)] {
        let Some((live, code, quoted)) = waiting(internal, "50", is_old).await else { return };
        live.proxy.change("eth_getBlockByNumber", emptied(|_| true));
        live.proxy.change("eth_getBlockByHash", emptied(|_| true));
        let tx = live.send(&quoted, quoted.units).await;
        live.anvil.mine(3).await;
        for _ in 0..2 {
            assert_eq!(live.look().await["ethereum"]["caught_up"], false);
        }
        assert_eq!(live.shop.get(&code).await["transfers"], json!([]));
        assert!(live.log().contains("is not believed"), "{}", live.log());
        live.proxy.clear();
        live.watch().await;
        assert_paid_once(&live, &code, 50.0, &tx).await;
        live.end().await;
    }
}

/// A node that gives nothing to check a list by is believed, and what it left out is found by balances: until somebody
/// reads the block again.
#[tokio::test]
async fn a2_rescan_replaces_a_difference_by_its_transaction() {
    for is_old in [false, true] {
        let Some((live, code, quoted)) = waiting("balances", "51", is_old).await else { return };
        let empties = emptied(|_| true);
        let unchecked = live.proxy.change("eth_getBlockByNumber", move |question, block| {
            let mut block = empties(question, block)?;
            block["transactionsRoot"] = Value::Null;
            Some(block)
        });
        let tx = live.send(&quoted, quoted.units).await;
        let height = live.anvil.height().await;
        live.confirm().await;
        assert_paid_once(&live, &code, 51.0, &format!("block:{height}")).await;
        live.proxy.remove(unchecked);
        if !is_old {
            // The block is read again anyway.
            live.watch().await;
        }
        let span = [height.to_string(), live.anvil.height().await.to_string()];
        for _ in 0..2 {
            let said = live.recover(&["rescan", "--from", &span[0], "--to", &span[1]]).await;
            assert!(!said.contains("Disagrees"), "{said}");
            live.watch().await;
            assert_paid_once(&live, &code, 51.0, &tx).await;
        }
        // And not the other way round either.
        let empties = emptied(|_| true);
        live.proxy.change("eth_getBlockByNumber", move |question, block| {
            let mut block = empties(question, block)?;
            block["transactionsRoot"] = Value::Null;
            Some(block)
        });
        live.recover(&["rescan", "--from", &span[0], "--to", &span[1]]).await;
        live.watch().await;
        assert_paid_once(&live, &code, 51.0, &tx).await;
        live.end().await;
    }
}

#[tokio::test]
async fn a4_balances_of_a_node_that_answers_for_its_newest_block_are_not_compared() {
    for is_old in [false, true] {
        let Some((live, code, quoted)) = waiting("balances", "33", is_old).await else { return };
        let node = live.anvil.url().to_owned();
        let pay = json!({ "from": tests::anvil::PAYER, "to": quoted.address, "value": format!("{:#x}", quoted.units) });
        live.proxy.rule(move |mut question| {
            let (node, pay) = (node.clone(), pay.clone());
            async move {
                if question.method != "eth_call" || question.params[1]["blockHash"].is_null() {
                    return Says::Pass;
                }
                question.params[1] = json!("latest");
                let said = question.answer().await;
                if question.nth == 1 {
                    let http = reqwest::Client::new();
                    for (method, params) in
                        [("eth_sendTransaction", json!([pay])), ("anvil_mine", json!(["0x1"]))]
                    {
                        let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
                        http.post(&node).json(&ask).send().await.unwrap();
                    }
                }
                Says::Result(said.unwrap())
            }
        });
        // A node is looked at when it is first needed by a process, and then remembered.
        let live = live.later(if is_old { 2 * OLD_SECONDS } else { 1 }).await;
        live.anvil.mine(1).await;
        live.confirm().await;
        let payment = live.shop.get(&code).await;
        assert_eq!(
            (&payment["status"], &payment["amount_received_usd"]),
            (&json!("paid"), &json!(33.0)),
            "{payment}"
        );
        assert!(live.log().contains("the node answers for its newest block"), "{}", live.log());
        live.end().await;
    }
}

/// As some nodes do, which number the logs of each transaction anew.
fn numbered_by_transaction(_: &Question, mut logs: Value) -> Option<Value> {
    let mut next = serde_json::Map::new();
    for log in logs.as_array_mut()? {
        let place = next.entry(log["transactionHash"].as_str()?).or_insert(json!(0));
        log["logIndex"] = json!(format!("{:#x}", place.as_u64()?));
        *place = json!(place.as_u64()?.checked_add(1)?);
    }
    Some(logs)
}

#[tokio::test]
async fn a6_transfers_count_however_a_node_numbers_logs() {
    for is_old in [false, true] {
        let Some((live, one, first)) = waiting("none", "23", is_old).await else { return };
        let other = live.approved("11").await;
        let second = live.choose(&other, USDC).await;
        live.watch().await;
        live.proxy.change("eth_getLogs", numbered_by_transaction);
        let half = first.units / 2;
        let halves =
            Call::two_tokens(&live.token, (&first.address, half), (&first.address, first.units - half));
        live.anvil.send([live.call(&second, second.units), halves]).await;
        live.confirm().await;
        for (code, transfers) in [(&one, 2), (&other, 1)] {
            let payment = live.shop.get(code).await;
            assert_eq!(payment["status"], "paid", "{payment}");
            assert_eq!(payment["transfers"].as_array().unwrap().len(), transfers);
        }
        live.end().await;
    }
}

#[tokio::test]
async fn a5_events_that_a_node_keeps_back_are_found_by_the_blocks_filter() {
    let empty = |times: u64, kept_back: u64| (times <= kept_back).then(|| json!([]));
    for (is_old, kept_back) in [(false, 1), (true, 1), (true, u64::MAX)] {
        let Some((live, code, quoted)) = waiting("none", "49.99", is_old).await else { return };
        live.proxy.change("eth_getLogs", move |question, _| empty(question.times, kept_back));
        let tx = live.send(&quoted, quoted.units).await;
        live.confirm().await;
        assert_paid_once(&live, &code, 49.99, &tx).await;
        live.end().await;
    }
}

/// One of several events of a block is not told, of a transaction that says nothing of whom it pays; and the block waits for
/// receipts that are refused for two runs.
#[tokio::test]
async fn a5_a_list_of_events_that_is_short_waits_for_receipts() {
    for is_old in [false, true] {
        let Some((live, code, quoted)) = waiting("none", "23", is_old).await else { return };
        let ours = quoted.address.trim_start_matches("0x").to_lowercase();
        live.proxy.change("eth_getLogs", move |_, mut logs| {
            logs.as_array_mut()?
                .retain(|log| !log["topics"][2].as_str().is_some_and(|to| to.ends_with(&ours)));
            Some(logs)
        });
        let refusals = ["eth_getBlockReceipts", "eth_getTransactionReceipt"]
            .map(|method| live.proxy.always(method, Says::Error(-32000, "indexing is in progress")));
        let stranger = "0x9999999999999999999999999999999999999999";
        let calls = [Call::token(&live.token, stranger, 5), live.call(&quoted, quoted.units)];
        let tx = live.anvil.send(calls).await.remove(1);
        live.anvil.mine(3).await;
        for _ in 0..2 {
            assert_eq!(live.look().await["ethereum"]["caught_up"], false);
        }
        for refusal in refusals {
            live.proxy.remove(refusal);
        }
        live.watch().await;
        assert_paid_once(&live, &code, 23.0, &tx).await;
        live.end().await;
    }
}
