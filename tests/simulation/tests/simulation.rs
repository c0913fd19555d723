//! A sample of what `cargo simulate` plays: the gateway as it is violates nothing, and each mistake shows itself.

use simulation::bugs::Bug;
use simulation::model::{Mutant, World, check};
use simulation::run::{run, trace};

/// As many as a run of all tests has time for.
const HISTORIES: u64 = 200;

/// In so many histories, from the seed that is known to show it, each mistake is looked for first.
const BUG_HISTORIES: u64 = 100;

/// In so many it must be found.
const ALL_HISTORIES: u64 = 1_000;

/// States of the small world that tests check whole.
const STATES: usize = 200_000;

#[test]
fn r22_nothing_is_lost_or_doubled_whatever_goes_wrong() {
    // Others each time: what a fixed choice of histories shows is known after the first run.
    let first = u64::from(fastrand::u32(..));
    println!("cargo simulate --histories {HISTORIES} --seed {first}");
    let total = run(first, HISTORIES, 2, None, false);
    assert_eq!(total.histories, HISTORIES);
    assert_eq!(total.violations, []);
    assert!(total.faults > HISTORIES, "hardly anything went wrong: {total:?}");
    for end in ["paid", "overpaid", "partially_paid", "cancelled", "expired"] {
        assert!(total.ends.contains_key(end), "no payment ever was {end}: {total:?}");
    }
}

#[test]
fn a_seed_is_one_history() {
    for seed in [3, 8, 13] {
        let (once, again) = (trace(seed, None), trace(seed, None));
        assert!(!once.trace.is_empty());
        assert_eq!(once.faults, again.faults);
        // What the SDK writes has its fields in no order; who did what when is the same.
        let told = |trace: &[String]| {
            trace.iter().map(|line| line.chars().take(24).collect()).collect::<Vec<String>>()
        };
        assert_eq!(told(&once.trace), told(&again.trace), "seed {seed}");
    }
}

#[test]
fn a_seed_is_the_same_history_whatever_was_played_before_it() {
    let alone: Vec<_> = (20..26).map(|seed| trace(seed, None)).collect();
    let total = run(20, 6, 1, None, false);
    assert_eq!(total.requests, alone.iter().map(|played| played.requests).sum::<u64>());
    assert_eq!(total.faults, alone.iter().map(|played| played.faults).sum::<u64>());
}

#[test]
fn every_mistake_shows_itself() {
    for bug in Bug::all() {
        let near = run(bug.shown_by(), BUG_HISTORIES, 2, Some(*bug), true);
        // A change of the gateway changes what a seed's history is: then others must show it.
        let total =
            if near.violations.is_empty() { run(1, ALL_HISTORIES, 2, Some(*bug), true) } else { near };
        println!("{bug:?} is shown by {:?}", total.violations.first().map(|(seed, _)| seed));
        assert!(!total.violations.is_empty(), "{bug:?} was not found in {} histories", total.histories);
    }
}

#[test]
fn r22_the_payment_holds_in_every_state_of_a_small_world() {
    let checked = check(World { transfers: 1, changes: 3, mutant: None }, STATES, 2);
    println!("{checked:?}");
    assert!(checked.states > 1_000);
    assert_eq!(checked.failed, [""; 0]);
}

#[test]
fn r22_every_mutant_of_the_reports_is_found_by_the_model() {
    for mutant in Mutant::ALL {
        let checked = check(mutant.world(), STATES, 2);
        assert!(!checked.failed.is_empty(), "{mutant:?}: {checked:?}");
    }
}
