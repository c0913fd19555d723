//! A node that is slow, broken, hostile or merely different; what a sound one says is tested against a real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::balance::changes;
use super::super::block::{Amount, Tx};
use super::super::scan::TRANSFER_EVENT;
use super::*;
use crate::chain::address::EvmAddress;
use crate::chain::evm::block::Block;
use crate::chain::rpc::{ATTEMPTS, MAX_MESSAGE_CHARS, MAX_REPLY_BYTES};
use crate::moment::Timestamp;
use crate::money::Units;

/// A node that says the same to everybody, and counts.
struct Node {
    url: String,
    calls: Arc<AtomicUsize>,
}

impl Node {
    async fn saying(status: u16, body: impl Into<Bytes>) -> Node {
        let (status, body) = (StatusCode::from_u16(status).unwrap(), body.into());
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let answer = post(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let headers = [("location", "/elsewhere"), ("content-type", "application/json")];
            async move { (status, headers, body) }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v3/secret", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
        Node { url, calls }
    }

    async fn with_result(result: Value) -> Node {
        Node::saying(200, json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string()).await
    }

    async fn with_error(status: u16, code: i64, message: &str) -> Node {
        let error = json!({ "code": code, "message": message });
        Node::saying(status, json!({ "jsonrpc": "2.0", "id": 1, "error": error }).to_string()).await
    }

    fn rpc(&self) -> Rpc {
        Rpc::new(&self.url).unwrap().in_haste()
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

fn hash(byte: u8) -> Hash256 {
    Hash256([byte; 32])
}

/// A block as nodes send it, with the fields we do not read too.
fn block(number: &str, transactions: &Value) -> Value {
    json!({
        "number": number, "hash": hash(1).to_string(), "parentHash": hash(2).to_string(),
        "timestamp": "0x65f0c1a0", "gasLimit": "0x1c9c380", "uncles": [], "transactions": transactions,
    })
}

fn tx(value: &str) -> Value {
    let to = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    json!({ "hash": hash(3).to_string(), "from": to, "to": to, "value": value, "input": "0x", "type": "0x2" })
}

fn receipt(status: &str, more: &Value) -> Value {
    let (tx, block) = (hash(3).to_string(), hash(1).to_string());
    let mut receipt =
        json!({ "transactionHash": tx, "blockHash": block, "status": status, "gasUsed": "0x5208" });
    receipt.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    receipt
}

fn log(block_hash: Hash256) -> Value {
    json!({
        "address": "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "topics": [TRANSFER_EVENT.to_string()],
        "data": "0x00ff", "transactionHash": hash(3).to_string(), "blockHash": block_hash.to_string(),
        "logIndex": "0x7", "removed": false,
    })
}

fn header() -> Header {
    Header { number: 5, hash: hash(1), parent_hash: hash(2), timestamp: Timestamp(0) }
}

/// A block of one transaction.
fn one_block() -> Block {
    let (hash, from) = (hash(3), EvmAddress([7; 20]));
    let transactions = vec![Tx { hash, from, to: None, value: Amount::Exact(Units(0)), input: Vec::new() }];
    Block { header: header(), transactions, bloom: None }
}

/// The error and everything that a log of its whole chain would show.
fn shown(error: &RpcError) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        shown = format!("{shown} {cause} {cause:?}");
        source = cause.source();
    }
    shown
}

#[tokio::test]
async fn the_url_of_the_node_is_never_shown() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = Rpc::new(&format!("http://user:word@{closed}/v3/secret?key=hidden")).unwrap();
    let unreachable = silent.tip().await.unwrap_err();
    assert!(matches!(unreachable, RpcError::Transport(_)), "{unreachable:?}");
    let refused = Node::saying(401, "no such project: secret").await.rpc().tip().await.unwrap_err();
    let unusable = Rpc::new("ftp://node.example/secret").unwrap_err();
    let no_url = Rpc::new("//secret").unwrap_err();
    for text in
        [shown(&unreachable), shown(&refused), shown(&unusable), shown(&no_url), format!("{silent:?}")]
    {
        for part in ["secret", "hidden", "user", "word", "node.example"] {
            assert!(!text.contains(part), "{text}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_nodes_words_and_not_tried_again() {
    for status in [200, 400, 500] {
        let node = Node::with_error(status, -32000, &"no such block ".repeat(100)).await;
        match node.rpc().tip().await {
            Err(RpcError::Node { method: "eth_getBlockByNumber", code: -32000, message }) => {
                assert_eq!(message.chars().count(), MAX_MESSAGE_CHARS);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(node.calls(), 1);
    }
}

#[tokio::test]
async fn a_status_that_is_no_reply_is_an_error_and_not_tried_again() {
    for (status, body) in [(302, "{}"), (403, "<html>"), (500, ""), (502, r#"{"result":"0x1"}"#)] {
        let node = Node::saying(status, body).await;
        let refused = node.rpc().chain_id().await;
        assert!(matches!(refused, Err(RpcError::Status(told)) if told == status), "{refused:?}");
        assert_eq!(node.calls(), 1);
    }
}

/// A node that hangs up on the first `broken` calls, in the middle of its reply, and then says `0x1`.
async fn node_that_breaks_off(broken: usize) -> (Rpc, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rpc = Rpc::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let call = counted.fetch_add(1, Ordering::Relaxed);
            let mut request = [0; 4096];
            let _read = connection.read(&mut request).await.unwrap();
            let body = r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#;
            let promised = body.len().saturating_add(usize::from(call < broken));
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {promised}\r\nconnection: close\r\n\r\n");
            connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    (rpc, calls)
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_asked_for_once_more() {
    let (rpc, calls) = node_that_breaks_off(1).await;
    assert_eq!(rpc.chain_id().await.unwrap(), 1);
    assert_eq!(calls.load(Ordering::Relaxed), 2);

    let (rpc, calls) = node_that_breaks_off(usize::MAX).await;
    assert!(matches!(rpc.chain_id().await, Err(RpcError::Transport(_))));
    assert_eq!(calls.load(Ordering::Relaxed), ATTEMPTS);
}

#[tokio::test]
async fn a_question_for_money_of_contracts_is_asked_once() {
    let (rpc, calls) = node_that_breaks_off(usize::MAX).await;
    assert!(rpc.traces(hash(1)).await.is_err());
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let header = Header { number: 5, hash: hash(1), parent_hash: hash(2), timestamp: Timestamp(0) };
    let block = Block { header, transactions: Vec::new(), bloom: None };
    let changes = changes(&rpc, &block, &[EvmAddress([1; 20])]).await;
    assert!(matches!(changes, Err(RpcError::Transport(_))), "{changes:?}");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_reply_without_end_is_cut() {
    let node = Node::saying(200, vec![b' '; MAX_REPLY_BYTES + 1]).await;
    assert!(matches!(node.rpc().tip().await, Err(RpcError::TooLarge(_))));
    assert_eq!(node.calls(), 1);
}

#[tokio::test]
async fn what_is_not_there_is_none() {
    let rpc = Node::with_result(Value::Null).await.rpc();
    assert_eq!(rpc.header(5).await.unwrap(), None);
    assert_eq!(rpc.block(5).await.unwrap(), None);
    assert!(matches!(rpc.told(&header(), &[hash(3)]).await, Err(RpcError::Moved(5))));
    assert_eq!(rpc.finalized().await.unwrap(), None);
    assert!(matches!(rpc.tip().await, Err(RpcError::Shape(_))));
    assert!(matches!(
        rpc.transfers(&one_block(), &[EvmAddress([1; 20])], None).await,
        Err(RpcError::Moved(5))
    ));
}

#[tokio::test]
async fn a_node_that_knows_no_finality_says_none() {
    let rpc = Node::with_error(200, -39001, "Unknown block").await.rpc();
    assert_eq!(rpc.finalized().await.unwrap(), None);
    assert!(Node::saying(500, "").await.rpc().finalized().await.is_err());
}

#[tokio::test]
async fn a_reply_in_another_shape_is_refused() {
    for body in ["", "[]", "{}", r#"{"jsonrpc":"2.0","id":1}"#, r#"{"result":5}"#, r#"{"result":"0x1"}"#] {
        let header = Node::saying(200, body).await.rpc().header(1).await;
        assert!(matches!(header, Err(RpcError::Shape("eth_getBlockByNumber"))), "{body}: {header:?}");
    }
    for number in ["0x", "5", "0x+5", "0x-5", "0x10000000000000000"] {
        let header = Node::with_result(block(number, &json!([]))).await.rpc().tip().await;
        assert!(matches!(header, Err(RpcError::Shape(_))), "{number}: {header:?}");
    }
}

#[tokio::test]
async fn a_block_of_another_height_is_refused() {
    let rpc = Node::with_result(block("0x6", &json!([]))).await.rpc();
    assert!(matches!(rpc.header(5).await, Err(RpcError::Shape(_))));
    assert!(matches!(rpc.block(5).await, Err(RpcError::Shape(_))));
    assert_eq!(rpc.header(6).await.unwrap().unwrap().number, 6);
}

#[tokio::test]
async fn r22_a_log_of_another_block_is_refused() {
    let rpc = Node::with_result(json!([log(hash(1)), log(hash(2))])).await.rpc();
    let logs = rpc.transfers(&one_block(), &[EvmAddress([1; 20])], None).await;
    assert!(matches!(logs, Err(RpcError::Shape(_))), "{logs:?}");
}

#[tokio::test]
async fn a_log_is_read_whole() {
    let rpc = Node::with_result(json!([log(hash(1))])).await.rpc();
    let logs = rpc.transfers(&one_block(), &[EvmAddress([1; 20])], None).await.unwrap();
    let [log] = logs.as_slice() else { panic!("{logs:?}") };
    assert_eq!(log.contract.to_lower_hex(), "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed");
    assert_eq!(
        (log.topics.as_slice(), log.data.as_slice()),
        ([TRANSFER_EVENT].as_slice(), [0, 255].as_slice())
    );
    assert_eq!((log.tx, log.index, log.removed), (hash(3), 7, false));
}

#[tokio::test]
async fn without_contracts_no_logs_are_asked_for() {
    let node = Node::saying(500, "").await;
    assert_eq!(node.rpc().transfers(&one_block(), &[], None).await.unwrap(), []);
    assert_eq!(node.calls(), 0);
}

#[tokio::test]
async fn a_value_past_128_bits_is_told_apart_and_not_cut() {
    let most = format!("{:#x}", u128::MAX);
    let past = format!("0x1{}", "0".repeat(32));
    let padded = format!("0x{}", "0".repeat(63) + "7");
    let whole_word = format!("0x{}", "f".repeat(64));
    let values = ["0x0", &most, &past, &padded, &whole_word];
    let mut transactions = values.map(tx).to_vec();
    for (number, tx) in (0..).zip(&mut transactions) {
        tx["hash"] = json!(hash(number).to_string());
    }
    let rpc = Node::with_result(block("0x5", &json!(transactions))).await.rpc();
    let read: Vec<Amount> =
        rpc.block(5).await.unwrap().unwrap().transactions.iter().map(|tx| tx.value).collect();
    let exact = |units| Amount::Exact(Units(units));
    assert_eq!(read, [exact(0), exact(u128::MAX), Amount::TooLarge, exact(7), Amount::TooLarge]);

    let no_number = format!("0x1{}", "0".repeat(64));
    let rpc = Node::with_result(block("0x5", &json!([tx(&no_number)]))).await.rpc();
    assert!(matches!(rpc.block(5).await, Err(RpcError::Shape(_))));
}

#[tokio::test]
async fn a_transaction_that_makes_a_contract_pays_nobody() {
    let created =
        json!({ "hash": hash(3).to_string(), "from": hash(3).to_string()[..42], "to": null, "value": "0x1" });
    let rpc = Node::with_result(block("0x5", &json!([created]))).await.rpc();
    assert_eq!(rpc.block(5).await.unwrap().unwrap().transactions[0].to, None);
}

#[tokio::test]
async fn a_receipt_says_success_only_with_status_one() {
    for (status, succeeded) in [("0x1", Some(true)), ("0x0", Some(false)), ("0x2", None), ("", None)] {
        let receipt = receipt(status, &json!({}));
        let read = Node::with_result(receipt).await.rpc().told(&header(), &[hash(3)]).await;
        assert_eq!(read.ok().map(|told| told[0].receipt.succeeded), succeeded, "{status}");
    }
}

#[tokio::test]
async fn a_fee_is_all_that_a_network_takes() {
    let cases = [
        (json!({}), Some(0)),
        (json!({ "effectiveGasPrice": "0x2", "type": "0x2", "feeCurrency": null }), Some(42_000)),
        (json!({ "effectiveGasPrice": "0x2", "l1Fee": "0x5" }), Some(42_005)),
        (json!({ "effectiveGasPrice": "0x0", "blobGasUsed": "0x3", "blobGasPrice": "0x7" }), Some(21)),
        (json!({ "effectiveGasPrice": "0x2", "type": "0x71" }), None),
        (json!({ "effectiveGasPrice": "0x2", "type": "0x7b" }), None),
        (json!({ "effectiveGasPrice": "0x2", "feeCurrency": hash(3).to_string()[..42] }), None),
        (json!({ "effectiveGasPrice": "0x2", "feePayer": hash(3).to_string()[..42] }), None),
    ];
    for (more, fee) in cases {
        let read = Node::with_result(receipt("0x0", &more)).await.rpc().told(&header(), &[hash(3)]).await;
        assert_eq!(read.unwrap()[0].receipt.fee, fee.map(Units));
    }
}
