//! How fast a watcher that was away for a day catches up, by a real node of Ethereum.

use local::{Data, DatabaseOnly, Options};
use shared::app::Error;
use shared::chain::evm::node::Node;
use shared::clock::Clock;
use shared::watch::{WatchList, Watcher};
use tests::anvil::{ANVIL_CHAIN_ID, Anvil};
use tokio::time::Instant;

use crate::quiet::{chain, list, store};

/// A day of Ethereum.
const BLOCKS: u64 = 7_200;

/// Addresses looked for meanwhile.
const ADDRESSES: u64 = 10_000;

/// Runs that a watcher needs at most, unless it does not get on.
const RUNS: usize = 100;

pub async fn measure() -> Result<String, Error> {
    let Some(anvil) = Anvil::start().await else { return Ok("No node here (`ANVIL`).\n".to_owned()) };
    let database = DatabaseOnly::start(&Options { data: Data::Memory, ..Options::default() }).await?;
    let (store, chain, node) =
        (store(database.dynamodb_endpoint())?, chain("ethereum")?, Node::new(anvil.url())?);
    list(&store, 0..ADDRESSES).await?;
    let (source, mut known) = (node.on(&chain, ANVIL_CHAIN_ID), WatchList::default());
    let watcher = Watcher { chain: &chain, source: &source, store: &store, clock: Clock::from_env() };
    watcher.run(&mut known).await?;
    anvil.mine(BLOCKS).await;
    let (began, mut scanned, mut runs) = (Instant::now(), 0_u64, 0_usize);
    while runs < RUNS {
        let outcome = watcher.run(&mut known).await?;
        scanned = scanned.saturating_add(outcome.scanned);
        runs = runs.saturating_add(1);
        if outcome.caught_up {
            break;
        }
    }
    let milliseconds = u64::try_from(began.elapsed().as_millis())?.max(1);
    database.shutdown().await;
    let rate = scanned.saturating_mul(1_000).div_euclid(milliseconds);
    Ok(format!(
        "{scanned} empty blocks of a node on the same machine against {ADDRESSES} addresses in {runs} runs, {milliseconds} \
         ms: {rate} blocks a second.\n"
    ))
}
