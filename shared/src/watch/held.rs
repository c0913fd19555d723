//! What keeps a chain from moving on: said once it is no passing trouble (R37, R38).

use super::{Run, Source};
use crate::chain::rpc::RpcError;

/// From so many runs in a row on, a block is held up by more than a node that is busy or a moment behind.
const TOLD_AFTER: u32 = 3;

/// A block that a run could not get past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its height.
    pub height: u64,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, in the node's words.
    pub detail: String,
}

impl Held {
    /// By what the node answered.
    pub(super) fn by(height: u64, error: &RpcError) -> Held {
        Held { height, reason: error.kind(), detail: error.to_string() }
    }

    /// By a node that took all the time there was.
    pub(super) fn by_time(height: u64) -> Held {
        Held { height, reason: "slow", detail: "the node did not tell of it in a run's time".to_owned() }
    }

    /// By a block that does not follow from the one before it.
    pub(super) fn by_parent(height: u64) -> Held {
        Held { height, reason: "moved", detail: "it does not follow from the block before it".to_owned() }
    }
}

impl<S: Source> Run<'_, S> {
    /// Notes what held this run up; gives it if it did so in the last runs too. That it cannot be noted is no reason to fail.
    pub(super) async fn held_up(&self, held: Held) -> Option<Held> {
        let (chain, Held { height, reason, detail }) = (&self.watcher.chain.id, &held);
        match self.watcher.store.note_held(chain, *height, reason, self.started_at).await {
            Ok(runs) if runs >= TOLD_AFTER => {
                tracing::error!(%chain, height, runs, reason, detail, "a block holds up its chain");
                Some(held)
            }
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%chain, height, reason, detail, %error, "what holds up a chain was not noted");
                None
            }
        }
    }
}
