//! The Chains table: how far each chain was scanned, what its blocks held for us, and the market as it is now.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValue};
use serde::{Deserialize, Serialize};

use super::attribute::{Item, n, number, optional_number, s, text};
use super::{Store, StoreError, failed};
use crate::chain::ChainId;
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::money::Rate;
use crate::rates::MAX_AGE_SECONDS;

/// Longer than any transfer waits to count or to come back.
const BLOCK_KEPT_SECONDS: u64 = 60 * DAY_SECONDS;

/// Block items read at once: each names all that one block held for us.
const BLOCKS_READ: i32 = 500;

/// Pages of them read at a time: twenty thousand blocks, more than are open when every block holds something for us.
const BLOCK_PAGES: usize = 40;

/// What the attributes of a block's transfers begin with; the transfer's key follows.
const TRANSFER: &str = "t#";

/// Bytes of a block's hash that are kept: enough that nobody finds another block with the same.
const KEPT_HASH: usize = 16;

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
}

/// A transfer in a block: whose, and what a report of it needs.
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
}

/// What a quote needs to know of the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Market {
    /// Accepted rates by symbol, none older than five minutes (R20).
    pub rates: BTreeMap<String, Rate>,
    /// How far each chain was scanned.
    pub heights: BTreeMap<ChainId, u64>,
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

    /// Notes what a block holds, before any payment is told; gives what is noted of it now.
    ///
    /// A block may be noted twice, the second time for addresses that were learned late: what is there stays.
    pub async fn put_block(
        &self,
        chain: &ChainId,
        block: TouchedBlock,
        now: Timestamp,
    ) -> Result<TouchedBlock, StoreError> {
        let malformed = |error: serde_dynamo::Error| StoreError::Malformed(error.to_string());
        let mut update = self
            .client
            .update_item()
            .table_name(&self.tables.chains)
            .key("chain", s(chain.as_str()))
            .key("entry", s(block_entry(block.height, Some(block.hash))))
            .expression_attribute_names("#hash", "hash")
            .expression_attribute_names("#time", "time")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":height", n(block.height))
            .expression_attribute_values(":hash", AttributeValue::B(Blob::new(block.hash)))
            .expression_attribute_values(":time", n(block.time.0))
            .expression_attribute_values(":ttl", n(now.plus(BLOCK_KEPT_SECONDS).0));
        let fixed = ["height = :height", "#hash = :hash", "#time = :time", "#ttl = :ttl"];
        let mut sets = fixed.map(str::to_owned).to_vec();
        for (place, transfer) in block.transfers.iter().enumerate() {
            sets.push(format!("#t{place} = :t{place}"));
            update = update
                .expression_attribute_names(format!("#t{place}"), format!("{TRANSFER}{}", transfer.id))
                .expression_attribute_values(
                    format!(":t{place}"),
                    serde_dynamo::to_attribute_value(transfer).map_err(malformed)?,
                );
        }
        let update = update.update_expression(format!("SET {}", sets.join(", ")));
        let noted = update.return_values(ReturnValue::AllNew).send().await.map_err(failed)?;
        read_block(&noted.attributes.unwrap_or_default())
    }

    /// Forgets a block that is no longer part of the chain, after its transfers were taken back.
    pub async fn delete_block(&self, chain: &ChainId, block: &TouchedBlock) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.tables.chains)
            .key("chain", s(chain.as_str()))
            .key("entry", s(block_entry(block.height, Some(block.hash))))
            .send()
            .await
            .map(|_| ())
            .map_err(failed)
    }

    /// Blocks from `height` on that held anything for us, lowest first.
    pub async fn blocks_from(&self, chain: &ChainId, height: u64) -> Result<Vec<TouchedBlock>, StoreError> {
        let mut blocks = Vec::new();
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
                .limit(BLOCKS_READ)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(failed)?;
            for item in page.items.unwrap_or_default() {
                blocks.push(read_block(&item)?);
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(blocks);
            }
        }
        Err(StoreError::Malformed("more blocks wait to count than a watcher reads".into()))
    }

    /// The hour at which the sweep starts; `None` before its first run.
    pub async fn sweep_hour(&self) -> Result<Option<Timestamp>, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.chains)
            .key("chain", s("sweep"))
            .key("entry", s("hour"))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed)?;
        found.item.as_ref().map(|item| number(item, "hour").map(Timestamp)).transpose()
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
                ("rates", _) => market.rates = read_rates(&item, now)?,
                (chain, _) => {
                    let chain = ChainId::new(chain).ok_or_else(|| StoreError::Malformed("`chain`".into()))?;
                    market.heights.insert(chain, number(&item, "height")?);
                }
            }
        }
        Ok(market)
    }

    /// Makes rates that were accepted `at` the market's.
    pub async fn put_market(&self, rates: &[(String, Rate)], at: Timestamp) -> Result<(), StoreError> {
        if rates.is_empty() {
            return Ok(());
        }
        let mut update = self
            .client
            .update_item()
            .table_name(&self.tables.chains)
            .key("chain", s("rates"))
            .key("entry", s("latest"));
        let mut sets = Vec::new();
        for (place, (symbol, rate)) in rates.iter().enumerate() {
            sets.push(format!("#r{place} = :r{place}"));
            let value = HashMap::from([("rate".to_owned(), n(rate.get())), ("at".to_owned(), n(at.0))]);
            update = update
                .expression_attribute_names(format!("#r{place}"), format!("rate_{symbol}"))
                .expression_attribute_values(format!(":r{place}"), AttributeValue::M(value));
        }
        let update = update.update_expression(format!("SET {}", sets.join(", ")));
        update.send().await.map(|_| ()).map_err(failed)
    }
}

/// Sorts by height; `None` before all blocks of that height.
fn block_entry(height: u64, hash: Option<BlockHash>) -> String {
    let hex = hash.map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat());
    format!("block#{height:020}#{}", hex.unwrap_or_default())
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
        caught_up: caught_up.into_iter().map(|(at, height)| (Timestamp(at), height)).collect(),
    })
}

fn read_block(item: &Item) -> Result<TouchedBlock, StoreError> {
    let hash =
        item.get("hash").and_then(|hash| hash.as_b().ok()).and_then(|hash| hash.as_ref().try_into().ok());
    let transfers = item.iter().filter(|(name, _)| name.starts_with(TRANSFER)).map(|(name, transfer)| {
        serde_dynamo::from_attribute_value(transfer.clone()).map_err(|_| malformed(name))
    });
    let mut transfers: Vec<TouchedTransfer> = transfers.collect::<Result<_, _>>()?;
    transfers.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ok(TouchedBlock {
        height: number(item, "height")?,
        hash: hash.ok_or_else(|| malformed("hash"))?,
        time: Timestamp(number(item, "time")?),
        transfers,
    })
}

fn read_rates(item: &Item, now: Timestamp) -> Result<BTreeMap<String, Rate>, StoreError> {
    let mut rates = BTreeMap::new();
    for (name, value) in item {
        let Some(symbol) = name.strip_prefix("rate_") else { continue };
        let accepted = value.as_m().map_err(|_| malformed(name))?;
        let rate = Rate::new(number(accepted, "rate")?).ok_or_else(|| malformed(name))?;
        if now.since(Timestamp(number(accepted, "at")?)) <= MAX_AGE_SECONDS {
            rates.insert(symbol.to_owned(), rate);
        }
    }
    Ok(rates)
}
