//! Nodes that stand elsewhere than ours did: behind, on branches of their own, or on another chain (R37, R24).

use super::chain::{FakeBlock, Fault};
use super::meanwhile::Meanwhile;
use super::states;
use super::world::{FULL, Payer, World};
use crate::money::Cents;
use crate::payment::{Payment, Status, TransferState};
use crate::watch::{RecoverError, Span};

/// A payment that counts, with so many blocks on it.
async fn paid(more: u64) -> (World, Payer) {
    let (mut world, payer) = World::with_payment().await;
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(more);
    world.catch_up().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
    (world, payer)
}

/// The best chain, and a branch that parts from it so deep and ends so many blocks below it.
fn branch(world: &World, depth: u64, below: u64) -> [Vec<FakeBlock>; 2] {
    let ours = world.node.snapshot();
    world.node.reorg(depth);
    world.node.take_away(below);
    let theirs = world.node.snapshot();
    world.node.go_back_to(ours.clone());
    [ours, theirs]
}

/// One run that another node answers, at the same time of day.
async fn run_on(world: &mut World, blocks: Vec<FakeBlock>) -> crate::watch::Outcome {
    let now = world.now();
    world.node.go_back_to(blocks);
    world.ahead = now.since(world.node.now());
    let outcome = world.cold_run().await;
    world.ahead = 1;
    outcome
}

#[tokio::test]
async fn r37_one_run_by_a_node_below_ours_on_its_own_branch_takes_nothing_back() {
    for (more, depth, below) in [(12, 40, 25), (40, 60, 25), (20, 21, 1), (101, 120, 110), (150, 190, 25)] {
        let (mut world, payer) = paid(more).await;
        let payment = world.payment(&payer).await;
        let [ours, theirs] = branch(&world, depth, below);
        // Two nodes behind one address take turns; one of them comes twice.
        for blocks in [&theirs, &ours, &theirs, &theirs, &ours, &theirs] {
            let is_behind = blocks.len() < ours.len();
            let outcome = run_on(&mut world, blocks.clone()).await;
            let said = (outcome.node_behind || outcome.fork_too_deep, outcome.caught_up);
            assert_eq!(said, (is_behind, !is_behind), "{depth} deep, {below} below");
            assert_eq!(world.payment(&payer).await, payment, "{depth} deep, {below} below");
        }
        world.node.go_back_to(ours);
        world.node.mine_empty(1);
        assert!(world.run().await.caught_up);
    }
}

#[tokio::test]
async fn r37_a_branch_below_ours_is_followed_when_several_runs_in_a_row_met_it() {
    let (mut world, payer) = paid(30).await;
    let [_, theirs] = branch(&world, 40, 25);
    for run in 1..=3 {
        let outcome = run_on(&mut world, theirs.clone()).await;
        let lost = usize::from(run == 3);
        assert_eq!((outcome.lost, outcome.node_behind), (lost, run < 3), "run {run}");
    }
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Lost]);
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(11);
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

/// It says nothing of now: nobody mines where it stands.
#[tokio::test]
async fn r37_a_branch_below_ours_that_stands_still_is_never_followed() {
    let (mut world, payer) = paid(30).await;
    let [_, theirs] = branch(&world, 40, 25);
    for _ in 0..5 {
        world.ahead = 20 * 60;
        assert!(run_on(&mut world, theirs.clone()).await.node_behind);
    }
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r37_nothing_at_or_below_a_final_block_is_taken_back() {
    let (mut world, payer) = paid(101).await;
    let height = world.node.best().number - 101;
    world.node.finalized.set(Some(height));
    world.run().await;
    let payment = world.payment(&payer).await;
    // As high as ours and growing; and what is final is told to be lower, or not at all.
    world.node.reorg(110);
    for finalized in [Some(height - 50), None, Some(0), None, None] {
        world.node.mine_empty(5);
        world.node.finalized.set(finalized);
        let outcome = world.cold_run().await;
        assert!(outcome.fork_too_deep && !outcome.caught_up);
        assert_eq!(world.payment(&payer).await, payment);
        assert_eq!(world.cursor().await.fresh_at.0, 0, "no coin is offered (R24)");
    }
    assert_eq!(world.cursor().await.finalized, Some(height));
}

#[tokio::test]
async fn r37_a_fork_above_the_final_block_is_followed_at_once() {
    let (mut world, payer) = paid(12).await;
    world.node.finalized.set(Some(world.node.best().number - 14));
    world.run().await;
    world.node.reorg(14);
    assert_eq!(world.run().await.lost, 1);
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Lost]);
}

/// What a node calls final says nothing of blocks that nobody read here: one run by a node on a branch of its own must not
/// make the whole chain a foreign one.
#[tokio::test]
async fn r37_a_cursor_that_has_read_nothing_holds_nothing_final_against_a_node() {
    let mut world = World::unwatched().await;
    world.catch_up().await;
    world.node.finalized.set(Some(world.node.best().number - 12));
    let payer = world.payer(1, Cents(10_000)).await;
    world.run().await;
    let [ours, theirs] = branch(&world, 30, 25);
    run_on(&mut world, theirs).await;
    world.node.go_back_to(ours);
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(11);
    world.catch_up().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn r37_a_node_below_what_was_final_is_behind_though_the_cursor_jumped_since() {
    let (mut world, _) = paid(30).await;
    let finalized = world.node.best().number - 12;
    world.node.finalized.set(Some(finalized));
    world.run().await;
    let mut cursor = world.cursor().await;
    let version = cursor.version;
    cursor.version += 1;
    cursor.restart(&world.node.best());
    assert!(world.store.move_cursor(&world.chain.id, version, &cursor).await.unwrap());
    let [ours, theirs] = branch(&world, 40, 25);
    assert!(run_on(&mut world, theirs).await.node_behind);
    world.node.go_back_to(ours);
    world.node.mine_empty(1);
    assert!(world.run().await.caught_up);
    assert_eq!(world.cursor().await.finalized, Some(finalized));
}

#[tokio::test]
async fn r37_what_counted_as_final_stays_when_a_node_calls_less_final() {
    let (mut world, _) = World::with_payment().await;
    let payer = world.payer(2, Cents(1_000_000)).await;
    // The second has no rate, so that its block stays open and is told in each run.
    let token = crate::watch::tests::chain::Paid { coin: "USDC", ..payer.pays(2, 1_000) };
    let height = world.node.mine(vec![payer.pays(1, 100 * FULL), token]).number;
    world.node.mine_empty(40);
    world.node.finalized.set(Some(height));
    world.run().await;
    let counted = |payment: &Payment| states(payment).contains(&TransferState::Counted);
    assert!(counted(&world.payment(&payer).await));
    for finalized in [Some(height - 1), None] {
        world.node.finalized.set(finalized);
        world.node.mine_empty(1);
        world.cold_run().await;
        assert!(counted(&world.payment(&payer).await), "{finalized:?}");
    }
}

/// The tip is one node's and the block below it another's.
#[tokio::test]
async fn r37_answers_that_do_not_fit_together_are_no_fork() {
    for denied in 0..4 {
        let (mut world, payer) = paid(12).await;
        let (payment, top) = (world.payment(&payer).await, world.node.best().number);
        world.node.mine_empty(3);
        *world.node.fault.borrow_mut() = Fault::Denies(top - denied, top);
        let outcome = world.run().await;
        assert_eq!((outcome.lost, outcome.node_behind), (0, true), "{denied}");
        assert_eq!(world.payment(&payer).await, payment);
        *world.node.fault.borrow_mut() = Fault::None;
        assert!(world.run().await.caught_up);
    }
}

#[tokio::test]
async fn a14_a_reorganisation_deeper_than_the_kept_hashes_is_followed() {
    for (scanned, depth) in [(400, 157), (400, 399), (1_500, 700)] {
        let (mut world, payer) = World::with_payment().await;
        world.node.mine_empty(5);
        world.node.mine(vec![payer.pays(1, FULL)]);
        world.node.mine_empty(scanned);
        world.accept_rate("ETH", 2_500).await;
        world.catch_up().await;
        let late = world.payer(2, Cents(10_000)).await;
        world.node.mine(vec![late.pays(2, FULL)]);
        world.node.mine_empty(12);
        world.run().await;
        assert_eq!(world.payment(&late).await.recorded_status(), Status::Paid);
        world.node.reorg(depth);
        for _ in 0..2 {
            let outcome = world.cold_run().await;
            assert!(outcome.fork_too_deep && outcome.lost == 0, "{outcome:?}");
            assert_eq!(world.cursor().await.fresh_at.0, 0, "no coin is offered (R24)");
        }
        world.catch_up().await;
        assert_eq!(states(&world.payment(&late).await), [TransferState::Lost], "{depth} deep");
        let is_gone = depth >= scanned + 13;
        assert_eq!(states(&world.payment(&payer).await) == [TransferState::Lost], is_gone);
        assert!(world.cursor().await.fresh_at.0 > 0);
        world.node.mine(vec![late.pays(3, FULL)]);
        world.node.mine_empty(12);
        world.run().await;
        assert_eq!(world.payment(&late).await.recorded_status(), Status::Paid);
    }
}

/// A chain that was begun lately has nothing to find the fork by, and nothing to lose below its beginning.
#[tokio::test]
async fn a14_a_reorganisation_from_below_the_first_scan_is_followed() {
    let (mut world, payer) = paid(130).await;
    world.node.reorg(190);
    for _ in 0..2 {
        assert!(world.cold_run().await.fork_too_deep);
    }
    world.catch_up().await;
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Lost]);
}

#[tokio::test]
async fn a14_marks_are_few_and_reach_far() {
    let (mut world, _) = World::with_payment().await;
    world.node.mine_empty(3_000);
    world.accept_rate("ETH", 2_500).await;
    world.catch_up().await;
    world.catch_up().await;
    let cursor = world.cursor().await;
    let distances: Vec<u64> = cursor.marks.iter().map(|(height, _)| cursor.height - height).collect();
    assert!(distances.is_sorted_by(|one, next| one > next) && distances.len() < 30, "{distances:?}");
    assert!(distances.windows(2).all(|two| two[0] <= two[1] * 2), "{distances:?}");
    for (height, hash) in &cursor.marks {
        assert_eq!(cursor.hash_at(*height), Some(*hash));
    }
    // Below what is final nothing is looked for.
    world.node.finalized.set(Some(cursor.height - 700));
    world.node.mine_empty(1);
    world.run().await;
    let finalized = world.cursor().await;
    assert_eq!(finalized.marks.iter().filter(|(height, _)| *height <= cursor.height - 700).count(), 1);
}

#[tokio::test]
async fn r24_a_chain_is_read_lately_only_by_a_young_tip() {
    let (mut world, payer) = World::with_payment().await;
    let read_at = world.cursor().await.fresh_at;
    assert_eq!(read_at, world.now());
    // A payment that cannot be told holds up its own windows, and no coin of anybody.
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.store.break_payment(payer.code).await;
    world.run().await;
    let read_at = world.cursor().await.fresh_at;
    assert_eq!(read_at, world.now());
    for fault in [Fault::Lags(3), Fault::NoTipBlock] {
        world.node.mine_empty(2);
        *world.node.fault.borrow_mut() = fault;
        world.run().await;
        assert_eq!(world.cursor().await.fresh_at, read_at);
    }
    *world.node.fault.borrow_mut() = Fault::None;
    world.ahead = 20 * 60;
    assert!(world.run().await.caught_up);
    assert_eq!(world.cursor().await.fresh_at, read_at, "the node stands still");
}

#[tokio::test]
async fn r24_an_idle_chain_is_read_lately_only_by_a_young_tip() {
    let mut world = World::unwatched().await;
    world.run().await;
    assert_eq!(world.cursor().await.fresh_at.0, 0, "it was only begun");
    world.run().await;
    let read_at = world.cursor().await.fresh_at;
    assert_eq!(read_at, world.now());
    world.ahead = 20 * 60;
    assert!(world.run().await.lag_seconds >= 20 * 60);
    assert_eq!(world.cursor().await.fresh_at, read_at);
}

#[tokio::test]
async fn a23_an_address_that_is_younger_than_the_lists_of_a_run_is_looked_for() {
    for more in [0, 1, 4] {
        let (mut world, _) = World::with_payment().await;
        // Three blocks that the cursor has passed are others while the next run is under way.
        world.node.mine_empty(3);
        world.run().await;
        world.node.mine_empty(1);
        let (payment, payer) = world.unlisted(2, Cents(10_000)).await;
        let mut list = std::mem::take(&mut world.list);
        let meanwhile = async {
            world.list_address(&payment, world.now()).await;
            world.node.take_away(4);
            world.node.mine_empty(1);
            world.node.mine(vec![payer.pays(1, FULL)]);
            world.node.mine_empty(2 + more);
        };
        let source = Meanwhile::new(&world.node, meanwhile);
        source.watcher(&world).run(&mut list).await.unwrap();
        drop(source);
        world.list = list;
        world.node.mine_empty(12);
        world.run().await;
        assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid, "{more} more blocks");
    }
}

#[tokio::test]
async fn r45_what_a_later_version_keeps_with_the_cursor_stays() {
    let (mut world, _) = World::with_payment().await;
    let mut cursor = world.cursor().await;
    let known = aws_sdk_dynamodb::types::AttributeValue::Bool(true);
    cursor.rest.insert("of_tomorrow".to_owned(), known.clone());
    let read = cursor.version;
    assert!(world.store.move_cursor(&world.chain.id, read, &cursor).await.unwrap());
    world.node.mine_empty(2);
    world.run().await;
    let after = world.cursor().await;
    assert_eq!(after.rest.get("of_tomorrow"), Some(&known));
    assert_eq!(after.height, world.node.best().number);
}

/// What stands there is gone with the first run after it.
#[tokio::test]
async fn a14_the_operator_lets_a_chain_go_on_where_nobody_else_may() {
    let (mut world, payer) = paid(101).await;
    let height = world.node.best().number - 101;
    world.node.finalized.set(Some(height));
    world.run().await;
    world.node.finalized.set(None);
    world.node.reorg(110);
    for _ in 0..5 {
        assert!(world.run().await.fork_too_deep);
    }
    let resume = async |from, past_final| world.watcher().resume(from, past_final).await;
    assert!(matches!(resume(height - 5, false).await, Err(RecoverError::Final(at)) if at == height));
    assert!(matches!(resume(height + 20, false).await, Err(RecoverError::Gone(at)) if at == height));
    assert!(matches!(resume(0, true).await, Err(RecoverError::OutOfReach(_))));
    assert!(matches!(resume(world.node.best().number + 2, true).await, Err(RecoverError::OutOfReach(_))));
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
    let done = resume(height - 5, true).await.unwrap();
    assert_eq!((done.from, done.left_out()), (height - 5, None));
    world.catch_up().await;
    assert_eq!(states(&world.payment(&payer).await), [TransferState::Lost]);
    world.node.mine(vec![payer.pays(1, FULL)]);
    world.node.mine_empty(12);
    world.run().await;
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}

#[tokio::test]
async fn a21_a_pruned_gap_is_left_out_by_the_operator_and_read_by_hand() {
    let (mut world, payer) = paid(12).await;
    let was_at = world.node.best().number;
    let late = world.payer(2, Cents(10_000)).await;
    world.run().await;
    world.node.mine_empty(1);
    world.node.mine(vec![late.pays(2, FULL)]);
    world.node.mine_empty(40);
    *world.node.fault.borrow_mut() = Fault::Pruned(was_at + 1);
    for _ in 0..3 {
        let outcome = world.run().await;
        assert_eq!((outcome.height, outcome.caught_up), (was_at, false));
    }
    let done = world.watcher().resume(was_at + 10, false).await.unwrap();
    assert_eq!(done.left_out(), Some((was_at + 1, was_at + 9)));
    world.catch_up().await;
    assert_eq!(states(&world.payment(&late).await), []);
    // Another node has the blocks.
    *world.node.fault.borrow_mut() = Fault::None;
    let mut list = crate::watch::WatchList::to_read_again();
    list.insert(late.address, late.code);
    let span = Span { from: was_at + 1, to: was_at + 9, tx_id: None };
    world.watcher().rescan(&mut list, span).await.unwrap();
    world.run().await;
    assert_eq!(world.payment(&late).await.recorded_status(), Status::Paid);
    assert_eq!(world.payment(&payer).await.recorded_status(), Status::Paid);
}
