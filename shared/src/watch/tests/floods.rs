//! Blocks full of dust, which must hold up nobody and hide nothing.

use super::chain::Paid;
use super::states;
use super::world::{FULL, Payer, World};
use crate::money::Cents;
use crate::payment::{Status, TransferState};
use crate::store::{Held, Note, Onward};

/// Many small transfers by one transaction.
fn dust(payer: &Payer, tx: u64, count: u128) -> Vec<Paid> {
    (1..=count).map(|units| payer.pays(tx, units)).collect()
}

/// What is noted of all blocks.
async fn notes(world: &World) -> Vec<Note> {
    let mut notes = Vec::new();
    let visit = |note| {
        notes.push(note);
        Onward::Next
    };
    assert!(world.store.each_noted(&world.chain.id, 0, visit).await.unwrap());
    notes
}

fn transfers(notes: &[Note]) -> usize {
    let of = |note: &Note| if let Held::Transfers(all) = &note.held { all.len() } else { 0 };
    notes.iter().map(of).sum()
}

#[tokio::test]
async fn a18_a_block_of_three_thousand_transfers_is_a_dozen_items_and_each_run_goes_on_where_the_last_stopped()
 {
    let (mut world, payer) = World::with_payment().await;
    let nobody = world.list_nobody(2).await;
    let mut paid = dust(&nobody, 1, 3_000);
    paid.push(payer.pays(2, FULL));
    let height = world.node.mine(paid).number;
    world.node.mine_empty(12);
    let mut runs = 0;
    while world.cursor().await.height < height {
        runs += 1;
        assert!(runs <= 4, "the chain stands still");
        let before = notes(&world).await.len();
        // The table takes so many writes, and then the function is stopped.
        world.tap.cut_after(5);
        world.disturbed_run().await;
        world.tap.restore();
        let after = notes(&world).await.len();
        assert!(
            after == before + 5 || world.cursor().await.height >= height,
            "run {runs}: {before}, {after}"
        );
    }
    assert!(runs > 2, "nothing was cut off");
    world.cold_run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
    let notes = notes(&world).await;
    assert_eq!(transfers(&notes), 3_001);
    assert!(notes.len() <= 15, "{}", notes.len());
}

#[tokio::test]
async fn a18_what_is_noted_already_is_not_written_again() {
    let (mut world, _) = World::with_payment().await;
    let nobody = world.list_nobody(2).await;
    world.node.mine(dust(&nobody, 1, 3_000));
    // All of it is noted when the function is stopped.
    world.tap.cut_after(12);
    world.disturbed_run().await;
    world.tap.restore();
    assert_eq!(transfers(&notes(&world).await), 3_000);
    world.tap.take();
    world.cold_run().await;
    // That the block is there, the cursor twice, and that nothing of it need be told again.
    assert!(world.tap.take().writes <= 4);
}

#[tokio::test]
async fn r38_a_payment_of_hundreds_of_transfers_in_a_block_is_told_of_all_and_of_their_loss() {
    let (mut world, payer) = World::with_payment().await;
    let mut paid = dust(&payer, 1, 520);
    paid.push(payer.pays(2, FULL));
    world.node.mine(paid);
    world.run().await;
    let confirming = world.payment(&payer).await;
    assert_eq!(confirming.transfers().count(), 521);
    world.node.mine_empty(11);
    world.run().await;
    let paid = world.payment(&payer).await;
    assert!(states(&paid).iter().all(|state| *state == TransferState::Counted));
    assert_eq!(paid.recorded_status(), Status::Paid);
    assert_eq!(world.cursor().await.open_from, None);
    world.node.reorg(13);
    world.run().await;
    let lost = world.payment(&payer).await;
    assert!(states(&lost).iter().all(|state| *state == TransferState::Lost));
    assert_eq!((lost.recorded_status(), lost.received()), (Status::Pending, Cents::ZERO));
}

#[tokio::test]
async fn a19_dust_above_an_honest_transfer_does_not_keep_it_from_counting() {
    let (mut world, payer) = World::with_payment().await;
    let nobody = world.list_nobody(2).await;
    let honest = world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine(dust(&nobody, 2, 20_500));
    world.run().await;
    assert_eq!(world.cursor().await.open_from, Some(honest.number));
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Confirming]);
    world.node.mine_empty(11);
    world.cold_run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
    assert_eq!(world.cursor().await.open_from, None);
}

#[tokio::test]
async fn a19_dust_that_never_counts_hides_nothing_in_its_own_block_nor_above() {
    let (mut world, payer) = World::with_payment().await;
    let other = world.payer(2, Cents(10_000)).await;
    // Of this coin no rate is known: it waits.
    let unpriced = |tx| dust(&payer, tx, 260).into_iter().map(|paid| Paid { coin: "USDC", ..paid });
    let waits = world.node.mine(unpriced(1).chain([payer.pays(2, FULL)]).collect());
    world.node.mine(unpriced(3).chain([other.pays(4, FULL)]).collect());
    world.node.mine_empty(12);
    world.run().await;
    for _ in 0..3 {
        world.node.mine_empty(1);
        world.cold_run().await;
    }
    for payer in [&payer, &other] {
        assert_eq!(world.payment(payer).await.recorded_status(), Status::Paid);
    }
    assert_eq!(world.cursor().await.open_from, Some(waits.number), "what does not count is not left behind");
    world.accept_rate("USDC", 1).await;
    world.run().await;
    let payment = world.payment(&payer).await;
    assert!(states(&payment).iter().all(|state| *state == TransferState::Counted));
    assert_eq!(world.cursor().await.open_from, None);
}
