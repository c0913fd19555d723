//! Items of lists that cannot be read: left out, told in the log, and counted (R8). One of them holds up none of the others.

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Store, StoreError};

/// How many items were left out since somebody asked; clones of a store share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Unreadable(Arc<AtomicU64>);

impl Store {
    /// What was read of an item of a list; `None` for one that cannot be read. What else goes wrong is an error: nobody
    /// knows then what the list holds.
    pub(crate) fn readable<T>(
        &self,
        list: &'static str,
        item: &str,
        read: Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(StoreError::Malformed(why)) => {
                self.left_out(list, item, &why);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Tells and counts an item of a list that is left out. `item` is its key, and no secret.
    pub fn left_out(&self, list: &'static str, item: &str, why: &str) {
        tracing::error!(list, item, why = without_values(why), "an item cannot be read and is left out");
        self.unreadable.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many items were left out since this was asked last.
    pub fn take_left_out(&self) -> u64 {
        self.unreadable.0.swap(0, Ordering::Relaxed)
    }
}

/// The cause without what the item holds, which may be a payer's: decoders quote the text that they do not understand.
fn without_values(why: &str) -> &str {
    why.split('"').next().unwrap_or_default()
}
