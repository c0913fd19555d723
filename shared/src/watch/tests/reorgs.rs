//! The chain changes its mind.

use super::states;
use super::world::{FULL, World};
use crate::money::Cents;
use crate::payment::{Status, TransferState};
use crate::store::BlockState;

#[tokio::test]
async fn r16_a_reorganisation_takes_money_back_and_its_return_counts_once() {
    let (mut world, payer) = World::with_payment().await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(12);
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
    let lost = world.node.reorg(14);
    let outcome = world.run().await;
    assert_eq!(outcome.lost, 1);
    let payment = world.payment(&payer).await;
    assert_eq!(states(&payment), [TransferState::Lost]);
    assert_eq!((payment.recorded_status(), payment.received()), (Status::Pending, Cents::ZERO));
    world.node.mine(lost);
    world.node.mine_empty(5);
    world.run().await;
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Confirming]);
    world.node.mine_empty(6);
    world.cold_run().await;
    let payment = world.payment(&payer).await;
    assert_eq!((payment.recorded_status(), payment.received()), (Status::Paid, Cents(10_000)));
    assert_eq!(payment.transfers().count(), 1);
}

#[tokio::test]
async fn r22_a_transfer_that_moves_to_an_earlier_block_stays() {
    let (mut world, payer) = World::with_payment().await;
    world.node.mine_empty(3);
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.run().await;
    let paid = world.node.take_away(3);
    world.node.mine(paid);
    world.node.mine_empty(13);
    world.run().await;
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Counted]);
    for _ in 0..3 {
        world.node.mine_empty(1);
        world.cold_run().await;
    }
    assert_eq!(world.payment(&payer).await.received(), Cents(10_000));
}

#[tokio::test]
async fn r22_a_fork_deeper_than_what_is_kept_moves_nothing_and_says_so() {
    let (mut world, payer) = World::with_full_cursor().await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(3);
    world.run().await;
    let (cursor, payment) = (world.cursor().await, world.payment(&payer).await);
    world.node.reorg(129);
    let outcome = world.run().await;
    assert!(outcome.fork_too_deep && !outcome.caught_up);
    assert_eq!(world.payment(&payer).await, payment);
    let after = world.cursor().await;
    assert_eq!(
        (after.height, after.hashes, after.caught_up),
        (cursor.height, cursor.hashes, cursor.caught_up)
    );
}

#[tokio::test]
async fn r22_the_deepest_fork_that_is_kept_is_followed() {
    let (mut world, payer) = World::with_full_cursor().await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(20);
    world.run().await;
    world.node.reorg(127);
    let outcome = world.run().await;
    assert!(outcome.caught_up && !outcome.fork_too_deep);
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Lost]);
}

#[tokio::test]
async fn r22_the_block_at_which_an_idle_watcher_stood_may_be_reorganised() {
    let mut world = World::unwatched().await;
    world.run().await;
    world.node.mine_empty(5);
    world.run().await;
    let payer = world.payer(1, Cents(10_000)).await;
    world.node.take_away(2);
    world.node.mine_empty(1);
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(12);
    for _ in 0..3 {
        world.run().await;
    }
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r22_a_chain_that_goes_back_to_its_former_blocks_is_followed_both_ways() {
    let (mut world, payer) = World::with_payment().await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(12);
    world.run().await;
    let former = world.node.snapshot();
    world.node.reorg(13);
    world.run().await;
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Lost]);
    world.node.go_back_to(former);
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r22_a_transaction_that_pays_less_in_another_block_counts_for_what_the_chain_holds() {
    let (mut world, payer) = World::with_payment().await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(11);
    world.run().await;
    world.node.take_away(12);
    world.node.mine(vec![payer.pays(1, FULL / 10)]);
    world.node.mine_empty(12);
    world.run().await;
    let payment = world.payment(&payer).await;
    assert_eq!((payment.received(), payment.recorded_status()), (Cents(1_000), Status::PartiallyPaid));
}

#[tokio::test]
async fn r22_what_a_later_run_noted_of_a_block_an_earlier_one_does_not_take_for_gone() {
    let (mut world, payer) = World::with_payment().await;
    let header = world.node.mine(vec![payer.pays(1, FULL)]);
    world.run().await;
    let (store, chain, run) = (&world.store, &world.chain.id, world.cursor().await.version);
    let (hash, now) = (*header.hash.0.first_chunk().unwrap(), world.now());
    let block = (header.number, hash, header.timestamp);
    let gone = BlockState { gone: true, ..BlockState::default() };
    store.put_state(chain, block, &BlockState::default(), (run, now)).await.unwrap();
    store.put_state(chain, block, &gone, (run - 1, now)).await.unwrap();
    assert_eq!(store.state(chain, header.number, hash).await.unwrap(), BlockState::default());
    store.put_state(chain, block, &gone, (run, now)).await.unwrap();
    assert_eq!(store.state(chain, header.number, hash).await.unwrap(), gone);
}

#[tokio::test]
async fn r22_a_block_that_is_taken_for_gone_and_is_there_is_told_again() {
    let (mut world, payer) = World::with_payment().await;
    let header = world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(12);
    world.run().await;
    let hash = *header.hash.0.first_chunk().unwrap();
    let gone = BlockState { gone: true, ..BlockState::default() };
    let block = (header.number, hash, header.timestamp);
    let run = world.cursor().await.version;
    world.store.put_state(&world.chain.id, block, &gone, (run, world.now())).await.unwrap();
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
    world.node.reorg(13);
    world.run().await;
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Lost]);
}
