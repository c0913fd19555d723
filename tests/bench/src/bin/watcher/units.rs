//! What a block costs in DynamoDB's request units, however many payments are open.

use std::cell::Cell;
use std::fmt::Write;

use local::{Data, DatabaseOnly, Options};
use shared::app::Error;
use shared::chain::Chain;
use shared::clock::Clock;
use shared::store::Store;
use shared::watch::{WatchList, Watcher};
use tests::meter::{Cost, Meter};
use tokio::time::Instant;

use crate::memory::START;
use crate::quiet::{Quiet, chain, list, listed_at, store};

/// Blocks of Ethereum in the minute between two runs.
const BLOCKS_PER_RUN: u64 = 5;

pub async fn measure(payments: &[u64], blocks: u64) -> Result<String, Error> {
    let mut table = format!(
        "A watcher that is called each minute and finds {BLOCKS_PER_RUN} new blocks, none of which pays anybody; first \
         with nothing in memory, then {blocks} blocks:\n\n\
         | open payments | first run | then, per block | per month of 30 days |\n|--:|--:|--:|--:|\n"
    );
    let folder = tempfile::tempdir()?;
    let options = Options { data: Data::Folder(folder.path().join("data")), ..Options::default() };
    let database = DatabaseOnly::start(&options).await?;
    let meter = Meter::start().await;
    meter.measure(database.dynamodb_endpoint());
    let direct = store(database.dynamodb_endpoint())?;
    let mut watching = Watching {
        chain: chain("ethereum")?,
        source: Quiet { height: Cell::new(START) },
        store: store(meter.endpoint())?,
        list: WatchList::default(),
    };
    let mut listed = 0;
    for &payments in payments {
        list(&direct, listed..payments, listed_at()).await?;
        listed = listed.max(payments);
        // The chain is begun by one run and followed by the next.
        watching.run().await?;
        watching.mine(BLOCKS_PER_RUN);
        meter.take();
        watching.list = WatchList::default();
        let began = Instant::now();
        watching.run().await?;
        let (first, seconds) = (meter.take(), began.elapsed().as_secs());
        let runs = blocks.div_ceil(BLOCKS_PER_RUN).max(1);
        for _ in 0..runs {
            watching.mine(BLOCKS_PER_RUN);
            watching.run().await?;
        }
        let then = meter.take();
        writeln!(
            table,
            "| {payments} | {first} in {seconds} s | {} | {} |",
            per_block(then, runs),
            monthly(then, runs)
        )?;
    }
    database.shutdown().await;
    Ok(table)
}

struct Watching {
    chain: Chain,
    source: Quiet,
    store: Store,
    list: WatchList,
}

impl Watching {
    fn mine(&self, blocks: u64) {
        self.source.height.set(self.source.height.get().saturating_add(blocks));
    }

    async fn run(&mut self) -> Result<(), Error> {
        let Watching { chain, source, store, list } = self;
        let clock = Clock::from_env();
        Watcher { chain, source, store, clock }.run(list).await?;
        Ok(())
    }
}

#[expect(clippy::float_arithmetic, reason = "capacity units are halves, and this is a mean of them")]
fn per_block(cost: Cost, runs: u64) -> String {
    let blocks = f64::from(u32::try_from(runs.saturating_mul(BLOCKS_PER_RUN)).unwrap_or(u32::MAX));
    format!("{:.2} RRU, {:.2} WRU", cost.reads / blocks, cost.writes / blocks)
}

#[expect(clippy::float_arithmetic, reason = "capacity units are halves, and this is a mean of them")]
fn monthly(cost: Cost, runs: u64) -> String {
    let times = f64::from(30 * 24 * 60) / f64::from(u32::try_from(runs).unwrap_or(u32::MAX));
    format!("{:.0} RRU, {:.0} WRU", cost.reads * times, cost.writes * times)
}
