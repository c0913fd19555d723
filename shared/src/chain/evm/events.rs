//! The events of a block as far as they are believed: receipts decide where a node's list of events cannot be all (R37).

use super::belief::contradicts;
use super::block::{Block, Hash256, Log};
use super::bloom::Bloom;
use super::doubt::{Hint, Sought, doubtful, hint};
use super::receipts::Told;
use super::rpc::{Rpc, RpcError};

impl Rpc {
    /// The Transfer events of the tokens that are sought. Most blocks cost the question for them and no other.
    ///
    /// What gives a list away is asked for by receipts at once. While these are no better than the list, the block waits,
    /// three runs long; then it is read by what they tell.
    pub(super) async fn believed_transfers(
        &self,
        block: &Block,
        sought: Sought<'_>,
    ) -> Result<Vec<Log>, RpcError> {
        let logs = self.transfers(block, sought.contracts, sought.receivers).await?;
        if sought.contracts.is_empty() {
            return Ok(logs);
        }
        let reads_all = match hint(block, &logs, sought) {
            Hint::Nothing => false,
            Hint::Weak => self.1.may_look_closer(),
            Hint::Strong => true,
        };
        let txs = if reads_all {
            block.transactions.iter().map(|tx| tx.hash).collect()
        } else {
            doubtful(block, &logs, sought)
        };
        if txs.is_empty() {
            return Ok(logs);
        }
        let read = self.by_receipts_of(block, &txs, reads_all).await;
        if let Err((RpcError::Contradicts { .. } | RpcError::Shape(_), _)) = &read {
            // What contradicts is asked for again.
            self.forget_receipts(block.header.hash);
        }
        match read {
            Ok(told) => {
                self.1.events.was_answered(&block.header);
                Ok(replaced(of_others(logs, &txs, reads_all), told, sought))
            }
            Err((error, told)) if may_wait(&error) && !self.1.events.waits_for(&block.header) => {
                let number = block.header.number;
                tracing::error!(number, %error, "a block's events are read as they are told, after three runs");
                Ok(if told.is_empty() {
                    logs
                } else {
                    replaced(of_others(logs, &txs, reads_all), told, sought)
                })
            }
            Err((error, _)) => Err(error),
        }
    }

    /// The receipts of these transactions; with an error, as far as they are there.
    async fn by_receipts_of(
        &self,
        block: &Block,
        txs: &[Hash256],
        is_all: bool,
    ) -> Result<Vec<Told>, (RpcError, Vec<Told>)> {
        let number = block.header.number;
        let told = match self.told(&block.header, txs).await {
            Err(RpcError::Moved(_)) => {
                return Err((
                    contradicts(number, "a transaction of its events has no receipt in it"),
                    Vec::new(),
                ));
            }
            told => told.map_err(|error| (error, Vec::new()))?,
        };
        let filter = block.bloom.as_ref().filter(|_| is_all);
        let there = told.iter().filter_map(|told| told.bloom.as_ref());
        if filter.is_some_and(|filter| !Bloom::union(there).covers(filter)) {
            return Err((contradicts(number, "its receipts lack events that its filter speaks of"), told));
        }
        if told.iter().any(|told| told.transfers.is_none()) {
            return Err((RpcError::Shape("eth_getTransactionReceipt"), Vec::new()));
        }
        Ok(told)
    }
}

/// What stays of the list: the events of transactions whose receipts were not read.
fn of_others(logs: Vec<Log>, txs: &[Hash256], reads_all: bool) -> Vec<Log> {
    logs.into_iter().filter(|log| !reads_all && !txs.contains(&log.tx)).collect()
}

/// That with the events of the others as their receipts have them.
fn replaced(mut logs: Vec<Log>, told: Vec<Told>, sought: Sought<'_>) -> Vec<Log> {
    let by_receipts = told.into_iter().filter_map(|told| told.transfers).flatten();
    logs.extend(by_receipts.filter(|log| sought.contracts.contains(&log.contract)));
    logs
}

/// Whether an error is about what is asked, and not about the node itself, which may be reached in a minute.
fn may_wait(error: &RpcError) -> bool {
    match error {
        RpcError::Contradicts { .. }
        | RpcError::Node { .. }
        | RpcError::Status(_)
        | RpcError::Shape(_)
        | RpcError::TooLarge(_) => true,
        RpcError::Transport(error) => error.is_timeout(),
        RpcError::Network { .. }
        | RpcError::Address
        | RpcError::Paused(_)
        | RpcError::Missing(_)
        | RpcError::Moved(_) => false,
    }
}
