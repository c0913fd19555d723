//! The Chains table. What it holds has files of its own.

mod cursor;
mod held;
mod market;
mod notes;
mod outside;
mod payouts;
mod sightings;

pub use cursor::{Cursor, RestPlace};
pub use market::Market;
use notes::KEPT_HASH;
pub use notes::{BlockHash, BlockState, Held, Note, Onward, TouchedBlock, TouchedTransfer};
pub(crate) use notes::{Part, TRANSFERS_TOLD, latest, parts};
pub use outside::Outlying;
use outside::entry as outside_entry;
pub use payouts::{AwaitedPayout, TouchedPayout};
pub use sightings::{Rival, Sighting};

use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;

use super::attribute::{n, s};
use super::{Store, StoreError, is_done};
use crate::chain::ChainId;
use crate::moment::Timestamp;
use crate::payment::Code;

/// What an earlier run of a watcher does late must not undo what a later one knows.
const NO_LATER_RUN: &str = "attribute_not_exists(#run) OR #run <= :run";

impl Store {
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

fn malformed(attribute: &str) -> StoreError {
    StoreError::Malformed(format!("`{attribute}` of a chain"))
}

/// A note of nobody's money holds up the notes of everybody else's if it is found out only when it is told.
fn names_payments<'a>(mut codes: impl Iterator<Item = &'a String>) -> Result<(), StoreError> {
    if codes.all(|code| code.parse::<Code>().is_ok()) { Ok(()) } else { Err(malformed("code")) }
}
