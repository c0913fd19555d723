//! The operator's command: accounts, keys, extended keys, identity reviews and recovery, until the console exists.
//!
//! Against a deployment it takes credentials, region and table names from the environment; `--local` means `cargo local`.

#![expect(clippy::print_stdout, reason = "a command-line program prints")]

mod commands;
mod output;
mod recovery;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shared::app;
use shared::store::{Store, Tables};

use crate::commands::{AccountCommand, IdentityCommand, KeyCommand, XpubCommand};
use crate::recovery::{Credit, Rescan, Resume};

/// Where `cargo local` keeps its tables unless it is told otherwise.
const LOCAL_ENDPOINT: &str = "http://127.0.0.1:8788";

/// Runs a CryptoGap deployment: accounts, API keys, extended keys, identity reviews, recovery.
#[derive(Parser)]
#[command(name = "operator", version)]
struct Arguments {
    /// Use the tables of `cargo local` on this machine instead of a deployment's.
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = LOCAL_ENDPOINT, value_name = "ENDPOINT")]
    local: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Accounts of merchants.
    #[command(subcommand)]
    Account(AccountCommand),
    /// API keys of an account.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Extended public keys, from which an account's addresses come.
    #[command(subcommand)]
    Xpub(XpubCommand),
    /// Identity checks of payers.
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Reads blocks again for money that no payment knows of. What counts already stays as it is.
    Rescan(Rescan),
    /// Tells payments of one transaction that the watcher did not see.
    Credit(Credit),
    /// Lets a chain's watcher go on from another block: after a fork that is too deep to be believed, or where the node
    /// has pruned away what comes next.
    Resume(Resume),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), app::Error> {
    let store = store(arguments.local.as_deref())?;
    match arguments.command {
        Command::Account(command) => command.run(&store).await,
        Command::Key(command) => command.run(&store).await,
        Command::Xpub(command) => command.run(&store).await,
        Command::Identity(command) => command.run(&store).await,
        Command::Rescan(command) => command.run(&store).await,
        Command::Credit(command) => command.run(&store).await,
        Command::Resume(command) => command.run(&store).await,
    }
}

fn store(local: Option<&str>) -> Result<Store, app::Error> {
    let Some(endpoint) = local else { return app::store_from_env() };
    let tables = Tables {
        payments: "PaymentsTable".into(),
        keys: "KeysTable".into(),
        accounts: "AccountsTable".into(),
        addresses: "AddressesTable".into(),
        chains: "ChainsTable".into(),
    };
    Ok(app::local_store(endpoint, tables))
}
