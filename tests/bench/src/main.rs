//! `cargo bench-functions`: how fast, lean and small the functions are beside a bare one and beside FastAPI.
//! It prints a Markdown table and judges nothing: figures in milliseconds depend on the machine.
#![expect(clippy::print_stdout, reason = "a command-line program talks to its user")]

mod contenders;
mod engine;
mod measure;
mod process;
mod programs;
mod report;
mod runtime_api;
mod throttle;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use shared::app::Error;

use contenders::Contender;
use engine::Engine;
use measure::{Measured, Plan, measure};

/// Measures the functions behind the Lambda runtime API.
#[derive(Parser)]
#[command(name = "cargo bench-functions", disable_version_flag = true)]
struct Arguments {
    /// Starts of each contender; they take turns, so that a busy machine disturbs all alike.
    #[arg(long, default_value_t = 15)]
    starts: usize,
    /// Calls after the first one of each start.
    #[arg(long, default_value_t = 200)]
    calls: usize,
    /// The functions' build profile: `release`, or the quicker `ci`.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Leave Python out.
    #[arg(long)]
    no_python: bool,
    /// Also build every function and report its size.
    #[arg(long)]
    sizes: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Error> {
    let template = std::fs::read_to_string(local::Options::default().template)?;
    let product = local::template::Product::read(&template, &std::collections::BTreeMap::new())?;
    let programs = programs::build(&product, &arguments.profile, arguments.sizes, !arguments.no_python)?;
    let engine = Engine::start(&product).await?;
    let contenders = contenders::all(&product, &programs, &engine).await?;
    println!("{}", report::conditions(&programs, arguments.starts, arguments.calls));
    for (title, secure) in [("Over TLS", true), ("Over plain HTTP", false)] {
        let measured = race(&contenders, &engine, secure, arguments).await?;
        println!("{}", report::table(title, &measured));
    }
    println!("{}", report::sizes(&programs)?);
    engine.stop().await;
    Ok(())
}

/// Starts the contenders in turn, `arguments.starts` times.
async fn race(
    contenders: &[Contender],
    engine: &Engine,
    secure: bool,
    arguments: &Arguments,
) -> Result<Vec<Measured>, Error> {
    let mut measured: Vec<_> = contenders.iter().map(|contender| Measured::of(&contender.name)).collect();
    for start in 1..=arguments.starts {
        eprintln!("start {start} of {}", arguments.starts);
        for (contender, measured) in contenders.iter().zip(&mut measured) {
            let launch = contender.launch(engine, secure);
            let free = measure(&launch, engine, Plan { calls: arguments.calls, throttled: false }).await?;
            let slow = measure(&launch, engine, Plan { calls: 0, throttled: true }).await?;
            measured.add(free, &slow);
        }
    }
    Ok(measured)
}

/// The repository's root.
fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}
