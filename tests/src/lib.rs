//! Helpers of the tests that need the whole product, a node or a browser.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of tests fails as tests do"
)]

pub mod anvil;
pub mod browser;
pub mod eager;
pub mod live;
pub mod program;
pub mod shop;
pub mod tools;
