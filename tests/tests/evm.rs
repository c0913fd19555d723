//! Watching Ethereum, against a real node: what is money, what is not, and what a re-organisation does to it.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use shared::chain::address::{EvmAddress, ExtendedKey};
use shared::chain::block::{Hash256, ScannedBlock};
use shared::chain::evm::fetch::scan_block;
use shared::chain::evm::rpc::{Rpc, RpcError};
use shared::chain::{Chain, Chains};
use shared::moment::Timestamp;
use tests::anvil::{ANVIL_CHAIN_ID, ANVIL_XPUB, Anvil, Call};

/// A node with a token, and a gateway that accepts both for two payments.
struct World {
    anvil: Anvil,
    rpc: Rpc,
    chain: Chain,
    token: String,
    ours: [EvmAddress; 2],
}

const STRANGER: EvmAddress = EvmAddress([0x99; 20]);

impl World {
    async fn start() -> Option<World> {
        let anvil = Anvil::start().await?;
        let token = anvil.deploy_token().await;
        let chains = format!(
            r#"[{{"chain":"ethereum","family":"evm","chain_id":{ANVIL_CHAIN_ID},"test_chain_id":11155111,"coins":[
                {{"coin":"ETH","asset":"native","decimals":18,"rate":"ETH","minimum_usd":"1.00"}},
                {{"coin":"USDC","asset":"{token}","decimals":6,"rate":"USDC","minimum_usd":"1.00"}}],
                "confirmations":[{{"blocks":12}}]}}]"#
        );
        let chain = Chains::parse(&chains).unwrap().iter().next().unwrap().clone();
        let key: ExtendedKey = ANVIL_XPUB.parse().unwrap();
        let ours = [0, 1].map(|index| key.evm_address(index).unwrap());
        let rpc = Rpc::new(anvil.url()).unwrap();
        Some(World { anvil, rpc, chain, token, ours })
    }

    async fn scan(&self, number: u64, expected: Option<Hash256>) -> Result<ScannedBlock<usize>, RpcError> {
        let lookup = |address: &EvmAddress| self.ours.iter().position(|ours| ours == address);
        scan_block(&self.rpc, &self.chain, number, expected, lookup).await
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
    let gone = Hash256([7; 32]);
    let logs = world.rpc.transfer_logs(gone, &[EvmAddress([1; 20])]).await;
    assert!(matches!(logs, Err(RpcError::Node { .. })), "{logs:?}");
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
    assert_eq!(world.rpc.receipt(Hash256([7; 32])).await.unwrap(), None);
    world.anvil.send_eth(world.ours[0], 5).await;
    let block = world.rpc.block(world.anvil.height().await).await.unwrap().unwrap();
    let receipt = world.rpc.receipt(block.transactions[0].hash).await.unwrap().unwrap();
    assert_eq!((receipt.block_hash, receipt.succeeded), (block.header.hash, true));
}
