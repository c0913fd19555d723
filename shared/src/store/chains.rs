//! The Chains table: how far each chain was scanned, what its blocks held for us, and the market as it is now.

mod outside;
mod payouts;
mod sightings;

pub use outside::Outlying;
use outside::entry as outside_entry;
pub use payouts::{AwaitedPayout, TouchedPayout};
pub use sightings::{Rival, Sighting};

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::attribute::{Item, n, number, optional_number, s, text};
use super::{Store, StoreError, failed};
use crate::chain::ChainId;
use crate::chain::block::OutPoint;
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::money::Rate;
use crate::payment::BlockAt;
use crate::rates::{MAX_AGE_SECONDS, NoRate};

/// Longer than any transfer waits to count or to come back.
const BLOCK_KEPT_SECONDS: u64 = 60 * DAY_SECONDS;

/// Writes under way at once: a block full of dust must not take minutes.
const AT_ONCE: usize = 25;

/// Items read at once: each is a transfer that some block holds.
const BLOCKS_READ: i32 = 500;

/// Pages of them read at a time: twenty thousand transfers that wait to count.
const BLOCK_PAGES: usize = 40;

/// What an earlier run of a watcher does late must not undo what a later one knows.
const NO_LATER_RUN: &str = "attribute_not_exists(#run) OR #run <= :run";

/// Bytes of a block's hash that are kept: enough that nobody finds another block with the same.
const KEPT_HASH: usize = 16;

/// Before a symbol: its newest accepted rate.
const PRICED: &str = "rate_";

/// Before a symbol: why the last run accepted none.
const UNPRICED: &str = "none_";

/// The first bytes of a block's hash.
pub type BlockHash = [u8; KEPT_HASH];

/// How far a chain was scanned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Rises with each write: two watchers never both succeed.
    pub version: u64,
    /// The last height that was scanned.
    pub height: u64,
    /// Hashes of the last blocks, that of `height` last.
    pub hashes: Vec<BlockHash>,
    /// The lowest height that holds a transfer which does not count yet.
    pub open_from: Option<u64>,
    /// When the last finished run began: every address listed before then was looked for up to `height`.
    pub known_at: Timestamp,
    /// When the last run began that scanned the whole chain; before the first of them, when the chain was begun.
    pub whole_at: Timestamp,
    /// The last times at which the whole chain had been scanned, and how high it was; oldest first.
    pub caught_up: Vec<(Timestamp, u64)>,
}

/// What a block held for us, so that it can be counted again or taken back without reading the chain.
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

    /// With what was noted of the block before.
    pub(crate) fn add(&mut self, noted: Option<&TouchedBlock>) {
        let known = |transfer: &&TouchedTransfer| self.transfers.iter().all(|known| known.id != transfer.id);
        let more: Vec<_> = noted.iter().flat_map(|noted| &noted.transfers).filter(known).cloned().collect();
        self.transfers.extend(more);
        let known = |payout: &&TouchedPayout| !self.payouts.contains(payout);
        let more: Vec<_> = noted.iter().flat_map(|noted| &noted.payouts).filter(known).cloned().collect();
        self.payouts.extend(more);
    }
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
}

/// What a quote needs to know of the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Market {
    /// Accepted rates by symbol, none older than five minutes (R20).
    pub rates: BTreeMap<String, Rate>,
    /// Why a symbol had none in the last run.
    pub unpriced: BTreeMap<String, NoRate>,
    /// How far each chain was scanned.
    pub heights: BTreeMap<ChainId, u64>,
}

impl Market {
    /// The rate of a symbol, or why there is none.
    pub fn rate(&self, symbol: &str) -> Result<Rate, NoRate> {
        let why = || self.unpriced.get(symbol).copied().unwrap_or(NoRate::Stale);
        self.rates.get(symbol).copied().ok_or_else(why)
    }
}

impl Store {
    /// How far a chain was scanned, by the consistent state of the table.
    pub async fn cursor(&self, chain: &ChainId) -> Result<Option<Cursor>, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.chains)
            .key("chain", s(chain.as_str()))
            .key("entry", s("cursor"))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed)?;
        found.item.as_ref().map(read_cursor).transpose()
    }

    /// Moves the cursor from the version it was read at (0 for none); `false` when another watcher was first.
    pub async fn move_cursor(&self, chain: &ChainId, read: u64, cursor: &Cursor) -> Result<bool, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.chains)
            .set_item(Some(write_cursor(chain, cursor)))
            .condition_expression(if read == 0 { "attribute_not_exists(chain)" } else { "version = :read" })
            .set_expression_attribute_values(
                (read > 0).then(|| HashMap::from([(":read".to_owned(), n(read))])),
            );
        match put.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Notes what a block holds, before any payment is told: an item for each transfer, so that no block is too full.
    ///
    /// The same transfer again is the same item; what else was noted of the block stays, and so does the number of the last
    /// run that noted it: what an earlier one does later is refused.
    pub async fn put_block(
        &self,
        chain: &ChainId,
        block: &TouchedBlock,
        run: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for some in block.transfers.chunks(AT_ONCE) {
            let put = some.iter().map(|transfer| {
                self.put_touched(chain, block, &transfer.id, ("transfer", to_row(transfer)), (run, now))
            });
            join_all(put).await.into_iter().collect::<Result<(), _>>()?;
        }
        for payout in &block.payouts {
            self.put_touched(chain, block, &payout.key(), ("payout", to_row(payout)), (run, now)).await?;
        }
        Ok(())
    }

    async fn put_touched(
        &self,
        chain: &ChainId,
        block: &TouchedBlock,
        name: &str,
        (attribute, row): (&str, Result<AttributeValue, StoreError>),
        (run, now): (u64, Timestamp),
    ) -> Result<(), StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.chains)
            .item("chain", s(chain.as_str()))
            .item("entry", s(block_entry(block.height, Some((block.hash, name)))))
            .item("height", n(block.height))
            .item("hash", AttributeValue::B(Blob::new(block.hash)))
            .item("time", n(block.time.0))
            .item(attribute, row?)
            .item("ttl", n(now.plus(BLOCK_KEPT_SECONDS).0));
        put_of_run(put, run).await
    }

    /// Forgets a block that is no longer part of the chain, after what it held was taken back: unless a later run found
    /// it there again, and told payments of it.
    pub async fn delete_block(
        &self,
        chain: &ChainId,
        block: &TouchedBlock,
        run: u64,
    ) -> Result<(), StoreError> {
        let transfers = block.transfers.iter().map(|transfer| transfer.id.clone());
        for name in transfers.chain(block.payouts.iter().map(TouchedPayout::key)) {
            self.forget(chain, block_entry(block.height, Some((block.hash, &name))), run).await?;
        }
        Ok(())
    }

    /// Takes out an entry that no later run wrote.
    async fn forget(&self, chain: &ChainId, entry: String, run: u64) -> Result<(), StoreError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.tables.chains)
            .key("chain", s(chain.as_str()))
            .key("entry", s(entry))
            .condition_expression(NO_LATER_RUN)
            .expression_attribute_names("#run", "run")
            .expression_attribute_values(":run", n(run));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Blocks from `height` on that held anything for us, lowest first; where there are more than one run can read, the
    /// highest: those that never come to count must not hide those that are about to.
    pub async fn blocks_from(&self, chain: &ChainId, height: u64) -> Result<Vec<TouchedBlock>, StoreError> {
        let mut blocks: Vec<TouchedBlock> = Vec::new();
        let mut start = None;
        for _ in 0..BLOCK_PAGES {
            let page = self
                .client
                .query()
                .table_name(&self.tables.chains)
                .key_condition_expression("chain = :chain AND entry BETWEEN :from AND :to")
                .expression_attribute_values(":chain", s(chain.as_str()))
                .expression_attribute_values(":from", s(block_entry(height, None)))
                .expression_attribute_values(":to", s(block_entry(u64::MAX, None)))
                .consistent_read(true)
                .scan_index_forward(false)
                .limit(BLOCKS_READ)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(failed)?;
            for item in page.items.unwrap_or_default() {
                let read = read_touched(&item)?;
                match blocks.last_mut() {
                    Some(last) if (last.height, last.hash) == (read.height, read.hash) => {
                        last.transfers.extend(read.transfers);
                        last.payouts.extend(read.payouts);
                    }
                    Some(_) | None => blocks.push(read),
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        if start.is_some() {
            tracing::error!(%chain, height, "more transfers wait to count than one run reads");
        }
        blocks.reverse();
        Ok(blocks)
    }

    /// Leaves `hour` behind: the sweep starts at the next one. Only forward, and only if no other run did more.
    pub async fn sweep_hour_done(&self, hour: Timestamp) -> Result<bool, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.chains)
            .item("chain", s("sweep"))
            .item("entry", s("hour"))
            .item("hour", n(hour.plus(60 * 60).0))
            .condition_expression("attribute_not_exists(entry) OR #hour <= :hour")
            .expression_attribute_names("#hour", "hour")
            .expression_attribute_values(":hour", n(hour.0));
        match put.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The market now, and how far the chains were scanned: one request.
    pub async fn market(&self, chains: &[ChainId], now: Timestamp) -> Result<Market, StoreError> {
        let key = |chain: &str, entry: &str| {
            HashMap::from([("chain".to_owned(), s(chain)), ("entry".to_owned(), s(entry))])
        };
        let cursors = chains.iter().map(|chain| key(chain.as_str(), "cursor"));
        let keys = cursors.chain([key("rates", "latest")]).collect();
        let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).build();
        let wanted = wanted.map_err(|error| StoreError::Malformed(error.to_string()))?;
        let table = &self.tables.chains;
        let found = self.client.batch_get_item().request_items(table, wanted).send().await.map_err(failed)?;
        if found.unprocessed_keys.as_ref().is_some_and(|left| !left.is_empty()) {
            return Err(StoreError::Throttled);
        }
        let mut market = Market::default();
        for item in found.responses.unwrap_or_default().remove(table).unwrap_or_default() {
            match (text(&item, "chain")?, text(&item, "entry")?) {
                ("rates", _) => {
                    market.rates = read_rates(&item, now)?;
                    market.unpriced = read_unpriced(&item, now)?;
                }
                (chain, _) => {
                    let chain = ChainId::new(chain).ok_or_else(|| StoreError::Malformed("`chain`".into()))?;
                    market.heights.insert(chain, number(&item, "height")?);
                }
            }
        }
        Ok(market)
    }

    /// Makes rates that were accepted `at` the market's, and notes why the others were not.
    ///
    /// Unless a later run was here already: two that overlap must not put the older prices over the newer.
    pub async fn put_market(
        &self,
        rates: &[(String, Rate)],
        missing: &BTreeMap<String, NoRate>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.tables.chains)
            .key("chain", s("rates"))
            .key("entry", s("latest"));
        let mut sets = vec!["#at = :at".to_owned()];
        for (place, (symbol, rate)) in rates.iter().enumerate() {
            sets.push(format!("#r{place} = :r{place}"));
            let value = HashMap::from([("rate".to_owned(), n(rate.get())), ("at".to_owned(), n(at.0))]);
            update = update
                .expression_attribute_names(format!("#r{place}"), format!("{PRICED}{symbol}"))
                .expression_attribute_values(format!(":r{place}"), AttributeValue::M(value));
        }
        for (place, (symbol, why)) in missing.iter().enumerate() {
            sets.push(format!("#n{place} = :n{place}"));
            let value = HashMap::from([("why".to_owned(), s(why.as_str())), ("at".to_owned(), n(at.0))]);
            update = update
                .expression_attribute_names(format!("#n{place}"), format!("{UNPRICED}{symbol}"))
                .expression_attribute_values(format!(":n{place}"), AttributeValue::M(value));
        }
        let update = update
            .update_expression(format!("SET {}", sets.join(", ")))
            .condition_expression("attribute_not_exists(#at) OR #at <= :at")
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":at", n(at.0));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Writes what a watcher's run noted, unless a later run noted the same.
async fn put_of_run(put: PutItemFluentBuilder, run: u64) -> Result<(), StoreError> {
    let put = put
        .item("run", n(run))
        .condition_expression(NO_LATER_RUN)
        .expression_attribute_names("#run", "run")
        .expression_attribute_values(":run", n(run));
    match put.send().await {
        Ok(_) => Ok(()),
        Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
            Ok(())
        }
        Err(error) => Err(failed(error)),
    }
}

/// Sorts by height and then by block; `None` before all blocks of that height.
fn block_entry(height: u64, touched: Option<(BlockHash, &str)>) -> String {
    let hex = |hash: BlockHash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let rest = touched.map(|(hash, name)| format!("{}#{name}", hex(hash)));
    format!("block#{height:020}#{}", rest.unwrap_or_default())
}

fn to_row(touched: &impl Serialize) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(touched).map_err(|error| StoreError::Malformed(error.to_string()))
}

fn malformed(attribute: &str) -> StoreError {
    StoreError::Malformed(format!("`{attribute}` of a chain"))
}

fn write_cursor(chain: &ChainId, cursor: &Cursor) -> Item {
    let caught_up = cursor.caught_up.iter().map(|(at, height)| AttributeValue::L(vec![n(at.0), n(*height)]));
    let mut item = Item::from([
        ("chain".to_owned(), s(chain.as_str())),
        ("entry".to_owned(), s("cursor")),
        ("version".to_owned(), n(cursor.version)),
        ("height".to_owned(), n(cursor.height)),
        ("hashes".to_owned(), AttributeValue::B(Blob::new(cursor.hashes.concat()))),
        ("caught_up".to_owned(), AttributeValue::L(caught_up.collect())),
        ("known_at".to_owned(), n(cursor.known_at.0)),
        ("whole_at".to_owned(), n(cursor.whole_at.0)),
    ]);
    item.extend(cursor.open_from.map(|height| ("open_from".to_owned(), n(height))));
    item
}

fn read_cursor(item: &Item) -> Result<Cursor, StoreError> {
    let hashes =
        item.get("hashes").and_then(|hashes| hashes.as_b().ok()).ok_or_else(|| malformed("hashes"))?;
    let (hashes, rest) = hashes.as_ref().as_chunks::<KEPT_HASH>();
    if !rest.is_empty() {
        return Err(malformed("hashes"));
    }
    let caught_up: Vec<(u64, u64)> = match item.get("caught_up") {
        Some(list) => serde_dynamo::from_attribute_value(list.clone()).map_err(|_| malformed("caught_up"))?,
        None => Vec::new(),
    };
    Ok(Cursor {
        version: number(item, "version")?,
        height: number(item, "height")?,
        hashes: hashes.to_vec(),
        open_from: optional_number(item, "open_from")?,
        known_at: Timestamp(optional_number(item, "known_at")?.unwrap_or(0)),
        whole_at: Timestamp(optional_number(item, "whole_at")?.unwrap_or(0)),
        caught_up: caught_up.into_iter().map(|(at, height)| (Timestamp(at), height)).collect(),
    })
}

/// The block of an item, with the one thing in it that the item is about.
fn read_touched(item: &Item) -> Result<TouchedBlock, StoreError> {
    let hash =
        item.get("hash").and_then(|hash| hash.as_b().ok()).and_then(|hash| hash.as_ref().try_into().ok());
    Ok(TouchedBlock {
        height: number(item, "height")?,
        hash: hash.ok_or_else(|| malformed("hash"))?,
        time: Timestamp(number(item, "time")?),
        transfers: read_part(item, "transfer")?.into_iter().collect(),
        payouts: read_part(item, "payout")?.into_iter().collect(),
    })
}

fn read_part<T: for<'a> Deserialize<'a>>(item: &Item, name: &str) -> Result<Option<T>, StoreError> {
    let part = item.get(name).map(|part| serde_dynamo::from_attribute_value(part.clone()));
    part.transpose().map_err(|_| malformed(name))
}

fn read_rates(item: &Item, now: Timestamp) -> Result<BTreeMap<String, Rate>, StoreError> {
    let mut rates = BTreeMap::new();
    for (name, value) in item {
        let Some(symbol) = name.strip_prefix(PRICED) else { continue };
        let accepted = value.as_m().map_err(|_| malformed(name))?;
        let rate = Rate::new(number(accepted, "rate")?).ok_or_else(|| malformed(name))?;
        if now.since(Timestamp(number(accepted, "at")?)) <= MAX_AGE_SECONDS {
            rates.insert(symbol.to_owned(), rate);
        }
    }
    Ok(rates)
}

/// Reasons from the last minutes: an older one says nothing about why there is no rate now.
fn read_unpriced(item: &Item, now: Timestamp) -> Result<BTreeMap<String, NoRate>, StoreError> {
    let mut unpriced = BTreeMap::new();
    for (name, value) in item {
        let Some(symbol) = name.strip_prefix(UNPRICED) else { continue };
        let told = value.as_m().map_err(|_| malformed(name))?;
        let why = NoRate::from_name(text(told, "why")?).ok_or_else(|| malformed(name))?;
        if now.since(Timestamp(number(told, "at")?)) <= MAX_AGE_SECONDS {
            unpriced.insert(symbol.to_owned(), why);
        }
    }
    Ok(unpriced)
}
