//! What follows the payments through their stream: the functions that note wallets and count what was paid.

use std::rc::Rc;

use serde_json::{Value, json};
use shared::task;

use super::World;
use crate::bugs::Bug;
use crate::desk::FOLLOWERS;
use crate::net::Seat;

/// What becomes of the next of the stream's changes.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// How many come at once.
    pub changes: usize,
    /// Whether it is forgotten that they were taken in.
    pub is_forgotten: bool,
}

/// A batch of what was written of payments; whether there was any.
pub async fn follow(world: Rc<World>, seat: Seat, delivery: Delivery) -> bool {
    let from = world.followed(seat);
    let batch: Vec<Value> = {
        let state = world.net.lock();
        state.stream.iter().skip(from).take(delivery.changes).cloned().collect()
    };
    if batch.is_empty() {
        return false;
    }
    let (app, behind) = (&world.apps[seat], from + batch.len());
    let event = json!({ "Records": batch });
    let taken: task::Result = if seat == FOLLOWERS[0] {
        note_wallets::note_wallets(app, event).await
    } else {
        count_volume::count_volume(app, event).await
    };
    world.net.lock().tell(|| format!("{seat}: changes {from} to {behind}: {taken:?}"));
    if delivery.is_forgotten {
        world.net.lock().fault(|| format!("changes are delivered to {seat} again"));
        return true;
    }
    match taken {
        Ok(reply) => {
            let is_skipped = world.net.lock().bugs.which() == Some(Bug::ChangeSkipped);
            world.follow_from(seat, failed(&reply).filter(|_| !is_skipped).unwrap_or(behind));
        }
        Err(error) => world.net.lock().tell(|| format!("{seat}: {error}")),
    }
    true
}

/// The first change that was not taken in.
fn failed(reply: &Value) -> Option<usize> {
    let failures = reply["batchItemFailures"].as_array()?;
    failures.iter().filter_map(|failure| failure["itemIdentifier"].as_str()?.parse().ok()).min()
}
