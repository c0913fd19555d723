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
use crate::chain::{Chain, Family, Internal};
use crate::clock::Clock;
use crate::moment::Timestamp;
use crate::payment::{Code, Payment, Standing, TransferId};
use crate::store::{Held, Note, Onward, Position, Store, StoreError};
use crate::watch::{Source, WatchError, WatchList};

/// Only blocks so deep are compared: the watcher has told payments of them, and has told again what it could not at once.
const SETTLED_BLOCKS: u64 = 12;

/// Blocks read again in one run at most: more than any of our chains without balances makes in a day, so that a run makes
/// up for one that was missed.
const BLOCKS: usize = 1_000;

/// Where a chain is begun of which each block is read once more: some two days of Bitcoin before.
const FIRST_BACK: u64 = 250;

/// A run stops before its function's time is over; the next goes on from the stored position.
const RUN_SECONDS: u64 = 800;

/// Of that, what blocks may take: they come first, and the addresses must have their turn each time.
const BLOCK_SECONDS: u64 = 400;

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
    /// Blocks that the node would not tell of. They were passed over, and nobody compared what they paid.
    pub unread: usize,
    /// Blocks that are deep enough and still wait for it, where each is read again once.
    pub behind: u64,
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
    /// Its node, asked about the chain as [`read_again`] has it.
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
    /// Where the next run goes on.
    position: Position,
    reconciled: &'a mut Reconciled,
}

impl<S: Source> Reconciler<'_, S> {
    /// Compares the next part of the chain and of the addresses with the record. A chain that was never watched has none.
    /// What it came to by then is there also after a run that failed, or that was given up: the next one does not look at
    /// the same again.
    pub async fn run(&self, reconciled: &mut Reconciled) -> Result<(), ReconcileError> {
        let Some(cursor) = self.store.cursor(&self.chain.id).await? else {
            return Ok(());
        };
        let started_at = self.clock.now();
        let position = self.store.position(&self.chain.id).await?;
        let settled = cursor.height.saturating_sub(SETTLED_BLOCKS);
        let mut run = Run { reconciler: self, started_at, settled, position, reconciled };
        // Known also of a chain whose node is away.
        run.reconciled.behind = run.behind();
        // A node that answers no question about its tip is on another network, or away.
        self.source.tip().await?;
        let blocks = run.blocks().await;
        run.reconciled.behind = run.behind();
        // Kept before the addresses: what fails or takes too long among them does not make the same blocks due again. And
        // what fails among blocks keeps nobody from looking at the addresses.
        if !run.keep_position().await? {
            return blocks;
        }
        let addresses = run.addresses().await;
        run.keep_position().await?;
        blocks.and(addresses)
    }
}

impl<S: Source> Run<'_, S> {
    fn is_past(&self, seconds: u64) -> bool {
        self.reconciler.clock.now().since(self.started_at) >= seconds
    }

    /// Leaves the position to the next run; `false` when another run has left its own since this one began.
    async fn keep_position(&mut self) -> Result<bool, StoreError> {
        let Reconciler { chain, store, .. } = *self.reconciler;
        let is_kept = store.move_position(&chain.id, &self.position).await?;
        if is_kept {
            self.position.version = self.position.version.saturating_add(1);
        } else {
            tracing::warn!(chain = %chain.id, "another reconciliation left its position first");
        }
        Ok(is_kept)
    }

    /// How many blocks wait to be read again, where each is read once.
    fn behind(&self) -> u64 {
        let next = self.position.height.filter(|_| !reads_noted_only(self.reconciler.chain.family));
        next.map_or(0, |next| self.settled.saturating_add(1).saturating_sub(next))
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

    /// Reads the next blocks again, and moves the position behind each: to `None`, the oldest that is noted, behind the last.
    async fn blocks(&mut self) -> Result<(), ReconcileError> {
        let Reconciler { chain, store, .. } = *self.reconciler;
        let from = self.position.height;
        let mut by_height: BTreeMap<u64, BTreeSet<Code>> = BTreeMap::new();
        let settled = self.settled;
        let visit = |note: Note| {
            if note.height > settled || by_height.len() > BLOCKS {
                return Onward::Stop;
            }
            let Held::Transfers(transfers) = note.held else { return Onward::Next };
            let codes = transfers.iter().filter_map(|transfer| transfer.code.parse::<Code>().ok());
            by_height.entry(note.height).or_default().extend(codes);
            Onward::PastPayment
        };
        store.each_noted(&chain.id, from.unwrap_or(0), visit).await?;
        let heights = self.heights(from, by_height.keys().copied());
        if !heights.is_empty() {
            let list = WatchList::ever_given(store, chain).await?;
            for (read, height) in heights.into_iter().enumerate() {
                self.position.height = Some(height);
                if read >= BLOCKS || self.is_past(BLOCK_SECONDS) {
                    return Ok(());
                }
                self.block(height, &list, by_height.remove(&height).unwrap_or_default()).await?;
                self.position.height = Some(height.saturating_add(1));
            }
        }
        self.position.height = self.position.height.filter(|_| !reads_noted_only(chain.family));
        Ok(())
    }

    /// Compares one block. One that cannot be read must not stand between all later ones and the record: it is told, counted
    /// and passed over.
    async fn block(
        &mut self,
        height: u64,
        list: &WatchList,
        noted: BTreeSet<Code>,
    ) -> Result<(), ReconcileError> {
        let Reconciler { chain, source, .. } = *self.reconciler;
        source.take_unchecked();
        match self.read_again(height, list).await? {
            Ok(scanned) => {
                let is_whole = source.take_unchecked() == 0;
                self.compare(&scanned, noted, is_whole).await?;
                self.reconciled.blocks = self.reconciled.blocks.saturating_add(1);
            }
            Err(error) => {
                tracing::error!(chain = %chain.id, height, %error, "a block was not compared: it cannot be read");
                self.reconciled.unread = self.reconciled.unread.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Reads a block, twice if need be. It is the block that cannot be read if the node still answers a light question
    /// about it, as a node does that forgets old blocks; else it is the node, and the next run asks for the block again.
    async fn read_again(
        &self,
        height: u64,
        list: &WatchList,
    ) -> Result<Result<ScannedBlock<Code>, RpcError>, RpcError> {
        let source = self.reconciler.source;
        if let Ok(scanned) = source.scan(height, list).await {
            return Ok(Ok(scanned));
        }
        source.header(height).await?.ok_or(RpcError::Missing(height))?;
        Ok(source.scan(height, list).await)
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
        noted: BTreeSet<Code>,
        is_whole: bool,
    ) -> Result<(), ReconcileError> {
        let concerned: BTreeSet<Code> =
            scanned.found.iter().map(|found| found.movement.watched).chain(noted).collect();
        for code in concerned {
            let here = scanned.found.iter().filter(|found| found.movement.watched == code);
            let ids: Vec<_> = here.map(|found| TransferId::new(&found.movement.key)).collect();
            let found = self.reconciler.store.find_payment_with(code, &ids).await;
            let payment = found.map(|found| found.map(|found| found.payment));
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

/// The chain as a source reads its blocks again: money that contracts sent is not looked for by balances, which old blocks
/// have no more and which are the most of the work. What addresses hold in the end shows what came to them.
pub fn read_again(chain: &Chain) -> Chain {
    let mut again = chain.clone();
    again.internal = match chain.internal {
        Internal::Balances => Internal::Unseen,
        same @ (Internal::Unseen | Internal::Traces) => same,
    };
    again
}

/// Whether the record says that a block of this height holds the transfer.
fn is_in(standing: Standing, height: u64) -> bool {
    match standing {
        Standing::InBlock { block, .. } => block.height == height,
        Standing::Unconfirmed { .. } | Standing::Lost { .. } | Standing::Replaced => false,
    }
}
