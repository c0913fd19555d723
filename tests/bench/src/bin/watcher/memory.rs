//! How much memory a watcher takes for its addresses: each figure by a process of its own.

use std::cell::Cell;
use std::process::Command;

use shared::app::Error;
use shared::chain::address::AddressKey;
use shared::clock::Clock;
use shared::payment::Code;
use shared::watch::{WatchList, Watcher};

use crate::quiet::{Quiet, address, chain, store};

/// Blocks before the watcher comes.
pub const START: u64 = 1_000;

/// The head of the table.
pub const HEAD: &str = "The most held at once (`VmHWM`) by a process that only holds the list, and by one that reads it from \
    the database and follows a block, as a watcher does when it starts:\n\n\
    | addresses | list only | first run |\n|--:|--:|--:|";

/// A row of it, for the addresses that the database at `endpoint` has.
pub async fn row(endpoint: &str, addresses: u64) -> Result<String, Error> {
    let held = child(&["--hold", &addresses.to_string()]).await?;
    let run = child(&["--follow", endpoint]).await?;
    Ok(format!("| {addresses} | {held} | {run} |"))
}

/// What this program says when it is called like that; the database goes on answering meanwhile.
async fn child(arguments: &[&str]) -> Result<String, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Holds that many addresses.
pub fn hold(addresses: u64) -> Result<String, Error> {
    let mut list = WatchList::default();
    for number in 0..addresses {
        list.insert(AddressKey(address(number)), Code::from_random(number));
    }
    let most = peak()?;
    // The list must be there until the peak was read.
    Ok(if list.is_empty() && addresses > 0 { "nothing".to_owned() } else { most })
}

/// Follows one block.
pub async fn follow(endpoint: &str) -> Result<String, Error> {
    let (store, chain, source) = (store(endpoint)?, chain("ethereum")?, Quiet { height: Cell::new(START) });
    let mut list = WatchList::default();
    for _ in 0..2 {
        let clock = Clock::from_env();
        Watcher { chain: &chain, source: &source, store: &store, clock }.run(&mut list).await?;
    }
    peak()
}

fn peak() -> Result<String, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("only Linux says how much")?;
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    Ok(format!("{} MiB", kibibytes.div_ceil(1_024)))
}
