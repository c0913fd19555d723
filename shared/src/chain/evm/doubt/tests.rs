//! What gives away that events are missing, and what does not.

use super::*;
use crate::chain::block::Header;
use crate::chain::evm::block::Amount;
use crate::moment::Timestamp;
use crate::money::Units;

const USDC: EvmAddress = EvmAddress([0xaa; 20]);
const OTHER: EvmAddress = EvmAddress([0xbb; 20]);
const OURS: EvmAddress = EvmAddress([0x11; 20]);
const ALSO_OURS: EvmAddress = EvmAddress([0x22; 20]);
const PAYER: EvmAddress = EvmAddress([0x77; 20]);
const STRANGER: EvmAddress = EvmAddress([0x99; 20]);

fn hash(byte: u8) -> Hash256 {
    Hash256([byte; 32])
}

fn moves(tx: u8, index: u64, contract: EvmAddress, to: EvmAddress) -> Log {
    let topics = vec![TRANSFER_EVENT, Hash256(word(&PAYER)), Hash256(word(&to))];
    Log { contract, topics, data: vec![0; 32], tx: hash(tx), index, removed: false }
}

/// A block with these transactions' inputs, and a filter made of these logs.
fn block<'a>(inputs: &[&[u8]], logs: impl IntoIterator<Item = &'a Log>) -> Block {
    let header = Header { number: 5, hash: hash(1), parent_hash: hash(2), timestamp: Timestamp(0) };
    let tx = |(number, input): (u8, &&[u8])| Tx {
        hash: hash(number),
        from: PAYER,
        to: Some(USDC),
        value: Amount::Exact(Units(0)),
        input: input.to_vec(),
    };
    let transactions = (3..).zip(inputs).map(tx).collect();
    Block { header, transactions, bloom: Some(Bloom::of(logs)) }
}

fn calls(to: EvmAddress) -> Vec<u8> {
    [[0xa9, 0x05, 0x9c, 0xbb].to_vec(), word(&to).to_vec(), vec![0; 32]].concat()
}

fn is_wanted(address: &EvmAddress) -> bool {
    [OURS, ALSO_OURS].contains(address)
}

fn sought(receivers: Option<&[EvmAddress]>) -> Sought<'_> {
    Sought { contracts: &[USDC], receivers, is_wanted: &is_wanted }
}

fn asked(block: &Block, logs: &[Log]) -> (Vec<Hash256>, Hint) {
    let all = sought(Some(&[OURS, ALSO_OURS]));
    (doubtful(block, logs, all), hint(block, logs, all))
}

#[test]
fn r37_an_event_that_the_filter_speaks_of_and_the_node_does_not_is_missed() {
    let (paid, other) = (moves(3, 0, USDC, OURS), moves(4, 1, USDC, STRANGER));
    let whole = block(&[b"", b""], [&paid, &other]);
    assert_eq!(asked(&whole, &[paid.clone(), other.clone()]), (vec![], Hint::Nothing));
    assert_eq!(asked(&whole, &[]), (vec![], Hint::Strong));
    assert_eq!(asked(&whole, std::slice::from_ref(&other)), (vec![], Hint::Strong));
    // Whoever is looked for by too many names is missed by the token's silence.
    assert_eq!(hint(&whole, &[], sought(None)), Hint::Strong);
    assert_eq!(hint(&whole, &[other], sought(None)), Hint::Nothing);
}

#[test]
fn what_is_not_looked_for_is_not_missed() {
    for quiet in [moves(3, 0, OTHER, OURS), moves(3, 0, USDC, STRANGER)] {
        assert_eq!(asked(&block(&[b""], [&quiet]), &[]), (vec![], Hint::Nothing), "{quiet:?}");
    }
    let without = Block { bloom: None, ..block(&[&calls(OURS)], []) };
    assert_eq!(asked(&without, &[]), (vec![], Hint::Nothing));
}

#[test]
fn r37_a_transaction_that_names_us_and_has_no_event_is_looked_at_however_full_the_filter_is() {
    let other = |n: u8, of: u8| {
        let mut bytes = [of; 20];
        bytes[0] = n;
        EvmAddress(bytes)
    };
    let noise: Vec<Log> = (0..250).map(|n| moves(4, n.into(), other(n, 0x55), other(n, 0x66))).collect();
    let (ours, also) = (moves(3, 0, USDC, OURS), moves(3, 1, USDC, ALSO_OURS));
    let full = block(&[&calls(OURS), &calls(STRANGER)], noise.iter().chain([&ours, &also]));
    let (txs, hint) = asked(&full, &noise);
    assert_eq!((txs, hint), (vec![hash(3)], Hint::Weak));
    let told = [noise.as_slice(), std::slice::from_ref(&ours)].concat();
    assert_eq!(asked(&full, &told).0, []);
}

#[test]
fn r37_a_call_within_a_call_is_seen_to_name_us() {
    let nested = [vec![1; 4], vec![0; 64], calls(OURS)].concat();
    let paid = moves(3, 0, USDC, OURS);
    assert_eq!(asked(&block(&[&nested], [&paid]), &[]).0, [hash(3)]);
}

#[test]
fn r37_an_event_that_cannot_be_there_or_is_there_twice_is_looked_up() {
    let paid = moves(3, 0, USDC, OURS);
    let whole = block(&[b""], [&paid]);
    let elsewhere = moves(9, 0, USDC, OURS);
    assert_eq!(asked(&whole, &[paid.clone(), elsewhere]).0, [hash(9)]);
    assert_eq!(asked(&whole, &[paid.clone(), moves(3, 1, USDC, ALSO_OURS)]).0, [hash(3)]);
    assert_eq!(asked(&whole, &[paid.clone(), paid.clone()]).0, [hash(3)]);
    // A network that makes no filters: each event for us is looked up.
    assert_eq!(asked(&block(&[b""], []), &[paid]).0, [hash(3)]);
}
