//! What every function of the gateway has in common.
//!
//! Pure, bottom up: `moment`, `money`, `chain`, `payment`, `keys`, `account`. Around them: `settings`, `clock`, `store`, `http`, `app`.

pub mod account;
pub mod app;
pub mod chain;
pub mod clock;
pub mod http;
pub mod keys;
pub mod moment;
pub mod money;
pub mod payment;
pub mod settings;
pub mod store;
