//! Bitcoin and its like: addresses and blocks of transactions that spend outputs of others.

mod address;
pub mod block;
mod network;
pub mod node;
mod reader;
pub mod rpc;
pub mod scan;
pub mod tx;

pub use address::bitcoin_script;
pub use network::Network;
