//! The whole gateway against everything that goes wrong outside it, one history after the other, each from a seed.
//!
//! Real: the store over the AWS SDK, the embedded database, the watcher, the sweep, the handlers, the payment. Simulated:
//! the network between them, the chain and its node, the clocks, the people.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a simulation that cannot go on stops, as a test does"
)]

mod actors;
pub mod bugs;
mod chain;
mod client;
mod covered;
mod desk;
mod engine;
mod history;
mod kind;
mod manner;
pub mod model;
pub mod net;
mod node;
mod record;
pub mod run;
mod storm;
mod verdict;
mod wire;
