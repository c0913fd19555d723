//! What every function of the gateway has in common.
//!
//! Pure, bottom up: `moment`, `money`, `chain`, `rates` without its sources. Around them: `settings`, `clock`,
//! `store`, `metric`, `app`, `task`.

pub mod app;
pub mod chain;
pub mod clock;
pub mod metric;
pub mod moment;
pub mod money;
pub mod rates;
pub mod settings;
pub mod store;
pub mod task;
