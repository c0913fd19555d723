//! Following a chain: each block is scanned once, and payments are told what it holds for them (R15, R22).
//!
//! Every step may be repeated: a run that dies anywhere is repeated whole by the next, and changes nothing twice.

mod follow;
mod list;
mod outside;
mod recover;
mod refunds;
mod tell;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;

use futures_util::stream::{self, StreamExt};

use crate::chain::address::AddressKey;
use crate::chain::block::{Found, Header, Mempool, ScannedBlock};
use crate::chain::rpc::RpcError;
use crate::chain::{Chain, CoinId};
use crate::clock::Clock;
use crate::http::ApiError;
use crate::moment::Timestamp;
use crate::money::Units;
use crate::payment::{Code, Sequence};
use crate::store::{AwaitedPayout, Cursor, Outlying, Store, StoreError, TouchedBlock, TouchedTransfer};

use self::follow::Fork;
pub use self::list::WatchList;
use self::outside::Outside;
pub use self::recover::{RESCANNED_AT_ONCE, RecoverError, Recovered, Span};

/// A run stops taking new blocks after this long, well before its time is over.
const SCAN_SECONDS: u64 = 40;

/// Blocks scanned in one run at most, so that a day away is caught up in steps that are kept.
const SCAN_BLOCKS: u64 = 1_000;

/// Blocks asked for at once: a watcher that was away waits for the node's answers, not for each one's way.
const SCANS_AT_ONCE: usize = 8;

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
    /// The height of the block that holds a transaction; `None` while none does, or when the node cannot say.
    fn height_of(&self, _tx_id: &str) -> impl Future<Output = Result<Option<u64>, RpcError>> {
        async { Ok(None) }
    }
    /// What addresses hold after a block, by coin; `None` on a chain that knows no balances.
    fn balances(
        &self,
        _block: &Header,
        _addresses: &[AddressKey],
    ) -> impl Future<Output = Result<Option<Vec<BTreeMap<CoinId, Units>>>, RpcError>> {
        async { Ok(None) }
    }
    /// How many blocks were scanned, since this was last asked, in which some money could not be looked for.
    fn take_unchecked(&self) -> u64 {
        0
    }
    /// What waits for a block; `None` where the chain shows no such thing.
    fn mempool(&self) -> impl Future<Output = Result<Option<Mempool>, RpcError>> {
        async { Ok(None) }
    }
    /// What of it pays addresses of the list: all of that, each time.
    fn unconfirmed(
        &self,
        _mempool: &Mempool,
        _list: &WatchList,
    ) -> impl Future<Output = Result<Vec<Found<Code>>, RpcError>> {
        async { Ok(Vec::new()) }
    }
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
    /// An address could not be read.
    #[error("an address on the list is none")]
    Address,
    /// Somebody else does the same work.
    #[error("another watcher moved the cursor first")]
    Overtaken,
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

/// What a run looks for, beside the addresses of its list.
struct Lookout {
    outside: Outside,
    payouts: Vec<AwaitedPayout>,
    mempool: Option<Mempool>,
}

/// What one run knows from its start.
struct Run<'a, S> {
    watcher: &'a Watcher<'a, S>,
    started_at: Timestamp,
    tip: Header,
    finalized: Option<u64>,
    /// How high the chain is beyond doubt: what counts, counts by this.
    shown: u64,
    /// The version at which the cursor was read; 0 when there was none.
    read: u64,
    /// Whether the cursor was written since, which nobody else who read it then can do any more.
    claimed: Cell<bool>,
}

impl<S: Source> Watcher<'_, S> {
    /// Scans what is new, takes back what is gone, counts what is deep enough, and moves the cursor.
    pub async fn run(&self, list: &mut WatchList) -> Result<Outcome, WatchError> {
        // The cursor first: who reads it later and finds it unmoved knows a later tip too.
        let read = self.store.cursor(&self.chain.id).await?;
        // Then in this order: what left the unconfirmed lies in a block up to the tip, or nowhere; and an address listed
        // after the tip was read gets no money in a block up to that tip.
        let started_at = self.clock.now();
        let mempool = self.mempool().await;
        let tip = self.source.tip().await?;
        list.refresh(self.store, self.chain, started_at).await?;
        let Outlying { sightings, payouts } = self.store.outlying(&self.chain.id).await?;
        let mut lookout = Lookout { outside: Outside::new(sightings), payouts, mempool };
        list.await_payouts(self.destinations(&lookout.payouts));
        let version = read.as_ref().map_or(0, |cursor| cursor.version);
        let height = read.as_ref().map_or(0, |cursor| cursor.height);
        let claimed = Cell::new(false);
        let mut run = Run {
            watcher: self,
            started_at,
            tip,
            finalized: None,
            shown: tip.number,
            read: version,
            claimed,
        };
        let done = match read {
            Some(cursor) if list.is_empty() && lookout.is_empty() && cursor.open_from.is_none() => {
                run.skip(&cursor).await
            }
            Some(cursor) => {
                run.finalized = self.source.finalized().await?;
                run.shown = run.shown(&cursor).await?;
                run.advance(cursor, list, &mut lookout).await
            }
            None => run.begin(list).await,
        };
        match done {
            Err(WatchError::Overtaken) => {
                tracing::warn!(chain = %self.chain.id, "another watcher moved the cursor first");
                Ok(Outcome { height, ..Outcome::default() })
            }
            done => done,
        }
    }
}

impl<S: Source> Watcher<'_, S> {
    /// Without it a run does the rest of its work: what is unconfirmed counts for nothing.
    async fn mempool(&self) -> Option<Mempool> {
        if !self.chain.family.shows_unconfirmed() {
            return None;
        }
        let mempool = self.source.mempool().await;
        mempool.unwrap_or_else(|error| {
            tracing::warn!(chain = %self.chain.id, %error, "the node does not say what is unconfirmed");
            None
        })
    }
}

impl Lookout {
    fn is_empty(&self) -> bool {
        self.outside.is_empty() && self.payouts.is_empty()
    }
}

impl<S: Source> Run<'_, S> {
    /// Writes the cursor, unless somebody else did since it was read.
    async fn write(&self, cursor: Cursor) -> Result<(), WatchError> {
        let written = if self.claimed.get() { self.sequence_number() } else { self.read };
        let version = if self.claimed.get() { written.saturating_add(1) } else { self.sequence_number() };
        let cursor = Cursor { version, ..cursor };
        let moved = self.watcher.store.move_cursor(&self.watcher.chain.id, written, &cursor).await?;
        if moved { Ok(()) } else { Err(WatchError::Overtaken) }
    }

    /// Makes sure, once and before anything is told, that what this run reports has a number of its own: a run that
    /// died, or one under way beside this, may have told payments something else since the cursor was read.
    async fn claim(&self, cursor: &Cursor) -> Result<(), WatchError> {
        if !self.claimed.get() {
            self.write(cursor.clone()).await?;
            self.claimed.set(true);
        }
        Ok(())
    }

    /// What this run learns is newer than all that earlier ones did; a chain that is begun anew stays ahead of its past.
    fn sequence_number(&self) -> u64 {
        if self.read == 0 { self.started_at.0 } else { self.read.saturating_add(1) }
    }

    /// With nobody to watch for, the tip is all there is to know.
    async fn skip(&self, cursor: &Cursor) -> Result<Outcome, WatchError> {
        let height = self.tip.number;
        // A node behind the cursor is no reason to go back.
        if height < cursor.height {
            return Ok(Outcome { height: cursor.height, ..Outcome::default() });
        }
        let hashes = vec![follow::kept(self.tip.hash)];
        let caught_up = vec![(self.started_at, height)];
        let known_at = self.started_at;
        self.write(Cursor { height, hashes, known_at, caught_up, ..Cursor::default() }).await?;
        Ok(Outcome { height, caught_up: true, ..Outcome::default() })
    }

    async fn begin(&self, list: &WatchList) -> Result<Outcome, WatchError> {
        let back = if list.is_empty() { 0 } else { START_BACK };
        let height = self.tip.number.saturating_sub(back);
        let Some(first) = self.watcher.source.header(height).await? else {
            return Ok(Outcome::default());
        };
        let hashes = vec![follow::kept(first.hash)];
        self.write(Cursor { height, hashes, known_at: self.started_at, ..Cursor::default() }).await?;
        Ok(Outcome { height, ..Outcome::default() })
    }

    async fn advance(
        &self,
        cursor: Cursor,
        list: &mut WatchList,
        lookout: &mut Lookout,
    ) -> Result<Outcome, WatchError> {
        let mut outcome = Outcome { height: cursor.height, ..Outcome::default() };
        let mut next = cursor;
        let found = match self.fork(&next).await? {
            Fork::At(height) => {
                next.rewind(height);
                true
            }
            Fork::BelowStart(lowest) => self.begin_lower(&mut next, lowest).await?,
            Fork::NodeBehind => false,
            Fork::TooDeep => {
                outcome.fork_too_deep = true;
                false
            }
        };
        if found {
            self.follow(&mut next, list, lookout, &mut outcome).await?;
        }
        outcome.lag_seconds = self.lag_seconds(&next);
        outcome.height = next.height;
        if found {
            next.known_at = self.started_at;
            self.write(next).await?;
        }
        Ok(outcome)
    }

    /// How high the chain is beyond doubt: a tip that the node speaks of and cannot show makes nothing deeper.
    async fn shown(&self, cursor: &Cursor) -> Result<u64, WatchError> {
        if self.tip.number <= cursor.height {
            return Ok(self.tip.number);
        }
        let shown = self.watcher.source.header(self.tip.number).await?;
        let is_there = shown.is_some_and(|header| header.hash == self.tip.hash);
        Ok(if is_there { self.tip.number } else { cursor.height })
    }

    /// Since when the chain was not scanned to its tip. A node that stands still answers as if all was well; only the
    /// age of its tip tells.
    fn lag_seconds(&self, cursor: &Cursor) -> u64 {
        let now = self.watcher.clock.now();
        let last = cursor.caught_up.last().map_or(self.started_at, |(at, _)| *at);
        let pause = self.watcher.chain.family.longest_pause_seconds();
        now.since(last).max(now.since(self.tip.timestamp).saturating_sub(pause))
    }

    /// A cursor that lately began, or jumped to a tip with nobody to watch for, has scanned nothing below: it begins
    /// again there.
    async fn begin_lower(&self, cursor: &mut Cursor, lowest: u64) -> Result<bool, WatchError> {
        let below = self.watcher.source.header(lowest.saturating_sub(START_BACK)).await?;
        if let Some(header) = below {
            cursor.restart(&header);
        }
        Ok(below.is_some())
    }

    /// From a block that is the node's too, to the tip.
    async fn follow(
        &self,
        cursor: &mut Cursor,
        list: &mut WatchList,
        lookout: &mut Lookout,
        outcome: &mut Outcome,
    ) -> Result<(), WatchError> {
        let (mut open, ahead) = self.look_back(cursor, lookout, outcome).await?;
        // What lies ahead may be taken out by the very block that holds its rival.
        let may_go = ahead.iter().flat_map(|block| &block.transfers).flat_map(TouchedTransfer::spends);
        list.await_outputs(lookout.outside.outputs().into_iter().chain(may_go));
        open.extend(self.scan_back(cursor, list, lookout, outcome).await?);
        open.extend(self.scan_forward(cursor, list, lookout, &ahead, outcome).await?);
        cursor.open_from = open.into_iter().min();
        if cursor.height >= self.tip.number {
            outcome.caught_up = true;
            cursor.note_caught_up(self.started_at);
            if let Some(mempool) = &lookout.mempool {
                self.look_outside(cursor, list, &mut lookout.outside, mempool).await?;
            }
        }
        Ok(())
    }

    /// Looks at every block noted lately: tells payments again of those that hold uncounted transfers, and takes back
    /// what is not part of the chain, whoever noted it. Gives the heights that still hold uncounted ones, and the
    /// blocks above the cursor, which wait until the chain's own block of their height is scanned.
    async fn look_back(
        &self,
        cursor: &Cursor,
        lookout: &mut Lookout,
        outcome: &mut Outcome,
    ) -> Result<(Vec<u64>, Vec<TouchedBlock>), WatchError> {
        let from = cursor.lowest_kept().min(cursor.open_from.unwrap_or(u64::MAX));
        let (mut open, mut ahead) = (Vec::new(), Vec::new());
        for block in self.watcher.store.blocks_from(&self.watcher.chain.id, from).await? {
            if block.height > cursor.height {
                ahead.push(block);
            } else if !self.is_canonical(cursor, &block).await? {
                if !self.lose(cursor, &block, lookout, outcome).await? {
                    open.push(block.height);
                }
            } else {
                lookout.outside.is_inside(&block);
                if cursor.open_from.is_some_and(|open_from| block.height >= open_from) {
                    self.claim(cursor).await?;
                    if !self.tell_found(&block).await? {
                        open.push(block.height);
                    }
                }
            }
        }
        Ok((open, ahead))
    }

    /// Takes back what a block held; whether all who must know of it could be told.
    async fn lose(
        &self,
        cursor: &Cursor,
        block: &TouchedBlock,
        lookout: &mut Lookout,
        outcome: &mut Outcome,
    ) -> Result<bool, WatchError> {
        outcome.lost = outcome.lost.saturating_add(block.transfers.len());
        self.claim(cursor).await?;
        self.went_out(&mut lookout.outside, block).await?;
        self.tell_lost(block).await
    }

    /// Scans again the blocks that passed before an address on the list could be known; gives the heights of those
    /// with uncounted transfers.
    async fn scan_back(
        &self,
        cursor: &Cursor,
        list: &WatchList,
        lookout: &mut Lookout,
        outcome: &mut Outcome,
    ) -> Result<Vec<u64>, WatchError> {
        let mut open = Vec::new();
        let late = list.learned_late(self.watcher.chain, cursor.known_at, cursor.height);
        let Some((from, late)) = late else { return Ok(open) };
        let heights = from.max(cursor.height.saturating_sub(SCAN_BLOCKS))..=cursor.height;
        let scans = heights.map(|height| self.watcher.source.scan(height, &late));
        let mut scans = pin!(stream::iter(scans).buffered(SCANS_AT_ONCE));
        while let Some(scanned) = scans.next().await {
            let scanned = scanned?;
            let height = scanned.header.number;
            if !self.take_in(cursor, scanned, None, lookout, outcome).await? {
                open.push(height);
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
        lookout: &mut Lookout,
        ahead: &[TouchedBlock],
        outcome: &mut Outcome,
    ) -> Result<Vec<u64>, WatchError> {
        let mut open = Vec::new();
        let last = self.tip.number.min(cursor.height.saturating_add(SCAN_BLOCKS));
        let heights = cursor.height.saturating_add(1)..=last;
        let scans =
            heights.map(|height| async move { (height, self.watcher.source.scan(height, list).await) });
        let mut scans = pin!(stream::iter(scans).buffered(SCANS_AT_ONCE));
        while let Some((height, scanned)) = scans.next().await {
            if self.watcher.clock.now().since(self.started_at) >= SCAN_SECONDS {
                break;
            }
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
            let noted = ahead.iter().filter(|block| block.height == height);
            let (same, other): (Vec<_>, Vec<_>) =
                noted.partition(|block| block.hash == follow::kept(header.hash));
            for block in other {
                if !self.lose(cursor, block, lookout, outcome).await? {
                    open.push(height);
                }
            }
            if !self.take_in(cursor, scanned, same.first().copied(), lookout, outcome).await? {
                open.push(height);
            }
            cursor.push(&header);
            outcome.scanned = outcome.scanned.saturating_add(1);
        }
        Ok(open)
    }

    /// Notes what a block holds, beside what was `noted` of it before, then tells the payments; whether all of it
    /// counts already.
    async fn take_in(
        &self,
        cursor: &Cursor,
        scanned: ScannedBlock<Code>,
        noted: Option<&TouchedBlock>,
        lookout: &mut Lookout,
        outcome: &mut Outcome,
    ) -> Result<bool, WatchError> {
        outcome.unreadable = outcome.unreadable.saturating_add(scanned.unreadable.len());
        outcome.found = outcome.found.saturating_add(scanned.found.len());
        self.meet_rivals(cursor, &mut lookout.outside, &scanned).await?;
        let payouts = self.refunds_among(&scanned.payouts, &lookout.payouts).await?;
        if scanned.found.is_empty() && payouts.is_empty() && noted.is_none() {
            return Ok(true);
        }
        self.claim(cursor).await?;
        let mut block = TouchedBlock { payouts, ..tell::touched(&scanned) };
        self.watcher.store.put_block(&self.watcher.chain.id, &block, self.started_at).await?;
        block.add(noted);
        let all_count = self.tell_found(&block).await?;
        self.came_in(&mut lookout.outside, &block).await?;
        Ok(all_count)
    }

    /// Reports of one run: a loss comes before what is found again.
    fn sequence(&self, found: bool) -> Sequence {
        Sequence(self.sequence_number().saturating_mul(2).saturating_add(u64::from(found)))
    }
}

impl From<WatchError> for ApiError {
    fn from(error: WatchError) -> ApiError {
        ApiError::internal(error)
    }
}
