//! A sample of what `cargo simulate` plays: the gateway as it is violates nothing, and each mistake shows itself.

use simulation::bugs::Bug;
use simulation::model::{Mutant, World, check};
use simulation::run::{fresh_seed, run, trace};

/// As many as a run of all tests has time for.
const HISTORIES: u64 = 100;

/// In so many histories each mistake must show itself.
const BUG_HISTORIES: u64 = 1_000;

/// States of the small world that tests check whole.
const STATES: usize = 200_000;

/// Seeds by which two mistakes were found once.
const FOUND: [u64; 2] = [4_284, 7_029_398];

#[test]
fn r22_nothing_is_lost_or_doubled_whatever_goes_wrong() {
    let seed = fresh_seed();
    println!("cargo simulate --histories {HISTORIES} --seed {seed}");
    let total = run(seed, HISTORIES, 2, None, false);
    assert_eq!(total.histories, HISTORIES);
    assert_eq!(total.violations, []);
    assert!(total.faults > 3 * HISTORIES, "hardly anything went wrong: {total:?}");
    for end in ["paid", "overpaid", "partially_paid", "expired"] {
        assert!(total.ends.contains_key(end), "no payment ever was {end}: {total:?}");
    }
}

#[test]
fn a22_a23_what_was_found_once_is_gone() {
    for seed in FOUND {
        assert_eq!(trace(seed, None).violations, [""; 0], "cargo simulate --histories 1 --seed {seed}");
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

/// Those that show themselves in most samples; `cargo simulate --bugs` plays all of them, which takes longer than a test.
const COMMON: [Bug; 8] = [
    Bug::PaymentUnguarded,
    Bug::BlockUnnoted,
    Bug::WriteBehind,
    Bug::AddressUnlisted,
    Bug::OpenForgotten,
    Bug::KeysByPlace,
    Bug::OpenRises,
    Bug::VolumeUnmarked,
];

#[test]
fn common_mistakes_show_themselves() {
    let seed = fresh_seed();
    for bug in COMMON {
        let total = run(seed, BUG_HISTORIES, 2, Some(bug), true);
        println!("{bug:?}: {} histories", total.histories);
        assert!(
            !total.violations.is_empty(),
            "cargo simulate --histories {BUG_HISTORIES} --seed {seed} --bug {} finds nothing",
            bug.name()
        );
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
