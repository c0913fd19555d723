//! `cargo simulate`: plays histories and says what was violated; its last line is JSON.

#![allow(clippy::print_stdout, reason = "a command-line program")]
#![allow(clippy::disallowed_methods, reason = "how long it took is part of its answer")]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use serde_json::json;
use simulation::bugs::Bug;
use simulation::model::{self, Mutant};
use simulation::run::{fresh_seed, run, trace};

/// Violations printed in full.
const SHOWN: usize = 10;

/// Histories in which each mistake must show itself.
const BUG_HISTORIES: u64 = 1_000;

/// A history is mostly small allocations of the SDK: this halves what they cost.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// States in which each mutant of the model must show itself.
const MUTANT_STATES: usize = 300_000;

#[derive(Debug, Parser)]
#[command(name = "cargo simulate", about = "Plays histories of the whole gateway, each from a seed")]
struct Arguments {
    /// How many histories.
    #[arg(long, default_value_t = 1_000)]
    histories: u64,
    /// The seed of the first; each further one has the next number. Another one each time, unless it is named.
    #[arg(long, default_value_t = fresh_seed())]
    seed: u64,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Tells everything that happens in the history of `seed`.
    #[arg(long)]
    trace: bool,
    /// Plays a gateway with this mistake.
    #[arg(long, value_enum)]
    bug: Option<Bug>,
    /// Plays every mistake until it shows itself.
    #[arg(long)]
    bugs: bool,
    /// Checks the payment itself in every state of a small world, and its mutants.
    #[arg(long)]
    model: bool,
    /// States to reach, each as often as there are ways to it: some four million different ones.
    #[arg(long, default_value_t = 12_000_000)]
    states: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.bugs {
        return find_bugs(&arguments);
    }
    if arguments.model {
        return check_model(&arguments);
    }
    if arguments.trace {
        let played = trace(arguments.seed, arguments.bug);
        played.trace.iter().for_each(|line| println!("{line}"));
    }
    let began = Instant::now();
    let total = run(arguments.seed, arguments.histories, arguments.threads, arguments.bug, false);
    let seconds = began.elapsed().as_secs_f64();
    for (seed, violations) in total.violations.iter().take(SHOWN) {
        println!("seed {seed}: {}", violations.join("; "));
        println!("    cargo simulate --histories 1 --seed {seed} --trace");
    }
    println!(
        "{}",
        json!({
            "histories": total.histories,
            "faults": total.faults,
            "violations": total.violations.len(),
            "requests": total.requests,
            "payments": total.ends,
            "refunds": {
                "requested": total.tally.refunds,
                "confirmed": total.tally.confirmed,
                "completed": total.tally.completed,
            },
            "sightings": { "seen": total.tally.sightings, "replaced": total.tally.replaced },
            "seed": arguments.seed,
            "seconds": format!("{seconds:.1}"),
        })
    );
    if total.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn find_bugs(arguments: &Arguments) -> ExitCode {
    let mut missed = 0_usize;
    for bug in Bug::all() {
        let total = run(arguments.seed, BUG_HISTORIES, arguments.threads, Some(*bug), true);
        if let Some((seed, violations)) = total.violations.first() {
            println!(
                "{:<18} found after {:>4} histories, seed {seed}: {}",
                bug.name(),
                total.histories,
                violations.first().map_or("", String::as_str)
            );
        } else {
            missed = missed.saturating_add(1);
            println!("{:<18} MISSED in {} histories", bug.name(), total.histories);
        }
    }
    println!("{}", json!({ "bugs": Bug::all().len(), "missed": missed, "seed": arguments.seed }));
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check_model(arguments: &Arguments) -> ExitCode {
    let mut missed = 0_usize;
    for mutant in Mutant::ALL {
        let checked = model::check(mutant.world(), MUTANT_STATES.min(arguments.states), arguments.threads);
        missed = missed.saturating_add(usize::from(checked.failed.is_empty()));
        println!("{mutant:?}: {}", checked.failed.first().map_or("MISSED", String::as_str));
    }
    let began = Instant::now();
    let world = model::World { transfers: 2, changes: 3, mutant: None };
    let checked = model::check(world, arguments.states, arguments.threads);
    let seconds = began.elapsed().as_secs_f64();
    checked.failed.iter().for_each(|failed| println!("FAILED {failed}"));
    println!(
        "{}",
        json!({
            "states": checked.states,
            "complete": checked.complete,
            "failed": checked.failed.len(),
            "unseen": checked.unseen,
            "mutants": Mutant::ALL.len(),
            "missed": missed,
            "seconds": format!("{seconds:.1}"),
        })
    );
    if checked.failed.is_empty() && missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
