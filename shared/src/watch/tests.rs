//! A chain is followed through everything that chains, nodes, tables and processes do to a watcher.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

mod chain;
mod costs;
mod crashes;
mod faults;
mod floods;
mod following;
mod hang;
mod histories;
mod meanwhile;
mod nodes;
mod outside;
mod pace;
mod reconciling;
mod recovery;
mod refunds;
mod reorgs;
mod world;

use crate::payment::{Payment, TransferState};

/// How far each transfer of a payment has come.
fn states(payment: &Payment) -> Vec<TransferState> {
    payment.transfers().map(|transfer| payment.state(transfer)).collect()
}
