//! Ethereum and its like: a node's JSON-RPC, and the movements of money in a block.

pub mod balance;
pub mod block;
pub mod fetch;
pub mod node;
mod patience;
mod refusal;
pub mod rpc;
pub mod scan;
mod trace;
mod wire;
