//! Helpers of the tests that need the whole product, a node or a browser.

pub mod anvil;
