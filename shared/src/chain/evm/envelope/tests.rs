//! Transactions of every kind, made and named by other implementations (`eth-account`, `rlp`).

use serde_json::Value;

use crate::chain::evm::wire::RawTx;

fn transactions() -> Vec<Value> {
    serde_json::from_str(include_str!("transactions.json")).unwrap()
}

fn is_known(tx: &Value) -> bool {
    serde_json::from_value::<RawTx>(tx.clone()).unwrap().bytes().is_some()
}

#[test]
fn the_bytes_of_every_kind_hash_to_the_transactions_name() {
    let kinds: Vec<Value> = transactions().iter().map(|tx| tx["type"].clone()).collect();
    assert_eq!(kinds, ["0x0", "0x0", "0x1", "0x2", "0x4", "0x3", "0x7e"]);
    for tx in transactions() {
        assert!(is_known(&tx), "{tx}");
    }
}

#[test]
fn r37_another_receiver_amount_or_input_is_another_transaction() {
    for tx in transactions() {
        for (field, other) in
            [("value", "0x1234"), ("input", "0x99"), ("to", "0x00000000000000000000000000000000000000aa")]
        {
            let mut changed = tx.clone();
            changed[field] = Value::from(other);
            assert!(!is_known(&changed), "{field} of {tx}");
        }
    }
}

#[test]
fn fields_that_a_kind_needs_and_that_are_not_there_are_no_bytes() {
    for tx in transactions() {
        for field in ["input", "gas"] {
            let mut short = tx.clone();
            short.as_object_mut().unwrap().remove(field);
            assert!(!is_known(&short), "{field} of {tx}");
        }
    }
}
