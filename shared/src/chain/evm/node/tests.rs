//! What a node cannot say just now is waited for, and not for ever; what it will never say is not waited for at all.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::chain::Chains;
use crate::chain::block::Hash256;

const OURS: AddressKey = AddressKey([0x11; 20]);

/// Runs that a block waits, and how often a run asks for it.
const RUNS: u64 = 3;
const ASKS: u64 = 2;

/// How a node meets the question for balances or traces.
#[derive(Clone, Debug)]
enum Mood {
    /// It answers: each block brings us 7 units in a call of a contract.
    Sound,
    /// This status and body.
    Says(u16, String),
    /// This error of JSON-RPC.
    Refuses(i64, &'static str),
    /// It hangs up.
    HangsUp,
}

fn hash(number: u64) -> String {
    let mut bytes = [0xcc; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Hash256(bytes).to_string()
}

/// What comes before the addresses in the question for balances.
const PROGRAM_DIGITS: usize = 64;

/// The highest block, 12 seconds after the one before it.
const TIP: u64 = 1_000;

fn block(number: u64) -> Value {
    json!({
        "number": format!("{number:#x}"), "hash": hash(number), "parentHash": hash(number - 1),
        "timestamp": format!("{:#x}", number * 12), "transactions": [],
    })
}

fn told(mood: &Mood, asked: &Value) -> (u16, String) {
    let params = &asked["params"];
    let result = match (asked["method"].as_str().unwrap(), mood) {
        ("eth_chainId", _) => json!("0x1"),
        ("eth_getBlockByNumber", _) => {
            let number = params[0].as_str().unwrap();
            block(u64::from_str_radix(number.trim_start_matches("0x"), 16).unwrap_or(TIP))
        }
        (_, Mood::Says(status, body)) => return (*status, body.clone()),
        (_, Mood::Refuses(code, message)) => {
            let error = json!({ "code": code, "message": message });
            return (200, json!({ "jsonrpc": "2.0", "id": 0, "error": error }).to_string());
        }
        ("debug_traceBlockByHash", _) => json!([]),
        // After each block seven units more than before it.
        _ => {
            let at = params[1]["blockHash"].as_str().unwrap();
            let number = u64::from_str_radix(&at[2..18], 16).unwrap();
            if number > TIP {
                return told(&Mood::Refuses(-32000, "header not found"), asked);
            }
            let word = format!("{:064x}", number * 7);
            let data = params[0]["data"].as_str().unwrap();
            json!(format!("0x{}", word.repeat((data.len() - PROGRAM_DIGITS) / 64)))
        }
    };
    (200, json!({ "jsonrpc": "2.0", "id": 0, "result": result }).to_string())
}

/// A chain's node and its mood.
struct World {
    node: Node,
    chain: Chain,
    mood: Arc<Mutex<Mood>>,
    list: WatchList,
}

impl World {
    async fn looking_for(internal: &str, mood: Mood) -> World {
        let mood = Arc::new(Mutex::new(mood));
        let shown = Arc::clone(&mood);
        let answer = post(move |request: String| {
            let mood = shown.lock().unwrap().clone();
            let asked: Value = serde_json::from_str(&request).unwrap();
            let is_heavy = matches!(asked["method"].as_str(), Some("eth_call" | "debug_traceBlockByHash"));
            assert!(!is_heavy || !matches!(mood, Mood::HangsUp), "the connection ends with this task");
            let (status, body) = told(&mood, &asked);
            async move { (StatusCode::from_u16(status).unwrap(), body) }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = Node::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap().in_haste();
        tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
        let chains = format!(
            r#"[{{"chain":"ethereum","family":"evm","chain_id":1,"test_chain_id":11155111,"internal":"{internal}",
                "coins":[{{"coin":"ETH","asset":"native","decimals":18,"rate":"ETH","minimum_usd":"1.00"}}],
                "confirmations":[{{"blocks":12}}]}}]"#
        );
        let chain = Chains::parse(&chains).unwrap().iter().next().unwrap().clone();
        let mut list = WatchList::default();
        list.insert(OURS, Code::from_random(1));
        World { node, chain, mood, list }
    }

    fn feels(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Whether each time a run asks for the block it has to wait.
    async fn waits(&self, height: u64) -> bool {
        let on = self.node.on(&self.chain, 1);
        on.tip().await.unwrap();
        let (first, again) = (on.scan(height, &self.list).await, on.scan(height, &self.list).await);
        assert_eq!(first.is_err(), again.is_err());
        first.is_err()
    }

    /// What a block brings, and how many blocks went unchecked.
    async fn found(&self, height: u64) -> (Vec<u128>, u64) {
        let on = self.node.on(&self.chain, 1);
        on.tip().await.unwrap();
        let scanned = on.scan(height, &self.list).await.unwrap();
        (scanned.found.iter().map(|found| found.units.0).collect(), on.take_unchecked())
    }
}

fn passing() -> Vec<Mood> {
    let status = |status| Mood::Says(status, "sorry".into());
    vec![
        Mood::Refuses(-32000, "header not found"),
        Mood::Refuses(-32000, "header for hash not found"),
        Mood::Refuses(-39001, "Unknown block"),
        Mood::Refuses(-32603, "internal error"),
        Mood::Refuses(-32005, "limit exceeded"),
        Mood::Refuses(-32007, "too many requests"),
        Mood::Refuses(-32016, "rate limited"),
        Mood::Refuses(429, "slow down"),
        Mood::Says(200, r#"{"jsonrpc":"2.0","id":0,"result":"0x"}"#.into()),
        status(429),
        status(502),
        status(503),
        Mood::HangsUp,
    ]
}

#[tokio::test]
async fn r22_a_block_waits_for_what_the_node_cannot_say_just_now() {
    for internal in ["balances", "traces"] {
        for mood in passing() {
            let world = World::looking_for(internal, mood.clone()).await;
            for _ in 0..RUNS {
                assert!(world.waits(TIP).await, "{internal}: {mood:?}");
            }
            assert_eq!(world.node.on(&world.chain, 1).take_unchecked(), 0);
            world.feels(Mood::Sound);
            let money = if internal == "balances" { vec![7] } else { vec![] };
            assert_eq!(world.found(TIP).await, (money, 0), "{mood:?}");
        }
    }
}

#[tokio::test]
async fn a_node_that_never_says_it_stops_nobody_for_ever() {
    for internal in ["balances", "traces"] {
        for mood in passing() {
            let world = World::looking_for(internal, mood.clone()).await;
            for _ in 0..RUNS {
                assert!(world.waits(TIP - 9).await);
            }
            // Nor do those above it wait in their turn.
            for height in TIP - 9..=TIP {
                assert_eq!(world.found(height).await, (vec![], 1), "{internal}: {mood:?}");
            }
        }
    }
}

#[tokio::test]
async fn r22_a_node_that_answers_again_is_waited_for_again() {
    let world = World::looking_for("balances", Mood::Refuses(-32603, "internal error")).await;
    while world.waits(TIP - 3).await {}
    world.feels(Mood::Sound);
    assert_eq!(world.found(TIP - 2).await, (vec![7], 2));
    world.feels(Mood::Refuses(-32603, "internal error"));
    assert!(world.waits(TIP - 1).await);
}

#[tokio::test]
async fn a_block_that_is_always_refused_does_not_wait_longer_for_its_neighbours_answers() {
    let world = World::looking_for("traces", Mood::Sound).await;
    for _ in 0..RUNS * ASKS {
        world.feels(Mood::Says(504, String::new()));
        assert!(world.node.on(&world.chain, 1).tip().await.is_ok());
        assert!(world.node.on(&world.chain, 1).scan(TIP - 1, &world.list).await.is_err());
        world.feels(Mood::Sound);
        assert_eq!(world.found(TIP).await, (vec![], 0));
    }
    world.feels(Mood::Says(504, String::new()));
    assert_eq!(world.found(TIP - 1).await, (vec![], 1));
}

#[tokio::test]
async fn what_will_never_be_known_is_not_waited_for() {
    let lasting = [
        Mood::Refuses(-32601, "the method debug_traceBlockByHash does not exist/is not available"),
        Mood::Refuses(-32000, "Method not found"),
        Mood::Refuses(-32000, "missing trie node 1234 (path ) state 0x12 is not available"),
        Mood::Refuses(-32000, "state at block #900 is pruned"),
        Mood::Says(401, "who are you".into()),
        Mood::Says(413, "too large".into()),
    ];
    for internal in ["balances", "traces"] {
        for mood in &lasting {
            let world = World::looking_for(internal, mood.clone()).await;
            assert_eq!(world.found(TIP).await, (vec![], 1), "{internal}: {mood:?}");
        }
    }
}

#[tokio::test]
async fn blocks_far_below_the_tip_are_asked_for_once_more_and_hold_up_no_run() {
    let world = World::looking_for("balances", Mood::Refuses(-32603, "internal error")).await;
    assert!(world.waits(TIP - 150).await);
    let on = world.node.on(&world.chain, 1);
    assert!(on.scan(TIP - 151, &world.list).await.is_err());
    assert_eq!(world.found(TIP - 151).await, (vec![], 1));
    assert_eq!(world.found(TIP - 152).await, (vec![], 1), "the node has still answered nothing");
}

#[tokio::test]
async fn who_reads_a_block_again_does_not_wait() {
    let mut world = World::looking_for("balances", Mood::Refuses(-32603, "internal error")).await;
    world.list = WatchList::to_read_again();
    world.list.insert(OURS, Code::from_random(1));
    assert_eq!(world.found(TIP).await, (vec![], 1));
}

#[tokio::test]
async fn r22_the_address_listed_last_is_compared_however_many_were_listed_before() {
    let mut world = World::looking_for("balances", Mood::Sound).await;
    world.list = WatchList::default();
    for number in 0..9_000_u64 {
        let mut key = [0; 20];
        key[..8].copy_from_slice(&number.to_be_bytes());
        world.list.insert(AddressKey(key), Code::from_random(2));
    }
    world.list.insert(OURS, Code::from_random(1));
    let scanned = world.node.on(&world.chain, 1).scan(TIP, &world.list).await.unwrap();
    let ours = scanned.found.iter().filter(|found| found.movement.watched == Code::from_random(1));
    assert_eq!(ours.map(|found| found.units.0).collect::<Vec<_>>(), [7]);
    assert_eq!(scanned.found.len(), 5_000);
}
