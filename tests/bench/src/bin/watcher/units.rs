//! What a block costs in DynamoDB's request units, however many payments are open.

use std::cell::Cell;

use shared::app::Error;
use shared::chain::Chain;
use shared::clock::Clock;
use shared::store::Store;
use shared::watch::{WatchList, Watcher};
use tests::meter::{Cost, Meter};
use tokio::time::Instant;

use crate::memory::START;
use crate::quiet::{Quiet, chain, store};

/// Blocks of Ethereum in the minute between two runs.
const BLOCKS_PER_RUN: u64 = 5;

/// The head of the table.
pub fn head(blocks: u64) -> String {
    format!(
        "A watcher that is called each minute and finds {BLOCKS_PER_RUN} new blocks, none of which pays anybody; first \
         with nothing in memory, then {blocks} blocks:\n\n\
         | open payments | first run | then, per block | per month of 30 days |\n|--:|--:|--:|--:|"
    )
}

/// A watcher and the meter that it pays by.
pub struct Watching {
    chain: Chain,
    source: Quiet,
    store: Store,
    list: WatchList,
    meter: Meter,
}

impl Watching {
    /// On the database at an endpoint, where nobody watched before.
    pub async fn start(endpoint: &str) -> Result<Watching, Error> {
        let meter = Meter::start().await;
        meter.measure(endpoint);
        let source = Quiet { height: Cell::new(START) };
        let (chain, store, list) = (chain("ethereum")?, store(meter.endpoint())?, WatchList::default());
        let mut watching = Watching { chain, source, store, list, meter };
        // The chain is begun by one run and followed by the next.
        watching.run().await?;
        Ok(watching)
    }

    /// A row of the table, for so many payments as the database has.
    pub async fn row(&mut self, payments: u64, blocks: u64) -> Result<String, Error> {
        self.mine(BLOCKS_PER_RUN);
        self.meter.take();
        self.list = WatchList::default();
        let began = Instant::now();
        self.run().await?;
        let (first, seconds) = (self.meter.take(), began.elapsed().as_secs());
        let runs = blocks.div_ceil(BLOCKS_PER_RUN).max(1);
        for _ in 0..runs {
            self.mine(BLOCKS_PER_RUN);
            self.run().await?;
        }
        let then = self.meter.take();
        Ok(format!(
            "| {payments} | {first} in {seconds} s | {} | {} |",
            per_block(then, runs),
            monthly(then, runs)
        ))
    }

    fn mine(&self, blocks: u64) {
        self.source.height.set(self.source.height.get().saturating_add(blocks));
    }

    async fn run(&mut self) -> Result<(), Error> {
        let Watching { chain, source, store, list, .. } = self;
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
