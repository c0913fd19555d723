//! What is money to a watched address, and where it says that it came.

use std::collections::HashMap;

use super::*;
use crate::chain::Chains;

fn chain() -> Chain {
    let json = r#"[{"chain":"bitcoin","family":"bitcoin","hrp":"bc","test_hrp":"tb","coins":[
        {"coin":"BTC","asset":"native","decimals":8,"rate":"BTC","minimum_usd":"1.00"}],
        "confirmations":[{"blocks":1}]}]"#;
    Chains::parse(json).unwrap().iter().next().unwrap().clone()
}

/// A transaction without inputs that pays as told.
fn paying(outputs: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let count = u8::try_from(outputs.len()).unwrap();
    let mut bytes = vec![2, 0, 0, 0, 1];
    bytes.extend([[8; 36].as_slice(), &[0, 0xff, 0xff, 0xff, 0xff, count]].concat());
    for (units, script) in outputs {
        bytes.extend(units.to_le_bytes());
        bytes.push(u8::try_from(script.len()).unwrap());
        bytes.extend(script);
    }
    bytes.extend([0; 4]);
    bytes
}

fn to(byte: u8) -> Vec<u8> {
    [&[0x00, 0x14], [byte; 20].as_slice()].concat()
}

#[test]
fn r22_every_output_to_a_watched_address_counts_and_nothing_else() {
    let ours = HashMap::from([(AddressKey([1; 20]), "one"), (AddressKey([2; 20]), "other")]);
    let old_form = [&[0x76, 0xa9, 0x14], [1; 20].as_slice(), &[0x88, 0xac]].concat();
    let script_hash = [&[0x00, 0x20], [1; 32].as_slice()].concat();
    let longer = [to(1).as_slice(), &[0x51]].concat();
    let bytes = paying(&[
        (5, to(9)),
        (6, to(1)),
        (0, to(1)),
        (7, old_form),
        (8, script_hash),
        (9, longer),
        (1, to(2)),
        (u64::MAX, to(1)),
    ]);
    let tx = Tx::parse(&bytes).unwrap();
    let txid = tx.txid();
    let found = scan_tx(&chain(), Network::Bitcoin, txid, &tx, |key| ours.get(key).copied());
    let found: Vec<_> =
        found.iter().map(|found| (found.movement.key.clone(), found.units, found.movement.watched)).collect();
    let key = |vout: u32| format!("bitcoin:{txid}:{vout}");
    assert_eq!(
        found,
        [(key(1), Units(6), "one"), (key(6), Units(1), "other"), (key(7), Units(u64::MAX.into()), "one"),]
    );
}

#[test]
fn the_address_of_a_movement_is_the_one_that_was_given_out() {
    let bytes = paying(&[(5, to(1))]);
    let tx = Tx::parse(&bytes).unwrap();
    for (network, prefix) in [(Network::Bitcoin, "bc1q"), (Network::LitecoinRegtest, "rltc1q")] {
        let found = scan_tx(&chain(), network, tx.txid(), &tx, |_| Some(()));
        assert!(found[0].movement.address.starts_with(prefix));
        assert_eq!(network.witness_key(&found[0].movement.address), Ok(AddressKey([1; 20])));
        assert_eq!(found[0].movement.tx_id, tx.txid().to_string());
    }
}

#[test]
fn a16_all_that_a_transaction_spends_goes_with_what_it_pays() {
    let mut bytes = [[2, 0, 0, 0, 0xfd].as_slice(), &1_000_u16.to_le_bytes()].concat();
    for number in 0..1_000_u32 {
        bytes.extend([[8; 32].as_slice(), &number.to_le_bytes(), &[0, 0xff, 0xff, 0xff, 0xff]].concat());
    }
    bytes.extend([[1].as_slice(), &5_u64.to_le_bytes(), &[22], &to(1), &[0; 4]].concat());
    let tx = Tx::parse(&bytes).unwrap();
    let found = scan_tx(&chain(), Network::Bitcoin, tx.txid(), &tx, |_| Some(()));
    assert_eq!(found[0].inputs, tx.inputs().collect::<Vec<_>>());
    assert_eq!(found[0].inputs.len(), 1_000);
}

#[test]
fn a_transaction_of_many_inputs_is_held_once_however_many_outputs_it_has() {
    let (spent, paid) = (870_u32, 400_u16);
    let mut bytes = [[2, 0, 0, 0, 0xfd].as_slice(), &u16::try_from(spent).unwrap().to_le_bytes()].concat();
    for number in 0..spent {
        bytes.extend([[8; 32].as_slice(), &number.to_le_bytes(), &[0, 0xff, 0xff, 0xff, 0xff]].concat());
    }
    bytes.extend([[0xfd].as_slice(), &paid.to_le_bytes()].concat());
    for _ in 0..paid {
        bytes.extend([5_u64.to_le_bytes().as_slice(), &[22], &to(1)].concat());
    }
    bytes.extend([0; 4]);
    let tx = Tx::parse(&bytes).unwrap();
    let found = scan_tx(&chain(), Network::Bitcoin, tx.txid(), &tx, |_| Some(()));
    assert_eq!(found.len(), usize::from(paid));
    let first: Vec<OutPoint> = tx.inputs().take(inputs_kept(found.len())).collect();
    assert!(first.len() >= 8 && found.iter().all(|found| found.inputs == first));
    let payouts = payouts_of(&chain(), tx.txid(), &tx, |script| script == to(1));
    assert_eq!(payouts.len(), usize::from(paid));
    let origins: Vec<_> = payouts
        .iter()
        .map(|payout| match &payout.from {
            Origin::Outputs(spent) => spent,
            Origin::Account(_) => panic!("{payout:?}"),
        })
        .collect();
    assert_eq!(origins[0].len(), usize::try_from(spent).unwrap(), "who pays is told by any of them");
    assert!(origins.iter().all(|spent| Arc::ptr_eq(spent, origins[0])));
}
