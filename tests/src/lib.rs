//! Helpers of the tests that need the whole product, a node or a browser.

pub mod answer;
pub mod anvil;
pub mod database;
pub mod golden;
pub mod meter;
pub mod product;
