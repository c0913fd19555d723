//! A node that lags, lies, forks or dies changes nothing that is not so.

use super::chain::Fault;
use super::states;
use super::world::{FULL, FULL_BITCOIN, World};
use crate::money::Cents;
use crate::payment::{Status, TransferState};
use crate::store::Cursor;

/// What a cursor says of the chain.
fn known(cursor: Cursor) -> (u64, Vec<[u8; 16]>, Vec<(crate::moment::Timestamp, u64)>) {
    (cursor.height, cursor.hashes, cursor.caught_up)
}

#[tokio::test]
async fn r15_a_node_that_lags_changes_nothing() {
    for behind in [1, 5, 190] {
        let (mut world, payer) = World::with_payment().await;
        world.node.mine(vec![payer.pays(1, FULL)]);
        world.run().await;
        let (cursor, payment) = (known(world.cursor().await), world.payment(&payer).await);
        world.ahead = 300;
        *world.node.fault.borrow_mut() = Fault::Lags(behind);
        let outcome = world.run().await;
        assert!(!outcome.caught_up && !outcome.fork_too_deep, "{behind} blocks behind");
        assert_eq!((known(world.cursor().await), world.payment(&payer).await), (cursor, payment));
    }
}

#[tokio::test]
async fn r22_a_node_without_its_own_blocks_is_believed_up_to_the_last_that_fits() {
    for fault in [Fault::NoTipBlock, Fault::WrongParent] {
        let (mut world, payer) = World::with_payment().await;
        world.node.mine_empty(2);
        world.node.mine(vec![payer.pays(1, FULL)]);
        *world.node.fault.borrow_mut() = fault;
        let outcome = world.run().await;
        assert_eq!((outcome.height, outcome.caught_up), (world.node.best().number - 1, false));
        assert_eq!(world.payment(&payer).await.transfers().count(), 0);
        *world.node.fault.borrow_mut() = Fault::None;
        world.node.mine_empty(11);
        world.run().await;
        assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
    }
}

#[tokio::test]
async fn r22_a_block_that_a_node_never_answers_for_holds_up_none_below_it() {
    let (mut world, payer) = World::with_payment().await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(20);
    let tip = world.node.best().number;
    *world.node.fault.borrow_mut() = Fault::Hangs(tip - 4);
    let outcome = world.run().await;
    assert_eq!((outcome.height, outcome.caught_up), (tip - 5, false));
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
    *world.node.fault.borrow_mut() = Fault::None;
    assert!(world.run().await.caught_up);
}

#[tokio::test]
async fn r22_blocks_to_be_read_again_that_a_node_never_answers_for_keep_the_address_late() {
    let (mut world, _) = World::with_payment().await;
    let (payment, payer) = world.unlisted(2, Cents(10_000)).await;
    let (listed_at, height) = (world.now(), world.node.best().number);
    world.list_address(&payment, listed_at).await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(11);
    *world.node.fault.borrow_mut() = Fault::Hangs(0);
    let outcome = world.cold_run().await;
    assert_eq!((outcome.height, outcome.caught_up), (height, false));
    *world.node.fault.borrow_mut() = Fault::None;
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r22_a_node_that_never_says_what_is_unconfirmed_holds_up_no_confirmation() {
    let (mut world, payer) = World::with_payment_on("bitcoin", Cents(100_000)).await;
    *world.node.fault.borrow_mut() = Fault::HangsOutside;
    world.node.mine(vec![payer.pays_bitcoin(1, 10 * FULL_BITCOIN, 1001)]);
    world.run().await;
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Confirming]);
    world.node.mine_empty(1);
    assert!(world.run().await.caught_up);
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r22_a_node_without_headers_moves_nothing() {
    let (mut world, _) = World::with_payment().await;
    world.node.mine_empty(2);
    let cursor = known(world.cursor().await);
    *world.node.fault.borrow_mut() = Fault::NoHeaders;
    assert!(!world.run().await.caught_up);
    assert_eq!(known(world.cursor().await), cursor);
}

#[tokio::test]
async fn r22_a_node_that_dies_or_forks_at_any_question_is_made_good() {
    for question in 0..16 {
        for fault in
            [Fault::DiesAfter(question), Fault::ForksAfter(question, 3), Fault::ForksAfter(question, 14)]
        {
            let (mut world, payer) = World::with_payment().await;
            world.node.mine_empty(2);
            world.run().await;
            world.node.mine(vec![payer.pays(1, FULL)]);
            world.node.mine_empty(12);
            *world.node.fault.borrow_mut() = fault.clone();
            world.disturbed_run().await;
            *world.node.fault.borrow_mut() = Fault::None;
            world.node.mine_empty(12);
            world.run().await;
            world.run().await;
            let payment = world.payment(&payer).await;
            assert_eq!(states(&payment), [TransferState::Counted], "{fault:?}");
            assert_eq!(payment.received(), Cents(10_000));
        }
    }
}

#[tokio::test]
async fn r22_an_idle_watcher_does_not_follow_a_node_backwards() {
    let mut world = World::unwatched().await;
    world.run().await;
    world.node.mine_empty(5);
    world.run().await;
    let cursor = world.cursor().await;
    *world.node.fault.borrow_mut() = Fault::Lags(3);
    assert!(!world.run().await.caught_up);
    assert_eq!(world.cursor().await, cursor);
}

#[tokio::test]
async fn r22_money_does_not_count_by_a_tip_that_the_node_cannot_show() {
    let (mut world, payer) = World::with_payment().await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(2);
    for runs in 0..2 {
        *world.node.fault.borrow_mut() = Fault::Boasts(20);
        assert!(!world.run().await.caught_up);
        let payment = world.payment(&payer).await;
        assert_eq!(states(&payment), [TransferState::Confirming], "run {runs}");
        assert_eq!(payment.received(), Cents::ZERO);
    }
    *world.node.fault.borrow_mut() = Fault::None;
    world.node.mine_empty(9);
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r22_an_idle_watcher_that_believed_in_too_high_a_tip_finds_back() {
    let mut world = World::unwatched().await;
    world.run().await;
    *world.node.fault.borrow_mut() = Fault::Boasts(1_000);
    world.run().await;
    assert_eq!(world.cursor().await.height, world.node.best().number + 1_000);
    *world.node.fault.borrow_mut() = Fault::None;
    let payer = world.payer(1, Cents(10_000)).await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(12);
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r22_a_tip_that_nobody_can_scan_confirms_nothing() {
    let (mut world, payer) = World::with_payment().await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(11);
    // Of twelve blocks the last cannot be read.
    *world.node.fault.borrow_mut() = Fault::NoTipBlock;
    world.run().await;
    let payment = world.payment(&payer).await;
    assert_eq!(
        (payment.recorded_status(), states(&payment)),
        (Status::Pending, vec![TransferState::Confirming])
    );
    *world.node.fault.borrow_mut() = Fault::None;
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r15_a_window_does_not_close_over_money_that_could_not_be_told() {
    let (mut world, payer) = World::with_payment().await;
    let closes = world.now().plus(1);
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.store.break_payment(payer.code).await;
    assert!(world.run().await.caught_up);
    assert_eq!(world.cursor().await.closed_at(closes), None);
}

#[tokio::test]
async fn a_chain_that_is_never_read_to_its_tip_lags_since_it_was_begun() {
    let mut world = World::unwatched().await;
    world.payer(1, Cents(10_000)).await;
    world.run().await;
    *world.node.fault.borrow_mut() = Fault::NoTipBlock;
    for minutes in 1..=3 {
        world.node.mine_empty(5);
        assert_eq!(world.run().await.lag_seconds, minutes * 60);
    }
    *world.node.fault.borrow_mut() = Fault::None;
    assert_eq!(world.run().await.lag_seconds, 1);
}

#[tokio::test]
async fn r15_a_node_that_stands_still_closes_no_window() {
    let (mut world, _) = World::with_payment().await;
    let closes = world.now().plus(600);
    world.ahead = 20 * 60;
    let outcome = world.run().await;
    assert!(outcome.caught_up && outcome.lag_seconds >= 20 * 60);
    assert_eq!(world.cursor().await.closed_at(closes), None);
    world.node.pause.set(20 * 60);
    world.node.mine_empty(1);
    world.ahead = 1;
    world.run().await;
    assert_eq!(world.cursor().await.closed_at(closes), Some(world.node.best().number));
}
