//! Following a chain: each block is scanned once, and payments are told what it holds for them (R15, R22).
//!
//! Every step may be repeated: a run that dies anywhere is repeated whole by the next, and changes nothing twice.

mod amend;
mod follow;
mod fork;
mod held;
mod list;
mod noted;
mod outside;
mod recover;
mod refunds;
mod resume;
mod scan;
mod source;
mod tell;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::time::Duration;

use tokio::time::timeout;

use crate::chain::Chain;
use crate::chain::block::{Header, Mempool};
use crate::chain::rpc::RpcError;
use crate::clock::Clock;
use crate::http::ApiError;
use crate::moment::Timestamp;
use crate::payment::Sequence;
use crate::store::{AwaitedPayout, Cursor, Outlying, Store, StoreError};

use self::fork::Fork;
pub use self::held::Held;
pub use self::list::WatchList;
use self::outside::Outside;
pub use self::recover::{RESCANNED_AT_ONCE, RecoverError, Recovered, Span};
pub use self::resume::Resumed;
use self::scan::Back;
pub use self::source::Source;

/// A run begins to tell no further payment after this long, well before its time is over.
const TELL_SECONDS: u64 = 45;

/// How long the node may take to say what is unconfirmed, which counts for nothing, before a run goes on without it.
const MEMPOOL_SECONDS: u64 = 10;

/// A tip older than this, and than the chain's own longest pause, is that of a node that stands still; the alarm rings by
/// then too.
const STALE_SECONDS: u64 = 15 * 60;

/// Where a chain that was never scanned is begun: some minutes before its tip.
const START_BACK: u64 = 50;

/// Why a run ended early. The next one takes it up where the cursor stands.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A table.
    #[error("the watcher's table")]
    Store(#[from] StoreError),
    /// The node.
    #[error("the chain's node")]
    Node(#[from] RpcError),
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
    /// The node stands below ours: on our own branch, or on another that is not believed.
    pub node_behind: bool,
    /// The node denies blocks that are too deep for that, or final: nothing moves unless it goes on for several runs, or
    /// until the operator looks.
    pub fork_too_deep: bool,
    /// The block that this run and the last ones could not get past.
    pub held: Option<Held>,
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
    /// The block that the node calls final.
    final_block: Option<Header>,
    /// The height up to which blocks are final, as far as they are ours.
    finalized: Cell<Option<u64>>,
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
        let mempool =
            if self.is_anybody_there(list, started_at).await? { self.mempool().await } else { None };
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
                run.final_block = self.final_block().await;
                // What was final once is final, whatever another node says later (R37).
                run.finalized.set(cursor.finalized);
                // Most runs have nothing to do, and should not carry what this needs.
                Box::pin(run.advance(cursor, list, &mut lookout)).await
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

    /// Whether an address is watched. With none, the unconfirmed of the whole world need not be asked for each minute.
    async fn is_anybody_there(&self, list: &mut WatchList, now: Timestamp) -> Result<bool, WatchError> {
        if list.is_empty() && self.chain.family.shows_unconfirmed() {
            list.refresh(self.store, self.chain, now).await?;
        }
        Ok(!list.is_empty())
    }

    /// Without it a run does the rest of its work: what must be final waits.
    async fn final_block(&self) -> Option<Header> {
        let told = self.source.finalized().await;
        told.unwrap_or_else(|error| {
            tracing::warn!(chain = %self.chain.id, %error, "the node does not say what is final");
            None
        })
    }

    /// Without it a run does the rest of its work: what is unconfirmed counts for nothing.
    async fn mempool(&self) -> Option<Mempool> {
        if !self.chain.family.shows_unconfirmed() {
            return None;
        }
        let told = timeout(Duration::from_secs(MEMPOOL_SECONDS), self.source.mempool()).await;
        match told {
            Ok(Ok(mempool)) => mempool,
            Ok(Err(error)) => {
                tracing::warn!(chain = %self.chain.id, %error, "the node does not say what is unconfirmed");
                None
            }
            Err(_) => {
                tracing::warn!(chain = %self.chain.id, "the node takes too long to say what is unconfirmed");
                None
            }
        }
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
        let (final_block, finalized) = (None, Cell::new(None));
        Run { watcher, started_at, tip, final_block, finalized, read, version, claimed, reached }
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

    /// What comes before the run is so many seconds old. A node that does not answer must not take the time that is for
    /// keeping what others answered.
    async fn before<T>(&self, seconds: u64, comes: impl Future<Output = T>) -> Option<T> {
        let left = Duration::from_secs(seconds.saturating_sub(self.seconds()));
        timeout(left, comes).await.ok()
    }

    /// How old the run is.
    fn seconds(&self) -> u64 {
        self.watcher.clock.now().since(self.started_at)
    }

    /// Whether a run that began so long ago should do no more of this.
    fn is_over(&self, seconds: u64) -> bool {
        self.seconds() >= seconds
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
            let lag_seconds = self.lag_seconds(cursor);
            return Ok(Outcome {
                height: cursor.height,
                node_behind: true,
                lag_seconds,
                ..Outcome::default()
            });
        }
        let mut next = Cursor { known_at: self.started_at, place: None, ..cursor.clone() };
        next.restart(&self.tip);
        if self.is_tip_fresh() {
            next.note_caught_up(self.started_at);
            next.fresh_at = self.started_at;
        }
        let lag_seconds = self.lag_seconds(&next);
        self.write(next).await?;
        Ok(Outcome { height, caught_up: true, lag_seconds, ..Outcome::default() })
    }

    async fn begin(&self, list: &WatchList) -> Result<Outcome, WatchError> {
        let back = if list.is_empty() { 0 } else { START_BACK };
        let height = self.tip.number.saturating_sub(back);
        let Some(first) = self.watcher.source.header(height).await? else {
            return Ok(Outcome::default());
        };
        let at = self.started_at;
        let mut cursor = Cursor { known_at: at, whole_at: at, ..Cursor::default() };
        cursor.restart(&first);
        self.write(cursor).await?;
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
        let moves = match self.fork(&next).await? {
            Fork::At(height) => {
                next.rewind(height);
                true
            }
            Fork::BelowStart(lowest) => self.begin_lower(&mut next, lowest).await?,
            Fork::NodeBehind => {
                outcome.node_behind = true;
                tracing::warn!(
                    chain = %self.watcher.chain.id, tip = self.tip.number, ours = next.height,
                    "the node is behind, or its answers do not fit together"
                );
                self.end_row(&mut next).await?;
                false
            }
            Fork::Foreign(foreign) => {
                self.note_stray(&mut next, foreign, &mut outcome).await?;
                false
            }
        };
        if moves {
            self.follow(&mut next, list, lookout, &mut outcome).await?;
        }
        if let Some(held) = outcome.held.take() {
            outcome.held = self.held_up(held).await;
        }
        outcome.lag_seconds = self.lag_seconds(&next);
        outcome.height = next.height;
        if moves {
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
        let pause = self.watcher.chain.family.longest_pause_seconds();
        now.since(cursor.whole_at).max(now.since(self.tip.timestamp).saturating_sub(pause))
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
        let Back { mut found, rest, ahead, mut untold, disputed, is_whole } =
            self.look_back(cursor, lookout, outcome).await?;
        cursor.strayed = if disputed.is_empty() { 0 } else { cursor.strayed.saturating_add(1) };
        let known = found.len();
        lookout.outside.lies_ahead(&ahead, self.started_at);
        list.await_outputs(lookout.outside.outputs());
        let (knows_all, left_off) = self.scan_back(cursor, list, lookout, (&mut found, outcome)).await?;
        let (unmoved, before) = (cursor.clone(), found.len());
        let scanned_before = unmoved.height;
        untold.extend(self.scan_forward(cursor, list, lookout, &ahead, (&mut found, outcome)).await?);
        if !self.were_lists_younger(&unmoved, cursor, list, lookout).await? {
            // As if this run had died before the cursor moved: the next one reads the same blocks with newer lists.
            *cursor = unmoved;
            found.truncate(before);
        }
        self.reached.set(cursor.height);
        let is_ours = |block: &Header| is_final_ours(cursor, block, scanned_before);
        cursor.note_finalized(self.final_block.filter(is_ours).map(|block| block.number));
        self.finalized.set(cursor.finalized);
        if !found.is_empty() {
            // What is left of a block that is told in parts lies in a block that is told.
            let heights = found.iter().map(|block| block.height).chain(untold.iter().copied());
            cursor.open_from = heights.chain(disputed.iter().copied()).chain(rest.heights()).min();
            cursor.place = noted::untold_from(cursor.place.take(), found.get(known..).unwrap_or_default());
            self.write(cursor.clone()).await?;
            self.claimed.set(true);
        }
        list.leave_off(left_off);
        let told = self.tell_found(&found, rest, cursor.place.as_ref()).await?;
        let all_told = told.all && untold.is_empty();
        cursor.open_from = told.open.into_iter().chain(untold).chain(disputed).min();
        cursor.place = told.place;
        if knows_all {
            cursor.known_at = self.started_at;
        }
        if cursor.height >= self.tip.number {
            outcome.caught_up = true;
            if self.is_tip_fresh() {
                cursor.fresh_at = self.started_at;
            }
            // A window that closes over money in time of which its payment does not know would make it late for ever.
            if self.is_tip_fresh() && all_told && knows_all {
                cursor.note_caught_up(self.started_at);
            }
            // What lies in a block that was not looked at would be taken for gone.
            let in_time = is_whole && !self.is_over(TELL_SECONDS);
            if let Some(mempool) = lookout.mempool.as_ref().filter(|_| in_time) {
                self.look_outside(cursor, list, &mut lookout.outside, mempool).await?;
            }
        }
        Ok(())
    }

    /// Reports of one run: a loss comes before what is found again.
    fn sequence(&self, found: bool) -> Sequence {
        Sequence(self.sequence_number().saturating_mul(2).saturating_add(u64::from(found)))
    }
}

/// Whether a block that a node calls final is one of ours: another node behind the same address may stand on another
/// branch. One whose hash is kept no more is believed if it was scanned before this run.
fn is_final_ours(cursor: &Cursor, block: &Header, scanned_before: u64) -> bool {
    match cursor.hash_at(block.number) {
        Some(hash) => hash == follow::kept(block.hash),
        None => block.number <= cursor.height.min(scanned_before),
    }
}

impl From<WatchError> for ApiError {
    fn from(error: WatchError) -> ApiError {
        ApiError::internal(error)
    }
}
