//! Helpers of the tests that need the whole product, a node or a browser.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of tests fails as tests do"
)]

pub mod answer;
pub mod anvil;
pub mod bitcoind;
pub mod browser;
pub mod database;
pub mod eager;
pub mod golden;
pub mod live;
pub mod live_bitcoin;
pub mod meter;
pub mod product;
pub mod program;
pub mod proxy;
pub mod roles;
pub mod shop;
pub mod silence;
pub mod tools;
