//! A node that answers in an order of its own, knows less than it said, or takes no batches; a sound one is real elsewhere.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;

use super::*;

/// A node that says the same to everybody.
async fn saying(status: u16, body: Value) -> BitcoinRpc {
    let status = StatusCode::from_u16(status).unwrap();
    let answer = post(move || {
        let body = body.to_string();
        async move { (status, body) }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:secret@{}/", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
    BitcoinRpc::new(&url).unwrap()
}

/// A transaction of one output, and its name.
fn transaction(byte: u8) -> (Txid, String) {
    let mut bytes = vec![2, 0, 0, 0, 1];
    bytes.extend([[byte; 36].as_slice(), &[0, 0xff, 0xff, 0xff, 0xff, 1]].concat());
    bytes.extend([[1, 0, 0, 0, 0, 0, 0, 0].as_slice(), &[1, 0x51, 0, 0, 0, 0]].concat());
    (Tx::parse(&bytes).unwrap().txid(), bytes.to_lower_hex_string())
}

fn unknown(id: usize) -> Value {
    json!({ "id": id, "result": null, "error": { "code": UNKNOWN, "message": "no such transaction" } })
}

#[tokio::test]
async fn answers_of_a_batch_are_put_in_order_and_what_vanished_is_none() {
    let ((one, one_hex), (other, _), (last, last_hex)) = (transaction(1), transaction(2), transaction(3));
    let answers = json!([
        { "id": 2, "result": last_hex, "error": null },
        { "id": 0, "result": one_hex, "error": null },
        unknown(1),
    ]);
    let told = saying(200, answers).await.transactions(&[one, other, last]).await.unwrap();
    let told: Vec<_> = told.into_iter().map(|bytes| bytes.map(|bytes| bytes.to_lower_hex_string())).collect();
    assert_eq!(told, [Some(one_hex), None, Some(last_hex)]);
}

#[tokio::test]
async fn a_batch_that_is_not_answered_whole_is_not_believed() {
    let ((one, one_hex), (other, other_hex)) = (transaction(1), transaction(2));
    let answer = |id: usize, hex: &str| json!({ "id": id, "result": hex, "error": null });
    for answers in [
        json!([]),
        json!([answer(0, &one_hex)]),
        json!([answer(0, &one_hex), answer(0, &other_hex)]),
        json!([answer(0, &other_hex), answer(1, &one_hex)]),
        json!([answer(0, &one_hex), answer(1, "00")]),
        json!([answer(0, &one_hex), answer(1, "zz")]),
        json!([answer(0, &one_hex), { "id": 1, "result": 7, "error": null }]),
        json!({ "id": 0, "result": null }),
    ] {
        let told = saying(200, answers.clone()).await.transactions(&[one, other]).await;
        assert!(matches!(told, Err(RpcError::Shape(TRANSACTION))), "{answers}: {told:?}");
    }
}

#[tokio::test]
async fn a_node_that_takes_no_batches_says_so_in_its_own_words() {
    let refusal = json!({ "id": null, "error": { "code": -32600, "message": "batches are not for you" } });
    for status in [200, 400, 500] {
        match saying(status, refusal.clone()).await.transactions(&[transaction(1).0]).await {
            Err(RpcError::Node { method: TRANSACTION, code: -32600, message }) => {
                assert_eq!(message, "batches are not for you");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_refusal_with_a_null_beside_it_is_a_refusal() {
    let refusal = json!({ "id": 0, "result": null, "error": { "code": NO_SUCH_HEIGHT, "message": "Block height out of range" } });
    for status in [200, 500] {
        let rpc = saying(status, refusal.clone()).await;
        assert_eq!(rpc.hash_at(7).await.unwrap(), None);
        assert_eq!(rpc.header(7).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_header_of_another_block_is_not_believed() {
    let genesis = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";
    let rpc = saying(200, json!({ "id": 0, "result": genesis, "error": null })).await;
    let hash = from_reversed_hex("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f").unwrap();
    assert_eq!(rpc.header_of(Hash256(hash), 0).await.unwrap().hash, Hash256(hash));
    let other = rpc.header_of(Hash256([1; 32]), 0).await;
    assert!(matches!(other, Err(RpcError::Shape(BLOCK_HEADER))), "{other:?}");
}

#[tokio::test]
async fn name_and_password_of_the_nodes_user_are_never_shown() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let rpc = BitcoinRpc::new(&format!("http://user:secret@{closed}/")).unwrap();
    let shown = format!("{rpc:?} {:?}", rpc.tip().await.unwrap_err());
    assert!(!shown.contains("secret") && !shown.contains("user:"), "{shown}");
}
