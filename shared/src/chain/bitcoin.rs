//! Bitcoin and its like: addresses and blocks of transactions that spend outputs of others.

mod network;

pub use network::Network;
