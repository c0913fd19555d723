//! Following a chain: each block is scanned once, and payments are told what it holds for them (R15, R22).
//!
//! Every step may be repeated: a run that dies anywhere is repeated whole by the next, and changes nothing twice.

mod follow;
mod list;
mod tell;
#[cfg(test)]
mod tests;

use std::future::Future;

use crate::chain::Chain;
use crate::chain::evm::block::Header;
use crate::chain::evm::fetch::ScannedBlock;
use crate::chain::evm::rpc::RpcError;
use crate::clock::Clock;
use crate::http::ApiError;
use crate::moment::Timestamp;
use crate::payment::{Code, Refusal, Sequence};
use crate::store::{Cursor, Store, StoreError, TouchedBlock};

use self::follow::Fork;
pub use self::list::WatchList;

/// A run stops taking new blocks after this long, well before its time is over.
const SCAN_SECONDS: u64 = 40;

/// Blocks scanned in one run at most, so that a day away is caught up in steps that are kept.
const SCAN_BLOCKS: u64 = 1_000;

/// Where a chain that was never scanned is begun: some minutes before its tip.
const START_BACK: u64 = 50;

/// What a watcher asks a node. Answers may be late, wrong or missing; the watcher believes only what fits together.
pub trait Source {
    /// The highest block.
    fn tip(&self) -> impl Future<Output = Result<Header, RpcError>>;
    /// The block at a height, if the node has it.
    fn header(&self, height: u64) -> impl Future<Output = Result<Option<Header>, RpcError>>;
    /// The highest block that is final, where the chain knows such a thing.
    fn finalized(&self) -> impl Future<Output = Result<Option<u64>, RpcError>>;
    /// What a block holds for the addresses of the list.
    fn scan(
        &self,
        height: u64,
        list: &WatchList,
    ) -> impl Future<Output = Result<ScannedBlock<Code>, RpcError>>;
}

/// Why a run ended early. The next one takes it up where the cursor stands.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A table.
    #[error("the watcher's table")]
    Store(#[from] StoreError),
    /// The node.
    #[error("the chain's node")]
    Node(#[from] RpcError),
    /// A payment refused a report, which none ever does.
    #[error("a payment refused what its chain reports")]
    Refused(#[from] Refusal),
    /// An address could not be read.
    #[error("an address on the list is none")]
    Address,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How far the chain is scanned now.
    pub height: u64,
    /// Blocks scanned.
    pub scanned: u64,
    /// Transfers found.
    pub found: usize,
    /// Transfers taken back by a re-organisation.
    pub lost: usize,
    /// Whether that was the whole chain.
    pub caught_up: bool,
    /// The chain forked below everything that is kept: nothing moves until the operator looks.
    pub fork_too_deep: bool,
    /// Movements too large to be money.
    pub unreadable: usize,
    /// Since when the chain was not scanned to its tip, in seconds.
    pub lag_seconds: u64,
}

/// One chain, its node, and the tables.
#[derive(Debug)]
pub struct Watcher<'a, S> {
    /// The chain.
    pub chain: &'a Chain,
    /// Its node.
    pub source: &'a S,
    /// The tables.
    pub store: &'a Store,
    /// The time.
    pub clock: Clock,
}

/// What one run knows from its start.
struct Run<'a, S> {
    watcher: &'a Watcher<'a, S>,
    started_at: Timestamp,
    tip: Header,
    finalized: Option<u64>,
    /// What this run learns is newer than all that earlier ones did.
    version: u64,
}

impl<S: Source> Watcher<'_, S> {
    /// Scans what is new, takes back what is gone, counts what is deep enough, and moves the cursor.
    pub async fn run(&self, list: &mut WatchList) -> Result<Outcome, WatchError> {
        // In this order: an address that is listed after the tip was read gets no money in a block up to that tip.
        let started_at = self.clock.now();
        let tip = self.source.tip().await?;
        list.refresh(self.store, self.chain, started_at).await?;
        let read = self.store.cursor(&self.chain.id).await?;
        let before = read.as_ref().map_or(0, |cursor| cursor.version);
        let version = if before == 0 { started_at.0 } else { before.saturating_add(1) };
        let run = Run { watcher: self, started_at, tip, finalized: None, version };
        let (cursor, outcome) = match read {
            Some(cursor) if list.is_empty() && cursor.open_from.is_none() => run.skip(&cursor),
            Some(cursor) => {
                Run { finalized: self.source.finalized().await?, ..run }.advance(cursor, list).await?
            }
            None => run.begin(list).await?,
        };
        if let Some(cursor) = cursor
            && !self.store.move_cursor(&self.chain.id, before, &cursor).await?
        {
            tracing::warn!(chain = %self.chain.id, "another watcher moved the cursor first");
        }
        Ok(outcome)
    }
}

impl<S: Source> Run<'_, S> {
    /// With nobody to watch for, the tip is all there is to know.
    fn skip(&self, cursor: &Cursor) -> (Option<Cursor>, Outcome) {
        let height = self.tip.number;
        let caught_up = vec![(self.started_at, height)];
        let hashes = vec![follow::kept(self.tip.hash)];
        let next = Cursor { version: self.version, height, hashes, open_from: None, caught_up };
        // A node behind the cursor is no reason to go back.
        let behind = height < cursor.height;
        let outcome = Outcome { height: height.max(cursor.height), caught_up: !behind, ..Outcome::default() };
        ((!behind).then_some(next), outcome)
    }

    async fn begin(&self, list: &WatchList) -> Result<(Option<Cursor>, Outcome), WatchError> {
        let back = if list.is_empty() { 0 } else { START_BACK };
        let height = self.tip.number.saturating_sub(back);
        let Some(first) = self.watcher.source.header(height).await? else {
            return Ok((None, Outcome::default()));
        };
        let hashes = vec![follow::kept(first.hash)];
        let cursor = Cursor { version: self.version, height, hashes, open_from: None, caught_up: Vec::new() };
        Ok((Some(cursor), Outcome { height, ..Outcome::default() }))
    }

    async fn advance(
        &self,
        cursor: Cursor,
        list: &WatchList,
    ) -> Result<(Option<Cursor>, Outcome), WatchError> {
        let mut outcome = Outcome { height: cursor.height, ..Outcome::default() };
        let mut next = cursor;
        match self.fork(&next).await? {
            Fork::At(height) => {
                self.take_back(&mut next, height, &mut outcome).await?;
                self.scan_back(&next, list, &mut outcome).await?;
                let mut open = self.recount(&next, &mut outcome).await?;
                open.extend(self.scan_forward(&mut next, list, &mut outcome).await?);
                next.open_from = open.into_iter().min();
            }
            Fork::NodeBehind => {}
            Fork::TooDeep => outcome.fork_too_deep = true,
        }
        outcome.height = next.height;
        outcome.caught_up = next.height >= self.tip.number && !outcome.fork_too_deep;
        if outcome.caught_up {
            next.note_caught_up(self.started_at);
        }
        let last = next.caught_up.last().map_or(self.started_at, |(at, _)| *at);
        outcome.lag_seconds = self.watcher.clock.now().since(last);
        next.version = self.version;
        Ok((Some(next), outcome))
    }

    /// Takes back what lies above the fork, and the cursor with it.
    async fn take_back(
        &self,
        cursor: &mut Cursor,
        fork: u64,
        outcome: &mut Outcome,
    ) -> Result<(), WatchError> {
        if fork < cursor.height {
            cursor.rewind(fork);
        }
        for block in self.watcher.store.blocks_from(&self.watcher.chain.id, fork.saturating_add(1)).await? {
            outcome.lost = outcome.lost.saturating_add(block.transfers.len());
            self.tell_lost(&block).await?;
        }
        Ok(())
    }

    /// Scans again the blocks that passed before an address on the list could be known.
    async fn scan_back(
        &self,
        cursor: &Cursor,
        list: &WatchList,
        outcome: &mut Outcome,
    ) -> Result<(), WatchError> {
        let known_since = cursor.caught_up.last().map_or(Timestamp(0), |(at, _)| *at);
        let Some((from, late)) = list.learned_late(&self.watcher.chain.id, known_since, cursor.height) else {
            return Ok(());
        };
        for height in from.max(cursor.height.saturating_sub(SCAN_BLOCKS))..=cursor.height {
            self.scan(height, &late, outcome).await?;
        }
        Ok(())
    }

    /// Tells payments again of blocks that hold uncounted transfers; gives the heights of those that still do.
    async fn recount(&self, cursor: &Cursor, outcome: &mut Outcome) -> Result<Vec<u64>, WatchError> {
        let Some(open_from) = cursor.open_from else { return Ok(Vec::new()) };
        let mut open = Vec::new();
        for block in self.watcher.store.blocks_from(&self.watcher.chain.id, open_from).await? {
            if !self.is_canonical(cursor, &block).await? {
                outcome.lost = outcome.lost.saturating_add(block.transfers.len());
                self.tell_lost(&block).await?;
            } else if !self.tell_found(&block).await? {
                open.push(block.height);
            }
        }
        Ok(open)
    }

    async fn is_canonical(&self, cursor: &Cursor, block: &TouchedBlock) -> Result<bool, WatchError> {
        if let Some(hash) = cursor.hash_at(block.height) {
            return Ok(hash == block.hash);
        }
        let header = self.watcher.source.header(block.height).await?;
        Ok(header.is_none_or(|header| follow::kept(header.hash) == block.hash))
    }

    /// Scans up to the tip, or as far as time allows; gives the heights of blocks with uncounted transfers.
    async fn scan_forward(
        &self,
        cursor: &mut Cursor,
        list: &WatchList,
        outcome: &mut Outcome,
    ) -> Result<Vec<u64>, WatchError> {
        let mut open = Vec::new();
        let last = self.tip.number.min(cursor.height.saturating_add(SCAN_BLOCKS));
        for height in cursor.height.saturating_add(1)..=last {
            if self.watcher.clock.now().since(self.started_at) >= SCAN_SECONDS {
                break;
            }
            let scanned = self.watcher.source.scan(height, list).await;
            let scanned = match scanned {
                Ok(scanned) if cursor.is_parent_of(&scanned.header) => scanned,
                // The chain moved under us: the next run finds the fork.
                Ok(_) | Err(RpcError::Moved(_) | RpcError::Missing(_)) => break,
                Err(error) => {
                    tracing::warn!(chain = %self.watcher.chain.id, height, %error, "a block could not be read");
                    break;
                }
            };
            let header = scanned.header;
            if !self.take_in(scanned, outcome).await? {
                open.push(height);
            }
            cursor.push(&header);
            outcome.scanned = outcome.scanned.saturating_add(1);
        }
        Ok(open)
    }

    async fn scan(&self, height: u64, list: &WatchList, outcome: &mut Outcome) -> Result<bool, WatchError> {
        let scanned = self.watcher.source.scan(height, list).await?;
        self.take_in(scanned, outcome).await
    }

    /// Notes what a block holds, then tells the payments; whether all of it counts already.
    async fn take_in(&self, scanned: ScannedBlock<Code>, outcome: &mut Outcome) -> Result<bool, WatchError> {
        outcome.unreadable = outcome.unreadable.saturating_add(scanned.unreadable.len());
        outcome.found = outcome.found.saturating_add(scanned.found.len());
        if scanned.found.is_empty() {
            return Ok(true);
        }
        let block = tell::touched(&scanned);
        let block = self.watcher.store.put_block(&self.watcher.chain.id, block, self.started_at).await?;
        self.tell_found(&block).await
    }

    /// Reports of one run: a loss comes before what is found again.
    fn sequence(&self, found: bool) -> Sequence {
        Sequence(self.version.saturating_mul(2).saturating_add(u64::from(found)))
    }
}

impl From<WatchError> for ApiError {
    fn from(error: WatchError) -> ApiError {
        ApiError::internal(error)
    }
}
