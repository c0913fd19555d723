//! What blocks held for us, kept so that it can be counted again or taken back without reading the chain.
//!
//! What a block holds is a fact and stays: some hundreds of transfers of one payment to an item, the largest first, under a
//! key that follows from them. What became of the block is an item of its own, in [`state`].

mod part;
mod state;

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

pub(crate) use self::part::{Part, TRANSFERS as TRANSFERS_TOLD, parts};
pub use self::state::BlockState;
use super::{NO_LATER_RUN, TouchedPayout, malformed, names_payments};
use crate::chain::ChainId;
use crate::chain::block::OutPoint;
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::payment::BlockAt;
use crate::store::attribute::{Item, n, number, optional_number, s, text};
use crate::store::{Store, StoreError, failed, is_done};

/// Longer than any transfer waits to count or to come back.
const BLOCK_KEPT_SECONDS: u64 = 60 * DAY_SECONDS;

/// Writes under way at once.
const AT_ONCE: usize = 5;

/// Items read at once.
const ITEMS_READ: i32 = 500;

/// Pages read at a time. What fills more than a page by itself is stepped over, unless somebody wants it.
const PAGES: usize = 400;

/// Bytes of a block's hash that are kept: enough that nobody finds another block with the same.
pub(super) const KEPT_HASH: usize = 16;

/// The first bytes of a block's hash.
pub type BlockHash = [u8; KEPT_HASH];

/// What a block held for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TouchedBlock {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
    /// The time written in it.
    pub time: Timestamp,
    /// The transfers in it.
    pub transfers: Vec<TouchedTransfer>,
    /// What in it may be a refund.
    pub payouts: Vec<TouchedPayout>,
}

/// A transfer in a block, or outside: whose, and what a report of it needs.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct TouchedTransfer {
    /// The payment's code.
    pub code: String,
    /// The transfer's key.
    pub id: String,
    /// The coin.
    pub coin: String,
    /// Its decimals.
    pub decimals: u8,
    /// The transaction.
    pub tx: String,
    /// The address.
    pub address: String,
    /// The units, as text.
    pub units: String,
    /// Whether the block itself made it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub coinbase: bool,
    /// Some of the outputs that its transaction spends, as `txid:vout`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// Whether it is told under other names now, so that it is taken back: a difference of balances whose transaction was
    /// found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
}

/// One item of what was noted of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The block's height.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
    /// The time written in it.
    pub time: Timestamp,
    /// What the item is called: notes are read in this order.
    pub entry: String,
    /// The last run that noted it.
    pub run: u64,
    /// What it says.
    pub held: Held,
}

/// What an item says of its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// What became of the block.
    State(BlockState),
    /// Transfers of one payment, or all of one.
    Transfers(Vec<TouchedTransfer>),
    /// What may be a refund.
    Payout(TouchedPayout),
}

/// How a reader of notes goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// To the next one.
    Next,
    /// Past all that the same block holds for the same payment.
    PastPayment,
    /// No further.
    Stop,
}

impl TouchedTransfer {
    /// The outputs that its transaction spends, as far as they are kept.
    pub fn spends(&self) -> impl Iterator<Item = OutPoint> {
        self.inputs.iter().filter_map(|outpoint| outpoint.parse().ok())
    }
}

impl TouchedBlock {
    /// Where its transfers are.
    pub(crate) fn at(&self) -> BlockAt {
        BlockAt { height: self.height, time: self.time }
    }

    /// Where an item about it stands among all others.
    pub(crate) fn entry_of(&self, name: &str) -> String {
        block_entry(self.height, Some((self.hash, name)))
    }

    /// With what was noted of the block before.
    pub(crate) fn add(&mut self, noted: Option<&TouchedBlock>) {
        let known: HashSet<String> = self.transfers.iter().map(|transfer| transfer.id.clone()).collect();
        let unknown = |transfer: &&TouchedTransfer| !known.contains(&transfer.id);
        let more = noted.iter().flat_map(|noted| &noted.transfers).filter(unknown).cloned();
        self.transfers.extend(more);
        let known = |payout: &&TouchedPayout| !self.payouts.contains(payout);
        let more: Vec<_> = noted.iter().flat_map(|noted| &noted.payouts).filter(known).cloned().collect();
        self.payouts.extend(more);
    }
}

impl Store {
    /// Notes what a block holds, before any payment is told, beside what is `known` to be noted of it; `false` when `go_on`
    /// said that there is no more time, and the next run goes on where this one stopped.
    ///
    /// The same again is the same items. A block that was noted before is noted to be there again, so that an earlier run
    /// that takes it for gone is refused.
    pub async fn put_block(
        &self,
        chain: &ChainId,
        block: &TouchedBlock,
        known: Option<&TouchedBlock>,
        (run, now): (u64, Timestamp),
        go_on: impl Fn() -> bool,
    ) -> Result<bool, StoreError> {
        let mut notes = Vec::new();
        let news = part::news(&block.transfers, known);
        for part in parts(&news) {
            notes.push((part.name.clone(), "transfers", part.to_row()?));
        }
        for payout in &block.payouts {
            if known.is_none_or(|known| !known.payouts.contains(payout)) {
                notes.push((payout.key(), "payout", to_row(payout)?));
            }
        }
        for some in notes.chunks(AT_ONCE) {
            if !go_on() {
                return Ok(false);
            }
            let put = some.iter().map(|(name, attribute, row)| {
                self.put_note(chain, block, name, (attribute, row.clone()), (run, now))
            });
            join_all(put).await.into_iter().collect::<Result<(), _>>()?;
        }
        if known.is_some() {
            let there = BlockState::default();
            self.put_state(chain, (block.height, block.hash, block.time), &there, (run, now)).await?;
        }
        Ok(true)
    }

    /// Writes a note, or makes one that is there already the later run's.
    async fn put_note(
        &self,
        chain: &ChainId,
        block: &TouchedBlock,
        name: &str,
        (attribute, row): (&str, AttributeValue),
        (run, now): (u64, Timestamp),
    ) -> Result<(), StoreError> {
        let entry = block.entry_of(name);
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.chains)
            .set_item(Some(about(chain, (block.height, block.hash, block.time), &entry, (run, now))))
            .item(attribute, row)
            .condition_expression("attribute_not_exists(entry)");
        if is_done(put.send().await)? {
            return Ok(());
        }
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.chains)
            .key("chain", s(chain.as_str()))
            .key("entry", s(entry))
            .update_expression("SET #run = :run")
            .condition_expression(NO_LATER_RUN)
            .expression_attribute_names("#run", "run")
            .expression_attribute_values(":run", n(run));
        is_done(update.send().await).map(|_| ())
    }

    /// Reads what was noted of blocks from `height` on, lowest first, as far as `visit` wants it; whether that was all.
    pub async fn each_noted(
        &self,
        chain: &ChainId,
        height: u64,
        visit: impl FnMut(Note) -> Onward,
    ) -> Result<bool, StoreError> {
        self.each_between(chain, block_entry(height, None), block_entry(u64::MAX, None), visit).await
    }

    /// What was noted of one block, and what became of it.
    pub async fn noted(
        &self,
        chain: &ChainId,
        height: u64,
        hash: BlockHash,
    ) -> Result<Vec<Note>, StoreError> {
        let (mut notes, from) = (Vec::new(), block_entry(height, Some((hash, ""))));
        let visit = |note| {
            notes.push(note);
            Onward::Next
        };
        let to = format!("{from}~");
        if !self.each_between(chain, from, to, visit).await? {
            return Err(StoreError::Malformed("a block of which too much was noted".into()));
        }
        Ok(notes)
    }

    /// The transfers that were noted of one block, each as it was noted last.
    pub async fn noted_of(
        &self,
        chain: &ChainId,
        height: u64,
        hash: BlockHash,
    ) -> Result<Vec<TouchedTransfer>, StoreError> {
        let mut kept = Vec::new();
        for note in self.noted(chain, height, hash).await? {
            let run = note.run;
            if let Held::Transfers(transfers) = note.held {
                kept.extend(transfers.into_iter().map(|transfer| (run, transfer)));
            }
        }
        Ok(latest(kept))
    }

    async fn each_between(
        &self,
        chain: &ChainId,
        mut from: String,
        to: String,
        mut visit: impl FnMut(Note) -> Onward,
    ) -> Result<bool, StoreError> {
        let (mut start, mut passed): (Option<Item>, Option<String>) = (None, None);
        for _ in 0..PAGES {
            let page = self
                .client
                .query()
                .table_name(&self.tables.chains)
                .key_condition_expression("chain = :chain AND entry BETWEEN :from AND :to")
                .expression_attribute_values(":chain", s(chain.as_str()))
                .expression_attribute_values(":from", s(&from))
                .expression_attribute_values(":to", s(&to))
                .consistent_read(true)
                .limit(ITEMS_READ)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(failed)?;
            let is_passed = |passed: &Option<String>, entry: &str| {
                passed.as_ref().is_some_and(|prefix| entry.starts_with(prefix.as_str()))
            };
            for item in page.items.unwrap_or_default() {
                let entry = text(&item, "entry")?;
                if is_passed(&passed, entry) {
                    continue;
                }
                let Some(note) = self.readable("what blocks held", entry, read(&item))? else { continue };
                let of_payment = of_payment(&note.entry).map(str::to_owned);
                match visit(note) {
                    Onward::Next => {}
                    Onward::PastPayment => passed = of_payment,
                    Onward::Stop => return Ok(false),
                }
            }
            start = page.last_evaluated_key;
            let Some(last) = &start else { return Ok(true) };
            if is_passed(&passed, text(last, "entry")?)
                && let Some(prefix) = &passed
            {
                // Everything else that begins like this is stepped over unread.
                from = format!("{prefix}~");
                start = None;
            }
        }
        tracing::error!(%chain, from, "more was noted of blocks than one run reads");
        Ok(false)
    }
}

/// Each transfer as the last run noted it. A run that died has the number of the one that follows it: of what both noted,
/// what is taken back is later.
pub(crate) fn latest(noted: Vec<(u64, TouchedTransfer)>) -> Vec<TouchedTransfer> {
    let mut versions: HashMap<String, (u64, bool)> = HashMap::new();
    for (run, transfer) in &noted {
        let last = versions.entry(transfer.id.clone()).or_default();
        *last = (*last).max((*run, transfer.replaced));
    }
    let mut transfers = Vec::new();
    for (run, transfer) in noted {
        // Once: what is kept is taken out.
        if versions.get(&transfer.id) == Some(&(run, transfer.replaced)) {
            versions.remove(&transfer.id);
            transfers.push(transfer);
        }
    }
    transfers
}

/// What every item about a block has.
fn about(
    chain: &ChainId,
    (height, hash, time): (u64, BlockHash, Timestamp),
    entry: &str,
    (run, now): (u64, Timestamp),
) -> Item {
    Item::from([
        ("chain".to_owned(), s(chain.as_str())),
        ("entry".to_owned(), s(entry)),
        ("height".to_owned(), n(height)),
        ("hash".to_owned(), AttributeValue::B(Blob::new(hash))),
        ("time".to_owned(), n(time.0)),
        ("run".to_owned(), n(run)),
        ("ttl".to_owned(), n(now.plus(BLOCK_KEPT_SECONDS).0)),
    ])
}

/// Sorts by height and then by block; `None` before all blocks of that height.
pub(super) fn block_entry(height: u64, touched: Option<(BlockHash, &str)>) -> String {
    let hex = |hash: BlockHash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let rest = touched.map(|(hash, name)| format!("{}#{name}", hex(hash)));
    format!("block#{height:020}#{}", rest.unwrap_or_default())
}

/// What the entries of a payment's transfers in the same block begin with.
fn of_payment(entry: &str) -> Option<&str> {
    let (of_payment, _digest) = entry.rsplit_once('#')?;
    let (of_payment, _part) = of_payment.rsplit_once('#')?;
    let end = of_payment.len().saturating_add(1);
    entry.get(..end).filter(|prefix| prefix.matches('#').count() == 4)
}

fn to_row(touched: &impl Serialize) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(touched).map_err(|error| StoreError::Malformed(error.to_string()))
}

fn read(item: &Item) -> Result<Note, StoreError> {
    let hash =
        item.get("hash").and_then(|hash| hash.as_b().ok()).and_then(|hash| hash.as_ref().try_into().ok());
    let held = read_held(item)?;
    match &held {
        Held::State(_) => {}
        Held::Transfers(transfers) => names_payments(transfers.iter().map(|transfer| &transfer.code))?,
        Held::Payout(payout) => names_payments(std::iter::once(&payout.awaited.code))?,
    }
    Ok(Note {
        height: number(item, "height")?,
        hash: hash.ok_or_else(|| malformed("hash"))?,
        time: Timestamp(number(item, "time")?),
        entry: text(item, "entry")?.to_owned(),
        run: optional_number(item, "run")?.unwrap_or(0),
        held,
    })
}

fn read_held(item: &Item) -> Result<Held, StoreError> {
    if let Some(rows) = item.get("transfers") {
        return part::read(rows).map(Held::Transfers);
    }
    // Earlier versions wrote an item for each transfer.
    if let Some(transfer) = read_row(item, "transfer")? {
        return Ok(Held::Transfers(vec![transfer]));
    }
    if let Some(payout) = read_row(item, "payout")? {
        return Ok(Held::Payout(payout));
    }
    state::read(item).map(Held::State)
}

fn read_row<T: for<'a> Deserialize<'a>>(item: &Item, name: &str) -> Result<Option<T>, StoreError> {
    let row = item.get(name).map(|row| serde_dynamo::from_attribute_value(row.clone()));
    row.transpose().map_err(|_| malformed(name))
}
