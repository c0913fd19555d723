//! What a watcher could not see is found by reading again, and what is known stays as it is (R22, R23).

use super::states;
use super::world::{FULL, Payer, START, World};
use crate::chain::address::AddressKey;
use crate::moment::DAY_SECONDS;
use crate::money::Cents;
use crate::payment::{Code, Payment, Status, TransferState};
use crate::watch::{RecoverError, Recovered, Span, WatchList};

/// Its address is among those ever given out.
async fn given(world: &World, payment: &Payment) {
    let claimed = world.store.claim_address(&payment.addresses()[0], payment.id().code()).await;
    assert!(claimed.unwrap());
}

async fn rescan(world: &World, from: u64, to: u64) -> Result<Recovered, RecoverError> {
    let mut list = WatchList::ever_given(&world.store, &world.chain).await.unwrap();
    world.watcher().rescan(&mut list, Span { from, to, tx_id: None }).await
}

/// Codes of the payments that were told of anything.
fn changed(recovered: &Recovered) -> Vec<Code> {
    recovered.changed.iter().map(|(_, after)| after.id().code()).collect()
}

/// A payment, paid in full in the block after the start, which no watcher ever read.
async fn missed() -> (World, Payer) {
    let mut world = World::unwatched().await;
    let (payment, payer) = world.unlisted(1, Cents(10_000)).await;
    given(&world, &payment).await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(60);
    world.catch_up().await;
    assert_eq!(states(&world.payment(&payer).await), []);
    (world, payer)
}

#[tokio::test]
async fn r22_money_from_before_the_first_scan_is_found_by_reading_again() {
    let (world, payer) = missed().await;
    let found = rescan(&world, START - 5, START + 5).await.unwrap();
    assert_eq!((changed(&found), found.known, found.read_to), (vec![payer.code], 0, Some(START + 5)));
    let payment = world.payment(&payer).await;
    assert_eq!((payment.recorded_status(), payment.received()), (Status::Paid, Cents(10_000)));
}

#[tokio::test]
async fn r22_reading_again_changes_nothing_that_counts() {
    let (mut world, payer) = missed().await;
    rescan(&world, START - 5, START + 5).await.unwrap();
    let (payment, cursor) = (world.payment(&payer).await, world.cursor().await);
    let again = rescan(&world, START - 5, START + 5).await.unwrap();
    assert_eq!((changed(&again), again.known), (vec![], 1));
    assert_eq!((world.payment(&payer).await, world.cursor().await), (payment.clone(), cursor));
    // Nor does the watcher, which goes on as if it had seen it itself.
    world.node.mine_empty(20);
    world.run().await;
    world.cold_run().await;
    assert_eq!(world.payment(&payer).await, payment);
}

#[tokio::test]
async fn r23_money_on_an_address_that_is_watched_no_longer_is_found_by_reading_again() {
    let (mut world, payer) = World::with_payment().await;
    given(&world, &world.payment(&payer).await).await;
    world.node.pause.set(44 * DAY_SECONDS);
    world.node.mine_empty(1);
    world.cold_run().await;
    let height = world.node.mine(vec![payer.pays(1, FULL)]).number;
    world.node.mine_empty(30);
    world.accept_rate("ETH", 2_000).await;
    world.cold_run().await;
    assert_eq!(states(&world.payment(&payer).await), [], "nobody looks there any more");
    let address = world.payment(&payer).await.addresses()[0].address.clone();
    let mut list = WatchList::only(&world.store, &world.chain, &address).await.unwrap().unwrap();
    let span = Span { from: height - 3, to: height + 3, tx_id: None };
    let found = world.watcher().rescan(&mut list, span).await.unwrap();
    assert_eq!(changed(&found), [payer.code]);
    let payment = world.payment(&payer).await;
    assert_eq!((states(&payment), payment.received()), (vec![TransferState::Counted], Cents(8_000)));
    // It is watched again from now on.
    let height = world.node.mine(vec![payer.pays(2, FULL)]).number;
    world.node.mine_empty(12);
    world.accept_rate("ETH", 2_000).await;
    world.cold_run().await;
    assert!(world.cursor().await.height > height);
    assert_eq!(world.payment(&payer).await.received(), Cents(16_000));
}

#[tokio::test]
async fn r22_a_named_transaction_is_told_alone() {
    let (world, payer) = World::with_payment().await;
    let (payment, other) = world.unlisted(2, Cents(10_000)).await;
    given(&world, &payment).await;
    let mut world = world;
    let height = world.node.mine(vec![other.pays(1, FULL / 2), other.pays(2, FULL / 2)]).number;
    world.node.mine_empty(20);
    world.run().await;
    let mut list = WatchList::ever_given(&world.store, &world.chain).await.unwrap();
    let tx_id = super::chain::tx_id(2);
    let span = Span { from: height, to: height, tx_id: Some(&tx_id) };
    let found = world.watcher().rescan(&mut list, span).await.unwrap();
    assert_eq!(changed(&found), [other.code]);
    assert_eq!(world.payment(&other).await.received(), Cents(5_000));
    assert_eq!(states(&world.payment(&payer).await), []);
}

#[tokio::test]
async fn r22_what_was_read_again_and_does_not_count_yet_is_followed_up() {
    let (world, _) = World::with_payment().await;
    let (payment, payer) = world.unlisted(2, Cents(10_000)).await;
    given(&world, &payment).await;
    let mut world = world;
    let height = world.node.mine(vec![payer.pays(1, FULL)]).number;
    world.node.mine_empty(2);
    world.run().await;
    rescan(&world, height, height).await.unwrap();
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Confirming]);
    assert_eq!(world.cursor().await.open_from, Some(height));
    world.node.mine_empty(10);
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
    // And it can be taken back like any other.
    let (lost_at, taken) = (world.node.best().number - height + 1, world.node.reorg(13));
    assert!(lost_at <= 13 && !taken.is_empty());
    world.run().await;
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Lost]);
}

#[tokio::test]
async fn a_node_with_another_chain_than_the_record_tells_nothing() {
    let (mut world, payer) = missed().await;
    world.node.mine_empty(130);
    world.catch_up().await;
    world.node.reorg(150);
    let refused = rescan(&world, START - 5, START + 5).await;
    // The money itself was below the fork; the node's word is not taken all the same.
    assert!(matches!(refused, Err(RecoverError::Disagrees)), "{refused:?}");
    assert_eq!(states(&world.payment(&payer).await), []);
}

#[tokio::test]
async fn only_what_the_watcher_has_scanned_is_read_again() {
    let world = World::unwatched().await;
    assert!(matches!(rescan(&world, 1, 5).await, Err(RecoverError::NeverWatched(_))));
    let (world, _) = World::with_payment().await;
    let height = world.cursor().await.height;
    world.node.mine_empty(5);
    assert_eq!(rescan(&world, height + 1, height + 5).await.unwrap(), Recovered::default());
    assert_eq!(rescan(&world, 0, u64::MAX).await.unwrap().read_to, Some(49), "so many at once");
    let header = crate::watch::Source::header(&world.node, 20).await.unwrap().unwrap();
    assert_eq!(world.watcher().height_at(header.timestamp).await.unwrap(), 20);
    assert_eq!(world.watcher().height_at(header.timestamp.plus(1)).await.unwrap(), 21);
}

/// What a watcher leaves out because there is too much of it is what a rescan is for.
#[tokio::test]
async fn r22_reading_again_leaves_no_address_out() {
    let (mut world, _) = World::with_payment().await;
    world.run().await;
    let mut list = WatchList::ever_given(&world.store, &world.chain).await.unwrap();
    assert!(list.reads_again() && !world.list.reads_again());
    for number in 0..5_001_u64 {
        let mut key = [7; 20];
        key[..8].copy_from_slice(&number.to_be_bytes());
        list.insert(AddressKey(key), Code::from_random(number));
    }
    let span = Span { from: START, to: START, tx_id: Some("one") };
    world.watcher().rescan(&mut list, span).await.unwrap();
    assert_eq!(list.compared().len(), 5_000);
    world.watcher().rescan(&mut list, Span { tx_id: None, ..span }).await.unwrap();
    assert_eq!(list.compared().len(), 5_001);
}
