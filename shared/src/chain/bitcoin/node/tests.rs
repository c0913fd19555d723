//! What waits for a block is seen though some of it cannot be read, or not together.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use bitcoin::hex::DisplayHex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::chain::Chains;
use crate::chain::address::AddressKey;
use crate::chain::rpc::MAX_REPLY_BYTES;

const OURS: AddressKey = AddressKey([1; 20]);

/// How a node takes questions that are too many for it.
#[derive(Clone, Copy)]
enum TooMany {
    TooLarge,
    Proxy,
}

/// A node that answers a few questions at once, if it is not down; it counts all questions.
struct FakeNode {
    hex: HashMap<String, String>,
    at_once: usize,
    too_many: TooMany,
    is_down: bool,
    asked: usize,
}

impl FakeNode {
    fn answer(&mut self, asked: &Value) -> (StatusCode, String) {
        let requests = asked.as_array().map_or_else(|| vec![asked.clone()], Clone::clone);
        self.asked += requests.len();
        if self.is_down {
            return (StatusCode::SERVICE_UNAVAILABLE, String::new());
        }
        if requests.len() > self.at_once {
            return match self.too_many {
                TooMany::TooLarge => (StatusCode::OK, " ".repeat(MAX_REPLY_BYTES + 1)),
                TooMany::Proxy => (StatusCode::PAYLOAD_TOO_LARGE, "<html>".into()),
            };
        }
        let answer = |request: &Value| {
            let hex = &self.hex[request["params"][0].as_str().unwrap()];
            json!({ "id": request["id"], "result": hex, "error": null })
        };
        let answers: Vec<Value> = requests.iter().map(answer).collect();
        let whole = if asked.is_array() { json!(answers) } else { answers[0].clone() };
        (StatusCode::OK, whole.to_string())
    }
}

async fn serve(fake: FakeNode) -> (Node, Arc<Mutex<FakeNode>>) {
    let fake = Arc::new(Mutex::new(fake));
    let answering = Arc::clone(&fake);
    let answer = post(move |asked: String| {
        let answer = answering.lock().unwrap().answer(&serde_json::from_str(&asked).unwrap());
        async move { answer }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = Node::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap().in_haste();
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
    (node, fake)
}

/// A transaction that pays us, and its name.
fn paying(byte: u8) -> (Txid, String) {
    let mut bytes = vec![2, 0, 0, 0, 1];
    bytes.extend([[byte; 36].as_slice(), &[0, 0xff, 0xff, 0xff, 0xff, 1]].concat());
    bytes.extend([5_u64.to_le_bytes().as_slice(), &[22, 0, 20], &OURS.0, &[0; 4]].concat());
    (Tx::parse(&bytes).unwrap().txid(), bytes.to_lower_hex_string())
}

fn chain() -> Chain {
    let json = r#"[{"chain":"bitcoin","family":"bitcoin","hrp":"bc","test_hrp":"tb","coins":[
        {"coin":"BTC","asset":"native","decimals":8,"rate":"BTC","minimum_usd":"1.00"}],
        "confirmations":[{"blocks":1}]}]"#;
    Chains::parse(json).unwrap().iter().next().unwrap().clone()
}

fn watching() -> WatchList {
    let mut list = WatchList::default();
    list.insert(OURS, Code::from_random(1));
    list
}

async fn seen(node: &Node, mempool: &Mempool) -> HashSet<String> {
    let chain = chain();
    let found = node.on(&chain, Network::Bitcoin).unconfirmed(mempool, &watching()).await.unwrap();
    found.into_iter().map(|found| found.movement.tx_id).collect()
}

#[tokio::test]
async fn what_cannot_be_read_together_or_at_all_hides_nothing_else() {
    for too_many in [TooMany::TooLarge, TooMany::Proxy] {
        let mut hex: HashMap<Txid, String> = (1..=9).map(paying).collect();
        let broken = *hex.keys().next().unwrap();
        hex.insert(broken, "00".into());
        let mempool: Mempool = hex.keys().copied().collect();
        let sound = hex.keys().filter(|txid| **txid != broken).map(ToString::to_string).collect();
        let hex = hex.into_iter().map(|(txid, hex)| (txid.to_string(), hex)).collect();
        let fake = FakeNode { hex, at_once: 4, too_many, is_down: false, asked: 0 };
        let (node, fake) = serve(fake).await;
        assert_eq!(seen(&node, &mempool).await, sound);
        let asked = fake.lock().unwrap().asked;
        assert_eq!(seen(&node, &mempool).await, sound);
        assert_eq!(fake.lock().unwrap().asked, asked, "neither the sound nor the broken are asked for again");
    }
}

#[tokio::test]
async fn what_is_known_as_ours_is_told_though_the_node_fails_at_what_is_new() {
    let ((old, old_hex), (new, new_hex)) = (paying(1), paying(2));
    let hex = HashMap::from([(old.to_string(), old_hex), (new.to_string(), new_hex)]);
    let fake = FakeNode { hex, at_once: 4, too_many: TooMany::Proxy, is_down: false, asked: 0 };
    let (node, fake) = serve(fake).await;
    let first: Mempool = [old].into_iter().collect();
    let both: Mempool = [old, new].into_iter().collect();
    assert_eq!(seen(&node, &first).await, HashSet::from([old.to_string()]));
    fake.lock().unwrap().is_down = true;
    assert_eq!(seen(&node, &both).await, HashSet::from([old.to_string()]));
    fake.lock().unwrap().is_down = false;
    assert_eq!(
        seen(&node, &both).await,
        HashSet::from([old.to_string(), new.to_string()]),
        "it is asked again"
    );
}

/// A transaction that spends this output and pays an address, and its name.
fn spending(spent: OutPoint, to: AddressKey) -> (Txid, String) {
    let mut bytes = vec![2, 0, 0, 0, 1];
    bytes.extend(bitcoin::consensus::serialize(&spent));
    bytes.extend([0, 0xff, 0xff, 0xff, 0xff, 1]);
    bytes.extend([5_u64.to_le_bytes().as_slice(), &[22, 0, 20], &to.0, &[0; 4]].concat());
    (Tx::parse(&bytes).unwrap().txid(), bytes.to_lower_hex_string())
}

#[tokio::test]
async fn a16_what_waiting_ancestors_spend_goes_with_what_is_seen() {
    let confirmed = OutPoint::new(paying(1).0, 0);
    let (first, first_hex) = spending(confirmed, AddressKey([7; 20]));
    let (second, second_hex) = spending(OutPoint::new(first, 0), AddressKey([7; 20]));
    let (ours, ours_hex) = spending(OutPoint::new(second, 0), OURS);
    let all = [(first, first_hex), (second, second_hex), (ours, ours_hex)];
    let mempool: Mempool = all.iter().map(|(txid, _)| *txid).collect();
    let hex = all.into_iter().map(|(txid, hex)| (txid.to_string(), hex)).collect();
    let fake = FakeNode { hex, at_once: 4, too_many: TooMany::Proxy, is_down: false, asked: 0 };
    let (node, _) = serve(fake).await;
    let chain = chain();
    let found = node.on(&chain, Network::Bitcoin).unconfirmed(&mempool, &watching()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].ancestors, [second, first]);
    assert_eq!(found[0].inputs, [OutPoint::new(second, 0), OutPoint::new(first, 0), confirmed]);
}
