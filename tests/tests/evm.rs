//! Watching Ethereum, against a real node: what is money, what is not, and what a re-organisation does to it.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::chain::address::{EvmAddress, ExtendedKey};
use shared::chain::block::{Hash256, ScannedBlock};
use shared::chain::evm::block::Amount;
use shared::chain::evm::fetch::{Read, Wanted, scan_block};
use shared::chain::evm::rpc::{Rpc, RpcError};
use shared::chain::{Chain, Chains};
use shared::moment::Timestamp;
use shared::money::Units;
use tests::anvil::{ANVIL_CHAIN_ID, ANVIL_XPUB, Anvil, Call};
use tests::proxy::{Proxy, Question};

/// A node with a token, and a gateway that accepts both for two payments.
struct World {
    anvil: Anvil,
    rpc: Rpc,
    chain: Chain,
    token: String,
    ours: [EvmAddress; 2],
}

const STRANGER: EvmAddress = EvmAddress([0x99; 20]);

/// A token that keeps a hundredth of what is sent. It reads an address and a number and tells of two movements:
/// `Transfer(caller, 0xfe, number / 100)`, then `Transfer(caller, address, number - number / 100)`.
const FEE_TOKEN: EvmAddress = EvmAddress([0xfe; 20]);
const FEE_TOKEN_CODE: &str = concat!(
    "602035806064900480",
    "5f52",
    "60fe33",
    "7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    "60205fa3",
    "9003",
    "5f52",
    "5f3533",
    "7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    "60205fa300",
);

/// A contract that tells of transfers in two other shapes: with a fourth topic and no data, as of a collectible
/// (ERC-721), and with everything in the data.
const ODD_TOKEN: EvmAddress = EvmAddress([0xdd; 20]);
const ODD_TOKEN_CODE: &str = concat!(
    "6001",
    "5f3533",
    "7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    "5f5fa4",
    "335f52",
    "5f35602052",
    "602035604052",
    "7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    "60605fa100",
);

/// Sends the native money that comes with a call on to the address that the call names.
const FORWARDER: EvmAddress = EvmAddress([0xa1; 20]);
const FORWARDER_CODE: &str = "5f5f5f5f345f355af100";

/// Sends it on in two halves.
const SPLITTER: EvmAddress = EvmAddress([0xa2; 20]);
const SPLITTER_CODE: &str = "5f5f5f5f600234045f355af1505f5f5f5f600234045f355af15000";

/// Sends it on and then takes everything back.
const REVERTER: EvmAddress = EvmAddress([0xa3; 20]);
const REVERTER_CODE: &str = "5f5f5f5f345f355af15f5ffd";

/// Calls [`REVERTER`] with what it was called with, and goes on whatever comes of it.
const TRIER: EvmAddress = EvmAddress([0xa4; 20]);
const TRIER_CODE: &str = "60205f5f375f5f60205f3473a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a35af100";

/// Gives up all that it has to the address that the call names.
const QUITTER: EvmAddress = EvmAddress([0xa5; 20]);
const QUITTER_CODE: &str = "5f35ff";

const CONTRACTS: [(EvmAddress, &str); 7] = [
    (FEE_TOKEN, FEE_TOKEN_CODE),
    (ODD_TOKEN, ODD_TOKEN_CODE),
    (FORWARDER, FORWARDER_CODE),
    (SPLITTER, SPLITTER_CODE),
    (REVERTER, REVERTER_CODE),
    (TRIER, TRIER_CODE),
    (QUITTER, QUITTER_CODE),
];

impl World {
    async fn start() -> Option<World> {
        World::start_with("none").await
    }

    /// A world whose money of contracts is found in this way.
    async fn start_with(internal: &str) -> Option<World> {
        let anvil = Anvil::start().await?;
        let token = anvil.deploy_token().await;
        for (address, code) in CONTRACTS {
            anvil.set_code(address, code).await;
        }
        let chains = format!(
            r#"[{{"chain":"ethereum","family":"evm","chain_id":{ANVIL_CHAIN_ID},"test_chain_id":11155111,
                "internal":"{internal}","coins":[
                {{"coin":"ETH","asset":"native","decimals":18,"rate":"ETH","minimum_usd":"1.00"}},
                {{"coin":"USDC","asset":"{token}","decimals":6,"rate":"USDC","minimum_usd":"1.00"}},
                {{"coin":"FEE","asset":"{FEE_TOKEN}","decimals":6,"rate":"USDC","minimum_usd":"1.00"}},
                {{"coin":"ODD","asset":"{ODD_TOKEN}","decimals":6,"rate":"USDC","minimum_usd":"1.00"}}],
                "confirmations":[{{"blocks":12}}]}}]"#
        );
        let chain = Chains::parse(&chains).unwrap().iter().next().unwrap().clone();
        let key: ExtendedKey = ANVIL_XPUB.parse().unwrap();
        let ours = [0, 1].map(|index| key.evm_address(index).unwrap());
        let rpc = Rpc::new(anvil.url()).unwrap();
        Some(World { anvil, rpc, chain, token, ours })
    }

    async fn read(&self, number: u64, expected: Option<Hash256>) -> Result<Read<usize>, RpcError> {
        let lookup = |address: &EvmAddress| self.ours.iter().position(|ours| ours == address);
        let wanted = Wanted { lookup, destinations: &BTreeSet::new(), receivers: None, compared: &self.ours };
        scan_block(&self.rpc, &self.chain, number, expected, &wanted).await
    }

    async fn scan(&self, number: u64, expected: Option<Hash256>) -> Result<ScannedBlock<usize>, RpcError> {
        let read = self.read(number, expected).await?;
        assert!(read.is_whole());
        Ok(read.block)
    }

    async fn tip(&self) -> ScannedBlock<usize> {
        self.scan(self.anvil.height().await, None).await.unwrap()
    }

    fn key(&self, tx: &str, asset: &str, ours: usize, k: usize) -> String {
        format!("ethereum:{tx}:{asset}:{}:{k}", self.ours[ours].to_lower_hex())
    }
}

/// Keys and amounts, and whose they are.
fn money(block: &ScannedBlock<usize>) -> Vec<(String, u128, usize)> {
    let found = block.found.iter();
    found.map(|found| (found.movement.key.clone(), found.units.0, found.movement.watched)).collect()
}

#[tokio::test]
async fn r22_native_money_counts_under_its_own_key() {
    let Some(world) = World::start().await else { return };
    let [one, other] = world.ours;
    let calls = [
        Call::eth(STRANGER, 3),
        Call::eth(one, 5),
        Call::eth(other, 0),
        Call::eth(other, u128::from(u64::MAX)),
    ];
    let txs = world.anvil.send(calls).await;
    let block = world.tip().await;
    let most = u128::from(u64::MAX);
    assert_eq!(
        money(&block),
        [(world.key(&txs[1], "native", 0, 0), 5, 0), (world.key(&txs[3], "native", 1, 0), most, 1)]
    );
    assert_eq!(block.unreadable, []);
}

#[tokio::test]
async fn r22_a_failed_transaction_moves_nothing() {
    let Some(world) = World::start().await else { return };
    let [refusing, other] = world.ours;
    world.anvil.refuse_money(refusing).await;
    let txs = world.anvil.send([Call::eth(refusing, 5), Call::eth(other, 6)]).await;
    let height = world.anvil.height().await;
    let block = world.rpc.block(height).await.unwrap().unwrap();
    assert_eq!(block.transactions.len(), 2, "the failed one is in the block, with its value");
    assert_eq!(money(&world.tip().await), [(world.key(&txs[1], "native", 1, 0), 6, 1)]);
}

#[tokio::test]
async fn r22_tokens_count_each_movement_of_a_transaction() {
    let Some(world) = World::start().await else { return };
    let ([one, other], token) = (world.ours, &world.token);
    let calls = [
        Call::token(token, one, 1),
        Call::two_tokens(token, (one, 2), (other, 3)),
        Call::two_tokens(token, (one, 4), (one, 5)),
        Call::token(token, STRANGER, 6),
    ];
    let txs = world.anvil.send(calls).await;
    let expected = [
        (world.key(&txs[0], token, 0, 0), 1, 0),
        (world.key(&txs[1], token, 0, 0), 2, 0),
        (world.key(&txs[1], token, 1, 0), 3, 1),
        (world.key(&txs[2], token, 0, 0), 4, 0),
        (world.key(&txs[2], token, 0, 1), 5, 0),
    ];
    assert_eq!(money(&world.tip().await), expected);
}

#[tokio::test]
async fn what_only_looks_like_money_is_none() {
    let Some(world) = World::start().await else { return };
    let [one, _] = world.ours;
    let worthless = world.anvil.deploy_token().await;
    let calls = [
        Call::token(&worthless, one, 1),
        Call::token(&world.token, one, 0),
        Call::announce(&world.token, one, 0, 0),
        Call::approve(&world.token, one, 7),
        Call::announce(&world.token, one, 1, 0),
    ];
    let txs = world.anvil.send(calls).await;
    let block = world.tip().await;
    assert_eq!(money(&block), []);
    let unreadable: Vec<_> = block.unreadable.iter().map(|movement| movement.key.clone()).collect();
    assert_eq!(unreadable, [world.key(&txs[4], &world.token, 0, 0)]);
}

#[tokio::test]
async fn r22_money_that_a_reorganisation_takes_and_brings_back_keeps_its_key() {
    let Some(world) = World::start().await else { return };
    let ([one, other], token) = (world.ours, &world.token);
    let calls = [
        Call::eth(STRANGER, 1),
        Call::eth(one, 2),
        Call::two_tokens(token, (one, 3), (one, 4)),
        Call::token(token, other, 5),
    ];
    let txs = world.anvil.send(calls).await;
    let height = world.anvil.height().await;
    let before = world.tip().await;
    assert_eq!(before.found.len(), 4);
    let mut signed = Vec::new();
    for tx in &txs {
        signed.push(world.anvil.signed(tx).await);
    }

    world.anvil.reorg(1).await;
    let without = world.scan(height, None).await.unwrap();
    assert_eq!((money(&without), without.header.number), (vec![], height));
    assert_ne!(without.header.hash, before.header.hash);
    assert_eq!(without.header.parent_hash, before.header.parent_hash);
    let stale = world.scan(height, Some(before.header.hash)).await;
    assert!(matches!(stale, Err(RpcError::Moved(at)) if at == height), "{stale:?}");

    // The first two come back together and the others later, so that places and log indexes are others than before.
    for (first, last) in [(0, 1), (2, 2), (3, 3)] {
        for signed in &signed[first..=last] {
            world.anvil.resend(signed).await;
        }
        world.anvil.mine(1).await;
    }
    let mut after = Vec::new();
    for number in height..=world.anvil.height().await {
        after.extend(money(&world.scan(number, None).await.unwrap()));
    }
    assert_eq!(after, money(&before));
}

#[tokio::test]
async fn r22_logs_of_a_block_that_is_gone_are_not_an_empty_list() {
    let Some(world) = World::start().await else { return };
    world.anvil.send_eth(world.ours[0], 5).await;
    let mut gone = world.rpc.block(world.anvil.height().await).await.unwrap().unwrap();
    gone.header.hash = Hash256([7; 32]);
    let logs = world.rpc.transfers(&gone, &[EvmAddress([1; 20])], None).await;
    assert!(matches!(logs, Err(RpcError::Moved(_))), "{logs:?}");
}

#[tokio::test]
async fn headers_tell_height_parent_and_time() {
    let Some(world) = World::start().await else { return };
    assert_eq!(world.rpc.chain_id().await.unwrap(), ANVIL_CHAIN_ID);
    let before = world.rpc.tip().await.unwrap();
    let time = before.timestamp.plus(1_000);
    world.anvil.set_next_block_time(time).await;
    world.anvil.mine(1).await;
    let tip = world.rpc.tip().await.unwrap();
    let [this, next] = [1, 2].map(|blocks| before.number.saturating_add(blocks));
    assert_eq!((tip.number, tip.parent_hash, tip.timestamp), (this, before.hash, time));
    assert_eq!(world.rpc.header(tip.number).await.unwrap(), Some(tip));
    assert_eq!(world.rpc.header(next).await.unwrap(), None);
    let ahead = world.scan(next, None).await;
    assert!(matches!(ahead, Err(RpcError::Missing(at)) if at == next), "{ahead:?}");
    assert!(tip.timestamp > Timestamp(0));
}

#[tokio::test]
async fn the_final_height_lies_behind_the_tip() {
    let Some(world) = World::start().await else { return };
    world.anvil.mine(100).await;
    let tip = world.rpc.tip().await.unwrap().number;
    let finalized = world.rpc.finalized().await.unwrap().unwrap();
    assert!(0 < finalized && finalized < tip, "{finalized} of {tip}");
}

#[tokio::test]
async fn a_receipt_is_there_once_a_block_holds_the_transaction() {
    let Some(world) = World::start().await else { return };
    world.anvil.send_eth(world.ours[0], 5).await;
    let block = world.rpc.block(world.anvil.height().await).await.unwrap().unwrap();
    let unknown = world.rpc.told(&block.header, &[Hash256([7; 32])]).await;
    assert!(matches!(unknown, Err(RpcError::Moved(_))), "{unknown:?}");
    let receipt = world.rpc.told(&block.header, &[block.transactions[0].hash]).await.unwrap()[0].receipt;
    assert_eq!((receipt.block_hash, receipt.succeeded), (block.header.hash, true));
}

#[tokio::test]
async fn r22_a_token_with_a_fee_counts_what_arrived() {
    let Some(world) = World::start().await else { return };
    let txs = world.anvil.send([Call::bare(FEE_TOKEN, 0, world.ours[0], 1_000)]).await;
    assert_eq!(money(&world.tip().await), [(world.key(&txs[0], &FEE_TOKEN.to_lower_hex(), 0, 0), 990, 0)]);
}

#[tokio::test]
async fn transfers_in_another_shape_than_the_standards_are_none() {
    let Some(world) = World::start().await else { return };
    let tx = world.anvil.send([Call::bare(ODD_TOKEN, 0, world.ours[0], 1_000)]).await.remove(0);
    let receipt = world.anvil.call("eth_getTransactionReceipt", serde_json::json!([tx])).await;
    assert_eq!(
        (receipt["status"].as_str(), receipt["logs"].as_array().map(Vec::len)),
        (Some("0x1"), Some(2))
    );
    let block = world.tip().await;
    assert_eq!((money(&block), block.unreadable), (vec![], vec![]));
}

#[tokio::test]
async fn r22_dust_counts_however_small_and_however_many() {
    let Some(world) = World::start().await else { return };
    let ([one, _], token) = (world.ours, &world.token);
    let calls = [
        Call::eth(one, 1),
        Call::eth(one, 1),
        Call::token(token, one, 1),
        Call::two_tokens(token, (one, 1), (one, 1)),
    ];
    world.anvil.send(calls).await;
    let found = money(&world.tip().await);
    assert_eq!(found.iter().map(|(_, units, _)| *units).collect::<Vec<_>>(), [1; 5]);
}

/// The payer is anvil's last account; here its own address is one of ours.
#[tokio::test]
async fn r22_what_an_address_sends_to_itself_is_not_received() {
    for internal in ["none", "traces", "balances"] {
        let Some(mut world) = World::start_with(internal).await else { return };
        let payer: EvmAddress = tests::anvil::PAYER.parse().unwrap();
        world.ours[0] = payer;
        world.anvil.send([Call::eth(payer, 5), Call::token(&world.token, payer, 6)]).await;
        assert_eq!(money(&world.tip().await), [], "{internal}");
    }
}

#[tokio::test]
async fn r22_money_of_contracts_is_found_by_traces() {
    let Some(world) = World::start_with("traces").await else { return };
    let [one, other] = world.ours;
    let calls = [
        Call::bare(FORWARDER, 5, one, 0),
        Call::bare(SPLITTER, 8, other, 0),
        Call::bare(QUITTER, 7, one, 0),
        Call::eth(one, 6),
        Call::bare(FORWARDER, 0, one, 0),
    ];
    let txs = world.anvil.send(calls).await;
    let expected = [
        (world.key(&txs[0], "native", 0, 0), 5, 0),
        (world.key(&txs[1], "native", 1, 0), 4, 1),
        (world.key(&txs[1], "native", 1, 1), 4, 1),
        (world.key(&txs[2], "native", 0, 0), 7, 0),
        (world.key(&txs[3], "native", 0, 0), 6, 0),
    ];
    assert_eq!(money(&world.tip().await), expected);
}

#[tokio::test]
async fn r22_money_of_contracts_that_was_taken_back_did_not_come() {
    for internal in ["traces", "balances"] {
        let Some(world) = World::start_with(internal).await else { return };
        let [one, _] = world.ours;
        let txs = world.anvil.send([Call::bare(REVERTER, 5, one, 0), Call::bare(TRIER, 6, one, 0)]).await;
        let receipts = ["0x0", "0x1"];
        for (tx, status) in txs.iter().zip(receipts) {
            let receipt = world.anvil.call("eth_getTransactionReceipt", serde_json::json!([tx])).await;
            assert_eq!(receipt["status"], status);
        }
        assert_eq!(money(&world.tip().await), [], "{internal}");
    }
}

#[tokio::test]
async fn r22_money_of_contracts_is_found_by_balances_and_counted_once() {
    let Some(world) = World::start_with("balances").await else { return };
    let [one, other] = world.ours;
    let calls = [
        Call::bare(FORWARDER, 5, one, 0),
        Call::eth(one, 6),
        Call::eth(one, 7),
        Call::bare(SPLITTER, 8, other, 0),
    ];
    let txs = world.anvil.send(calls).await;
    let height = world.anvil.height().await;
    let unexplained = |ours: usize, units: u128| {
        format!("ethereum:balance:{height}:{}:{units}", world.ours[ours].to_lower_hex())
    };
    let expected = [
        (world.key(&txs[1], "native", 0, 0), 6, 0),
        (world.key(&txs[2], "native", 0, 0), 7, 0),
        (unexplained(0, 5), 5, 0),
        (unexplained(1, 8), 8, 1),
    ];
    assert_eq!(money(&world.tip().await), expected);
    world.anvil.mine(1).await;
    assert_eq!(money(&world.tip().await), []);
}

/// Our own address pays others in the same block: fees and all, that hides nothing.
#[tokio::test]
async fn r22_money_of_contracts_is_found_though_other_money_left() {
    let Some(mut world) = World::start_with("balances").await else { return };
    world.ours[0] = tests::anvil::PAYER.parse().unwrap();
    let payer = world.ours[0];
    world.anvil.send([Call::eth(STRANGER, 100), Call::eth(REVERTER, 3)]).await;
    assert_eq!(money(&world.tip().await), []);
    world
        .anvil
        .send([Call::eth(STRANGER, 100), Call::bare(FORWARDER, 5, payer, 0), Call::eth(REVERTER, 3)])
        .await;
    let found = money(&world.tip().await);
    assert_eq!(found.iter().map(|(_, units, ours)| (*units, *ours)).collect::<Vec<_>>(), [(5, 0)]);
}

#[tokio::test]
async fn many_balances_are_asked_for_at_once() {
    let Some(world) = World::start_with("balances").await else { return };
    let [one, other] = world.ours;
    world.anvil.send([Call::eth(STRANGER, 3)]).await;
    let nobody = |number: u16| {
        EvmAddress(std::array::from_fn(|place| number.to_be_bytes().get(place).copied().unwrap_or(1)))
    };
    let mut addresses: Vec<EvmAddress> = (0..1_200).map(nobody).collect();
    addresses.extend([STRANGER, one, other]);
    let balances = world.rpc.balances(world.rpc.tip().await.unwrap().hash, &addresses).await.unwrap();
    let [zeros @ .., stranger, rich, also_rich] = balances.as_slice() else { panic!("{}", balances.len()) };
    assert!(zeros.iter().all(|balance| *balance == Amount::Exact(Units(0))) && zeros.len() == 1_200);
    assert_eq!((*stranger, rich), (Amount::Exact(Units(3)), also_rich));
}

#[tokio::test]
async fn balances_of_a_token_are_its_own_word() {
    let Some(world) = World::start().await else { return };
    let ([one, other], token) = (world.ours, &world.token);
    world.anvil.send([Call::token(token, one, 7), Call::token(token, STRANGER, 1)]).await;
    let block = world.rpc.tip().await.unwrap().hash;
    let exact = |units| Amount::Exact(Units(units));
    let addresses = [one, other, STRANGER];
    let balances = world.rpc.token_balances(block, token.parse().unwrap(), &addresses).await.unwrap();
    assert_eq!(balances, [exact(7), exact(0), exact(1)]);
    for no_token in [STRANGER, REVERTER, QUITTER] {
        let refused = world.rpc.token_balances(block, no_token, &addresses).await;
        assert!(matches!(refused, Err(RpcError::Node { .. })), "{refused:?}");
    }
}

/// What a node cannot tell of a block must not hold up what it can.
#[tokio::test]
async fn a_node_without_traces_is_read_without_money_of_contracts() {
    let Some(mut world) = World::start_with("traces").await else { return };
    let proxy = tests::proxy::without(world.anvil.url(), "debug_traceBlockByHash").await;
    world.rpc = Rpc::new(&proxy).unwrap();
    let txs =
        world.anvil.send([Call::bare(FORWARDER, 5, world.ours[0], 0), Call::eth(world.ours[0], 6)]).await;
    let read = world.read(world.anvil.height().await, None).await.unwrap();
    assert_eq!(money(&read.block), [(world.key(&txs[1], "native", 0, 0), 6, 0)]);
    assert!(!read.is_whole());
}

/// The node's own roots are what we work out, for every kind of transaction that it makes and for blocks of any size.
#[tokio::test]
async fn r37_a_list_that_is_not_the_blocks_is_not_believed() {
    let Some(mut world) = World::start().await else { return };
    let (proxy, payer) = (Proxy::start(world.anvil.url()).await, tests::anvil::PAYER);
    world.rpc = Rpc::new(proxy.url()).unwrap();
    let kinds = [
        json!({ "gasPrice": "0x77359400" }),
        json!({ "gasPrice": "0x77359400", "accessList": [{ "address": world.token, "storageKeys": [] }] }),
        json!({ "maxFeePerGas": "0x77359400", "maxPriorityFeePerGas": "0x1" }),
    ];
    for kind in kinds {
        let mut tx =
            json!({ "from": payer, "to": world.ours[0].to_string(), "value": "0x5", "gas": "0x186a0" });
        tx.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        world.anvil.call("eth_sendTransaction", json!([tx])).await;
    }
    world.anvil.mine(1).await;
    world.anvil.send((0..140).map(|units| Call::eth(world.ours[0], units + 1))).await;
    let (full, few) = (world.anvil.height().await, world.anvil.height().await - 1);
    assert_eq!(world.scan(few, None).await.unwrap().found.len(), 3);
    assert_eq!(world.scan(full, None).await.unwrap().found.len(), 140);
    assert_eq!(proxy.asked("eth_getBlockTransactionCountByHash"), 0, "every root was worked out");
    assert_eq!(proxy.asked("eth_getBlockByHash"), 0);

    let other = world.anvil.call("eth_getBlockByNumber", json!([format!("{few:#x}"), true])).await;
    let other = other["transactions"].clone();
    let lies: [fn(&mut Vec<Value>, &Value); 6] = [
        |list, _| list.clear(),
        |list, _| drop(list.pop()),
        |list, _| drop(list.remove(3)),
        |list, other| other.as_array().unwrap().clone_into(list),
        |list, _| list.push(list[0].clone()),
        |list, _| list.swap(0, 1),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let other = other.clone();
        let lies = move |_: &Question, mut block: Value| {
            lie(block["transactions"].as_array_mut()?, &other);
            Some(block)
        };
        proxy.clear();
        let rule = proxy.change("eth_getBlockByNumber", lies.clone());
        assert_eq!(world.scan(full, None).await.unwrap().found.len(), 140, "lie {number}: read by its hash");
        proxy.change("eth_getBlockByHash", lies);
        let lied = world.scan(full, None).await;
        assert!(matches!(lied, Err(RpcError::Contradicts { .. })), "lie {number}: {lied:?}");
        proxy.remove(rule);
        assert_eq!(world.scan(full, None).await.unwrap().found.len(), 140, "lie {number} is over");
    }
}

/// A network whose transactions are of a kind of its own: they are counted.
#[tokio::test]
async fn r37_a_list_whose_root_cannot_be_worked_out_is_counted() {
    let Some(mut world) = World::start().await else { return };
    let proxy = Proxy::start(world.anvil.url()).await;
    world.rpc = Rpc::new(proxy.url()).unwrap();
    proxy.change("eth_getBlockByNumber", |_, mut block| {
        for tx in block["transactions"].as_array_mut()? {
            tx["type"] = json!("0x71");
        }
        Some(block)
    });
    world.anvil.send([Call::eth(world.ours[0], 5), Call::eth(world.ours[1], 6)]).await;
    assert_eq!(world.tip().await.found.len(), 2);
    proxy.change("eth_getBlockByNumber", |_, mut block| {
        let list = block["transactions"].as_array_mut()?;
        list.pop();
        for tx in list {
            tx["type"] = json!("0x71");
        }
        Some(block)
    });
    let lied = world.scan(world.anvil.height().await, None).await;
    assert!(matches!(lied, Err(RpcError::Contradicts { .. })), "{lied:?}");
}
