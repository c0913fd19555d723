//! Nodes that do not tell all events, or all receipts, of a block at once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;

use super::*;
use crate::chain::block::Header;
use crate::chain::evm::block::{Amount, Tx};
use crate::chain::rpc::MAX_REPLY_BYTES;
use crate::moment::Timestamp;
use crate::money::Units;

const CONTRACTS: [EvmAddress; 2] = [EvmAddress([0xaa; 20]), EvmAddress([0xbb; 20])];

/// Ways to refuse: a status and a body, or JSON-RPC's code and words.
type Refuses = (u16, &'static str, i64);

const TOO_MUCH: [Refuses; 8] = [
    (200, "query returned more than 10000 results. Try with this block range [0x5, 0x5].", -32005),
    (
        200,
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range",
        -32602,
    ),
    (200, "block range too large", -32000),
    (200, "limit exceeded", -32005),
    (200, "internal error", -32603),
    (413, "", 0),
    (500, "", 0),
    // Longer than is read.
    (200, "", 1),
];

fn hash(byte: u8) -> Hash256 {
    Hash256([byte; 32])
}

fn receiver(byte: u8) -> EvmAddress {
    EvmAddress([byte; 20])
}

/// Transaction `n` moves each contract's tokens to receiver `n`.
const TXS: [u8; 6] = [1, 2, 3, 4, 5, 6];

fn block() -> Block {
    let tx = |n| Tx {
        hash: hash(n),
        from: receiver(0),
        to: None,
        value: Amount::Exact(Units(0)),
        input: Vec::new(),
    };
    let header = Header { number: 5, hash: hash(0x55), parent_hash: hash(0), timestamp: Timestamp(0) };
    Block { header, transactions: TXS.map(tx).to_vec(), bloom: None }
}

fn log(tx: u8, contract: usize) -> Value {
    json!({
        "address": CONTRACTS[contract].to_lower_hex(), "data": "0x", "transactionHash": hash(tx).to_string(),
        "topics": [TRANSFER_EVENT.to_string(), word(&receiver(0)), word(&receiver(tx))],
        "blockHash": hash(0x55).to_string(), "logIndex": format!("{:#x}", usize::from(tx) * 2 + contract),
    })
}

fn receipt(tx: u8) -> Value {
    let other = json!({ "topics": [], "address": "", "data": "", "transactionHash": "", "blockHash": "", "logIndex": "" });
    json!({
        "transactionHash": hash(tx).to_string(), "blockHash": hash(0x55).to_string(), "status": "0x1", "gasUsed": "0x1",
        "logs": [other, log(tx, 0), log(tx, 1)],
    })
}

/// The logs that a filter asks for.
fn logs(filter: &Value) -> Vec<Value> {
    let all = TXS.into_iter().flat_map(|tx| [log(tx, 0), log(tx, 1)]);
    let is_asked = |log: &Value| {
        let contract = filter["address"].as_array().unwrap().contains(&log["address"]);
        let to = filter["topics"][2].as_array();
        contract && to.is_none_or(|to| to.contains(&log["topics"][2]))
    };
    all.filter(is_asked).collect()
}

/// What a node tells and what it does not.
#[derive(Clone, Copy)]
struct Node {
    refuses: Refuses,
    /// Logs that it tells at once.
    most_logs: usize,
    /// Receipts of the block that it tells at once; `None` is a refusal.
    receipts: Option<usize>,
    /// Of which transactions it tells single receipts.
    single: u8,
}

impl Node {
    const SOUND: Node = Node { refuses: TOO_MUCH[0], most_logs: 100, receipts: Some(6), single: 100 };

    async fn start(self) -> (Rpc, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::<String>::new()));
        let noted = Arc::clone(&asked);
        let answer = post(move |request: String| {
            let request: Value = serde_json::from_str(&request).unwrap();
            let mut asked = noted.lock().unwrap();
            asked.push(request["method"].as_str().unwrap().to_owned());
            let answer = self.answer(&request);
            async move { answer }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rpc = Rpc::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap().in_haste();
        tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
        (rpc, asked)
    }

    fn answer(self, request: &Value) -> (StatusCode, String) {
        let param = &request["params"][0];
        let result = match request["method"].as_str().unwrap() {
            "eth_getLogs" => {
                Some(logs(param)).filter(|logs| logs.len() <= self.most_logs).map(|logs| json!(logs))
            }
            "eth_getBlockReceipts" => {
                self.receipts.map(|most| TXS[..most].iter().map(|tx| receipt(*tx)).collect())
            }
            _ => match TXS.into_iter().find(|tx| *param == hash(*tx).to_string()) {
                Some(tx) if tx <= self.single => Some(receipt(tx)),
                _ => return (StatusCode::FORBIDDEN, String::new()),
            },
        };
        let reply = match (result, self.refuses) {
            (Some(result), _) => json!({ "jsonrpc": "2.0", "id": 0, "result": result }),
            (None, (200, "", _)) => return (StatusCode::OK, " ".repeat(MAX_REPLY_BYTES + 1)),
            (None, (200, message, code)) => {
                json!({ "jsonrpc": "2.0", "id": 0, "error": { "code": code, "message": message } })
            }
            (None, (status, body, _)) => return (StatusCode::from_u16(status).unwrap(), body.to_owned()),
        };
        (StatusCode::OK, reply.to_string())
    }
}

/// Who got tokens of which contract.
fn moved(logs: &[Log]) -> BTreeSet<(Hash256, EvmAddress)> {
    logs.iter().map(|log| (log.tx, log.contract)).collect()
}

fn all_moved() -> BTreeSet<(Hash256, EvmAddress)> {
    TXS.into_iter().flat_map(|tx| CONTRACTS.map(|contract| (hash(tx), contract))).collect()
}

#[tokio::test]
async fn a12_events_that_are_too_many_for_one_answer_are_asked_for_more_narrowly() {
    for refuses in TOO_MUCH {
        let (rpc, asked) = Node { refuses, most_logs: 6, receipts: None, single: 0 }.start().await;
        let logs = rpc.transfers(&block(), &CONTRACTS, None).await.unwrap();
        assert_eq!(moved(&logs), all_moved(), "{refuses:?}");
        assert_eq!(asked.lock().unwrap().len(), 3, "all, then each contract");
    }
}

#[tokio::test]
async fn a12_events_that_are_too_many_of_one_contract_are_asked_for_by_receiver() {
    for refuses in
        TOO_MUCH.into_iter().filter(|(_, words, _)| *words != "internal error" && !words.is_empty())
    {
        let (rpc, _) = Node { refuses, most_logs: 1, receipts: None, single: 0 }.start().await;
        let ours = [receiver(2), receiver(9), receiver(3), receiver(5)];
        let logs = rpc.transfers(&block(), &CONTRACTS, Some(&ours)).await.unwrap();
        let expected = [2, 3, 5].map(hash);
        let moved = moved(&logs);
        assert_eq!(
            moved,
            all_moved().into_iter().filter(|(tx, _)| expected.contains(tx)).collect(),
            "{refuses:?}"
        );
    }
}

#[tokio::test]
async fn a12_events_that_a_node_never_tells_are_read_from_receipts() {
    for refuses in TOO_MUCH {
        for receipts in [Some(6), Some(0), Some(4), None] {
            let (rpc, asked) = Node { refuses, most_logs: 0, receipts, ..Node::SOUND }.start().await;
            let logs = rpc.transfers(&block(), &CONTRACTS, Some(&[receiver(2)])).await.unwrap();
            assert_eq!(moved(&logs), all_moved(), "{refuses:?}");
            let single =
                asked.lock().unwrap().iter().filter(|method| *method == "eth_getTransactionReceipt").count();
            assert_eq!(single, 6 - receipts.unwrap_or(0));
        }
    }
}

#[tokio::test]
async fn a13_receipts_that_are_not_told_at_once_are_asked_for_one_by_one() {
    let txs = [2, 4, 6].map(hash);
    for receipts in [Some(0), Some(3), None] {
        let (rpc, _) = Node { receipts, ..Node::SOUND }.start().await;
        let told = rpc.told(&block().header, &txs).await.unwrap();
        assert_eq!(told.iter().map(|told| told.receipt.tx).collect::<Vec<_>>(), txs);
    }
}

#[tokio::test]
async fn a13_single_receipts_go_on_where_a_run_stopped() {
    let (rpc, asked) = Node { most_logs: 0, receipts: None, single: 4, ..Node::SOUND }.start().await;
    assert!(rpc.transfers(&block(), &CONTRACTS, None).await.is_err());
    let before = asked.lock().unwrap().len();
    // What was told is there without a question, and the block is forgotten once it is read.
    let told: Vec<Hash256> = TXS.into_iter().map(hash).take(3).collect();
    assert_eq!(rpc.told(&block().header, &told).await.unwrap().len(), 3);
    assert_eq!(asked.lock().unwrap().len(), before);
    rpc.forget_receipts(block().header.hash);
    assert_eq!(rpc.told(&block().header, &told).await.unwrap().len(), 3);
    assert!(asked.lock().unwrap().len() > before);
}

#[tokio::test]
async fn a13_a_receipt_of_another_block_is_not_believed() {
    let (rpc, _) = Node::SOUND.start().await;
    let other = Header { hash: hash(0x66), ..block().header };
    assert!(matches!(rpc.told(&other, &[hash(1), hash(2)]).await, Err(RpcError::Moved(5))));
}
