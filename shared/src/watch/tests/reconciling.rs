//! What a chain paid and holds is compared with the record: a difference made on purpose is told, and nothing else.

use super::world::{FULL, Payer, World};
use crate::chain::CoinId;
use crate::clock::Clock;
use crate::moment::DAY_SECONDS;
use crate::money::{Cents, Units};
use crate::payment::{Code, Payment, TransferId};
use crate::reconcile::{Difference, Reconciled, Reconciler, What};
use crate::store::{StoreError, TouchedBlock, TouchedTransfer};
use crate::watch::{Span, WatchList};

async fn reconcile(world: &World) -> Reconciled {
    let clock = Clock::stopped(world.now());
    let (chain, source, store) = (&world.chain, &world.node, &world.store);
    Reconciler { chain, source, store, clock }.run().await.unwrap()
}

async fn given(world: &World, payment: &Payment) {
    let claimed = world.store.claim_address(&payment.addresses()[0], payment.id().code()).await;
    assert!(claimed.unwrap());
}

/// A payment, paid in two blocks and counted.
async fn paid() -> (World, Payer) {
    let (mut world, payer) = World::with_payment().await;
    given(&world, &world.payment(&payer).await).await;
    world.node.mine(vec![payer.pays(1, FULL / 2)]);
    world.node.mine(vec![payer.pays(2, FULL / 2)]);
    world.node.mine_empty(20);
    world.run().await;
    assert_eq!(world.payment(&payer).await.received(), Cents(10_000));
    (world, payer)
}

fn of(code: Code, what: What) -> Difference {
    Difference { code, what }
}

#[tokio::test]
async fn a_chain_and_a_record_that_agree_differ_in_nothing() {
    let (mut world, payer) = paid().await;
    for _ in 0..3 {
        let done = reconcile(&world).await;
        assert_eq!((done.blocks, done.addresses, done.differences), (2, 1, vec![]));
    }
    // What the address holds is noted beside it.
    let address = world.payment(&payer).await.addresses()[0].address.clone();
    let noted = world.store.given(&address).await.unwrap().unwrap().balances;
    assert_eq!(noted.get(&CoinId::new("ETH").unwrap()), Some(&Units(FULL)));
    // Money on its way, money taken away, and a chain that moves on are no differences.
    world.node.mine(vec![payer.pays(3, FULL)]);
    world.run().await;
    assert_eq!(reconcile(&world).await.differences, []);
    world.node.mine_empty(20);
    world.node.swept.set(true);
    world.accept_rate("ETH", 2_500).await;
    world.run().await;
    let done = reconcile(&world).await;
    assert_eq!((done.blocks, done.differences), (3, vec![]));
    let noted = world.store.given(&address).await.unwrap().unwrap().balances;
    assert_eq!(noted.get(&CoinId::new("ETH").unwrap()), Some(&Units(0)));
}

#[tokio::test]
async fn money_that_no_watcher_saw_is_a_difference_until_it_is_read_again() {
    let (mut world, payer) = paid().await;
    world.node.pause.set(44 * DAY_SECONDS);
    world.node.mine_empty(1);
    world.cold_run().await;
    let height = world.node.mine(vec![payer.pays(3, 7)]).number;
    world.node.mine_empty(30);
    world.accept_rate("ETH", 2_500).await;
    world.cold_run().await;
    let address = world.payment(&payer).await.addresses()[0].address.clone();
    let coin = CoinId::new("ETH").unwrap();
    let more = What::HoldsMore { address, coin, holds: Units(FULL + 7), recorded: Units(FULL) };
    assert_eq!(reconcile(&world).await.differences, [of(payer.code, more.clone())]);
    assert_eq!(reconcile(&world).await.differences, [of(payer.code, more)], "until somebody looks");
    let mut list = WatchList::ever_given(&world.store, &world.chain).await.unwrap();
    let span = Span { from: height, to: height, tx_id: None };
    world.watcher().rescan(&mut list, span).await.unwrap();
    assert_eq!(reconcile(&world).await.differences, []);
}

#[tokio::test]
async fn a_transfer_that_its_block_does_not_pay_is_a_difference() {
    let (world, payer) = paid().await;
    // The node's block of that height is another one, and nobody noticed.
    let height = world.node.best().number - 20;
    world.node.replace(height, Vec::new());
    let id = TransferId::new(world.node.key("ETH", payer.address, 2));
    assert_eq!(reconcile(&world).await.differences, [of(payer.code, What::NotPaid(id.clone()))]);
    world.node.replace(height, vec![payer.pays(2, 5)]);
    assert_eq!(reconcile(&world).await.differences, [of(payer.code, What::OtherAmount(id))]);
    world.node.replace(height, vec![payer.pays(2, FULL / 2)]);
    assert_eq!(reconcile(&world).await.differences, []);
}

#[tokio::test]
async fn a_transfer_that_was_noted_and_never_told_is_a_difference() {
    let (mut world, payer) = paid().await;
    let (payment, other) = world.unlisted(2, Cents(10_000)).await;
    given(&world, &payment).await;
    let header = world.node.mine(vec![other.pays(3, FULL)]);
    world.node.mine_empty(20);
    world.run().await;
    // A watcher noted it and lost its way before it told the payment.
    let id = world.node.key("ETH", other.address, 3);
    note(&world, header.number, header.hash.0, &other, &id).await.unwrap();
    let differences = reconcile(&world).await.differences;
    assert!(differences.contains(&of(other.code, What::NotRecorded(TransferId::new(id)))), "{differences:?}");
    assert!(differences.iter().all(|difference| difference.code != payer.code));
}

async fn note(world: &World, height: u64, hash: [u8; 32], payer: &Payer, id: &str) -> Result<(), StoreError> {
    let transfer = TouchedTransfer {
        code: payer.code.to_string(),
        id: id.to_owned(),
        coin: "ETH".to_owned(),
        decimals: 18,
        tx: String::new(),
        address: String::new(),
        units: FULL.to_string(),
        coinbase: false,
        inputs: Vec::new(),
    };
    let block = TouchedBlock {
        height,
        hash: hash.first_chunk().copied().unwrap(),
        time: world.now(),
        transfers: vec![transfer],
        payouts: Vec::new(),
    };
    world.store.put_block(&world.chain.id, &block, world.now()).await
}

#[tokio::test]
async fn a_run_that_cannot_read_all_goes_on_where_it_stopped() {
    let (mut world, _) = World::with_payment().await;
    let nobody = world.list_nobody(2).await;
    for tx in 0..310 {
        world.node.mine(vec![nobody.pays(tx, 1)]);
    }
    world.node.mine_empty(20);
    world.run().await;
    let read =
        [reconcile(&world).await.blocks, reconcile(&world).await.blocks, reconcile(&world).await.blocks];
    assert_eq!(read, [300, 10, 300]);
}

#[tokio::test]
async fn a_chain_without_balances_is_read_once_more_block_by_block() {
    let (mut world, payer) = World::with_payment_on("bitcoin", Cents(10_000)).await;
    given(&world, &world.payment(&payer).await).await;
    world.node.mine(vec![payer.pays_bitcoin(1, 400_000, 9)]);
    world.node.mine_empty(20);
    world.run().await;
    let first = reconcile(&world).await;
    assert!(first.blocks > 200, "{first:?}");
    assert_eq!((first.differences, reconcile(&world).await.blocks), (vec![], 0));
    world.node.mine_empty(3);
    world.run().await;
    assert_eq!(reconcile(&world).await.blocks, 3);
}
