//! What a history's chain is like: accounts and tokens, or outputs and what waits for a block.

use bitcoin::hashes::Hash;
use fastrand::Rng;
use shared::chain::address::{AddressKey, EvmAddress};
use shared::chain::block::{OutPoint, Txid};
use shared::chain::{Chain, Family};

use crate::chain::{Output, word};

/// A kind of chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Accounts pay, in the chain's own money and in a token; nothing is seen before a block holds it.
    Evm,
    /// Transactions spend outputs, wait where everybody sees them, and drive each other out.
    Bitcoin,
}

/// Parts of a cent, of which each unit of any coin is a whole number: a cent is four billion units of ETH's last digit.
pub const CENT: u128 = 4_000_000_000_000;

/// Says of a hash that it is a transaction's.
const TRANSACTIONS: u64 = 7_777;

/// Says of an account that money goes back to it.
const DESTINATIONS: u64 = 0xdead;

impl Kind {
    /// The kind of a history: three of five have accounts.
    pub fn draw(random: &mut Rng) -> Kind {
        if random.u8(0..5) < 3 { Kind::Evm } else { Kind::Bitcoin }
    }

    /// The kind of a chain.
    pub fn of(chain: &Chain) -> Kind {
        match chain.family {
            Family::Evm { .. } => Kind::Evm,
            Family::Bitcoin { .. } => Kind::Bitcoin,
        }
    }

    /// What is particular to it in the settings.
    pub fn setting(self) -> &'static str {
        match self {
            Kind::Evm => {
                r#""family":"evm","chain_id":1,"test_chain_id":11155111,"coins":[
                {"coin":"ETH","asset":"native","decimals":18,"rate":"ETH","minimum_usd":"0.01"},
                {"coin":"USDC","asset":"0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48","decimals":6,"rate":"USDC","minimum_usd":"0.01"}]"#
            }
            Kind::Bitcoin => {
                r#""family":"bitcoin","hrp":"bc","test_hrp":"tb","coins":[
                {"coin":"BTC","asset":"native","decimals":8,"rate":"BTC","minimum_usd":"0.01"}]"#
            }
        }
    }

    /// Dollars for a whole coin, by the coin's place; the same throughout, so that the sum of a chain has one worth.
    pub fn rates(self) -> &'static [u64] {
        match self {
            Kind::Evm => &[2_500, 1],
            Kind::Bitcoin => &[50_000],
        }
    }

    /// Parts of a cent that a unit is worth at that rate, by the coin's place.
    pub fn worth(self) -> &'static [u128] {
        match self {
            Kind::Evm => &[1, 400_000_000],
            Kind::Bitcoin => &[200_000_000_000],
        }
    }

    /// Some units of a coin, always the same: several dollars.
    pub fn round_sum(self, coin: usize) -> u128 {
        match (self, coin) {
            (Kind::Evm, 0) => 4_000_000_000_000_000,
            (Kind::Evm, _) => 10_000_000,
            (Kind::Bitcoin, _) => 20_000,
        }
    }

    /// The name of a transaction, as people write it on that chain.
    pub fn tx_id(self, tx: u64) -> String {
        match self {
            Kind::Evm => word(TRANSACTIONS, tx).to_string(),
            Kind::Bitcoin => txid(tx).to_string(),
        }
    }
}

/// The same where names have a type of their own.
pub fn txid(tx: u64) -> Txid {
    Txid::from_byte_array(word(TRANSACTIONS, tx).0)
}

/// An output as blocks name it.
pub fn outpoint(output: &Output) -> OutPoint {
    OutPoint { txid: txid(output.tx), vout: output.place }
}

/// A coin's place in the settings, by its name.
pub fn place(coin: &str) -> usize {
    usize::from(coin == "USDC")
}

/// An address to which money goes back, by its number.
pub fn destination(chain: &Chain, number: u8) -> (String, AddressKey) {
    let mut bytes = [number; 20];
    bytes[..8].copy_from_slice(&DESTINATIONS.to_be_bytes());
    let key = AddressKey(bytes);
    let address = match chain.family {
        Family::Evm { .. } => EvmAddress(bytes).to_string(),
        Family::Bitcoin { network, .. } => network.witness_address(key).expect("an address"),
    };
    (address, key)
}

/// An account, or the script that pays to a key, as blocks have it.
pub fn script(chain: &Chain, to: AddressKey) -> Vec<u8> {
    match chain.family {
        Family::Evm { .. } => to.0.to_vec(),
        Family::Bitcoin { .. } => [&[0, 20], to.0.as_slice()].concat(),
    }
}
