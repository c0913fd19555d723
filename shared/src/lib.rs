//! What every function of the gateway has in common.
//!
//! Pure, bottom up: `moment`, `money`, `chain`, `payment`. Around them: `settings`, `clock`, `store`, `app`.

pub mod app;
pub mod chain;
pub mod clock;
pub mod moment;
pub mod money;
pub mod payment;
pub mod settings;
pub mod store;
