//! What every function of the gateway has in common.
//!
//! Pure, bottom up: `moment`, `money`, `chain` without its nodes, `payment`, `keys`, `account`, `rates` without its sources,
//! `json`, `pay`, `explain`, `wallet`. Around them: `settings`, `clock`, `store`, `metric`, `http`, `app`, `task`, `checkout`,
//! `refunds`, `payer`, `watch`, `sweep`, `reconcile`, `admin`.

pub mod account;
pub mod admin;
pub mod app;
pub mod callers;
pub mod chain;
pub mod checkout;
pub mod clock;
pub mod explain;
pub mod http;
pub mod json;
pub mod keys;
pub mod metric;
pub mod moment;
pub mod money;
pub mod pay;
pub mod payer;
pub mod payment;
pub mod rates;
pub mod reconcile;
pub mod refunds;
pub mod settings;
pub mod store;
pub mod sweep;
pub mod task;
pub mod wallet;
pub mod watch;
