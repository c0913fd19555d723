//! Reading parts of a chain again for the operator, through the watcher's own door: what already counts stays as it is.

use std::collections::BTreeMap;

use super::amend::Amended;
use super::follow;
use super::fork::Fork;
use super::noted::{self, Rest};
use super::outside::Outside;
use super::scan::TakenIn;
use super::{Lookout, Outcome, Run, Source, WatchError, WatchList, Watcher, is_final_ours};
use crate::chain::Chain;
use crate::chain::block::{Found, ScannedBlock};
use crate::chain::rpc::RpcError;
use crate::moment::Timestamp;
use crate::payment::{Code, Payment, Standing, TransferId, TransferState};
use crate::store::{self, Given, Outlying, Store, StoreError};

/// Blocks read at once: what they hold is told in one go, and the watcher works on between two of them.
pub const RESCANNED_AT_ONCE: u64 = 50;

/// A watcher that moves the cursor meanwhile is met again this often, and no more.
pub(super) const ATTEMPTS: usize = 10;

/// Halvings of a chain's height until a moment is found: more than any chain has blocks for.
const HALVINGS: usize = 64;

/// What is to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// The lowest block.
    pub from: u64,
    /// The highest one.
    pub to: u64,
    /// Only what is in this transaction.
    pub tx_id: Option<&'a str>,
}

/// Why nothing, or not all, was read again.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The watcher's own reasons.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// There is no cursor to keep the order by.
    #[error("chain {0} was never watched: let its watcher run first")]
    NeverWatched(String),
    /// The node is on another fork than the record, or behind it.
    #[error("the node does not have the chain that was scanned last: let its watcher catch up first")]
    Disagrees,
    /// The table did not take in time what a block holds.
    #[error("the table is too busy to note what a block holds: try again, what was noted is known")]
    Busy,
    /// Nothing can be gone on from there.
    #[error("go on from a block between 1 and {}", .0.saturating_add(1))]
    OutOfReach(u64),
    /// It would take back what was final.
    #[error(
        "block {0} was final: what is above it can be read again, and what is below only with --past-final"
    )]
    Final(u64),
    /// Money would stay counted though its block is gone.
    #[error("block {0} holds money of payments and is not in the node's chain: go on from there or below")]
    Gone(u64),
}

impl From<StoreError> for RecoverError {
    fn from(error: StoreError) -> RecoverError {
        RecoverError::Watch(error.into())
    }
}

impl From<RpcError> for RecoverError {
    fn from(error: RpcError) -> RecoverError {
        RecoverError::Watch(error.into())
    }
}

/// What a rescan came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The last block that was read; `None` when the span lies above what the watcher has scanned.
    pub read_to: Option<u64>,
    /// Transfers found that counted already.
    pub known: usize,
    /// Movements too large to be money.
    pub unreadable: usize,
    /// The payments that were told of anything, before and after.
    pub changed: Vec<(Payment, Payment)>,
}

impl WatchList {
    /// Every address of the chain's family that was ever given out, watched or not.
    pub async fn ever_given(store: &Store, chain: &Chain) -> Result<WatchList, WatchError> {
        let mut list = WatchList::to_read_again();
        let mut unreadable = 0_usize;
        let add = |given: Given| {
            if !list.add(chain, &given) {
                unreadable = unreadable.saturating_add(1);
            }
        };
        store.each_given(chain.family.name(), add).await?;
        // A test payment's address has the form of a test network, and nothing of it ever comes here.
        tracing::debug!(chain = %chain.id, unreadable, "addresses of other networks were left out");
        Ok(list)
    }

    /// One address; `None` when it was given out to nobody.
    pub async fn only(store: &Store, chain: &Chain, address: &str) -> Result<Option<WatchList>, WatchError> {
        let mut list = WatchList::to_read_again();
        let given = store.given(address).await?;
        Ok(given.filter(|given| list.add(chain, given)).map(|_| list))
    }

    fn add(&mut self, chain: &Chain, given: &Given) -> bool {
        let key = chain.family.address_key(&given.address);
        if let Ok(key) = key {
            self.insert(key, given.code);
        }
        key.is_ok() && given.family == chain.family.name()
    }
}

impl<S: Source> Watcher<'_, S> {
    /// Reads the first blocks of `span` again, tells payments what they do not know or do not count yet, and says how
    /// far it came: whoever wants the rest asks again from there. Above the cursor there is nothing to read again.
    ///
    /// Where balances are compared, those of all addresses are: this is for what the watcher missed. Who looks for a
    /// transaction needs none of them, because money that is found by balances is in none.
    pub async fn rescan(&self, list: &mut WatchList, span: Span<'_>) -> Result<Recovered, RecoverError> {
        let never = || RecoverError::NeverWatched(self.chain.id.to_string());
        let scanned_to = self.store.cursor(&self.chain.id).await?.ok_or_else(never)?.height;
        let last = span.from.saturating_add(RESCANNED_AT_ONCE.saturating_sub(1)).min(span.to).min(scanned_to);
        let mut recovered = Recovered::default();
        if span.tx_id.is_none() {
            list.compare_all();
        }
        let awaited = self.store.outlying(&self.chain.id).await?.payouts;
        list.await_payouts(self.destinations(&awaited));
        let (mut blocks, mut before) = (Vec::new(), BTreeMap::new());
        for height in span.from..=last {
            let mut block = self.source.scan(height, list).await?;
            recovered.unreadable = recovered.unreadable.saturating_add(block.unreadable.len());
            block.found.retain(|found| span.tx_id.is_none_or(|tx_id| found.movement.tx_id == tx_id));
            // Before anything that is known is left out: what transactions brought explains what balances show.
            let mut amended = self.amended(block).await?;
            self.keep_news(&mut amended.scanned, &mut before, &mut recovered).await?;
            let Amended { scanned, replaced } = &amended;
            if !scanned.found.is_empty() || !scanned.payouts.is_empty() || !replaced.is_empty() {
                blocks.push(amended);
            }
            recovered.read_to = Some(height);
        }
        if !blocks.is_empty() {
            self.record(&blocks).await?;
        }
        for block in &blocks {
            for found in &block.scanned.found {
                let Some(known) = before.remove(&found.movement.watched) else { continue };
                if let Some(now) = self.store.payment(found.movement.watched).await? {
                    recovered.changed.push((known, now));
                }
            }
        }
        Ok(recovered)
    }

    /// The lowest block that is not older than a moment; none older than the chain's first one is asked for.
    pub async fn height_at(&self, moment: Timestamp) -> Result<u64, RecoverError> {
        let (mut low, mut high) = (0_u64, self.source.tip().await?.number);
        for _ in 0..HALVINGS {
            if low >= high {
                break;
            }
            let middle = low.midpoint(high);
            let header = self.source.header(middle).await?.ok_or(RpcError::Missing(middle))?;
            if header.timestamp < moment {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Leaves out what is nobody's live money, and what its payment counts in this very block: telling that again would
    /// change nothing but the payment's time of change.
    async fn keep_news(
        &self,
        block: &mut ScannedBlock<Code>,
        known: &mut BTreeMap<Code, Payment>,
        recovered: &mut Recovered,
    ) -> Result<(), RecoverError> {
        let height = block.header.number;
        let mut news = Vec::new();
        let mut by_payment: BTreeMap<Code, Vec<TransferId>> = BTreeMap::new();
        for found in &block.found {
            let id = TransferId::new(&found.movement.key);
            by_payment.entry(found.movement.watched).or_default().push(id);
        }
        let mut here = BTreeMap::new();
        for (code, ids) in by_payment {
            if let Some(store::Found { payment, .. }) = self.store.find_payment_with(code, &ids).await? {
                known.entry(code).or_insert_with(|| payment.clone());
                here.insert(code, payment);
            }
        }
        for found in std::mem::take(&mut block.found) {
            match here.get(&found.movement.watched).filter(|payment| payment.is_live()) {
                Some(payment) if counts_in(payment, &found, height) => {
                    recovered.known = recovered.known.saturating_add(1);
                }
                Some(_) => news.push(found),
                None => {}
            }
        }
        block.found = news;
        Ok(())
    }

    /// Tells payments what the blocks hold, under a number of its own in the order of all reports.
    async fn record(&self, blocks: &[Amended]) -> Result<(), RecoverError> {
        for _ in 0..ATTEMPTS {
            match self.try_record(blocks).await {
                Err(RecoverError::Watch(WatchError::Overtaken)) => {}
                done => return done,
            }
        }
        Err(WatchError::Overtaken.into())
    }

    async fn try_record(&self, blocks: &[Amended]) -> Result<(), RecoverError> {
        let never = || RecoverError::NeverWatched(self.chain.id.to_string());
        let mut cursor = self.store.cursor(&self.chain.id).await?.ok_or_else(never)?;
        let started_at = self.clock.now();
        let (tip, final_block) = (self.source.tip().await?, self.source.finalized().await?);
        let run = Run::new(self, started_at, tip, (cursor.version, cursor.height));
        let ours = final_block.filter(|block| is_final_ours(&cursor, block, cursor.height));
        run.finalized.set(cursor.finalized.max(ours.map(|block| block.number)));
        let Fork::At(common) = run.fork(&cursor).await? else { return Err(RecoverError::Disagrees) };
        let Outlying { sightings, payouts } = self.store.outlying(&self.chain.id).await?;
        let mut lookout = Lookout { outside: Outside::new(sightings), payouts, mempool: None };
        let (mut outcome, mut found) = (Outcome::default(), Vec::new());
        for block in blocks {
            let header = block.scanned.header;
            let (height, hash) = (header.number, follow::kept(header.hash));
            if height > common || cursor.hash_at(height).is_some_and(|known| known != hash) {
                return Err(RecoverError::Disagrees);
            }
            match run.take_in(&cursor, block.clone(), None, &mut lookout, &mut outcome).await? {
                TakenIn::Nothing => {}
                TakenIn::Found(block) => found.push(block),
                TakenIn::InPart => return Err(RecoverError::Busy),
            }
        }
        let (open_from, place) = (cursor.open_from, cursor.place.clone());
        // The watcher goes on telling of what does not count yet, and of all of it if this dies.
        cursor.open_from = found.iter().map(|block| block.height).chain(open_from).min();
        cursor.place = noted::untold_from(cursor.place.take(), &found);
        run.claim(&cursor).await?;
        let told = run.tell_found(&found, Rest::default(), cursor.place.as_ref()).await?;
        cursor.open_from = told.open.into_iter().chain(open_from).min();
        cursor.place = noted::earlier(place, told.place);
        Ok(run.write(cursor).await?)
    }
}

fn counts_in(payment: &Payment, found: &Found<Code>, height: u64) -> bool {
    let known = payment.transfer(&TransferId::new(&found.movement.key));
    known.is_some_and(|known| match known.standing() {
        Standing::InBlock { block, .. } => {
            block.height == height && payment.state(known) == TransferState::Counted
        }
        Standing::Unconfirmed { .. } | Standing::Lost { .. } | Standing::Replaced => false,
    })
}
