//! Bitcoin and its like: addresses and blocks of transactions that spend outputs of others.

mod address;
mod network;

pub use address::bitcoin_script;
pub use network::Network;
