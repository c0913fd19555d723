//! `cargo bench-watcher`: what it takes to watch a chain: time for a full block, memory for a million addresses, request
//! units for each block. It prints Markdown and judges nothing: figures in milliseconds depend on the machine.
#![expect(clippy::print_stdout, reason = "a command-line program talks to its user")]

mod block;
mod memory;
mod quiet;
mod units;

use std::process::ExitCode;

use clap::Parser;
use shared::app::Error;

/// Measures the watcher.
#[derive(Parser)]
#[command(name = "cargo bench-watcher", disable_version_flag = true)]
struct Arguments {
    /// Open payments, each with an address; several, divided by commas.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 10_000, 1_000_000])]
    payments: Vec<u64>,
    /// Blocks to follow with each number of them.
    #[arg(long, default_value_t = 60)]
    blocks: u64,
    /// Only hold that many addresses and say how much memory it takes.
    #[arg(long, hide = true)]
    hold: Option<u64>,
    /// Only follow one block by the database at this endpoint and say how much memory it took.
    #[arg(long, hide = true)]
    follow: Option<String>,
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
    if let Some(addresses) = arguments.hold {
        println!("{}", memory::hold(addresses)?);
        return Ok(());
    }
    if let Some(endpoint) = &arguments.follow {
        println!("{}", memory::follow(endpoint).await?);
        return Ok(());
    }
    println!("## A full block\n\n{}", block::measure()?);
    println!("## Memory\n\n{}", memory::measure(&arguments.payments).await?);
    println!("## Request units\n\n{}", units::measure(&arguments.payments, arguments.blocks).await?);
    Ok(())
}
