//! How far each chain was scanned.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::{BlockHash, KEPT_HASH, malformed};
use crate::chain::ChainId;
use crate::moment::Timestamp;
use crate::store::attribute::{Item, n, number, optional_number, s, text};
use crate::store::{Store, StoreError, failed, is_done};

/// Bytes of a mark: its height, and the kept part of its hash.
const MARK: usize = 8 + KEPT_HASH;

/// The attributes that this version writes. Others are a later version's, and are kept (R45).
const OWN: [&str; 16] = [
    "chain",
    "entry",
    "version",
    "height",
    "hashes",
    "marks",
    "began",
    "finalized",
    "strayed",
    "open_from",
    "rest_from",
    "rest_untold",
    "known_at",
    "whole_at",
    "fresh_at",
    "caught_up",
];

/// How far a chain was scanned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cursor {
    /// Rises with each write: two watchers never both succeed.
    pub version: u64,
    /// The last height that was scanned.
    pub height: u64,
    /// Hashes of the last blocks, that of `height` last.
    pub hashes: Vec<BlockHash>,
    /// Hashes of blocks below those, ever sparser, lowest first: by them the beginning of a deep fork is found.
    pub marks: Vec<(u64, BlockHash)>,
    /// Where scanning began, or jumped to with nobody to watch for; unknown of cursors that an earlier version wrote.
    pub began: Option<u64>,
    /// The highest block that a node ever called final, as far as it was scanned: from there down nothing is taken back
    /// (R37).
    pub finalized: Option<u64>,
    /// Runs in a row whose node denied blocks that are ours.
    pub strayed: u64,
    /// The lowest height that holds a transfer which does not count yet: nothing uncounted lies below.
    pub open_from: Option<u64>,
    /// Where the next run goes on with what is told last.
    pub place: Option<RestPlace>,
    /// When the last finished run began: every address listed before then was looked for up to `height`.
    pub known_at: Timestamp,
    /// When the last run began that scanned the whole chain; before the first of them, when the chain was begun.
    pub whole_at: Timestamp,
    /// When the last run began that read the chain to a tip as young as tips are; 0 while it is known to have parted
    /// from the node's. Only so lately is money taken on it (R24).
    pub fresh_at: Timestamp,
    /// The last times at which the whole chain had been scanned, and how high it was; oldest first.
    pub caught_up: Vec<(Timestamp, u64)>,
    /// What a later version wrote beside all this.
    pub rest: Item,
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
    let mut item = cursor.rest.clone();
    item.extend([
        ("chain".to_owned(), s(chain.as_str())),
        ("entry".to_owned(), s("cursor")),
        ("version".to_owned(), n(cursor.version)),
        ("height".to_owned(), n(cursor.height)),
        ("hashes".to_owned(), AttributeValue::B(Blob::new(cursor.hashes.concat()))),
        ("caught_up".to_owned(), AttributeValue::L(caught_up.collect())),
        ("known_at".to_owned(), n(cursor.known_at.0)),
        ("whole_at".to_owned(), n(cursor.whole_at.0)),
        ("fresh_at".to_owned(), n(cursor.fresh_at.0)),
    ]);
    if let Some(place) = &cursor.place {
        item.insert("rest_from".to_owned(), s(&place.entry));
        item.insert("rest_untold".to_owned(), AttributeValue::Bool(place.untold));
    }
    let marks =
        cursor.marks.iter().flat_map(|(height, hash)| [&height.to_be_bytes(), hash.as_slice()].concat());
    let marks: Vec<u8> = marks.collect();
    item.extend((!marks.is_empty()).then(|| ("marks".to_owned(), AttributeValue::B(Blob::new(marks)))));
    let numbers = [
        ("open_from", cursor.open_from),
        ("began", cursor.began),
        ("finalized", cursor.finalized),
        ("strayed", Some(cursor.strayed).filter(|runs| *runs > 0)),
    ];
    item.extend(numbers.into_iter().filter_map(|(name, number)| Some((name.to_owned(), n(number?)))));
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
    let rest = item.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    Ok(Cursor {
        version: number(item, "version")?,
        height: number(item, "height")?,
        hashes: hashes.to_vec(),
        marks: read_marks(item)?,
        began: optional_number(item, "began")?,
        finalized: optional_number(item, "finalized")?,
        strayed: optional_number(item, "strayed")?.unwrap_or(0),
        open_from: optional_number(item, "open_from")?,
        place: place.transpose()?,
        known_at: Timestamp(optional_number(item, "known_at")?.unwrap_or(0)),
        whole_at: Timestamp(optional_number(item, "whole_at")?.unwrap_or(0)),
        fresh_at: read_fresh_at(item)?,
        caught_up: caught_up.into_iter().map(|(at, height)| (Timestamp(at), height)).collect(),
        rest: rest.map(|(name, value)| (name.clone(), value.clone())).collect(),
    })
}

/// When a chain was last read to a young tip, of its cursor's item; one that an earlier version wrote says when it was
/// last scanned whole.
pub(super) fn read_fresh_at(item: &Item) -> Result<Timestamp, StoreError> {
    let at = if item.contains_key("fresh_at") { "fresh_at" } else { "whole_at" };
    Ok(Timestamp(optional_number(item, at)?.unwrap_or(0)))
}

fn read_marks(item: &Item) -> Result<Vec<(u64, BlockHash)>, StoreError> {
    let Some(marks) = item.get("marks") else { return Ok(Vec::new()) };
    let marks = marks.as_b().map_err(|_| malformed("marks"))?;
    let (marks, rest) = marks.as_ref().as_chunks::<MARK>();
    let mark = |mark: &[u8; MARK]| {
        let (height, hash) = mark.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*height), hash.try_into().ok()?))
    };
    let marks = marks.iter().map(mark).collect::<Option<_>>().filter(|_| rest.is_empty());
    marks.ok_or_else(|| malformed("marks"))
}
