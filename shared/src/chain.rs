//! The chains and coins of a deployment: what can be paid with, where, and how deep it must lie.

pub mod address;
pub mod bitcoin;
pub mod block;
mod config;
mod destination;
pub mod evm;
pub mod node;
pub mod psbt;
pub mod rpc;

pub use config::{Asset, Chain, Chains, Coin, Depth, DepthRule, Family, Internal, InvalidChains};
pub use destination::DestinationError;

use std::fmt;

/// The name of a chain in settings, tables and answers: `ethereum`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(String);

/// The name of a coin, which is one asset on one chain: `ETH`, `USDC`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoinId(String);

/// Names are short and plain, so that they can be part of keys, links and pages without escaping.
const MAX_NAME: usize = 24;

fn plain_name(name: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let named = !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(plain);
    named.then(|| name.to_owned())
}

impl ChainId {
    /// `None` unless 1 to 24 letters, digits, `-` or `.`.
    pub fn new(name: &str) -> Option<ChainId> {
        plain_name(name).map(ChainId)
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl CoinId {
    /// `None` unless 1 to 24 letters, digits, `-` or `.`.
    pub fn new(name: &str) -> Option<CoinId> {
        plain_name(name).map(CoinId)
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CoinId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
