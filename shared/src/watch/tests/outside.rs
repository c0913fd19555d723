//! Money that no block holds: shown, never counted, and given up only when a rival is buried.

use super::chain::Paid;
use super::states;
use super::world::{FULL_BITCOIN, Payer, World};
use crate::clock::Clock;
use crate::money::Cents;
use crate::payment::{Payment, Price, Standing, Status, TransferState};
use crate::watch::{WatchList, Watcher};

/// A payment of 100 USD in bitcoins.
async fn bitcoin() -> (World, Payer) {
    World::with_payment_on("bitcoin", Cents(10_000)).await
}

async fn waits(world: &mut World, paid: Vec<Paid>) {
    *world.node.mempool.borrow_mut() = paid;
    world.run().await;
}

fn standing(payment: &Payment) -> Standing {
    payment.transfers().next().unwrap().standing()
}

#[tokio::test]
async fn r20_money_is_seen_before_a_block_holds_it_and_keeps_its_quote_from_then() {
    let (mut world, payer) = bitcoin().await;
    waits(&mut world, vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001)]).await;
    let seen = world.payment(&payer).await;
    assert_eq!(states(&seen), [TransferState::Seen]);
    assert_eq!((seen.recorded_status(), seen.received()), (Status::Pending, Cents::ZERO));
    let seen_at = world.now();
    // An hour later, long after the quote's end.
    world.node.pause.set(3_600);
    world.node.mine(world.node.mempool.take());
    world.run().await;
    let paid = world.payment(&payer).await;
    assert_eq!((paid.recorded_status(), paid.received()), (Status::Paid, Cents(10_000)));
    let transfer = paid.transfers().next().unwrap();
    assert_eq!(transfer.first_seen(), Some(seen_at));
    assert!(matches!(transfer.price(paid.quotes()), Price::Quote(_)));
    assert_eq!(world.store.outlying(&world.chain.id).await.unwrap().sightings, []);
}

#[tokio::test]
async fn r20_a_block_that_claims_to_be_older_than_the_quote_does_not_take_it_away() {
    for seen_before in [true, false] {
        let (mut world, payer) = bitcoin().await;
        if seen_before {
            waits(&mut world, vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001)]).await;
            world.node.mempool.take();
        }
        world.node.mine_at(world.node.now().minus(3_600), vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001)]);
        world.run().await;
        let paid = world.payment(&payer).await;
        assert_eq!((paid.recorded_status(), paid.received()), (Status::Paid, Cents(10_000)));
    }
}

#[tokio::test]
async fn a10_a_block_that_claims_to_be_newer_than_the_quote_does_not_take_it_away() {
    let (world, payer) = bitcoin().await;
    let now = world.now().plus(1);
    // Twenty minutes ahead, where a quote holds for fifteen; nobody saw it wait.
    world.node.mine_at(now.plus(1_200), vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001)]);
    let run = async |at| {
        let watcher = Watcher { clock: Clock::stopped(at), ..world.watcher() };
        watcher.run(&mut WatchList::default()).await.unwrap();
        world.payment(&payer).await
    };
    let paid = run(now).await;
    assert_eq!((paid.recorded_status(), paid.received()), (Status::Paid, Cents(10_000)));
    assert_eq!(paid.transfers().next().unwrap().first_seen(), Some(now));
    assert_eq!(run(now.plus(4_000)).await, paid);
}

#[tokio::test]
async fn r22_a_flood_of_dust_with_a_rival_costs_one_look_at_each() {
    let (mut world, payer) = bitcoin().await;
    let dust = |k: u128| Paid { units: 600 + k, ..payer.pays_bitcoin(1, 0, 1001) };
    waits(&mut world, (0..300).map(dust).collect()).await;
    assert_eq!(world.payment(&payer).await.transfers_total(), 300);
    world.node.mempool.take();
    let thief = Payer { address: crate::chain::address::AddressKey([9; 20]), ..payer.clone() };
    world.node.mine(vec![thief.pays_bitcoin(2, FULL_BITCOIN, 1001)]);
    world.run().await;
    world.tap.take();
    world.node.mine_empty(1);
    world.run().await;
    // The rival is known: nothing is written again but the cursor.
    assert!(world.tap.take().writes <= 2);
    world.node.mine_empty(5);
    world.run().await;
    let code = world.payment(&payer).await.id().code();
    let payment = world.store.whole_payment(code).await.unwrap().unwrap();
    assert_eq!((payment.transfers().count(), payment.has_folded()), (300, false));
    assert!(payment.transfers().all(|transfer| transfer.standing() == Standing::Replaced));
}

#[tokio::test]
async fn r20_a_replacement_is_a_new_transfer_and_the_replaced_one_is_lost() {
    let (mut world, payer) = bitcoin().await;
    waits(&mut world, vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001)]).await;
    waits(&mut world, vec![payer.pays_bitcoin(2, FULL_BITCOIN, 1001)]).await;
    let replaced = world.payment(&payer).await;
    let mut seen = states(&replaced);
    seen.sort_by_key(|state| state.as_str());
    assert_eq!(seen, [TransferState::Lost, TransferState::Seen]);
    world.node.mine(world.node.mempool.take());
    world.run().await;
    let paid = world.payment(&payer).await;
    assert_eq!((paid.recorded_status(), paid.received()), (Status::Paid, Cents(10_000)));
}

#[tokio::test]
async fn r15_a_double_spend_is_final_when_the_rival_is_buried_and_not_before() {
    let (mut world, payer) = bitcoin().await;
    waits(&mut world, vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001)]).await;
    world.node.mempool.take();
    let thief = Payer { address: crate::chain::address::AddressKey([9; 20]), ..payer.clone() };
    world.node.mine(vec![thief.pays_bitcoin(2, FULL_BITCOIN, 1001)]);
    world.run().await;
    assert!(matches!(standing(&world.payment(&payer).await), Standing::Lost { block: None, .. }));
    world.node.mine_empty(4);
    world.run().await;
    assert!(matches!(standing(&world.payment(&payer).await), Standing::Lost { .. }), "five blocks");
    world.node.mine_empty(1);
    world.run().await;
    assert_eq!(standing(&world.payment(&payer).await), Standing::Replaced);
    assert_eq!(world.store.outlying(&world.chain.id).await.unwrap().sightings, []);
}

#[tokio::test]
async fn r15_a_rival_in_a_lower_block_than_what_it_drove_out_is_one() {
    for runs_between in [true, false] {
        let (mut world, payer) = bitcoin().await;
        world.node.mine_empty(1);
        world.node.mine(vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001)]);
        world.run().await;
        world.node.take_away(2);
        let thief = Payer { address: crate::chain::address::AddressKey([9; 20]), ..payer.clone() };
        world.node.mine(vec![thief.pays_bitcoin(2, FULL_BITCOIN, 1001)]);
        if runs_between {
            world.run().await;
        }
        world.node.mine_empty(6);
        world.run().await;
        world.run().await;
        assert_eq!(standing(&world.payment(&payer).await), Standing::Replaced, "{runs_between}");
    }
}

#[tokio::test]
async fn r15_a_note_of_a_sighting_that_is_written_late_takes_nothing_back() {
    for is_replaced in [true, false] {
        let (mut world, payer) = bitcoin().await;
        waits(&mut world, vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001)]).await;
        let noted = world.store.outlying(&world.chain.id).await.unwrap().sightings.remove(0);
        let mut mined = world.node.mempool.take();
        if is_replaced {
            let thief = Payer { address: crate::chain::address::AddressKey([9; 20]), ..payer.clone() };
            mined = vec![thief.pays_bitcoin(2, FULL_BITCOIN, 1001)];
        }
        world.node.mine(mined);
        // Deeper than anything is looked back for.
        world.node.mine_empty(200);
        world.catch_up().await;
        let before = world.payment(&payer).await;
        let end = if is_replaced { TransferState::Lost } else { TransferState::Counted };
        assert_eq!(states(&before), [end]);
        world.store.put_sighting(&world.chain.id, &noted, 1, world.now()).await.unwrap();
        world.catch_up().await;
        assert_eq!(standing(&world.payment(&payer).await), standing(&before), "replaced: {is_replaced}");
    }
}

#[tokio::test]
async fn r15_a_rival_that_a_reorganisation_takes_away_rivals_nobody() {
    let (mut world, payer) = bitcoin().await;
    waits(&mut world, vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001)]).await;
    let mine = world.node.mempool.take();
    let thief = Payer { address: crate::chain::address::AddressKey([9; 20]), ..payer.clone() };
    world.node.mine(vec![thief.pays_bitcoin(2, FULL_BITCOIN, 1001)]);
    world.run().await;
    world.node.reorg(1);
    world.node.mine_empty(8);
    world.run().await;
    assert!(matches!(standing(&world.payment(&payer).await), Standing::Lost { .. }));
    // It comes back, unconfirmed first.
    waits(&mut world, mine.clone()).await;
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Seen]);
    world.node.mine(world.node.mempool.take());
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r22_money_taken_out_of_its_block_is_seen_again_or_replaced() {
    for comes_back in [true, false] {
        let (mut world, payer) = bitcoin().await;
        world.node.mine(vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001)]);
        world.run().await;
        assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
        let lost = world.node.take_away(1);
        let thief = Payer { address: crate::chain::address::AddressKey([9; 20]), ..payer.clone() };
        let rival = thief.pays_bitcoin(2, FULL_BITCOIN, 1001);
        if comes_back {
            world.node.mine_empty(2);
            waits(&mut world, lost).await;
            let payment = world.payment(&payer).await;
            assert_eq!(states(&payment), [TransferState::Seen]);
            assert_eq!((payment.recorded_status(), payment.paid_at()), (Status::Pending, None));
        } else {
            world.node.mine(vec![rival]);
            world.node.mine_empty(6);
            world.run().await;
            assert_eq!(standing(&world.payment(&payer).await), Standing::Replaced);
        }
    }
}

#[tokio::test]
async fn r22_what_a_block_itself_makes_counts_when_it_can_be_spent() {
    let (mut world, payer) = bitcoin().await;
    let made = Paid { is_coinbase: true, spends: None, ..payer.pays_bitcoin(1, FULL_BITCOIN, 1001) };
    world.node.mine(vec![made]);
    world.node.mine_empty(99);
    world.run().await;
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Confirming]);
    world.node.mine_empty(1);
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r22_a_crash_between_any_two_writes_while_money_waits_changes_nothing_in_the_end() {
    for writes in 0..12 {
        let (mut world, payer) = bitcoin().await;
        let other = world.payer(2, Cents(10_000)).await;
        world.run().await;
        *world.node.mempool.borrow_mut() =
            vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001), other.pays_bitcoin(2, FULL_BITCOIN, 1002)];
        world.tap.cut_after(writes);
        let crashed = world.try_run().await.is_err();
        world.tap.restore();
        world.cold_run().await;
        for payer in [&payer, &other] {
            assert_eq!(states(&world.payment(payer).await), [TransferState::Seen], "{writes} writes");
        }
        // One comes into a block and the other is never seen again; the process dies once more.
        world.node.mempool.take();
        world.node.mine(vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001)]);
        world.tap.cut_after(writes);
        let crashed_again = world.try_run().await.is_err();
        world.tap.restore();
        world.cold_run().await;
        world.node.mine_empty(1);
        world.cold_run().await;
        let (came, went) = (world.payment(&payer).await, world.payment(&other).await);
        assert_eq!(came.recorded_status(), Status::Paid, "{writes} writes");
        assert_eq!(states(&went), [TransferState::Lost], "{writes} writes");
        if !crashed && !crashed_again {
            assert!(writes > 4, "nothing was written");
            return;
        }
    }
    panic!("a run writes more than expected");
}

#[tokio::test]
async fn r15_money_seen_in_time_is_in_time_whenever_its_block_comes() {
    let (mut world, payer) = bitcoin().await;
    let expires_at = world.payment(&payer).await.terms().expires_at();
    world.node.pause.set(expires_at.since(world.node.now()) - 60);
    world.node.mine_empty(1);
    waits(&mut world, vec![payer.pays_bitcoin(1, FULL_BITCOIN, 1001)]).await;
    assert!(world.now() < expires_at);
    world.node.pause.set(7_200);
    world.node.mine_empty(1);
    world.run().await;
    world.node.mine(world.node.mempool.take());
    world.accept_rate("BTC", 2_500).await;
    world.run().await;
    let payment = world.payment(&payer).await;
    assert!(!payment.is_late(payment.transfers().next().unwrap()));
}

#[tokio::test]
async fn a_chain_whose_blocks_are_rare_does_not_lag_for_that() {
    let (mut world, _) = bitcoin().await;
    world.ahead = 2 * 3_600;
    assert_eq!(world.run().await.lag_seconds, 0);
    world.ahead = 3 * 3_600;
    assert!(world.run().await.lag_seconds > 30 * 60);
}
