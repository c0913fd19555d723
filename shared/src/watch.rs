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

/// A run stops taking new blocks after this long, so that time is left to tell payments.
const SCAN_SECONDS: u64 = 35;

/// Of that, what a look at blocks that had passed already may take.
const SCAN_BACK_SECONDS: u64 = 20;

/// A run begins to tell no further payment after this long, well before its time is over.
const TELL_SECONDS: u64 = 45;

/// Blocks scanned in one run at most, so that a day away is caught up in steps that are kept.
const SCAN_BLOCKS: u64 = 1_000;

/// Blocks asked for at once: a watcher that was away waits for the node's answers, not for each one's way.
const SCANS_AT_ONCE: usize = 8;

/// A tip older than this, and than the chain's own longest pause, is that of a node that stands still; the alarm rings by
/// then too.
const STALE_SECONDS: u64 = 15 * 60;

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
    /// The version at which the cursor was read; 0 when there was none.
    read: u64,
    /// The version that it has now.
    version: Cell<u64>,
    /// Whether it was written since, which nobody else who read it then can do any more.
    claimed: Cell<bool>,
    /// How far the chain is scanned, block by block: what a node says of a tip above that confirms nothing.
    reached: Cell<u64>,
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
        let mut run = Run::new(self, started_at, tip, (version, height));
        let done = match read {
            Some(cursor) if list.is_empty() && lookout.is_empty() && cursor.open_from.is_none() => {
                run.skip(&cursor).await
            }
            Some(cursor) => {
                run.finalized = self.source.finalized().await?;
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

impl<'a, S: Source> Run<'a, S> {
    /// A run that begins at `started_at` by the node's `tip`, from a cursor of that version (0 for none) and height.
    fn new(
        watcher: &'a Watcher<'a, S>,
        started_at: Timestamp,
        tip: Header,
        (read, height): (u64, u64),
    ) -> Run<'a, S> {
        let (version, claimed, reached) = (Cell::new(read), Cell::new(false), Cell::new(height));
        Run { watcher, started_at, tip, finalized: None, read, version, claimed, reached }
    }

    /// Writes the cursor, unless somebody else did since this run wrote or read it.
    async fn write(&self, cursor: Cursor) -> Result<(), WatchError> {
        let written = self.version.get();
        let version = if self.claimed.get() { written.saturating_add(1) } else { self.sequence_number() };
        let cursor = Cursor { version, ..cursor };
        if !self.watcher.store.move_cursor(&self.watcher.chain.id, written, &cursor).await? {
            return Err(WatchError::Overtaken);
        }
        self.version.set(version);
        Ok(())
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

    /// Whether a run that began so long ago should do no more of this.
    fn is_over(&self, seconds: u64) -> bool {
        self.watcher.clock.now().since(self.started_at) >= seconds
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
            self.write(next).await?;
        }
        Ok(outcome)
    }

    /// Whether the tip is as young as tips are. One that is not says nothing of now: it is that of a node that stands
    /// still, and money may lie in blocks that it has not seen, so that it closes nobody's window (R15).
    fn is_tip_fresh(&self) -> bool {
        let pause = self.watcher.chain.family.longest_pause_seconds();
        self.started_at.since(self.tip.timestamp) <= pause.saturating_add(STALE_SECONDS)
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

    /// From a block that is the node's too, to the tip: first what the blocks hold is noted, then the cursor moves, then
    /// payments are told. A run that dies while it tells is taken up where it stopped, and not at the first block again.
    async fn follow(
        &self,
        cursor: &mut Cursor,
        list: &mut WatchList,
        lookout: &mut Lookout,
        outcome: &mut Outcome,
    ) -> Result<(), WatchError> {
        let Back { mut found, ahead, mut untold } = self.look_back(cursor, lookout, outcome).await?;
        // What lies ahead may be taken out by the very block that holds its rival.
        let may_go = ahead.iter().flat_map(|block| &block.transfers).flat_map(TouchedTransfer::spends);
        list.await_outputs(lookout.outside.outputs().into_iter().chain(may_go));
        let knows_all = self.scan_back(cursor, list, lookout, (&mut found, outcome)).await?;
        untold.extend(self.scan_forward(cursor, list, lookout, &ahead, (&mut found, outcome)).await?);
        self.reached.set(cursor.height);
        if !found.is_empty() {
            let heights = found.iter().map(|block| block.height).chain(untold.iter().copied());
            cursor.open_from = heights.min();
            self.write(cursor.clone()).await?;
            self.claimed.set(true);
        }
        let told = self.tell_found(&found).await?;
        let all_told = told.all && untold.is_empty();
        cursor.open_from = told.open.into_iter().chain(untold).min();
        if knows_all {
            cursor.known_at = self.started_at;
        }
        if cursor.height >= self.tip.number {
            outcome.caught_up = true;
            // A window that closes over money in time of which its payment does not know would make it late for ever.
            if self.is_tip_fresh() && all_told && knows_all {
                cursor.note_caught_up(self.started_at);
            }
            if let Some(mempool) = lookout.mempool.as_ref().filter(|_| !self.is_over(TELL_SECONDS)) {
                self.look_outside(cursor, list, &mut lookout.outside, mempool).await?;
            }
        }
        Ok(())
    }

    /// Looks at every block noted lately: takes back what is not part of the chain, whoever noted it.
    async fn look_back(
        &self,
        cursor: &Cursor,
        lookout: &mut Lookout,
        outcome: &mut Outcome,
    ) -> Result<Back, WatchError> {
        let from = cursor.lowest_kept().min(cursor.open_from.unwrap_or(u64::MAX));
        let mut back = Back::default();
        for block in self.watcher.store.blocks_from(&self.watcher.chain.id, from).await? {
            if block.height > cursor.height {
                back.ahead.push(block);
            } else if !self.is_canonical(cursor, &block).await? {
                if !self.lose(cursor, &block, lookout, outcome).await? {
                    back.untold.push(block.height);
                }
            } else {
                lookout.outside.is_inside(&block);
                if cursor.open_from.is_some_and(|open_from| block.height >= open_from) {
                    back.found.push(block);
                }
            }
        }
        Ok(back)
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

    /// Scans again the blocks that passed before an address on the list could be known; whether that was all of them.
    async fn scan_back(
        &self,
        cursor: &Cursor,
        list: &WatchList,
        lookout: &mut Lookout,
        (found, outcome): (&mut Vec<TouchedBlock>, &mut Outcome),
    ) -> Result<bool, WatchError> {
        let late = list.learned_late(self.watcher.chain, cursor.known_at, cursor.height);
        let Some((from, late)) = late else { return Ok(true) };
        let heights = from.max(cursor.height.saturating_sub(SCAN_BLOCKS))..=cursor.height;
        let scans = heights.map(|height| self.watcher.source.scan(height, &late));
        let mut scans = pin!(stream::iter(scans).buffered(SCANS_AT_ONCE));
        while let Some(scanned) = scans.next().await {
            match scanned {
                Ok(scanned) if !self.is_over(SCAN_BACK_SECONDS) => {
                    found.extend(self.take_in(cursor, scanned, None, lookout, outcome).await?);
                }
                Ok(_) => return Ok(false),
                Err(error) => {
                    tracing::warn!(chain = %self.watcher.chain.id, %error, "a block could not be read again");
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn is_canonical(&self, cursor: &Cursor, block: &TouchedBlock) -> Result<bool, WatchError> {
        if let Some(hash) = cursor.hash_at(block.height) {
            return Ok(hash == block.hash);
        }
        let header = self.watcher.source.header(block.height).await?;
        Ok(header.is_none_or(|header| follow::kept(header.hash) == block.hash))
    }

    /// Scans up to the tip, or as far as time allows; gives the heights of blocks whose loss could not be told.
    async fn scan_forward(
        &self,
        cursor: &mut Cursor,
        list: &WatchList,
        lookout: &mut Lookout,
        ahead: &[TouchedBlock],
        (found, outcome): (&mut Vec<TouchedBlock>, &mut Outcome),
    ) -> Result<Vec<u64>, WatchError> {
        let mut untold = Vec::new();
        // A claim on the way must not move past blocks whose payments are told at the end.
        let unmoved = cursor.clone();
        let last = self.tip.number.min(cursor.height.saturating_add(SCAN_BLOCKS));
        let heights = cursor.height.saturating_add(1)..=last;
        let scans =
            heights.map(|height| async move { (height, self.watcher.source.scan(height, list).await) });
        let mut scans = pin!(stream::iter(scans).buffered(SCANS_AT_ONCE));
        while let Some((height, scanned)) = scans.next().await {
            if self.is_over(SCAN_SECONDS) {
                break;
            }
            let Some(scanned) = self.next_block(cursor, list, height, scanned).await else { break };
            let header = scanned.header;
            let noted = ahead.iter().filter(|block| block.height == height);
            let (same, other): (Vec<_>, Vec<_>) =
                noted.partition(|block| block.hash == follow::kept(header.hash));
            for block in other {
                if !self.lose(&unmoved, block, lookout, outcome).await? {
                    untold.push(height);
                }
            }
            found.extend(self.take_in(&unmoved, scanned, same.first().copied(), lookout, outcome).await?);
            cursor.push(&header);
            outcome.scanned = outcome.scanned.saturating_add(1);
        }
        Ok(untold)
    }

    /// The block that follows the cursor's. One that could not be read beside others is asked for once more by itself: a
    /// node that is busy with eight may have time for one.
    async fn next_block(
        &self,
        cursor: &Cursor,
        list: &WatchList,
        height: u64,
        scanned: Result<ScannedBlock<Code>, RpcError>,
    ) -> Option<ScannedBlock<Code>> {
        let scanned = match scanned {
            Ok(_) | Err(RpcError::Moved(_) | RpcError::Missing(_)) => scanned,
            Err(_) => self.watcher.source.scan(height, list).await,
        };
        match scanned {
            // A block that does not follow: the chain moved under us, and the next run finds the fork.
            Ok(scanned) => cursor.is_parent_of(&scanned.header).then_some(scanned),
            Err(RpcError::Moved(_) | RpcError::Missing(_)) => None,
            Err(error) => {
                tracing::warn!(chain = %self.watcher.chain.id, height, %error, "a block could not be read");
                None
            }
        }
    }

    /// Notes what a block holds, beside what was `noted` of it before; gives it if there is anything to tell.
    async fn take_in(
        &self,
        cursor: &Cursor,
        scanned: ScannedBlock<Code>,
        noted: Option<&TouchedBlock>,
        lookout: &mut Lookout,
        outcome: &mut Outcome,
    ) -> Result<Option<TouchedBlock>, WatchError> {
        outcome.unreadable = outcome.unreadable.saturating_add(scanned.unreadable.len());
        outcome.found = outcome.found.saturating_add(scanned.found.len());
        self.meet_rivals(cursor, &mut lookout.outside, &scanned).await?;
        let payouts = self.refunds_among(&refunds::few(&scanned.payouts), &lookout.payouts).await?;
        if scanned.found.is_empty() && payouts.is_empty() && noted.is_none() {
            return Ok(None);
        }
        let mut block = TouchedBlock { payouts, ..tell::touched(&scanned) };
        self.watcher.store.put_block(&self.watcher.chain.id, &block, self.started_at).await?;
        block.add(noted);
        self.came_in(cursor, &mut lookout.outside, &block).await?;
        Ok(Some(block))
    }

    /// Reports of one run: a loss comes before what is found again.
    fn sequence(&self, found: bool) -> Sequence {
        Sequence(self.sequence_number().saturating_mul(2).saturating_add(u64::from(found)))
    }
}

/// What a look at the blocks noted lately came to.
#[derive(Default)]
struct Back {
    /// Blocks of the chain that hold something uncounted.
    found: Vec<TouchedBlock>,
    /// Blocks above the cursor, which wait until the chain's own block of their height is scanned.
    ahead: Vec<TouchedBlock>,
    /// Heights of blocks whose loss could not be told.
    untold: Vec<u64>,
}

impl From<WatchError> for ApiError {
    fn from(error: WatchError) -> ApiError {
        ApiError::internal(error)
    }
}
