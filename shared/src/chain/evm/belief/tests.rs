//! Lists beside their roots.

use super::*;

/// The first block of Ethereum that holds a transaction.
fn first() -> Value {
    json!({
        "number": "0xb443", "timestamp": "0x55c42659",
        "hash": "0x4e3a3754410177e6937ef1f84bba68ea139e8d1a2258c5f85db9f1cd715a1bdd",
        "parentHash": "0x5a41d0e66b4120775176c09fcf39e7c0520517a13d2b57b18d33d342df038bfc",
        "transactionsRoot": "0x4513310fcb9f6f616972a3b948dc5d547f280849a87ebb5af0191f98b87be598",
        "transactions": [{
            "blockHash": "0x4e3a3754410177e6937ef1f84bba68ea139e8d1a2258c5f85db9f1cd715a1bdd",
            "hash": "0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060",
            "from": "0xa1e4380a3b1f749673e270229993ee55f35663b4", "to": "0x5df9b87991262f6ba471f09758cde1c0fc1de734",
            "value": "0x7a69", "gas": "0x5208", "gasPrice": "0x2d79883d2000", "nonce": "0x0", "input": "0x",
            "type": "0x0", "v": "0x1c",
            "r": "0x88ff6cf0fefd94db46111149ae4bfc179e9b94721fffd821d38d16464b3f71d0",
            "s": "0x45e0aff800961cfce805daef7016b9b675c137a6a41a548f7b60a3484c06a33a",
        }],
    })
}

fn verdict_on(block: &Value) -> Verdict {
    let raw: RawBlock = serde_json::from_value(block.clone()).unwrap();
    let hash = raw.check().unwrap().header.hash;
    verdict(&raw, hash)
}

#[test]
fn r37_a_list_is_proven_by_its_root_and_by_nothing_less() {
    assert_eq!(verdict_on(&first()), Verdict::Proven);
    let mut empty = first();
    empty["transactions"] = json!([]);
    assert_eq!(verdict_on(&empty), Verdict::Disagrees);
    empty["transactionsRoot"] = json!(EMPTY_ROOT.to_string());
    assert_eq!(verdict_on(&empty), Verdict::Proven);
    let mut twice = first();
    twice["transactions"] = json!([twice["transactions"][0], twice["transactions"][0]]);
    assert_eq!(verdict_on(&twice), Verdict::Foreign);
    let mut elsewhere = first();
    elsewhere["transactionsRoot"] = json!(EMPTY_ROOT.to_string());
    assert_eq!(verdict_on(&elsewhere), Verdict::Disagrees);
    elsewhere["transactions"][0]["blockHash"] = json!(Hash256([9; 32]).to_string());
    assert_eq!(verdict_on(&elsewhere), Verdict::Foreign);
}

#[test]
fn r37_a_transaction_is_what_its_name_says_or_its_bytes_are_not_known() {
    for (field, other) in
        [("to", json!("0x5df9b87991262f6ba471f09758cde1c0fc1de735")), ("value", json!("0x7a68"))]
    {
        let mut changed = first();
        changed["transactions"][0][field] = other;
        assert_eq!(verdict_on(&changed), Verdict::Altered, "{field}");
    }
    let mut odd = first();
    odd["transactions"][0]["type"] = json!("0x7b");
    assert_eq!(verdict_on(&odd), Verdict::Unknown);
}

#[test]
fn what_is_in_no_root_does_not_keep_the_rest_from_being_proven() {
    let mut more = first();
    let mut beside = more["transactions"][0].clone();
    beside["hash"] = json!(Hash256([8; 32]).to_string());
    beside["type"] = json!("0x7f");
    more["transactions"].as_array_mut().unwrap().push(beside);
    assert_eq!(verdict_on(&more), Verdict::Proven);
}

#[test]
fn networks_without_roots_are_told_from_those_whose_roots_disagree() {
    let mut none = first();
    none["transactionsRoot"] = json!(NO_ROOT.to_string());
    assert_eq!(verdict_on(&none), Verdict::Unknown);
    none.as_object_mut().unwrap().remove("transactionsRoot");
    assert_eq!(verdict_on(&none), Verdict::Rootless);
}
