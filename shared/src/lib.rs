//! The shared crate: what every function of the gateway has in common.

pub mod chain;
pub mod moment;
pub mod money;
