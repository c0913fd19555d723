//! Which block a chain's watcher could not get past, and in how many runs.

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;

use crate::chain::ChainId;
use crate::moment::Timestamp;
use crate::store::attribute::{n, number, s};
use crate::store::{Store, StoreError, failed, is_done};

impl Store {
    /// Notes that a run ended below the block of that height, for a reason in one word; tells in how many runs in a row
    /// it was that block.
    pub async fn note_held(
        &self,
        chain: &ChainId,
        height: u64,
        reason: &str,
        at: Timestamp,
    ) -> Result<u32, StoreError> {
        let first = self
            .held_item(chain)
            .update_expression(
                "SET height = :height, reason = :reason, runs = :one, since = :at, seen_at = :at",
            )
            .condition_expression("attribute_not_exists(height) OR height <> :height")
            .expression_attribute_values(":height", n(height))
            .expression_attribute_values(":reason", s(reason))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":at", n(at.0));
        if is_done(first.send().await)? {
            return Ok(1);
        }
        let again = self
            .held_item(chain)
            .update_expression("SET reason = :reason, seen_at = :at ADD runs :one")
            .condition_expression("height = :height")
            .return_values(aws_sdk_dynamodb::types::ReturnValue::UpdatedNew)
            .expression_attribute_values(":height", n(height))
            .expression_attribute_values(":reason", s(reason))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":at", n(at.0));
        let updated = again.send().await.map_err(failed)?.attributes.unwrap_or_default();
        number(&updated, "runs")
    }

    fn held_item(&self, chain: &ChainId) -> UpdateItemFluentBuilder {
        let update = self.client.update_item().table_name(&self.tables.chains);
        update.key("chain", s(chain.as_str())).key("entry", s("held"))
    }
}
