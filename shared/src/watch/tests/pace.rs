//! A node that is slow, or has too little to say, is gone along with, and what it holds up is said.

use std::sync::atomic::AtomicU64;

use super::chain::Fault;
use super::world::{FULL, World};
use crate::clock::Clock;
use crate::money::Cents;
use crate::payment::Status;
use crate::watch::{Outcome, Watcher};

impl World {
    /// A run of whose time each question to the node takes so many seconds; a minute after the last.
    async fn slow_run(&mut self, seconds: u64) -> Outcome {
        self.ahead += 60;
        let hands: &AtomicU64 = Box::leak(Box::new(AtomicU64::new(self.now().0)));
        self.node.slow.set(Some((hands, seconds)));
        let mut list = std::mem::take(&mut self.list);
        let clock = Clock::set_by(hands);
        let watcher = Watcher { chain: &self.chain, source: &self.node, store: &self.store, clock };
        let outcome = watcher.run(&mut list).await.unwrap();
        self.list = list;
        self.node.slow.set(None);
        outcome
    }
}

#[tokio::test]
async fn r38_blocks_that_are_read_again_for_a_late_address_are_gone_on_with_by_the_next_run() {
    let (mut world, _) = World::with_payment().await;
    let (payment, payer) = world.unlisted(2, Cents(10_000)).await;
    let (listed_at, height) = (world.now(), world.cursor().await.height);
    world.node.mine_empty(50);
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(12);
    world.catch_up().await;
    let address = payment.addresses()[0].address.clone();
    let heights = [(world.chain.id.clone(), height)].into();
    let watched = crate::store::Watched { address, code: payer.code, listed_at: world.now(), heights };
    assert!(watched.listed_at > listed_at);
    world.store.list_address("evm", &watched).await.unwrap();
    // A second a question: twenty at most are for blocks that are read again, and there are 63.
    let mut runs = 0;
    while world.payment(&payer).await.recorded_status() != Status::Paid {
        world.slow_run(1).await;
        runs += 1;
        assert!(runs < 6, "it begins again and again");
    }
    assert!(runs > 1);
    let began_at = world.now().plus(60);
    world.slow_run(1).await;
    assert_eq!(world.cursor().await.known_at, began_at, "then all is known");
}

#[tokio::test]
async fn r38_a_slow_node_is_caught_up_with_step_by_step() {
    let (mut world, payer) = World::with_payment().await;
    world.node.mine_empty(70);
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(12);
    let mut heights = vec![world.cursor().await.height];
    while world.payment(&payer).await.recorded_status() != Status::Paid {
        heights.push(world.slow_run(1).await.height);
        assert!(heights.len() < 6, "{heights:?}");
    }
    assert!(heights.is_sorted_by(|one, next| next - one > 10), "{heights:?}");
}

#[tokio::test]
async fn r38_what_holds_a_block_up_is_said_from_the_third_run_on() {
    for (fault, reason) in [("pruned", "pruned"), ("hole", "missing"), ("parent", "moved")] {
        let (mut world, payer) = World::with_payment().await;
        world.node.mine_empty(3);
        world.node.mine(vec![payer.pays(1, FULL)]);
        let tip = world.node.best().number;
        *world.node.fault.borrow_mut() = match fault {
            "pruned" => Fault::Pruned(tip),
            "hole" => Fault::NoTipBlock,
            _ => Fault::WrongParent,
        };
        // Each run may be one of another process.
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(world.cold_run().await.held.map(|held| (held.height, held.reason)));
        }
        assert_eq!(held, [None, None, Some((tip, reason)), Some((tip, reason))]);
        *world.node.fault.borrow_mut() = Fault::None;
        assert_eq!(world.cold_run().await.held, None);
        // Another block begins anew.
        world.node.mine_empty(1);
        *world.node.fault.borrow_mut() = Fault::Pruned(tip + 1);
        assert_eq!(world.cold_run().await.held, None);
    }
}

#[tokio::test]
async fn r38_a_node_that_never_answers_for_a_block_is_said_too() {
    let (mut world, _) = World::with_payment().await;
    world.node.mine_empty(1);
    *world.node.fault.borrow_mut() = Fault::Hangs(0);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(world.cold_run().await.held.map(|held| held.reason));
    }
    assert_eq!(held, [None, None, Some("slow")]);
}
