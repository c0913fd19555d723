//! Which calls moved money, as nodes of several makes tell of them.

use serde_json::{Value, json};

use super::super::block::{Header, Tx};
use super::*;
use crate::chain::address::EvmAddress;
use crate::moment::Timestamp;

const OURS: &str = "0x1111111111111111111111111111111111111111";
const STRANGER: &str = "0x9999999999999999999999999999999999999999";

fn hash(byte: u8) -> Hash256 {
    Hash256([byte; 32])
}

fn block(txs: u8) -> Block {
    let header = Header { number: 7, hash: hash(0xee), parent_hash: hash(0xdd), timestamp: Timestamp(1) };
    let from: EvmAddress = STRANGER.parse().unwrap();
    let tx = |number| Tx {
        hash: hash(number),
        from,
        to: Some(from),
        value: Amount::Exact(Units(0)),
        input: Vec::new(),
    };
    Block { header, transactions: (0..txs).map(tx).collect(), bloom: None }
}

fn frame(kind: &str, to: &str, units: u64, calls: &[Value]) -> Value {
    json!({ "type": kind, "from": STRANGER, "to": to, "value": format!("{units:#x}"), "gas": "0x1", "input": "0x00", "calls": calls })
}

fn failed(mut frame: Value) -> Value {
    frame["error"] = json!("execution reverted");
    frame
}

fn traces(frames: &[Value]) -> Vec<TxTrace> {
    let trace = |(tx, frame): (u8, &Value)| json!({ "txHash": hash(tx).to_string(), "result": frame });
    let all: Vec<Value> = (0..).zip(frames).map(trace).collect();
    serde_json::from_str(&json!(all).to_string()).unwrap()
}

/// Units to our address, in order.
fn to_us(frames: &[Value]) -> Option<Vec<u128>> {
    let all = sent(&block(u8::try_from(frames.len()).unwrap()), &traces(frames))?;
    let ours =
        all.iter().filter(|sent| sent.to.to_string() == OURS.parse::<EvmAddress>().unwrap().to_string());
    Some(
        ours.map(|sent| match sent.value {
            Amount::Exact(units) => units.0,
            Amount::TooLarge => u128::MAX,
        })
        .collect(),
    )
}

#[test]
fn r22_calls_count_in_the_order_in_which_they_were_made() {
    let inner = frame("CALL", STRANGER, 0, &[frame("CALL", OURS, 2, &[]), frame("CALL", OURS, 3, &[])]);
    let outer = frame("CALL", OURS, 1, &[inner, frame("SELFDESTRUCT", OURS, 4, &[])]);
    assert_eq!(to_us(&[outer]), Some(vec![1, 2, 3, 4]));
}

#[test]
fn r22_what_was_taken_back_did_not_move() {
    let inner = failed(frame("CALL", STRANGER, 0, &[frame("CALL", OURS, 2, &[])]));
    let outer = frame(
        "CALL",
        STRANGER,
        9,
        &[inner, failed(frame("CALL", OURS, 3, &[])), frame("CALL", OURS, 4, &[])],
    );
    assert_eq!(to_us(&[outer]), Some(vec![4]));
    assert_eq!(to_us(&[failed(frame("CALL", OURS, 1, &[frame("CALL", OURS, 2, &[])]))]), Some(vec![]));
}

#[test]
fn r22_borrowed_code_and_new_contracts_move_nothing_to_us() {
    for kind in ["DELEGATECALL", "STATICCALL", "CALLCODE", "CREATE", "CREATE2"] {
        let called = frame(kind, OURS, 5, &[frame("CALL", OURS, 1, &[])]);
        assert_eq!(to_us(&[frame("CALL", STRANGER, 0, &[called])]), Some(vec![1]), "{kind}");
    }
}

#[test]
fn traces_belong_to_their_transactions_whatever_their_order() {
    let one = json!({ "txHash": hash(1).to_string(), "result": frame("CALL", OURS, 1, &[]) });
    let zero = json!({ "txHash": hash(0).to_string(), "result": frame("CALL", OURS, 2, &[]) });
    let muddled: Vec<TxTrace> = serde_json::from_str(&json!([one, zero]).to_string()).unwrap();
    let found = sent(&block(2), &muddled).unwrap();
    assert_eq!(found.iter().map(|sent| sent.tx).collect::<Vec<_>>(), [hash(0), hash(1)]);
    let unnamed =
        json!([{ "result": frame("CALL", OURS, 1, &[]) }, { "result": frame("CALL", OURS, 2, &[]) }]);
    let unnamed: Vec<TxTrace> = serde_json::from_str(&unnamed.to_string()).unwrap();
    let found = sent(&block(2), &unnamed).unwrap();
    assert_eq!(found.iter().map(|sent| sent.tx).collect::<Vec<_>>(), [hash(0), hash(1)]);
}

#[test]
fn half_a_block_is_no_block() {
    assert!(sent(&block(2), &traces(&[frame("CALL", OURS, 1, &[])])).is_none());
    let gave_up: Vec<TxTrace> = serde_json::from_str(
        &json!([{ "txHash": hash(0).to_string(), "error": "execution timeout" }]).to_string(),
    )
    .unwrap();
    assert!(sent(&block(1), &gave_up).is_none());
    for broken in [json!({ "type": "CALL" }), json!([]), frame("CALL", "0x12", 1, &[])] {
        assert!(sent(&block(1), &traces(std::slice::from_ref(&broken))).is_none(), "{broken}");
    }
}

/// The EVM lets calls be 1,024 deep, and whoever makes such a transaction must not stop the watcher.
#[test]
fn a_transaction_of_a_thousand_nested_calls_is_read() {
    let mut text = format!(r#"{{"type":"CALL","from":"{STRANGER}","to":"{OURS}","value":"0x5"}}"#);
    for _ in 0..1_024 {
        text = format!(
            r#"{{"type":"CALL","from":"{STRANGER}","to":"{STRANGER}","value":"0x0","calls":[{text}]}}"#
        );
    }
    let trace = format!(r#"[{{"txHash":"{}","result":{text}}}]"#, hash(0));
    let traces: Vec<TxTrace> = serde_json::from_str(&trace).unwrap();
    assert_eq!(sent(&block(1), &traces).unwrap().len(), 1);
    let mut little = 1_000;
    assert!(sent_in(hash(0), traces[0].result.as_deref().unwrap(), &mut little).is_none());
}
