//! How far each chain was scanned.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::{BlockHash, KEPT_HASH, malformed};
use crate::chain::ChainId;
use crate::moment::Timestamp;
use crate::store::attribute::{Item, n, number, optional_number, s, text};
use crate::store::{Store, StoreError, failed, is_done};

/// How far a chain was scanned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Rises with each write: two watchers never both succeed.
    pub version: u64,
    /// The last height that was scanned.
    pub height: u64,
    /// Hashes of the last blocks, that of `height` last.
    pub hashes: Vec<BlockHash>,
    /// The lowest height that holds a transfer which does not count yet: nothing uncounted lies below.
    pub open_from: Option<u64>,
    /// Where the next run goes on with what is told last.
    pub place: Option<RestPlace>,
    /// When the last finished run began: every address listed before then was looked for up to `height`.
    pub known_at: Timestamp,
    /// When the last run began that scanned the whole chain; before the first of them, when the chain was begun.
    pub whole_at: Timestamp,
    /// The last times at which the whole chain had been scanned, and how high it was; oldest first.
    pub caught_up: Vec<(Timestamp, u64)>,
}

/// Where a run stopped that could not tell all that was noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestPlace {
    /// The first entry that was not told.
    pub entry: String,
    /// Whether that, and all behind it, was never told.
    pub untold: bool,
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
        is_done(put.send().await)
    }
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
    if let Some(place) = &cursor.place {
        item.insert("rest_from".to_owned(), s(&place.entry));
        item.insert("rest_untold".to_owned(), AttributeValue::Bool(place.untold));
    }
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
    let place = item.get("rest_from").map(|_| -> Result<RestPlace, StoreError> {
        let untold = item.get("rest_untold").and_then(|untold| untold.as_bool().ok());
        Ok(RestPlace { entry: text(item, "rest_from")?.to_owned(), untold: untold.copied().unwrap_or(true) })
    });
    Ok(Cursor {
        version: number(item, "version")?,
        height: number(item, "height")?,
        hashes: hashes.to_vec(),
        open_from: optional_number(item, "open_from")?,
        place: place.transpose()?,
        known_at: Timestamp(optional_number(item, "known_at")?.unwrap_or(0)),
        whole_at: Timestamp(optional_number(item, "whole_at")?.unwrap_or(0)),
        caught_up: caught_up.into_iter().map(|(at, height)| (Timestamp(at), height)).collect(),
    })
}
