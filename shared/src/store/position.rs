//! The Chains table once more: how far the reconciliation of each chain has come.

use super::attribute::{Item, n, number, optional_number, s, setting, text};
use super::{ScanPlace, Store, StoreError, failed, is_done};
use crate::chain::ChainId;

/// Where the next run of a reconciliation goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Rises with each write: of two runs at once only one leaves its position.
    pub version: u64,
    /// The next block to be read again; `None` before the first.
    pub height: Option<u64>,
    /// After which address; `None` before the first.
    pub after: Option<ScanPlace>,
}

impl Store {
    /// Where the reconciliation of a chain goes on.
    pub async fn position(&self, chain: &ChainId) -> Result<Position, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.chains)
            .key("chain", s(chain.as_str()))
            .key("entry", s("reconcile"))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed)?;
        found.item.as_ref().map_or_else(|| Ok(Position::default()), read)
    }

    /// Moves it on from where it was read; `false` when another run did so first.
    pub async fn move_position(&self, chain: &ChainId, position: &Position) -> Result<bool, StoreError> {
        let Position { version, height, after } = position;
        let mut item = Item::from([("version".to_owned(), n(version.saturating_add(1)))]);
        item.extend(height.map(|height| ("height".to_owned(), n(height))));
        if let Some(ScanPlace { bucket, stamp }) = after {
            item.extend([("bucket".to_owned(), s(bucket)), ("stamp".to_owned(), s(stamp))]);
        }
        let update = self.client.update_item().table_name(&self.tables.chains);
        let update = update.key("chain", s(chain.as_str())).key("entry", s("reconcile"));
        let update = setting(update, item, &["height", "bucket", "stamp"]);
        let update = if *version == 0 {
            update.condition_expression("attribute_not_exists(entry)")
        } else {
            update.condition_expression("version = :read").expression_attribute_values(":read", n(*version))
        };
        is_done(update.send().await)
    }
}

fn read(item: &Item) -> Result<Position, StoreError> {
    let mut after = None;
    if item.contains_key("bucket") {
        let (bucket, stamp) = (text(item, "bucket")?.to_owned(), text(item, "stamp")?.to_owned());
        after = Some(ScanPlace { bucket, stamp });
    }
    Ok(Position { version: number(item, "version")?, height: optional_number(item, "height")?, after })
}
