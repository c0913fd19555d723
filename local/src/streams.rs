//! Table streams: every change of a table is delivered, in order and at least once, to the functions that want it.

mod feed;
mod position;

use std::sync::Arc;
use std::time::Duration;

use dynoxide::Database;

use crate::lambda::Lambda;
use crate::stop::Stop;
use crate::template::Product;

use feed::Feed;
pub(crate) use position::Positions;

/// How long deliveries may take until a test that waits for them is told that they hang.
const IDLE_LIMIT: Duration = Duration::from_mins(1);

/// All subscriptions of the product.
pub(crate) struct Streams {
    feeds: Vec<Arc<Feed>>,
}

/// Deliveries did not end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("changes of {table} are still waiting for {function} after {} s", IDLE_LIMIT.as_secs())]
pub struct NotDelivered {
    /// The table.
    pub table: String,
    /// The function.
    pub function: String,
}

impl Streams {
    /// Starts delivering, from where `positions` says that it ended.
    pub(crate) fn start(
        product: &Product,
        database: &Database,
        lambda: &Lambda,
        positions: &Positions,
        stop: &Stop,
    ) -> Streams {
        let mut feeds = Vec::new();
        for function in &product.functions {
            for stream in &function.streams {
                let feed = Arc::new(Feed::new(
                    function.name.clone(),
                    stream.clone(),
                    database.clone(),
                    lambda.clone(),
                    positions.clone(),
                ));
                stop.spawn(Arc::clone(&feed).run());
                feeds.push(feed);
            }
        }
        Streams { feeds }
    }

    /// Returns when every change made so far, and every change that its delivery led to, is delivered.
    pub(crate) async fn idle(&self) -> Result<(), NotDelivered> {
        loop {
            let mut waited = false;
            for feed in &self.feeds {
                let caught_up = tokio::time::timeout(IDLE_LIMIT, feed.caught_up()).await;
                waited |= caught_up.map_err(|_| feed.not_delivered())?;
            }
            if !waited {
                return Ok(());
            }
        }
    }
}
