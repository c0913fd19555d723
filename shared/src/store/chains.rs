//! The Chains table: here what blocks held for us; what else it holds has files of its own.

mod cursor;
mod held;
mod market;
mod outside;
mod payouts;
mod sightings;

pub use cursor::Cursor;
pub use market::Market;
pub use outside::Outlying;
use outside::entry as outside_entry;
pub use payouts::{AwaitedPayout, TouchedPayout};
pub use sightings::{Rival, Sighting};

use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::attribute::{Item, n, number, s};
use super::{Store, StoreError, failed, is_done};
use crate::chain::ChainId;
use crate::chain::block::OutPoint;
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::payment::BlockAt;

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

/// The first bytes of a block's hash.
pub type BlockHash = [u8; KEPT_HASH];

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
    /// Whether it is told under other names now, so that it is taken back: a difference of balances whose transaction was
    /// found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
}

impl Store {
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
        is_done(delete.send().await).map(|_| ())
    }

    /// What was noted of the transfers of one block, as far as one read goes.
    pub async fn noted_of(
        &self,
        chain: &ChainId,
        height: u64,
        hash: BlockHash,
    ) -> Result<Vec<TouchedTransfer>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.tables.chains)
            .key_condition_expression("chain = :chain AND begins_with(entry, :block)")
            .expression_attribute_values(":chain", s(chain.as_str()))
            .expression_attribute_values(":block", s(block_entry(height, Some((hash, "")))))
            .consistent_read(true)
            .limit(BLOCKS_READ);
        let items = query.send().await.map_err(failed)?.items.unwrap_or_default();
        let read = items.iter().map(read_touched).collect::<Result<Vec<_>, _>>()?;
        Ok(read.into_iter().flat_map(|block| block.transfers).collect())
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
        is_done(put.send().await)
    }
}

/// Writes what a watcher's run noted, unless a later run noted the same.
async fn put_of_run(put: PutItemFluentBuilder, run: u64) -> Result<(), StoreError> {
    let put = put
        .item("run", n(run))
        .condition_expression(NO_LATER_RUN)
        .expression_attribute_names("#run", "run")
        .expression_attribute_values(":run", n(run));
    is_done(put.send().await).map(|_| ())
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
