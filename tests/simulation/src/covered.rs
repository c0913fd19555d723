//! What was noted of blocks and lies below a cursor: nothing of it that does not count may be below `open_from`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::net::Seat;
use crate::record::{Record, number, text};

/// Bytes of a block's hash that a cursor keeps.
const KEPT_HASH: usize = 16;

/// A block, by its height and what is kept of its hash.
type At = (u64, Vec<u8>);

/// A transfer, by its payment's code and its key.
type Noted = (String, String);

/// What is below a cursor because the run that noted it moved one past it.
#[derive(Debug, Default)]
pub struct Covered {
    /// What each run under way noted.
    noted: BTreeMap<Seat, BTreeMap<At, BTreeSet<Noted>>>,
    /// What lies below the cursor.
    below: BTreeMap<At, BTreeSet<Noted>>,
}

impl Covered {
    /// A watcher begins a run.
    pub fn begin_run(&mut self, seat: Seat) {
        self.noted.remove(&seat);
    }

    /// Takes note of what is noted of a block.
    pub fn note(&mut self, seat: Seat, item: &Value) {
        let Some(rows) = item["transfers"]["M"]["rows"]["L"].as_array() else { return };
        let Some(at) = at(item) else { return };
        let code = text(&item["transfers"]["M"], "code");
        let here = self.noted.entry(seat).or_default().entry(at).or_default();
        let is_there = |row: &&Value| row["M"]["replaced"]["BOOL"] != true;
        let each = rows.iter().filter(is_there).filter_map(|row| row["M"]["each"]["L"].as_array());
        let ids = each.flatten().filter_map(|one| one["L"][0]["S"].as_str());
        here.extend(ids.map(|id| (code.to_owned(), id.to_owned())));
    }

    /// A cursor moves; gives what lies below it uncounted and is nobody's to look for any more (A19).
    pub fn move_cursor(&mut self, seat: Seat, cursor: &Value, record: &Record) -> Vec<String> {
        let Some(height) = number(cursor, "height") else { return Vec::new() };
        let hashes = STANDARD.decode(cursor["hashes"]["B"].as_str().unwrap_or_default()).unwrap_or_default();
        let is_ours = |(at, hash): &At| {
            let above = height.checked_sub(*at).and_then(|above| usize::try_from(above).ok());
            above.and_then(|above| hashes.rchunks(KEPT_HASH).nth(above)) == Some(hash.as_slice())
        };
        let own = self.noted.get(&seat).into_iter().flatten().filter(|(at, _)| is_ours(at));
        for (at, transfers) in own {
            self.below.entry(at.clone()).or_default().extend(transfers.iter().cloned());
        }
        let open_from = number(cursor, "open_from").unwrap_or(u64::MAX);
        let hidden = self.below.iter().filter(|(at, _)| at.0 < open_from && is_ours(at));
        let uncounted = hidden.flat_map(|((height, _), transfers)| {
            let uncounted = transfers.iter().filter(|(code, id)| !is_counted(record, code, id));
            uncounted.map(move |(_, id)| {
                format!("{id} in block {height} does not count and lies below `open_from` (A19)")
            })
        });
        uncounted.collect()
    }
}

/// Whether a transfer counts, or never will: another took its place, or nobody has such a payment.
fn is_counted(record: &Record, code: &str, id: &str) -> bool {
    let Some(payment) = record.payments().get(code) else { return true };
    payment.transfers.get(id).is_some_and(|held| held.counts || held.replaced)
}

fn at(item: &Value) -> Option<At> {
    let hash = STANDARD.decode(item["hash"]["B"].as_str()?).ok()?;
    Some((number(item, "height")?, hash))
}
