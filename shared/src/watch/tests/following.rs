//! Money comes, is confirmed, and counts once.

use super::chain::Paid;
use super::states;
use super::world::{FULL, FULL_BITCOIN, World};
use crate::moment::DAY_SECONDS;
use crate::money::Cents;
use crate::payment::{Event, LIFETIME_SECONDS, Status, Transfer, TransferState, Window};

#[tokio::test]
async fn r22_a_transfer_is_confirmed_block_by_block_and_then_counts() {
    let (mut world, payer) = World::with_payment().await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    for confirmations in 1..12 {
        world.run().await;
        let payment = world.payment(&payer).await;
        assert_eq!(states(&payment), [TransferState::Confirming]);
        assert_eq!(payment.transfers().next().unwrap().confirmations(), confirmations);
        assert_eq!(payment.recorded_status(), Status::Pending);
        world.node.mine_empty(1);
    }
    world.run().await;
    let payment = world.payment(&payer).await;
    assert_eq!(states(&payment), [TransferState::Counted]);
    assert_eq!((payment.recorded_status(), payment.received()), (Status::Paid, Cents(10_000)));
    assert_eq!(world.cursor().await.open_from, None);
}

#[tokio::test]
async fn r22_more_runs_and_cold_starts_count_it_once() {
    let (mut world, payer) = World::with_payment().await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(11);
    world.run().await;
    let counted = world.payment(&payer).await;
    assert_eq!(counted.received(), Cents(10_000));
    for _ in 0..3 {
        world.run().await;
        world.cold_run().await;
        world.node.mine_empty(1);
    }
    assert_eq!(world.payment(&payer).await, counted);
}

#[tokio::test]
async fn r22_several_transfers_of_one_transaction_and_several_payments_of_one_block() {
    let (mut world, one) = World::with_payment().await;
    let other = world.payer(2, Cents(10_000)).await;
    let token = Paid { coin: "USDC", ..one.pays(1, 5_000_000) };
    let half = FULL / 2;
    world.node.mine(vec![one.pays(1, half), one.pays(1, half), token, other.pays(2, FULL)]);
    world.node.mine_empty(11);
    world.accept_rate("USDC", 1).await;
    world.run().await;
    let (one, other) = (world.payment(&one).await, world.payment(&other).await);
    assert_eq!((one.received(), one.transfers().count()), (Cents(10_500), 3));
    assert_eq!((one.recorded_status(), other.recorded_status()), (Status::Overpaid, Status::Paid));
}

#[tokio::test]
async fn r22_a_long_absence_is_caught_up_in_steps() {
    let (mut world, payer) = World::with_payment().await;
    let start = world.cursor().await.height;
    world.node.mine_empty(10);
    world.node.mine(vec![payer.pays(1, FULL / 2)]);
    world.node.mine_empty(1_500);
    world.node.mine(vec![payer.pays(2, FULL / 2)]);
    world.node.mine_empty(488);
    world.accept_rate("ETH", 2_500).await;
    let first = world.cold_run().await;
    assert_eq!((first.height, first.caught_up), (start + 1_000, false));
    assert_eq!(world.payment(&payer).await.received(), Cents(5_000));
    let second = world.cold_run().await;
    assert_eq!((second.height, second.caught_up), (start + 2_000, true));
    let payment = world.payment(&payer).await;
    assert_eq!((payment.recorded_status(), payment.received()), (Status::Paid, Cents(10_000)));
}

#[tokio::test]
async fn r20_a_transfer_without_a_rate_is_shown_uncounted_until_there_is_one() {
    let (mut world, payer) = World::with_payment().await;
    world.node.mine_empty(80);
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(30);
    world.run().await;
    let payment = world.payment(&payer).await;
    assert_eq!((states(&payment), payment.received()), (vec![TransferState::Confirming], Cents::ZERO));
    world.run().await;
    assert!(world.cursor().await.open_from.is_some());
    // Until its worth is known it must lie as deep as anything.
    assert_eq!(payment.transfers().next().unwrap().movement().confirmations_required, 64);
    world.accept_rate("ETH", 2_000).await;
    world.run().await;
    let payment = world.payment(&payer).await;
    assert_eq!((states(&payment), payment.received()), (vec![TransferState::Counted], Cents(8_000)));
    assert_eq!(payment.transfers().next().unwrap().movement().confirmations_required, 12);
    world.node.mine_empty(10);
    world.accept_rate("ETH", 9_000).await;
    world.run().await;
    assert_eq!(world.payment(&payer).await, payment);
    assert_eq!(world.cursor().await.open_from, None);
}

#[tokio::test]
async fn r22_a_large_payment_counts_when_its_block_is_final() {
    let (mut world, _) = World::with_payment().await;
    let payer = world.payer(2, Cents(1_000_000)).await;
    world.run().await;
    let height = world.node.mine(vec![payer.pays(1, 100 * FULL)]).number;
    world.node.mine_empty(90);
    for finalized in [None, Some(height - 1)] {
        world.node.finalized.set(finalized);
        world.run().await;
        assert_eq!(states(&world.payment(&payer).await), [TransferState::Confirming]);
    }
    world.node.finalized.set(Some(height));
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn a17_money_must_lie_as_deep_as_the_larger_of_what_is_due_and_what_came_asks_for() {
    // For 100 USD; the last is 4,000 USD in forty outputs of one block. What is told of twice is no larger for that.
    for (units, outputs, required) in [
        (FULL_BITCOIN, 1, 1),
        (6 * FULL_BITCOIN, 1, 1),
        (30 * FULL_BITCOIN, 1, 2),
        (100 * FULL_BITCOIN, 1, 6),
        (FULL_BITCOIN, 40, 2),
    ] {
        let (mut world, payer) = World::with_payment_on("bitcoin", Cents(10_000)).await;
        world.node.mine(vec![payer.pays_bitcoin(1, units, 1001); outputs]);
        for confirmations in 1..required {
            world.run().await;
            let payment = world.payment(&payer).await;
            assert_eq!(
                states(&payment),
                vec![TransferState::Confirming; outputs],
                "{units} at {confirmations}"
            );
            world.node.mine_empty(1);
        }
        world.run().await;
        let payment = world.payment(&payer).await;
        assert_eq!(states(&payment), vec![TransferState::Counted; outputs], "{units}");
        let asks = |transfer: &Transfer| transfer.movement().confirmations_required == required;
        assert!(payment.transfers().all(asks), "{units}");
        assert_eq!(world.cursor().await.open_from, None);
    }
}

#[tokio::test]
async fn a17_a_small_payment_to_which_much_came_waits_until_its_block_is_final() {
    let (mut world, payer) = World::with_payment().await;
    let height = world.node.mine(vec![payer.pays(1, 100 * FULL)]).number;
    world.node.mine_empty(90);
    world.node.finalized.set(Some(height - 1));
    world.run().await;
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Confirming]);
    world.node.finalized.set(Some(height));
    world.run().await;
    let payment = world.payment(&payer).await;
    assert_eq!((payment.recorded_status(), payment.received()), (Status::Overpaid, Cents(1_000_000)));
}

#[tokio::test]
async fn r23_money_after_expiry_is_late_and_starts_its_thirty_days_anew() {
    let (mut world, payer) = World::with_payment().await;
    let expiry = world.payment(&payer).await.terms().expires_at();
    world.node.pause.set(LIFETIME_SECONDS);
    world.node.mine_empty(1);
    world.run().await;
    let closed_at = world.cursor().await.closed_at(expiry).unwrap();
    let windows = vec![Window { chain: world.chain.id.clone(), height: closed_at }];
    let now = world.now();
    let expire = Event::Expire { windows, complete: true };
    let expired = world.store.change_payment(payer.code, |payment| {
        Ok::<_, crate::store::StoreError>(payment.apply(expire.clone(), now).unwrap())
    });
    assert_eq!(expired.await.unwrap().unwrap().recorded_status(), Status::Expired);
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(11);
    world.accept_rate("ETH", 2_500).await;
    let came_at = world.now();
    world.run().await;
    let payment = world.payment(&payer).await;
    assert_eq!((payment.recorded_status(), payment.received()), (Status::Expired, Cents(10_000)));
    assert!(payment.has_late_money());
    let mut listed = Vec::new();
    world.store.each_listed_since("evm", came_at, |watched| listed.push(watched)).await.unwrap();
    let again: Vec<_> = listed.iter().map(|watched| (watched.code, watched.listed_at)).collect();
    assert_eq!(again, [(payer.code, came_at)]);
    assert!(came_at.plus(43 * DAY_SECONDS) > expiry.plus(30 * DAY_SECONDS));
}

#[tokio::test]
async fn r15_a_window_closes_at_the_first_tip_read_at_or_after_the_moment() {
    let (mut world, _) = World::with_payment().await;
    world.node.mine_empty(5);
    world.run().await;
    let (before, low) = (world.now(), world.cursor().await.height);
    world.node.mine_empty(5);
    world.run().await;
    let (after, high) = (world.now(), world.cursor().await.height);
    let cursor = world.cursor().await;
    assert_eq!(cursor.closed_at(before), Some(low));
    assert_eq!(cursor.closed_at(before.plus(1)), Some(high));
    assert_eq!(cursor.closed_at(after.plus(1)), None);
}

#[tokio::test]
async fn r15_an_address_listed_while_a_scan_was_under_way_is_scanned_back() {
    let (mut world, _) = World::with_payment().await;
    let (payment, payer) = world.unlisted(2, Cents(10_000)).await;
    // The item shows only after the next scan has passed the block that holds the money.
    let listed_at = world.now();
    let heights = world.cursor().await.height;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(2);
    world.run().await;
    assert!(world.cursor().await.height > heights);
    let watched = crate::store::Watched {
        address: payment.addresses()[0].address.clone(),
        code: payer.code,
        listed_at,
        heights: [(world.chain.id.clone(), heights)].into(),
    };
    world.store.list_address("evm", &watched).await.unwrap();
    world.node.mine_empty(1);
    world.run().await;
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Confirming]);
    // Later than the list is looked back at.
    world.node.mine_empty(20);
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r15_an_address_learned_late_is_scanned_back_though_the_node_failed_meanwhile() {
    let (mut world, _) = World::with_payment().await;
    let (payment, payer) = world.unlisted(2, Cents(10_000)).await;
    let listed_at = world.now();
    let heights = [(world.chain.id.clone(), world.cursor().await.height)].into();
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(4);
    world.run().await;
    let address = payment.addresses()[0].address.clone();
    let watched = crate::store::Watched { address, code: payer.code, listed_at, heights };
    world.store.list_address("evm", &watched).await.unwrap();
    // The run that learns the address dies; the next ones come when a look at the list no longer reaches back to it.
    world.node.mine_empty(6);
    *world.node.fault.borrow_mut() = super::chain::Fault::DiesAfter(3);
    assert!(!world.run().await.caught_up);
    *world.node.fault.borrow_mut() = super::chain::Fault::None;
    world.node.mine_empty(20);
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r22_more_blocks_than_one_page_are_all_counted() {
    let (mut world, payer) = World::with_payment().await;
    let waiting = world.payer(2, Cents(10_000)).await;
    let nobody = world.list_nobody(3).await;
    // A coin of which no rate is known holds the first block open.
    world.node.mine(vec![Paid { coin: "USDC", ..waiting.pays(1, 1_000) }]);
    for tx in 0..505 {
        world.node.mine(vec![nobody.pays(1_000 + tx, 1)]);
    }
    world.run().await;
    let renewed = world.payer(4, Cents(10_000)).await;
    world.node.mine_empty(30);
    world.run().await;
    world.node.mine(vec![renewed.pays(2, FULL)]);
    world.run().await;
    world.node.mine_empty(12);
    world.run().await;
    assert_eq!(world.payment(&renewed).await.recorded_status(), Status::Paid);
    assert_eq!(states(&world.payment(&waiting).await), [TransferState::Confirming]);
    assert_eq!(world.payment(&payer).await.transfers().count(), 0);
}
