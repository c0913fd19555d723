//! A node that has limits, behind the whole product: it is asked as often and as much as it allows, and no payment waits for
//! ever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tests::anvil::Anvil;
use tests::bitcoind::Currency;
use tests::live::{ETH, Live, USDC};
use tests::live_bitcoin::LiveBitcoin;
use tests::proxy::{Proxy, Says};
use tokio::time::Instant;

/// After this an address is no longer looked for again in blocks that were read with it.
const OLD_SECONDS: u64 = 130;

/// Lets so many questions through in any second, and turns the others away in one of the ways in which providers do.
fn allow(proxy: &Proxy, a_second: usize, refusal: fn(usize) -> Says) {
    let passed = Arc::new(Mutex::new((Vec::<Instant>::new(), 0_usize)));
    proxy.rule(move |_| {
        let mut passed = passed.lock().unwrap();
        let now = Instant::now();
        passed.0.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
        let says = if passed.0.len() < a_second {
            passed.0.push(now);
            Says::Pass
        } else {
            passed.1 += 1;
            refusal(passed.1)
        };
        std::future::ready(says)
    });
}

/// The ways, one after the other.
fn too_many(times: usize) -> Says {
    match times % 5 {
        0 => Says::Status(429, vec![("retry-after", "1".to_owned())], String::new()),
        1 => Says::Error(-32005, "project ID request rate exceeded"),
        2 => Says::Error(429, "Your app has exceeded its compute units per second capacity."),
        3 => Says::Status(503, Vec::new(), "overloaded".to_owned()),
        _ => Says::Error(-32016, "over rate limit"),
    }
}

/// Runs until the chain is read to its tip; tells in how many. Each run keeps what it read.
async fn runs_until_caught_up(live: &Live, most: usize) -> usize {
    let mut height = 0;
    for run in 1..=most {
        let ran = live.look().await;
        if ran["ethereum"]["caught_up"] == true {
            return run;
        }
        let reached = ran["ethereum"]["height"].as_u64().unwrap();
        assert!(reached > height, "a run read nothing: {ran:?}\n{}", live.log());
        height = reached;
    }
    panic!("not caught up in {most} runs\n{}", live.log());
}

#[tokio::test]
async fn a11_eighty_blocks_are_caught_up_with_at_the_pace_that_the_node_allows() {
    // At five a second a run has time for some fifty blocks of three questions each.
    for (a_second, most) in [(5, 4), (15, 2)] {
        let Some(anvil) = Anvil::start().await else { return };
        let live = Live::start_looking_by("balances", anvil).await;
        let code = live.approved("50.00").await;
        let quoted = live.choose(&code, ETH).await;
        let live = live.later(OLD_SECONDS).await;
        live.send(&quoted, quoted.units).await;
        live.anvil.mine(80).await;
        allow(&live.proxy, a_second, too_many);
        let runs = runs_until_caught_up(&live, most).await;
        assert_eq!(live.shop.get(&code).await["status"], "paid", "after {runs} runs at {a_second} a second");
        live.end().await;
    }
}

#[tokio::test]
async fn a11_a_fresh_address_does_not_keep_a_slow_chain_from_being_caught_up_with() {
    let Some(live) = Live::start().await else { return };
    let code = live.approved("50.00").await;
    let quoted = live.choose(&code, USDC).await;
    live.anvil.mine(40).await;
    live.send(&quoted, quoted.units).await;
    live.anvil.mine(10).await;
    allow(&live.proxy, 5, too_many);
    runs_until_caught_up(&live, 4).await;
    assert_eq!(live.shop.get(&code).await["status"], "paid");
    live.end().await;
}

/// A node that tells so few events of a block at once, and in the last case none.
fn tell_few_events(proxy: &Proxy, most: usize) {
    proxy.rule(move |question| async move {
        if question.method != "eth_getLogs" {
            return Says::Pass;
        }
        let told = question.answer().await.unwrap_or_default();
        let events = told.as_array().map_or(0, Vec::len);
        if events > most || most == 0 {
            Says::Error(-32005, "query returned more than 10000 results")
        } else {
            Says::Pass
        }
    });
}

#[tokio::test]
async fn a12_a_block_of_too_many_events_holds_nobody_up() {
    let ways: [fn(&Proxy); 5] = [
        |proxy| tell_few_events(proxy, 1),
        |proxy| tell_few_events(proxy, 0),
        |proxy| {
            tell_few_events(proxy, 0);
            proxy.always("eth_getBlockReceipts", Says::Result(json!([])));
        },
        |proxy| {
            proxy.always("eth_getLogs", Says::Status(413, Vec::new(), String::new()));
            proxy.always("eth_getBlockReceipts", Says::Error(-32601, "the method does not exist"));
        },
        |proxy| {
            proxy.always("eth_getLogs", Says::Error(-32005, "limit exceeded"));
            proxy.always("eth_getBlockReceipts", Says::Result(Value::Null));
        },
    ];
    for fresh in [false, true] {
        // A node and a key of its own each time: the tenth address would be the payer's own account.
        let Some(mut live) = Live::start().await else { return };
        for way in ways {
            let code = live.approved("50.00").await;
            let quoted = live.choose(&code, USDC).await;
            if !fresh {
                live = live.later(OLD_SECONDS).await;
            }
            let calls = (1..=6).map(|part| {
                live.call(&quoted, quoted.units / 6 + u128::from(part == 1) * (quoted.units % 6))
            });
            live.anvil.send(calls.collect::<Vec<_>>()).await;
            way(&live.proxy);
            live.confirm().await;
            live.proxy.clear();
            assert_eq!(live.shop.get(&code).await["status"], "paid", "{}", live.log());
        }
        live.end().await;
    }
}

#[tokio::test]
async fn a13_receipts_of_a_block_that_are_not_told_hold_nobody_up() {
    let lacks: [fn(&Proxy); 4] = [
        |proxy| {
            proxy.always("eth_getBlockReceipts", Says::Result(json!([])));
        },
        |proxy| {
            proxy.always("eth_getBlockReceipts", Says::Result(Value::Null));
        },
        |proxy| {
            proxy.always("eth_getBlockReceipts", Says::Status(500, Vec::new(), String::new()));
        },
        |proxy| {
            proxy.change("eth_getBlockReceipts", |_, mut all| {
                all.as_array_mut()?.truncate(1);
                Some(all)
            });
        },
    ];
    let Some(anvil) = Anvil::start().await else { return };
    let live = Live::start_looking_by("balances", anvil).await;
    for lack in lacks {
        let mut quotes = Vec::new();
        for _ in 0..2 {
            let code = live.approved("50.00").await;
            quotes.push((live.choose(&code, ETH).await, code));
        }
        live.anvil
            .send(quotes.iter().map(|(quoted, _)| live.call(quoted, quoted.units)).collect::<Vec<_>>())
            .await;
        lack(&live.proxy);
        live.confirm().await;
        live.proxy.clear();
        for (_, code) in &quotes {
            assert_eq!(live.shop.get(code).await["status"], "paid", "{}", live.log());
        }
    }
    live.end().await;
}

#[tokio::test]
async fn a13_what_holds_a_chain_up_is_in_the_log_and_a_metric_from_the_third_run_on() {
    let Some(anvil) = Anvil::start().await else { return };
    let live = Live::start_looking_by("balances", anvil).await;
    let code = live.approved("50.00").await;
    let quoted = live.choose(&code, ETH).await;
    live.send(&quoted, quoted.units).await;
    live.proxy.always("eth_getTransactionReceipt", Says::Result(Value::Null));
    live.proxy.always("eth_getBlockReceipts", Says::Result(Value::Null));
    for run in 1..=3 {
        assert!(!live.log().contains("HeldBlocks"), "run {run}");
        live.look().await;
    }
    let log = live.log();
    assert!(log.contains("a block holds up its chain") && log.contains(r#""Reason":"moved""#), "{log}");
    live.proxy.clear();
    live.confirm().await;
    assert_eq!(live.shop.get(&code).await["status"], "paid");
    live.end().await;
}

#[tokio::test]
async fn a11_bitcoins_node_is_waited_for_when_its_queue_is_full() {
    let Some(live) = LiveBitcoin::start(Currency::Bitcoin).await else { return };
    let (code, quoted) = live.quoted("49.99").await;
    let asked = AtomicUsize::new(0);
    live.proxy.rule(move |_| {
        let is_full = asked.fetch_add(1, Ordering::Relaxed) % 3 == 2;
        let full = || Says::Status(503, Vec::new(), "Work queue depth exceeded".to_owned());
        std::future::ready(if is_full { full() } else { Says::Pass })
    });
    live.node.send(&quoted.address, quoted.units).await;
    live.watch().await;
    assert_eq!(live.shop.get(&code).await["transfers"][0]["state"], "seen");
    live.mine(1).await;
    assert_eq!(live.shop.get(&code).await["status"], "paid");
    live.end().await;
}
