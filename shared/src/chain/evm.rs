//! Ethereum and its like: a node's JSON-RPC, and the movements of money in a block.

pub mod balance;
mod belief;
pub mod block;
pub mod bloom;
mod doubt;
mod envelope;
mod events;
pub mod fetch;
pub mod logs;
pub mod node;
mod patience;
pub mod receipts;
mod refusal;
mod rlp;
pub mod rpc;
pub mod scan;
mod trace;
mod trie;
mod wire;
