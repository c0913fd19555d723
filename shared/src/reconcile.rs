//! Comparing what a chain paid and holds with the record, some of it each day: nothing is changed, differences are told.
//!
//! Two comparisons, neither of which needs to know what merchants did with their money. What blocks paid to us is read again
//! and must be what payments know, each transfer in its block. And no address may hold more than came to it by the record,
//! which finds money that no watcher saw, nor less if it never sent anything. Else less proves nothing, because merchants
//! take their money away.

mod addresses;
mod difference;

pub use difference::{Difference, What};

use std::collections::{BTreeMap, BTreeSet};

use crate::chain::block::ScannedBlock;
use crate::chain::rpc::RpcError;
use crate::chain::{Chain, Family};
use crate::clock::Clock;
use crate::moment::Timestamp;
use crate::payment::{Code, Payment, Standing};
use crate::store::{Position, ScanPlace, Store, StoreError, TouchedBlock};
use crate::watch::{Source, WatchError, WatchList};

/// Only blocks so deep are compared: the watcher has told payments of them, and has told again what it could not at once.
const SETTLED_BLOCKS: u64 = 12;

/// Blocks read again in one run at most.
const BLOCKS: usize = 300;

/// Where a chain is begun of which each block is read once more: some two days of Bitcoin before.
const FIRST_BACK: u64 = 250;

/// A run stops before its function's time is over; the next goes on from the stored position.
const RUN_SECONDS: u64 = 200;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A table.
    #[error("the reconciliation's table")]
    Store(#[from] StoreError),
    /// The node.
    #[error("the chain's node")]
    Node(#[from] RpcError),
    /// The addresses.
    #[error("the addresses given out")]
    Addresses(#[from] WatchError),
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Blocks read again.
    pub blocks: usize,
    /// Addresses whose balances were compared.
    pub addresses: usize,
    /// Where the chain and the record do not agree.
    pub differences: Vec<Difference>,
}

/// One chain, its node, and the tables.
#[derive(Debug)]
pub struct Reconciler<'a, S> {
    /// The chain.
    pub chain: &'a Chain,
    /// Its node.
    pub source: &'a S,
    /// The tables.
    pub store: &'a Store,
    /// The time.
    pub clock: Clock,
}

/// A run under way.
struct Run<'a, S> {
    reconciler: &'a Reconciler<'a, S>,
    started_at: Timestamp,
    /// The highest block that is compared.
    settled: u64,
    /// After which address to go on; `None` before the first.
    after: Option<ScanPlace>,
    reconciled: Reconciled,
}

impl<S: Source> Reconciler<'_, S> {
    /// Compares the next part of the chain and of the addresses with the record. A chain that was never watched has none.
    pub async fn run(&self) -> Result<Reconciled, ReconcileError> {
        let Some(cursor) = self.store.cursor(&self.chain.id).await? else {
            return Ok(Reconciled::default());
        };
        let started_at = self.clock.now();
        let position = self.store.position(&self.chain.id).await?;
        let settled = cursor.height.saturating_sub(SETTLED_BLOCKS);
        // A node that answers no question about its tip is on another network, or away.
        self.source.tip().await?;
        let (after, reconciled) = (position.after, Reconciled::default());
        let mut run = Run { reconciler: self, started_at, settled, after, reconciled };
        let height = run.blocks(position.height).await?;
        run.addresses().await?;
        let next = Position { version: position.version, height, after: run.after };
        if !self.store.move_position(&self.chain.id, &next).await? {
            tracing::warn!(chain = %self.chain.id, "another reconciliation left its position first");
        }
        Ok(run.reconciled)
    }
}

impl<S: Source> Run<'_, S> {
    fn is_out_of_time(&self) -> bool {
        self.reconciler.clock.now().since(self.started_at) >= RUN_SECONDS
    }

    /// A payment, if it is a live one: the address of a test payment has a live form too, and nobody's key. One that
    /// cannot be read is a difference and holds up no other.
    fn live(
        &mut self,
        code: Code,
        read: Result<Option<Payment>, StoreError>,
    ) -> Result<Option<Payment>, StoreError> {
        if let Err(StoreError::Malformed(cause)) = read {
            let what = What::Unreadable(cause);
            self.reconciled.differences.push(Difference { code, what });
            return Ok(None);
        }
        Ok(read?.filter(Payment::is_live))
    }

    /// Reads the next blocks again; tells where to go on, `None` for the oldest that is noted.
    async fn blocks(&mut self, from: Option<u64>) -> Result<Option<u64>, ReconcileError> {
        let Reconciler { chain, source, store, .. } = *self.reconciler;
        let noted = store.blocks_from(&chain.id, from.unwrap_or(0)).await?;
        let mut by_height: BTreeMap<u64, Vec<TouchedBlock>> = BTreeMap::new();
        for block in noted.into_iter().filter(|block| block.height <= self.settled) {
            by_height.entry(block.height).or_default().push(block);
        }
        let heights = self.heights(from, by_height.keys().copied());
        if heights.is_empty() {
            return Ok(from.filter(|_| !reads_noted_only(chain.family)));
        }
        let list = WatchList::ever_given(store, chain).await?;
        for height in heights {
            if self.reconciled.blocks >= BLOCKS || self.is_out_of_time() {
                return Ok(Some(height));
            }
            source.take_unchecked();
            let scanned = source.scan(height, &list).await?;
            let is_whole = source.take_unchecked() == 0;
            let noted = by_height.remove(&height).unwrap_or_default();
            self.compare(&scanned, &noted, is_whole).await?;
            self.reconciled.blocks = self.reconciled.blocks.saturating_add(1);
        }
        let next = self.settled.saturating_add(1);
        Ok((!reads_noted_only(chain.family)).then_some(next))
    }

    /// Which blocks are read again.
    fn heights(&self, from: Option<u64>, noted: impl Iterator<Item = u64>) -> Vec<u64> {
        if reads_noted_only(self.reconciler.chain.family) {
            return noted.filter(|height| from.is_none_or(|from| *height >= from)).collect();
        }
        let first = from.unwrap_or_else(|| self.settled.saturating_sub(FIRST_BACK));
        let most = u64::try_from(BLOCKS).unwrap_or(u64::MAX);
        (first..=self.settled.min(first.saturating_add(most))).collect()
    }

    /// What a block pays us, what was noted of it, and what payments know of it must be one and the same.
    async fn compare(
        &mut self,
        scanned: &ScannedBlock<Code>,
        noted: &[TouchedBlock],
        is_whole: bool,
    ) -> Result<(), ReconcileError> {
        let noted =
            noted.iter().flat_map(|block| &block.transfers).filter_map(|transfer| transfer.code.parse().ok());
        let concerned: BTreeSet<Code> =
            scanned.found.iter().map(|found| found.movement.watched).chain(noted).collect();
        for code in concerned {
            let payment = self.reconciler.store.payment(code).await;
            let Some(payment) = self.live(code, payment)? else { continue };
            let differences = difference::in_block(&payment, self.reconciler.chain, scanned, is_whole);
            self.reconciled.differences.extend(differences);
        }
        Ok(())
    }
}

/// Where balances show what else there is, only blocks that held something for us are read again, over and over. Where a node
/// knows no balances, each block is read once more.
fn reads_noted_only(family: Family) -> bool {
    match family {
        Family::Evm { .. } => true,
        Family::Bitcoin { .. } => false,
    }
}

/// Whether the record says that a block of this height holds the transfer.
fn is_in(standing: Standing, height: u64) -> bool {
    match standing {
        Standing::InBlock { block, .. } => block.height == height,
        Standing::Unconfirmed { .. } | Standing::Lost { .. } | Standing::Replaced => false,
    }
}
