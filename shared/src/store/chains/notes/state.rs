//! What became of a block that held something for us. Most blocks have no such item: they are there, and nothing of what
//! they hold is left behind.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{BlockHash, about, block_entry};
use crate::chain::ChainId;
use crate::moment::Timestamp;
use crate::store::attribute::{Item, s};
use crate::store::chains::{malformed, put_of_run};
use crate::store::{Store, StoreError, failed};

/// What became of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockState {
    /// Whether all that it held was taken back.
    pub gone: bool,
    /// Entries of which payments were told that they are gone, while not all were.
    pub lost: BTreeSet<String>,
    /// Entries all of which counts: they need not be told again.
    pub settled: BTreeSet<String>,
}

impl BlockState {
    /// Whether nothing of the block was taken back.
    pub fn is_there(&self) -> bool {
        !self.gone && self.lost.is_empty()
    }
}

impl Store {
    /// What became of a block, by the consistent state of the table.
    pub async fn state(
        &self,
        chain: &ChainId,
        height: u64,
        hash: BlockHash,
    ) -> Result<BlockState, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.chains)
            .key("chain", s(chain.as_str()))
            .key("entry", s(block_entry(height, Some((hash, "")))))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed)?;
        found.item.as_ref().map_or_else(|| Ok(BlockState::default()), read)
    }

    /// Notes what became of a block, unless a later run did.
    pub async fn put_state(
        &self,
        chain: &ChainId,
        (height, hash, time): (u64, BlockHash, Timestamp),
        state: &BlockState,
        (run, now): (u64, Timestamp),
    ) -> Result<(), StoreError> {
        let entry = block_entry(height, Some((hash, "")));
        let mut item = about(chain, (height, hash, time), &entry, (run, now));
        item.insert("gone".to_owned(), AttributeValue::Bool(state.gone));
        for (name, entries) in [("lost", &state.lost), ("settled", &state.settled)] {
            if !entries.is_empty() {
                item.insert(name.to_owned(), AttributeValue::Ss(entries.iter().cloned().collect()));
            }
        }
        let put = self.client.put_item().table_name(&self.tables.chains).set_item(Some(item));
        put_of_run(put, run).await
    }
}

pub(super) fn read(item: &Item) -> Result<BlockState, StoreError> {
    let entries = |name: &str| -> Result<BTreeSet<String>, StoreError> {
        let entries = item.get(name).map(|entries| entries.as_ss().map_err(|_| malformed(name)));
        Ok(entries.transpose()?.into_iter().flatten().cloned().collect())
    };
    let gone = item.get("gone").map(|gone| gone.as_bool().copied().map_err(|_| malformed("gone")));
    Ok(BlockState {
        gone: gone.transpose()?.unwrap_or(false),
        lost: entries("lost")?,
        settled: entries("settled")?,
    })
}
