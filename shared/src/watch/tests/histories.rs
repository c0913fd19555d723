//! Any history of blocks, forks, crashes and faults ends where the chain ends.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::chain::{Fault, Paid};
use super::world::{FULL, Payer, World};
use crate::money::{Cents, Units};
use crate::payment::TransferState;

#[derive(Clone, Debug)]
enum Step {
    /// Blocks; the first pays, to a payer and a share of what is due.
    Mine {
        empty: u64,
        pays: Vec<(usize, u128)>,
    },
    /// The last blocks give way to others; of their money, this share comes back in the first.
    Fork {
        depth: u64,
        longer: u64,
        returns: usize,
    },
    Run {
        fault: Fault,
        cold: bool,
    },
    Crash {
        writes: u64,
    },
}

fn arb_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        1 => (1..30_u64).prop_map(Fault::Lags),
        1 => Just(Fault::NoHeaders),
        1 => Just(Fault::NoTipBlock),
        1 => Just(Fault::WrongParent),
        2 => (0..12_u64).prop_map(Fault::DiesAfter),
        2 => (0..12_u64, 1..=20_u64).prop_map(|(after, depth)| Fault::ForksAfter(after, depth)),
    ]
}

fn arb_step() -> impl Strategy<Value = Step> {
    let pays = prop::collection::vec((0..3_usize, 1..6_u128), 0..3);
    prop_oneof![
        4 => (0..5_u64, pays).prop_map(|(empty, pays)| Step::Mine { empty, pays }),
        2 => (1..=20_u64, 0..3_u64, 0..4_usize)
            .prop_map(|(depth, longer, returns)| Step::Fork { depth, longer, returns }),
        5 => (arb_fault(), any::<bool>()).prop_map(|(fault, cold)| Step::Run { fault, cold }),
        2 => (0..8_u64).prop_map(|writes| Step::Crash { writes }),
    ]
}

/// What is still to be mined.
#[derive(Default)]
struct Mempool {
    next_tx: u64,
    waiting: Vec<Paid>,
}

async fn take(world: &mut World, payers: &[Payer], pool: &mut Mempool, step: Step) {
    match step {
        Step::Mine { empty, pays } => {
            let paid = pays.into_iter().map(|(payer, tenths)| {
                pool.next_tx += 1;
                payers[payer].pays(pool.next_tx, tenths * FULL / 10)
            });
            world.node.mine(paid.collect());
            world.node.mine_empty(empty);
        }
        Step::Fork { depth, longer, returns } => {
            pool.waiting.extend(world.node.take_away(depth));
            let returns = returns.min(pool.waiting.len());
            world.node.mine(pool.waiting.drain(..returns).collect());
            world.node.mine_empty((depth + longer).saturating_sub(1));
        }
        Step::Run { fault, cold } => {
            if cold {
                world.list = crate::watch::WatchList::default();
            }
            *world.node.fault.borrow_mut() = fault;
            world.disturbed_run().await;
            *world.node.fault.borrow_mut() = Fault::None;
        }
        Step::Crash { writes } => {
            world.tap.cut_after(writes);
            world.disturbed_run().await;
            world.tap.restore();
        }
    }
}

async fn check(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (mut world, first) = World::with_payment().await;
    let payers = [first, world.payer(2, Cents(10_000)).await, world.payer(3, Cents(10_000)).await];
    let mut pool = Mempool::default();
    for step in steps {
        take(&mut world, &payers, &mut pool, step).await;
    }
    world.node.mine_empty(12);
    world.accept_rate("ETH", 2_500).await;
    for _ in 0..3 {
        world.run().await;
    }
    for payer in &payers {
        let payment = world.payment(payer).await;
        let counted =
            payment.transfers().filter(|transfer| payment.state(transfer) == TransferState::Counted);
        let counted: BTreeSet<_> =
            counted.map(|transfer| (transfer.movement().tx_id.clone(), transfer.movement().units)).collect();
        let canonical: Vec<_> =
            world.node.paid_at_depth(12).into_iter().filter(|paid| paid.to == payer.address).collect();
        let expected: BTreeSet<_> =
            canonical.iter().map(|paid| (super::chain::tx_id(paid.tx), Units(paid.units))).collect();
        prop_assert_eq!(counted, expected);
        let units: u128 = canonical.iter().map(|paid| paid.units).sum();
        // Ten tenths of the full amount are 100 USD at the only rate there is.
        let cents = u64::try_from(units * 10_000 / FULL).unwrap();
        prop_assert_eq!(payment.received(), Cents(cents));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn r22_every_history_ends_with_what_the_chain_paid(steps in prop::collection::vec(arb_step(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(steps))?;
    }
}
