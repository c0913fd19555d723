//! A chain that changes between two questions; everything else is tested against a real node.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::chain::Chains;

const TOKEN: EvmAddress = EvmAddress([0xaa; 20]);
const OURS: EvmAddress = EvmAddress([0x11; 20]);
const PAYER: EvmAddress = EvmAddress([0x77; 20]);

fn hash(byte: u8) -> String {
    Hash256([byte; 32]).to_string()
}

/// A node whose block 5 has the hash `01…` and pays us once, natively and in a token; its receipt is as given.
async fn node(receipt: Value) -> (Rpc, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let answer = post(move |request: String| {
        let request: Value = serde_json::from_str(&request).unwrap();
        let method = request["method"].as_str().unwrap().to_owned();
        let result = match method.as_str() {
            "eth_getBlockByNumber" => block(),
            "eth_getLogs" => json!([transfer()]),
            _ => receipt.clone(),
        };
        log.lock().unwrap().push(method);
        async move { json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string() }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rpc = Rpc::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap().in_haste();
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
    (rpc, asked)
}

fn block() -> Value {
    let pays = |to: EvmAddress, tx: u8| json!({ "hash": hash(tx), "from": PAYER.to_string(), "to": to.to_string(), "value": "0x5" });
    json!({
        "number": "0x5", "hash": hash(1), "parentHash": hash(2), "timestamp": "0x1",
        "transactions": [pays(OURS, 3), pays(TOKEN, 4)],
    })
}

fn transfer() -> Value {
    let word = |address: EvmAddress| format!("0x{:0>64}", &address.to_lower_hex()[2..]);
    json!({
        "address": TOKEN.to_string(), "data": format!("{:#066x}", 6), "transactionHash": hash(4),
        "topics": [crate::chain::evm::scan::TRANSFER_EVENT.to_string(), word(TOKEN), word(OURS)],
        "blockHash": hash(1), "logIndex": "0x0",
    })
}

async fn scan_it(rpc: &Rpc, expected: Option<u8>, ours: &[EvmAddress]) -> Result<Vec<u128>, RpcError> {
    let chains = format!(
        r#"[{{"chain":"ethereum","family":"evm","chain_id":1,"test_chain_id":11155111,"coins":[
            {{"coin":"ETH","asset":"native","decimals":18,"rate":"ETH","minimum_usd":"1.00"}},
            {{"coin":"USDC","asset":"{TOKEN}","decimals":6,"rate":"USDC","minimum_usd":"1.00"}}],
            "confirmations":[{{"blocks":12}}]}}]"#
    );
    let chains = Chains::parse(&chains).unwrap();
    let expected = expected.map(|byte| Hash256([byte; 32]));
    let lookup = |address: &EvmAddress| ours.contains(address).then_some(());
    let wanted = Wanted { lookup, destinations: &BTreeSet::new(), receivers: None, compared: &[] };
    let read = scan_block(rpc, chains.iter().next().unwrap(), 5, expected, &wanted).await?;
    Ok(read.block.found.iter().map(|found| found.units.0).collect())
}

fn receipt(block_hash: u8, status: &str) -> Value {
    json!({ "transactionHash": hash(3), "blockHash": hash(block_hash), "status": status, "gasUsed": "0x1" })
}

#[tokio::test]
async fn r22_native_money_counts_only_with_a_good_receipt_of_the_same_block() {
    let (rpc, _) = node(receipt(1, "0x1")).await;
    assert_eq!(scan_it(&rpc, Some(1), &[OURS]).await.unwrap(), [5, 6]);
    let (rpc, _) = node(receipt(1, "0x0")).await;
    assert_eq!(scan_it(&rpc, Some(1), &[OURS]).await.unwrap(), [6]);
    for moved in [Value::Null, receipt(9, "0x1"), receipt(9, "0x0")] {
        let (rpc, _) = node(moved).await;
        let scanned = scan_it(&rpc, Some(1), &[OURS]).await;
        assert!(matches!(scanned, Err(RpcError::Moved(5))), "{scanned:?}");
    }
}

#[tokio::test]
async fn another_block_than_expected_is_not_scanned() {
    let (rpc, asked) = node(receipt(1, "0x1")).await;
    assert!(matches!(scan_it(&rpc, Some(9), &[OURS]).await, Err(RpcError::Moved(5))));
    assert_eq!(*asked.lock().unwrap(), ["eth_getBlockByNumber"]);
}

#[tokio::test]
async fn a_block_without_money_to_us_costs_two_calls() {
    let (rpc, asked) = node(receipt(1, "0x1")).await;
    assert!(scan_it(&rpc, None, &[]).await.unwrap().is_empty());
    assert_eq!(*asked.lock().unwrap(), ["eth_getBlockByNumber", "eth_getLogs"]);
}

/// What a question is answered with: a status, and a result if it is a good one.
type Answer = fn(method: &str, request: &Value) -> (u16, Value);

async fn answering(answer: Answer) -> Rpc {
    let answer = post(move |request: String| {
        let request: Value = serde_json::from_str(&request).unwrap();
        let (status, result) = answer(request["method"].as_str().unwrap(), &request);
        let reply = || json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string();
        let body = result.as_str().map_or_else(reply, ToOwned::to_owned);
        async move { (axum::http::StatusCode::from_u16(status).unwrap(), body) }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rpc = Rpc::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap().in_haste();
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
    rpc
}

fn sound(method: &str) -> (u16, Value) {
    let result = match method {
        "eth_getBlockByNumber" => block(),
        "eth_getLogs" => json!([transfer()]),
        _ => receipt(1, "0x1"),
    };
    (200, result)
}

/// Reads block 5 with an eye on the money of contracts: what came, and whether that is all.
async fn look_inside(rpc: &Rpc, internal: &str) -> Result<(Vec<u128>, bool), RpcError> {
    let chains = format!(
        r#"[{{"chain":"ethereum","family":"evm","chain_id":1,"test_chain_id":11155111,"internal":"{internal}","coins":[
            {{"coin":"ETH","asset":"native","decimals":18,"rate":"ETH","minimum_usd":"1.00"}},
            {{"coin":"USDC","asset":"{TOKEN}","decimals":6,"rate":"USDC","minimum_usd":"1.00"}},
            {{"coin":"USDT","asset":"{OTHER}","decimals":6,"rate":"USDT","minimum_usd":"1.00"}}],
            "confirmations":[{{"blocks":12}}]}}]"#
    );
    let chains = Chains::parse(&chains).unwrap();
    let lookup = |address: &EvmAddress| (*address == OURS).then_some(());
    let wanted = Wanted { lookup, destinations: &BTreeSet::new(), receivers: None, compared: &[OURS] };
    let read = scan_block(rpc, chains.iter().next().unwrap(), 5, None, &wanted).await?;
    Ok((read.block.found.iter().map(|found| found.units.0).collect(), read.is_whole()))
}

const OTHER: EvmAddress = EvmAddress([0xbb; 20]);

#[tokio::test]
async fn r22_a_heavy_question_that_is_always_turned_away_holds_up_no_other_money() {
    let turned_away: [Answer; 4] = [
        |method, _| if is_heavy(method) { (403, "denied".into()) } else { sound(method) },
        |method, _| if is_heavy(method) { (413, "too large".into()) } else { sound(method) },
        |method, _| if is_heavy(method) { (429, "too many".into()) } else { sound(method) },
        |method, _| if is_heavy(method) { (504, "timeout".into()) } else { sound(method) },
    ];
    for internal in ["traces", "balances"] {
        for answer in turned_away {
            let read = look_inside(&answering(answer).await, internal).await.unwrap();
            assert_eq!(read, (vec![5, 6], false), "{internal}");
        }
    }
}

#[tokio::test]
async fn a_node_that_goes_down_while_a_block_is_read_is_asked_again() {
    for internal in ["traces", "balances"] {
        let rpc = answering(|method, request| match (method, &request["params"][1]) {
            // The whole block still comes, its header alone no more.
            ("eth_getBlockByNumber", Value::Bool(false)) => (503, "".into()),
            (method, _) if is_heavy(method) => (503, "".into()),
            (method, _) => sound(method),
        });
        let read = look_inside(&rpc.await, internal).await;
        assert!(matches!(read, Err(RpcError::Status(503))), "{read:?}");
    }
}

fn is_heavy(method: &str) -> bool {
    matches!(method, "debug_traceBlockByHash" | "eth_call")
}

#[tokio::test]
async fn r22_logs_that_are_too_many_for_one_answer_are_asked_for_contract_by_contract() {
    let rpc = answering(|method, request| match (method, &request["params"][0]["address"]) {
        ("eth_getLogs", contracts) if contracts.as_array().is_some_and(|all| all.len() > 1) => {
            (200, " ".repeat(crate::chain::rpc::MAX_REPLY_BYTES + 1).into())
        }
        ("eth_getLogs", contracts) if contracts[0] == OTHER.to_lower_hex() => (200, json!([])),
        (method, _) => sound(method),
    });
    assert_eq!(look_inside(&rpc.await, "none").await.unwrap(), (vec![5, 6], true));
}

/// A block in which our address, which held 100, pays 5 to a stranger, in a transaction of that type, and holds 95 then.
fn paying(kind: &str, method: &str, request: &Value) -> (u16, Value) {
    let pays = json!({ "hash": hash(3), "from": OURS.to_string(), "to": PAYER.to_string(), "value": "0x5" });
    let result = match method {
        "eth_getBlockByNumber" => {
            let mut block = block();
            block["transactions"] = json!([pays]);
            block
        }
        "eth_getLogs" => json!([]),
        "eth_call" => {
            let at = &request["params"][1]["blockHash"];
            let holds = [(hash(1), 95), (hash(2), 100)].into_iter().find(|(block, _)| at == block);
            let reply = match holds {
                Some((_, holds)) => json!({ "jsonrpc": "2.0", "id": 1, "result": format!("{holds:#066x}") }),
                None => {
                    json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32000, "message": "header not found" } })
                }
            };
            json!(reply.to_string())
        }
        _ => {
            let mut receipt = receipt(1, "0x1");
            receipt["effectiveGasPrice"] = json!("0x3");
            receipt["type"] = json!(kind);
            receipt
        }
    };
    (200, result)
}

#[tokio::test]
async fn r22_a_fee_that_was_not_paid_in_native_money_makes_no_money() {
    let ordinary = answering(|method, request| paying("0x2", method, request)).await;
    assert_eq!(
        look_inside(&ordinary, "balances").await.unwrap(),
        (vec![3], true),
        "3 came that paid the fee"
    );
    let sponsored = answering(|method, request| paying("0x71", method, request)).await;
    assert_eq!(look_inside(&sponsored, "balances").await.unwrap(), (vec![], false));
}
