//! What the contract promises to merchants, checked over HTTP against the functions' real programs.
//! Each test is named for the ruling it guards; all share one product and have accounts of their own.
#![cfg(test)]

mod access;
mod creating;
mod explaining;
mod idempotency;
mod life;
mod listing;
mod many;
mod paying;
mod refunds;
mod simulate;
mod time;
mod volume;
mod waiting;
mod wallets;
