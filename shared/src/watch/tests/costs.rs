//! What a run asks of the node and of the tables.

use super::world::{FULL, World};
use crate::money::Cents;
use crate::payment::Status;

#[tokio::test]
async fn an_idle_chain_costs_one_question_one_write_and_a_look_at_list_and_cursor() {
    // Where a node shows what is unconfirmed, the list is looked at before too, and that question saved.
    for (chain, reads) in [("ethereum", 3), ("bitcoin", 4)] {
        let mut world = World::on(chain).await;
        world.run().await;
        world.node.mine_empty(5);
        world.tap.take();
        world.node.asked.set(0);
        let outcome = world.run().await;
        let used = world.tap.take();
        println!("idle: {used:?}, node {}", world.node.asked.get());
        assert_eq!((outcome.height, outcome.caught_up), (world.node.best().number, true));
        assert_eq!((world.node.asked.get(), used.reads, used.writes), (1, reads, 1));
    }
}

#[tokio::test]
async fn empty_blocks_cost_no_write_but_the_cursors() {
    let (mut world, _) = World::with_full_cursor().await;
    world.node.mine_empty(40);
    world.run().await;
    world.node.mine_empty(5);
    world.tap.take();
    world.node.asked.set(0);
    assert_eq!(world.run().await.scanned, 5);
    let used = world.tap.take();
    println!("5 empty blocks: {used:?}, node {}", world.node.asked.get());
    assert_eq!(used.writes, 1);
    assert!(used.half_write_units <= 8 && used.half_read_units <= 8);
}

#[tokio::test]
async fn one_payment_from_seen_to_counted() {
    let (mut world, _) = World::with_full_cursor().await;
    let payer = world.payer(2, Cents(10_000)).await;
    world.node.mine_empty(40);
    world.run().await;
    world.tap.take();
    world.node.asked.set(0);
    world.node.mine(vec![payer.pays(1, FULL)]);
    for run in 1..=3 {
        world.node.mine_empty(4);
        world.run().await;
        let used = world.tap.take();
        println!("paid, run {run}: {used:?}, node {}", world.node.asked.replace(0));
        assert!(used.reads <= 8 && used.writes <= 4 && used.half_write_units <= 20);
    }
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}
