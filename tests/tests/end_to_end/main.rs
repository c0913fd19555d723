//! Live payments through the whole product: API, operator, pay page, watcher and sweep, with a real chain node.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![cfg(test)]

mod belief;
mod bitcoin;
mod later;
mod money;
mod networks;
mod nodes;
mod pace;
mod recovery;
mod refunds;
mod reorganisation;
mod wallets;
