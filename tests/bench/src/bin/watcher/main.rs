//! `cargo bench-watcher`: what it takes to watch a chain: time for a full block, memory for a million addresses, request
//! units for each block. It prints Markdown and judges nothing: figures in milliseconds depend on the machine.
#![expect(clippy::print_stdout, reason = "a command-line program talks to its user")]

mod block;
mod day_away;
mod memory;
mod quiet;
mod units;

use std::process::ExitCode;

use clap::Parser;
use local::{Data, DatabaseOnly, Options};
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
    println!("## A day away\n\n{}", day_away::measure().await?);
    let database = DatabaseOnly::start(&Options { data: Data::Memory, ..Options::default() }).await?;
    let endpoint = database.dynamodb_endpoint();
    let tables = quiet::store(endpoint)?;
    let mut watching = units::Watching::start(endpoint).await?;
    let (mut memory, mut units) = (Vec::new(), Vec::new());
    let mut listed = 0;
    for &payments in &arguments.payments {
        quiet::list(&tables, listed..payments).await?;
        listed = listed.max(payments);
        memory.push(memory::row(endpoint, payments).await?);
        units.push(watching.row(payments, arguments.blocks).await?);
    }
    database.shutdown().await;
    println!("## Memory\n\n{}\n{}\n", memory::HEAD, memory.join("\n"));
    println!("## Request units\n\n{}\n{}", units::head(arguments.blocks), units.join("\n"));
    Ok(())
}
