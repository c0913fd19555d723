//! A process dies between any two writes, or another one does the same work at the same time.

use std::cell::{Cell, RefCell};

use super::chain::FakeChain;
use super::states;
use super::world::{FULL, Payer, World};
use crate::chain::block::{Header, ScannedBlock};
use crate::chain::rpc::RpcError;
use crate::clock::Clock;
use crate::money::Cents;
use crate::payment::{Code, Payment, Status, TransferState};
use crate::watch::{Source, WatchList, Watcher};

/// No run here writes more often than this.
const WRITES: u64 = 20;

/// What of a payment does not tell when its reports were told.
fn facts(payment: &Payment) -> (Status, Cents, Vec<TransferState>, Vec<Option<u64>>) {
    let blocks = payment.transfers().map(|transfer| transfer.first_block().map(|block| block.height));
    (payment.recorded_status(), payment.received(), states(payment), blocks.collect())
}

/// Money of two payments, one of them in two transfers; then a re-organisation that keeps half of it.
async fn before() -> (World, Payer, Payer) {
    let (mut world, one) = World::with_payment().await;
    let other = world.payer(2, Cents(10_000)).await;
    world.run().await;
    world.node.mine(vec![one.pays(1, FULL / 2), other.pays(3, FULL)]);
    world.node.mine(vec![one.pays(2, FULL / 2)]);
    world.node.mine_empty(11);
    (world, one, other)
}

fn fork(world: &World) {
    let mut lost = world.node.take_away(13);
    lost.truncate(2);
    world.node.mine_empty(1);
    world.node.mine(lost);
    world.node.mine_empty(12);
}

#[tokio::test]
async fn r22_a_crash_between_any_two_writes_changes_nothing_in_the_end() {
    let (mut world, one, other) = before().await;
    world.run().await;
    let undisturbed = (facts(&world.payment(&one).await), facts(&world.payment(&other).await));
    for writes in 0..WRITES {
        let (mut world, one, other) = before().await;
        world.tap.cut_after(writes);
        let crashed = world.try_run().await.is_err();
        world.tap.restore();
        world.cold_run().await;
        assert_eq!((facts(&world.payment(&one).await), facts(&world.payment(&other).await)), undisturbed);
        if !crashed {
            assert!(writes > 5, "nothing was written");
            return;
        }
    }
    panic!("a run writes more than expected");
}

#[tokio::test]
async fn r22_a_crash_while_money_is_taken_back_changes_nothing_in_the_end() {
    let (mut world, one, other) = before().await;
    world.run().await;
    fork(&world);
    world.run().await;
    let undisturbed = (facts(&world.payment(&one).await), facts(&world.payment(&other).await));
    for writes in 0..2 * WRITES {
        let (mut world, one, other) = before().await;
        world.run().await;
        fork(&world);
        world.tap.cut_after(writes);
        let crashed = world.try_run().await.is_err();
        world.tap.restore();
        world.cold_run().await;
        assert_eq!((facts(&world.payment(&one).await), facts(&world.payment(&other).await)), undisturbed);
        if !crashed {
            return;
        }
    }
    panic!("a run writes more than expected");
}

#[tokio::test]
async fn r22_a_crash_and_then_a_fork_take_the_money_back() {
    for writes in 0..WRITES {
        let (mut world, one, other) = before().await;
        world.tap.cut_after(writes);
        let crashed = world.try_run().await.is_err();
        world.tap.restore();
        world.node.reorg(13);
        world.cold_run().await;
        for payer in [one, other] {
            let payment = world.payment(&payer).await;
            assert!(
                states(&payment).iter().all(|state| *state == TransferState::Lost),
                "after {writes} writes"
            );
            assert_eq!((payment.recorded_status(), payment.received()), (Status::Pending, Cents::ZERO));
        }
        if !crashed {
            return;
        }
    }
    panic!("a run writes more than expected");
}

#[tokio::test]
async fn r22_a_crash_while_taking_back_and_then_the_former_chain_again() {
    for writes in 0..2 * WRITES {
        let (mut world, one, other) = before().await;
        world.run().await;
        let former = world.node.snapshot();
        world.node.reorg(13);
        world.tap.cut_after(writes);
        let crashed = world.try_run().await.is_err();
        world.tap.restore();
        world.node.go_back_to(former);
        world.cold_run().await;
        for payer in [one, other] {
            let payment = world.payment(&payer).await;
            assert_eq!(payment.recorded_status(), Status::Paid, "after {writes} writes");
        }
        if !crashed {
            return;
        }
    }
    panic!("a run writes more than expected");
}

/// A node that lets somebody else have a turn at one question.
struct Interrupted<'a> {
    node: &'a FakeChain,
    left: Cell<u64>,
    turn: RefCell<Option<(Watcher<'a, FakeChain>, bool)>>,
}

impl Interrupted<'_> {
    async fn ask(&self) {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        let turn = if left == 0 { self.turn.borrow_mut().take() } else { None };
        if let Some((watcher, forks)) = turn {
            if forks {
                self.node.reorg(13);
            }
            watcher.run(&mut WatchList::default()).await.unwrap();
        }
    }
}

impl Source for Interrupted<'_> {
    async fn tip(&self) -> Result<Header, RpcError> {
        let tip = self.node.tip().await;
        self.ask().await;
        tip
    }

    async fn header(&self, height: u64) -> Result<Option<Header>, RpcError> {
        let header = self.node.header(height).await;
        self.ask().await;
        header
    }

    async fn finalized(&self) -> Result<Option<Header>, RpcError> {
        let finalized = self.node.finalized().await;
        self.ask().await;
        finalized
    }

    async fn scan(&self, height: u64, list: &WatchList) -> Result<ScannedBlock<Code>, RpcError> {
        let scanned = self.node.scan(height, list).await;
        self.ask().await;
        scanned
    }
}

#[tokio::test]
async fn r22_two_watchers_at_once_count_once_and_the_later_view_wins() {
    for question in 0..16 {
        for forks in [false, true] {
            let (mut world, one, other) = before().await;
            let clock = Clock::stopped(world.now());
            let (chain, store) = (&world.chain, &world.store);
            let second = Watcher { chain, source: &world.node, store, clock };
            let turn = RefCell::new(Some((second, forks)));
            let source = Interrupted { node: &world.node, left: Cell::new(question), turn };
            let first = Watcher { chain, source: &source, store, clock };
            // One of them is overtaken, which is no error.
            first.run(&mut WatchList::default()).await.unwrap();
            world.cold_run().await;
            world.node.mine_empty(1);
            world.cold_run().await;
            let expected = if forks { Cents::ZERO } else { Cents(10_000) };
            for payer in [one, other] {
                let payment = world.payment(&payer).await;
                assert_eq!(payment.received(), expected, "question {question}, forks: {forks}");
            }
        }
    }
}
