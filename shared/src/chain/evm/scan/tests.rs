//! What is money to a watched address and what is not, and that its name never changes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sha3::{Digest, Keccak256};

use super::*;
use crate::chain::Chains;

const USDC: EvmAddress = EvmAddress([0xaa; 20]);
const USDT: EvmAddress = EvmAddress([0xbb; 20]);
const OURS: EvmAddress = EvmAddress([0x11; 20]);
const ALSO_OURS: EvmAddress = EvmAddress([0x12; 20]);
const STRANGER: EvmAddress = EvmAddress([0x99; 20]);
const PAYER: EvmAddress = EvmAddress([0x77; 20]);

fn chain() -> Chain {
    let json = format!(
        r#"[{{"chain":"ethereum","family":"evm","chain_id":1,"test_chain_id":11155111,"coins":[
            {{"coin":"ETH","asset":"native","decimals":18,"rate":"ETH","minimum_usd":"1.00"}},
            {{"coin":"USDC","asset":"{USDC}","decimals":6,"rate":"USDC","minimum_usd":"1.00"}},
            {{"coin":"USDT","asset":"{USDT}","decimals":6,"rate":"USDT","minimum_usd":"1.00"}}],
            "confirmations":[{{"blocks":12}}]}}]"#
    );
    Chains::parse(&json).unwrap().iter().next().unwrap().clone()
}

fn hash(byte: u8) -> Hash256 {
    Hash256([byte; 32])
}

fn pays(tx: u8, to: EvmAddress, units: u128) -> Sent {
    Sent { tx: hash(tx), from: PAYER, to, value: Amount::Exact(Units(units)) }
}

fn word(address: EvmAddress) -> Hash256 {
    let mut word = [0; 32];
    word[12..].copy_from_slice(&address.0);
    Hash256(word)
}

fn moves(index: u64, tx: u8, contract: EvmAddress, to: EvmAddress, units: u128) -> Log {
    let data = [[0; 16], units.to_be_bytes()].concat();
    let topics = vec![TRANSFER_EVENT, word(PAYER), word(to)];
    Log { contract, topics, data, tx: hash(tx), index, removed: false }
}

/// The watched addresses, with the code of the payment that has them.
fn watched(address: &EvmAddress) -> Option<&'static str> {
    match *address {
        OURS => Some("code1"),
        ALSO_OURS => Some("code2"),
        _ => None,
    }
}

fn scanned(sent: &[Sent], logs: &[Log]) -> Scanned<&'static str> {
    scan(&chain(), sent, logs, watched)
}

/// Keys with their amounts.
fn money(scanned: &Scanned<&'static str>) -> Vec<(String, u128)> {
    scanned.found.iter().map(|found| (found.movement.key.clone(), found.units.0)).collect()
}

fn k(found: &Found<&'static str>) -> String {
    found.movement.key.rsplit(':').next().unwrap().to_owned()
}

fn nothing(scanned: &Scanned<&'static str>) -> bool {
    scanned.found.is_empty() && scanned.unreadable.is_empty()
}

#[test]
fn the_event_is_the_hash_of_its_signature() {
    let digest = Keccak256::digest("Transfer(address,address,uint256)");
    assert_eq!(TRANSFER_EVENT.0, <[u8; 32]>::from(digest));
}

#[test]
fn r22_native_money_is_found() {
    let found = scanned(&[pays(1, STRANGER, 4), pays(2, OURS, 5)], &[]).found;
    let [one] = found.as_slice() else { panic!("{found:?}") };
    let movement = &one.movement;
    assert_eq!(movement.key, format!("ethereum:0x{}:native:0x{}:0", "02".repeat(32), "11".repeat(20)));
    assert_eq!((movement.coin.as_str(), movement.decimals.get(), movement.watched), ("ETH", 18, "code1"));
    assert_eq!((&movement.tx_id, &movement.address), (&hash(2).to_string(), &OURS.to_string()));
    assert_eq!(one.units, Units(5));
}

#[test]
fn r22_native_money_of_contracts_counts_on_within_its_transaction() {
    let sent = [pays(1, OURS, 5), pays(1, ALSO_OURS, 6), pays(1, OURS, 7), pays(2, OURS, 8)];
    let found = scanned(&sent, &[moves(0, 1, USDC, OURS, 9)]).found;
    let counted: Vec<_> = found.iter().map(|found| (found.units.0, k(found))).collect();
    let expected = [(5, "0"), (6, "0"), (7, "1"), (8, "0"), (9, "0")];
    assert_eq!(counted, expected.map(|(units, k)| (units, k.to_owned())));
}

#[test]
fn r22_what_an_address_sends_to_itself_did_not_come() {
    let itself = Sent { from: OURS, ..pays(1, OURS, 5) };
    let mut log = moves(0, 1, USDC, OURS, 5);
    log.topics[1] = word(OURS);
    assert!(nothing(&scanned(&[itself], &[log.clone()])));
    let logs = [log, moves(1, 1, USDC, OURS, 6)];
    assert_eq!(scanned(&[], &logs), scanned(&[], &logs[1..]), "it takes no k");
}

#[test]
fn r22_what_no_transaction_brought_is_named_by_block_and_amount() {
    let chain = chain();
    let found = unexplained((&chain, native_coin(&chain).unwrap()), 7, (OURS, Units(5)), "code1");
    assert_eq!(found.movement.key, format!("ethereum:balance:7:0x{}:5", "11".repeat(20)));
    assert_eq!((found.movement.tx_id.as_str(), found.movement.coin.as_str()), ("block:7", "ETH"));
}

#[test]
fn r22_tokens_are_found() {
    let found = scanned(&[], &[moves(0, 1, USDT, ALSO_OURS, 5), moves(1, 1, USDT, STRANGER, 5)]).found;
    let [one] = found.as_slice() else { panic!("{found:?}") };
    let movement = &one.movement;
    let key = format!("ethereum:0x{}:0x{}:0x{}:0", "01".repeat(32), "bb".repeat(20), "12".repeat(20));
    assert_eq!(movement.key, key);
    assert_eq!((movement.coin.as_str(), movement.decimals.get(), movement.watched), ("USDT", 6, "code2"));
    assert_eq!(one.units, Units(5));
}

#[test]
fn r22_movements_of_one_asset_to_one_address_in_one_transaction_are_counted() {
    let logs = [
        moves(10, 1, USDC, OURS, 1),
        moves(11, 1, USDC, ALSO_OURS, 2),
        moves(12, 1, USDC, OURS, 3),
        moves(13, 1, USDT, OURS, 4),
        moves(14, 2, USDC, OURS, 5),
        moves(15, 1, USDC, OURS, 6),
    ];
    let found = scanned(&[], &logs).found;
    let counted: Vec<_> = found.iter().map(|found| (found.units.0, k(found))).collect();
    let expected = [(1, "0"), (2, "0"), (3, "1"), (4, "0"), (5, "0"), (6, "2")];
    assert_eq!(counted, expected.map(|(units, k)| (units, k.to_owned())));
}

#[test]
fn r22_a_log_delivered_twice_or_out_of_order_counts_once_and_keeps_its_key() {
    let logs = [moves(3, 1, USDC, OURS, 1), moves(4, 1, USDC, OURS, 2)];
    let muddled = [&logs[1], &logs[0], &logs[1]].map(Clone::clone);
    assert_eq!(scanned(&[], &muddled), scanned(&[], &logs));
}

#[test]
fn nothing_moved_is_nothing_and_takes_no_k() {
    assert!(nothing(&scanned(&[pays(1, OURS, 0)], &[moves(0, 1, USDC, OURS, 0)])));
    let logs = [moves(0, 1, USDC, OURS, 0), moves(1, 1, USDC, OURS, 9)];
    assert_eq!(scanned(&[], &logs), scanned(&[], &logs[1..]));
}

#[test]
fn what_only_looks_like_a_transfer_is_ignored() {
    let good = moves(0, 1, USDC, OURS, 5);
    let approval = Hash256(Keccak256::digest("Approval(address,address,uint256)").into());
    let mut no_address = word(OURS);
    no_address.0[0] = 1;
    let topics = |topics: &[Hash256]| Log { topics: topics.to_vec(), ..good.clone() };
    let data = |bytes: usize| Log { data: vec![1; bytes], ..good.clone() };
    let fakes = [
        Log { removed: true, ..good.clone() },
        Log { contract: STRANGER, ..good.clone() },
        topics(&[]),
        topics(&[TRANSFER_EVENT]),
        topics(&[TRANSFER_EVENT, word(STRANGER)]),
        topics(&[TRANSFER_EVENT, word(STRANGER), word(OURS), word(OURS)]),
        topics(&[approval, word(STRANGER), word(OURS)]),
        topics(&[TRANSFER_EVENT, word(STRANGER), no_address]),
        topics(&[TRANSFER_EVENT, word(OURS), word(STRANGER)]),
        data(0),
        data(31),
        data(33),
        data(64),
    ];
    assert_eq!(scanned(&[], std::slice::from_ref(&good)).found.len(), 1);
    for fake in fakes {
        assert!(nothing(&scanned(&[], std::slice::from_ref(&fake))), "{fake:?}");
    }
}

#[test]
fn an_asset_that_is_not_accepted_is_ignored() {
    let mut tokens_only = chain();
    tokens_only.coins.retain(|coin| coin.asset != Asset::Native);
    assert!(nothing(&scan(&tokens_only, &[pays(1, OURS, 5)], &[], watched)));
    assert_eq!(contracts(&tokens_only), [USDC, USDT]);
}

#[test]
fn more_than_we_can_count_is_reported_and_never_dropped() {
    let mut log = moves(0, 1, USDC, OURS, u128::MAX);
    assert_eq!(scanned(&[], std::slice::from_ref(&log)).found[0].units, Units(u128::MAX));
    log.data[15] = 1;
    let too_large = Sent { value: Amount::TooLarge, ..pays(2, OURS, 0) };
    let both = scanned(&[too_large], &[log, moves(1, 1, USDC, OURS, 5)]);
    let coins: Vec<_> = both.unreadable.iter().map(|movement| movement.coin.as_str()).collect();
    assert_eq!(coins, ["ETH", "USDC"]);
    assert!(both.unreadable[1].key.ends_with(":0"));
    let [counted] = both.found.as_slice() else { panic!("{both:?}") };
    assert_eq!((counted.units, counted.movement.key.ends_with(":1")), (Units(5), true));
}

/// A transaction: native money to one, and token movements in order.
type Made = (EvmAddress, u128, Vec<(EvmAddress, EvmAddress, u128)>);

fn arb_address() -> impl Strategy<Value = EvmAddress> {
    prop_oneof![Just(OURS), Just(ALSO_OURS), Just(STRANGER)]
}

fn arb_transactions() -> impl Strategy<Value = Vec<(u8, Made)>> {
    let contract = prop_oneof![Just(USDC), Just(USDT), Just(STRANGER)];
    let token = (contract, arb_address(), 0..4_u128);
    let made = (arb_address(), 0..4_u128, prop::collection::vec(token, 0..6));
    prop::collection::vec(made, 0..8).prop_map(|all| (0..).zip(all).collect())
}

/// The block that holds them in this order: logs are numbered through the block.
fn mined(transactions: &[(u8, Made)]) -> (Vec<Sent>, Vec<Log>) {
    let txs = transactions.iter().map(|(tx, (to, units, _))| pays(*tx, *to, *units)).collect();
    let tokens =
        transactions.iter().flat_map(|(tx, (_, _, tokens))| tokens.iter().map(move |token| (tx, token)));
    let logs = (0..).zip(tokens);
    (
        txs,
        logs.map(|(index, (tx, (contract, to, units)))| moves(index, *tx, *contract, *to, *units)).collect(),
    )
}

fn by_key(transactions: &[(u8, Made)]) -> BTreeMap<String, u128> {
    let (txs, logs) = mined(transactions);
    money(&scanned(&txs, &logs)).into_iter().collect()
}

/// The same block as a node tells it that numbers the logs of each transaction anew.
fn numbered_anew(logs: &[Log]) -> Vec<Log> {
    let mut next = BTreeMap::new();
    let anew = |log: &Log| {
        let index: &mut u64 = next.entry(log.tx).or_default();
        let log = Log { index: *index, ..log.clone() };
        *index = index.saturating_add(1);
        log
    };
    logs.iter().map(anew).collect()
}

proptest! {
    #[test]
    fn r37_a_transfers_name_does_not_depend_on_how_a_node_numbers_logs(all in arb_transactions()) {
        let (sent, logs) = mined(&all);
        let renamed: BTreeMap<_, _> = money(&scanned(&sent, &numbered_anew(&logs))).into_iter().collect();
        prop_assert_eq!(renamed, by_key(&all));
    }

    /// A re-organisation brings the same transactions back in another order.
    #[test]
    fn r22_the_order_of_transactions_changes_no_key_and_no_amount(
        (before, after) in arb_transactions()
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
    ) {
        prop_assert_eq!(by_key(&before), by_key(&after));
    }

    #[test]
    fn r22_what_else_is_in_the_block_changes_no_key_and_no_amount(all in arb_transactions(), cut in 0..8_usize) {
        let whole = by_key(&all);
        for (key, units) in by_key(&all[cut.min(all.len())..]) {
            prop_assert_eq!(whole.get(&key), Some(&units));
        }
    }

    #[test]
    fn r22_the_same_block_twice_gives_the_same(all in arb_transactions()) {
        let (txs, logs) = mined(&all);
        prop_assert_eq!(scanned(&txs, &logs), scanned(&txs, &logs));
    }

    /// No movement is lost, doubled, or found under the key of another.
    #[test]
    fn r22_every_movement_to_us_is_found_once(all in arb_transactions()) {
        let ours = |to: &EvmAddress, units: u128| if watched(to).is_some() { units } else { 0 };
        let native = all.iter().map(|(_, (to, units, _))| ours(to, *units));
        let tokens = all.iter().flat_map(|(_, (_, _, tokens))| tokens);
        let tokens = tokens.map(|(asset, to, units)| if *asset == STRANGER { 0 } else { ours(to, *units) });
        let amounts: Vec<u128> = native.chain(tokens).filter(|units| *units > 0).collect();
        let found = by_key(&all);
        prop_assert_eq!(found.len(), amounts.len());
        prop_assert_eq!(found.values().sum::<u128>(), amounts.iter().sum::<u128>());
    }
}
