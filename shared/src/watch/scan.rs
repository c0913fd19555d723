//! Reading blocks: those noted lately again, those that passed too early, and the new ones up to the tip.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::pin::pin;

use futures_util::stream::{self, FuturesOrdered, Stream, StreamExt};

use super::amend::Amended;
use super::fork::STRAY_RUNS;
use super::list::LeftOff;
use super::noted::{Noted, NotedBlock, Rest};
use super::{Held, Lookout, Outcome, Run, Source, WatchError, WatchList, Watcher, follow, tell};
use crate::chain::block::{Header, ScannedBlock};
use crate::chain::rpc::RpcError;
use crate::payment::Code;
use crate::store::{BlockState, Cursor, StoreError, TouchedBlock, Watched};

/// A run stops taking new blocks after this long, so that time is left to tell payments.
const SCAN_SECONDS: u64 = 35;

/// What the node may take to tell of blocks so old that their hashes are not kept.
const LOOK_BACK_SECONDS: u64 = 15;

/// And what the blocks may take that had passed before an address was known.
const SCAN_BACK_SECONDS: u64 = 20;

/// Blocks scanned in one run at most, so that a day away is caught up in steps that are kept.
const SCAN_BLOCKS: u64 = 1_000;

/// Blocks asked for at once: a watcher that was away waits for the node's answers, not for each one's way. Of a node that
/// was asked too much, fewer are.
const SCANS_AT_ONCE: usize = 8;

/// Transfers found by one run, so that they fit into its memory; a block that holds more is taken in whole.
const SCAN_TRANSFERS: usize = 50_000;

/// A run stops noting what a block holds after this long. The next one goes on there.
const NOTE_SECONDS: u64 = 40;

/// What a look at the blocks noted lately came to.
#[derive(Default)]
pub(super) struct Back {
    /// Blocks of the chain that hold something uncounted.
    pub(super) found: Vec<TouchedBlock>,
    /// What else they hold.
    pub(super) rest: Rest,
    /// Blocks above the cursor, which wait until the chain's own block of their height is scanned.
    pub(super) ahead: Vec<NotedBlock>,
    /// Heights of blocks whose loss could not be told, or for which there was no time.
    pub(super) untold: Vec<u64>,
    /// Heights of blocks that the node denies and that are not given up for that: they were final, or the node may be
    /// another than the one that has our newest block (R37).
    pub(super) disputed: Vec<u64>,
    /// Whether there was time for all of them.
    pub(super) is_whole: bool,
}

/// What taking in a block came to.
pub(super) enum TakenIn {
    /// It holds nothing.
    Nothing,
    /// It holds something, all of which is noted.
    Found(TouchedBlock),
    /// There was no time to note all of it.
    InPart,
}

impl<S: Source> Run<'_, S> {
    /// Looks at every block noted lately: takes back what is not part of the chain, whoever noted it.
    pub(super) async fn look_back(
        &self,
        cursor: &Cursor,
        lookout: &mut Lookout,
        outcome: &mut Outcome,
    ) -> Result<Back, WatchError> {
        let Noted { blocks, mut rest, is_whole } = self.read_noted(cursor).await?;
        // What is above the last block that was read is not known: nothing there may be left behind.
        let last_read = blocks.last().map_or(0, |last| last.block.height);
        let (noted, ahead): (Vec<_>, Vec<_>) =
            blocks.into_iter().partition(|it| it.block.height <= cursor.height);
        let heights = noted.iter().map(|noted| noted.block.height);
        let old = self.headers(heights.filter(|height| cursor.hash_at(*height).is_none()).collect()).await;
        let mut back = Back { ahead, is_whole, ..Back::default() };
        back.untold.extend((!is_whole).then_some(last_read));
        let mut told_of = HashSet::new();
        for NotedBlock { block, state, others } in noted {
            let is_lost = !state.is_there();
            match is_canonical(cursor, &old, &block) {
                Some(true) => {
                    lookout.outside.is_inside(&block, others);
                    told_of.insert((block.height, block.hash));
                    if is_lost {
                        // It came back, or somebody took it for gone who was late.
                        self.claim(cursor).await?;
                        self.put_state(&block, &BlockState::default()).await?;
                    }
                    if is_lost || cursor.open_from.is_some_and(|open_from| block.height >= open_from) {
                        back.found.push(block);
                    }
                }
                Some(false) | None if state.gone => {}
                Some(false) if self.is_disputed(cursor, &block) => back.disputed.push(block.height),
                Some(false) => {
                    if !self.lose(cursor, &block, state, lookout, outcome).await? {
                        back.untold.push(block.height);
                    }
                }
                None => {
                    back.untold.push(block.height);
                    back.is_whole = false;
                }
            }
        }
        rest.steps.retain(|step| told_of.contains(&(step.block.height, step.block.hash)));
        back.rest = rest;
        Ok(back)
    }

    /// Whether it takes more than one node's word that a block is gone: its hash is no longer kept, though the node has
    /// the newest block that is ours.
    fn is_disputed(&self, cursor: &Cursor, block: &TouchedBlock) -> bool {
        if cursor.hash_at(block.height).is_some() {
            return false;
        }
        let is_final = cursor.finalized.is_some_and(|finalized| block.height <= finalized);
        let is_disputed = is_final || cursor.strayed.saturating_add(1) < STRAY_RUNS;
        if is_disputed {
            let (chain, height) = (&self.watcher.chain.id, block.height);
            tracing::error!(%chain, height, is_final, "the node denies a block that holds money, and is not believed");
        }
        is_disputed
    }

    /// The node's blocks at these heights, as far as it tells of them in time; another one first in each run, so that
    /// those for which there was no time come first once.
    async fn headers(&self, heights: BTreeSet<u64>) -> BTreeMap<u64, Option<Header>> {
        let until = self.seconds().saturating_add(LOOK_BACK_SECONDS).min(SCAN_SECONDS);
        let mut heights: Vec<u64> = heights.into_iter().collect();
        tell::turn(&mut heights, self.started_at);
        let asked = heights
            .into_iter()
            .map(|height| async move { (height, self.watcher.source.header(height).await) });
        let mut asked = pin!(in_order(self.watcher.source, asked));
        let mut told = BTreeMap::new();
        while let Some(Some((height, header))) = self.before(until, asked.next()).await {
            match header {
                Ok(header) => {
                    told.insert(height, header);
                }
                Err(error) => {
                    tracing::warn!(chain = %self.watcher.chain.id, height, %error, "a block could not be asked for");
                }
            }
        }
        told
    }

    /// Takes back what a block held; whether all who must know of it could be told.
    async fn lose(
        &self,
        cursor: &Cursor,
        block: &TouchedBlock,
        state: BlockState,
        lookout: &mut Lookout,
        outcome: &mut Outcome,
    ) -> Result<bool, WatchError> {
        self.claim(cursor).await?;
        let block = self.whole(block).await?;
        outcome.lost = outcome.lost.saturating_add(block.transfers.len());
        self.went_out(&mut lookout.outside, &block).await?;
        self.tell_lost(&block, state).await
    }

    /// Scans again the blocks that passed before an address on the list could be known; whether that was all of them, and
    /// behind which of them the next run goes on. That holds once what was found is kept: a run that dies before is repeated.
    pub(super) async fn scan_back(
        &self,
        cursor: &Cursor,
        list: &mut WatchList,
        lookout: &mut Lookout,
        (found, outcome): (&mut Vec<TouchedBlock>, &mut Outcome),
    ) -> Result<(bool, Option<LeftOff>), WatchError> {
        let late = list.learned_late(self.watcher.chain, cursor);
        let mut left_off = list.leave_off(None);
        let Some((from, late)) = late else { return Ok((true, None)) };
        let heights = from.max(cursor.height.saturating_sub(SCAN_BLOCKS))..=cursor.height;
        let scan = |height| {
            let scanned = self.watcher.source.scan(height, &late);
            async move { (height, scanned.await) }
        };
        let mut scans = pin!(in_order(self.watcher.source, heights.map(scan)));
        loop {
            let next = self.before(SCAN_BACK_SECONDS, scans.next()).await;
            let Some(next) = next.filter(|_| !self.is_over(SCAN_BACK_SECONDS)) else {
                return Ok((false, left_off));
            };
            let Some((height, scanned)) = next else { return Ok((true, None)) };
            match scanned {
                Ok(scanned) if is_ours(cursor, &scanned.header) => {
                    let amended = self.watcher.amended(scanned).await?;
                    let header = amended.scanned.header;
                    match self.take_in(cursor, amended, None, lookout, outcome).await? {
                        TakenIn::Nothing => {}
                        TakenIn::Found(block) => found.push(block),
                        TakenIn::InPart => return Ok((false, left_off)),
                    }
                    left_off = Some(LeftOff::at(&header, late.addresses()));
                }
                Ok(_) => return Ok((false, left_off)),
                Err(error) => {
                    tracing::warn!(chain = %self.watcher.chain.id, height, %error, "a block could not be read again");
                    outcome.held = Some(Held::by(height, &error));
                    return Ok((false, left_off));
                }
            }
        }
    }

    /// Scans up to the tip, or as far as time allows; gives the heights of blocks whose loss could not be told.
    pub(super) async fn scan_forward(
        &self,
        cursor: &mut Cursor,
        list: &WatchList,
        lookout: &mut Lookout,
        ahead: &[NotedBlock],
        (found, outcome): (&mut Vec<TouchedBlock>, &mut Outcome),
    ) -> Result<Vec<u64>, WatchError> {
        let mut untold = Vec::new();
        // A claim on the way must not move past blocks whose payments are told at the end.
        let unmoved = cursor.clone();
        let last = self.tip.number.min(cursor.height.saturating_add(SCAN_BLOCKS));
        let heights = cursor.height.saturating_add(1)..=last;
        let scans =
            heights.map(|height| async move { (height, self.watcher.source.scan(height, list).await) });
        let mut scans = pin!(in_order(self.watcher.source, scans));
        loop {
            let next = self.before(SCAN_SECONDS, scans.next()).await;
            let is_over = self.is_over(SCAN_SECONDS) || outcome.found >= SCAN_TRANSFERS;
            let Some(next) = next.filter(|_| !is_over) else {
                // What moved on is not held up, however slowly it moves.
                let is_held = outcome.scanned == 0 && cursor.height < last;
                outcome.held = is_held.then(|| Held::by_time(cursor.height.saturating_add(1)));
                break;
            };
            let Some((height, scanned)) = next else { break };
            let scanned = match self.next_block(cursor, list, height, scanned).await {
                Ok(scanned) => scanned,
                Err(held) => {
                    outcome.held = Some(held);
                    break;
                }
            };
            let header = scanned.header;
            let noted = ahead.iter().filter(|noted| noted.block.height == height);
            let (same, other): (Vec<_>, Vec<_>) =
                noted.partition(|noted| noted.block.hash == follow::kept(header.hash));
            for NotedBlock { block, state, .. } in other.into_iter().filter(|noted| !noted.state.gone) {
                if !self.lose(&unmoved, block, state.clone(), lookout, outcome).await? {
                    untold.push(height);
                }
            }
            let same = same.first().map(|noted| &noted.block);
            let amended = self.watcher.amended_where_compared(scanned).await?;
            match self.take_in(&unmoved, amended, same, lookout, outcome).await? {
                TakenIn::Nothing => {}
                TakenIn::Found(block) => found.push(block),
                TakenIn::InPart => break,
            }
            cursor.push(&header);
            outcome.scanned = outcome.scanned.saturating_add(1);
        }
        Ok(untold)
    }

    /// Whether every block that was scanned above `unmoved` is older than the lists by which it was: so it is if the tip
    /// stands on it, which was read before them. A re-organisation meanwhile may have brought blocks with money to an
    /// address, or for a refund, that came after the lists were read; then they are read again, and nothing new may be on
    /// them. (What is noted of sightings only a run writes, and of two runs at once one is overtaken.)
    pub(super) async fn were_lists_younger(
        &self,
        unmoved: &Cursor,
        cursor: &Cursor,
        list: &mut WatchList,
        lookout: &Lookout,
    ) -> Result<bool, WatchError> {
        if cursor.height == unmoved.height {
            return Ok(true);
        }
        let below_tip = match self.tip.number.checked_sub(cursor.height) {
            Some(0) => Some(self.tip.hash),
            Some(1) => Some(self.tip.parent_hash),
            Some(_) | None => None,
        };
        if below_tip.is_some_and(|hash| cursor.hash_at(cursor.height) == Some(follow::kept(hash))) {
            return Ok(true);
        }
        let Watcher { chain, store, .. } = *self.watcher;
        list.refresh(store, chain, self.started_at).await?;
        let payouts = store.outlying(&chain.id).await?.payouts;
        // An address that was given out below these blocks is looked for in them by the next run (`scan_back`).
        let is_above = |it: &Watched| it.heights.get(&chain.id).is_none_or(|height| *height > unmoved.height);
        let is_new =
            list.newly().iter().any(is_above) || payouts.iter().any(|it| !lookout.payouts.contains(it));
        if is_new {
            tracing::warn!(
                chain = %chain.id, height = cursor.height,
                "blocks were read that may be younger than what was looked for in them: they are read again"
            );
        }
        Ok(!is_new)
    }

    /// The block that follows the cursor's. One that could not be read beside others is asked for once more by itself: a
    /// node that is busy with eight may have time for one.
    async fn next_block(
        &self,
        cursor: &Cursor,
        list: &WatchList,
        height: u64,
        scanned: Result<ScannedBlock<Code>, RpcError>,
    ) -> Result<ScannedBlock<Code>, Held> {
        let scanned = match scanned {
            Ok(_) | Err(RpcError::Moved(_) | RpcError::Missing(_)) => scanned,
            Err(_) => {
                let again = self.before(SCAN_SECONDS, self.watcher.source.scan(height, list)).await;
                again.ok_or_else(|| Held::by_time(height))?
            }
        };
        match scanned {
            Ok(scanned) if cursor.is_parent_of(&scanned.header) => Ok(scanned),
            // A block that does not follow: the chain moved under us, and the next run finds the fork.
            Ok(_) => Err(Held::by_parent(height)),
            Err(error) => {
                self.tell_unread(height, &error);
                Err(Held::by(height, &error))
            }
        }
    }

    /// A node that has forgotten a block never tells it: that is the operator's to mend, and no matter of time.
    fn tell_unread(&self, height: u64, error: &RpcError) {
        let chain = &self.watcher.chain.id;
        if matches!(error, RpcError::Moved(_) | RpcError::Missing(_)) {
            return;
        }
        if error.is_pruned() {
            tracing::error!(
                %chain, height, %error,
                "the node has pruned this block away: give the watcher a node that has it, or let it resume above"
            );
        } else {
            tracing::warn!(%chain, height, %error, "a block could not be read");
        }
    }

    /// Notes what a block holds, beside what was `noted` of it before; gives it if there is anything to tell.
    pub(super) async fn take_in(
        &self,
        cursor: &Cursor,
        amended: Amended,
        noted: Option<&TouchedBlock>,
        lookout: &mut Lookout,
        outcome: &mut Outcome,
    ) -> Result<TakenIn, WatchError> {
        let Amended { scanned, replaced } = amended;
        outcome.unreadable = outcome.unreadable.saturating_add(scanned.unreadable.len());
        outcome.found = outcome.found.saturating_add(scanned.found.len());
        self.meet_rivals(cursor, &mut lookout.outside, &scanned).await?;
        let payouts = self.refunds_among(&scanned.payouts, &lookout.payouts).await?;
        if scanned.found.is_empty() && payouts.is_empty() && replaced.is_empty() && noted.is_none() {
            return Ok(TakenIn::Nothing);
        }
        let mut block = TouchedBlock { payouts, ..tell::touched(&scanned) };
        // First: a run that dies between the two must leave a sum that is too small and is looked for again, and none that
        // is there twice.
        let taken_back = TouchedBlock { transfers: replaced, payouts: Vec::new(), ..block.clone() };
        if !taken_back.transfers.is_empty() && !self.note_block(&taken_back, noted).await? {
            return Ok(TakenIn::InPart);
        }
        if !self.note_block(&block, noted).await? {
            return Ok(TakenIn::InPart);
        }
        block.transfers.extend(taken_back.transfers);
        block.add(noted);
        self.came_in(cursor, &mut lookout.outside, &block).await?;
        Ok(TakenIn::Found(block))
    }

    /// Notes what a block holds, as far as there is time and the table takes it; whether that was all. What was noted is
    /// known to the next run.
    async fn note_block(
        &self,
        block: &TouchedBlock,
        noted: Option<&TouchedBlock>,
    ) -> Result<bool, WatchError> {
        let (store, chain) = (self.watcher.store, &self.watcher.chain.id);
        let (run, go_on) = ((self.sequence_number(), self.started_at), || !self.is_over(NOTE_SECONDS));
        match store.put_block(chain, block, noted, run, go_on).await {
            Ok(true) => return Ok(true),
            // What is noted already is still to be told, and so is what other blocks hold.
            Ok(false) | Err(StoreError::Throttled) => {}
            Err(error) => return Err(error.into()),
        }
        tracing::warn!(%chain, height = block.height, "the rest of what a block holds is noted by the next run");
        Ok(false)
    }

    pub(super) async fn put_state(&self, block: &TouchedBlock, state: &BlockState) -> Result<(), WatchError> {
        let (store, chain) = (self.watcher.store, &self.watcher.chain.id);
        let run = (self.sequence_number(), self.started_at);
        Ok(store.put_state(chain, (block.height, block.hash, block.time), state, run).await?)
    }
}

/// Whether a block that was read again is the one that was scanned, as far as that is still known.
fn is_ours(cursor: &Cursor, header: &Header) -> bool {
    cursor.hash_at(header.number).is_none_or(|hash| hash == follow::kept(header.hash))
}

/// The answers in the order of their questions, of which so many are under way as the node takes just then.
fn in_order<F: Future>(
    source: &impl Source,
    questions: impl Iterator<Item = F>,
) -> impl Stream<Item = F::Output> {
    let under_way = (questions, FuturesOrdered::new());
    stream::unfold(under_way, move |(mut questions, mut open)| async move {
        let more = source.at_once().min(SCANS_AT_ONCE).saturating_sub(open.len());
        open.extend(questions.by_ref().take(more));
        let answer = open.next().await?;
        Some((answer, (questions, open)))
    })
}

/// Whether a block is part of the chain; `None` where the node did not say. A node that has none there says nothing
/// against it.
fn is_canonical(cursor: &Cursor, old: &BTreeMap<u64, Option<Header>>, block: &TouchedBlock) -> Option<bool> {
    if let Some(hash) = cursor.hash_at(block.height) {
        return Some(hash == block.hash);
    }
    let header = old.get(&block.height)?;
    Some(header.is_none_or(|header| follow::kept(header.hash) == block.hash))
}
