//! What moves the money of many EVM addresses to one: unsigned, for the wallet that has their keys (R24).
//!
//! Addresses pay for gas themselves. What holds only tokens must first be sent some of the chain's own money.

use serde::Serialize;

use crate::chain::Asset;
use crate::chain::address::EvmAddress;
use crate::money::Units;
use crate::payment::GivenAddress;

/// What a transfer of the chain's own money costs, always.
const NATIVE_GAS: u64 = 21_000;

/// What a token's transfer costs at most; tokens that ask for more are rare, and what is not used is not paid.
const TOKEN_GAS: u64 = 100_000;

/// The first bytes of a token's `transfer(address,uint256)`.
const TRANSFER: &str = "a9059cbb";

/// Where the money goes, and what is known of the price of gas.
#[derive(Clone, Debug)]
pub struct Target {
    /// What is moved.
    pub asset: Asset,
    /// To whom.
    pub to: EvmAddress,
    /// The most that a unit of gas costs, in the smallest unit; without it the wallet works out what depends on it.
    pub max_fee_per_gas: Option<u64>,
}

/// The transactions of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// To be sent first, from anywhere: gas for addresses that hold tokens.
    pub top_ups: Vec<TopUp>,
    /// To be signed by the key of each address.
    pub transactions: Vec<Unsigned>,
}

/// Gas for an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopUp {
    /// The address.
    pub to: String,
    /// In the chain's smallest unit; `None` leaves it to the wallet: the gas limit times what gas costs then.
    pub value: Option<String>,
    /// Gas that it must last for.
    pub gas_limit: u64,
}

/// A transaction without a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unsigned {
    /// The extended key of the address, by its fingerprint.
    pub key: String,
    /// The way from that key.
    pub path: String,
    /// Whose money it is.
    pub from: String,
    /// Whom it calls: the receiver, or the token's contract.
    pub to: String,
    /// Of the chain's own money; `None` leaves it to the wallet: `available` less what gas costs then.
    pub value: Option<String>,
    /// What it says to a contract.
    pub data: String,
    /// Gas that it may use.
    pub gas_limit: u64,
    /// What lies there of the coin, in its smallest unit.
    pub available: String,
}

impl Batch {
    /// Adds what moves `available` from one address. Less than its gas costs is left where it is.
    pub fn add(&mut self, given: &GivenAddress, available: Units, target: &Target) {
        let gas_limit = match target.asset {
            Asset::Native => NATIVE_GAS,
            Asset::Token(_) => TOKEN_GAS,
        };
        let fee = target.max_fee_per_gas.map(|price| u128::from(price).saturating_mul(gas_limit.into()));
        let (to, value, data) = match &target.asset {
            Asset::Native => {
                let rest = fee.map(|fee| available.0.saturating_sub(fee));
                if rest == Some(0) {
                    return;
                }
                (target.to.to_string(), rest.map(|rest| rest.to_string()), "0x".to_owned())
            }
            Asset::Token(contract) => {
                let value = fee.map(|fee| fee.to_string());
                self.top_ups.push(TopUp { to: given.address.clone(), value, gas_limit });
                (contract.clone(), Some("0".to_owned()), transfer(target.to, available))
            }
        };
        self.transactions.push(Unsigned {
            key: given.xpub.clone(),
            path: format!("0/{}", given.index),
            from: given.address.clone(),
            to,
            value,
            data,
            gas_limit,
            available: available.0.to_string(),
        });
    }
}

/// The call of a token's contract that moves `units` from whoever signs.
fn transfer(to: EvmAddress, units: Units) -> String {
    let to = to.to_lower_hex();
    format!("0x{TRANSFER}{:0>64}{:064x}", to.trim_start_matches("0x"), units.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(index: u32) -> GivenAddress {
        GivenAddress {
            family: "evm".into(),
            address: format!("0xaddress{index}"),
            xpub: "00ff".into(),
            index,
        }
    }

    fn target(asset: Asset, max_fee_per_gas: Option<u64>) -> Target {
        Target { asset, to: "0x00000000000000000000000000000000deadbeef".parse().unwrap(), max_fee_per_gas }
    }

    #[test]
    fn the_chains_own_money_leaves_less_its_gas() {
        let mut batch = Batch::default();
        let known = target(Asset::Native, Some(10));
        batch.add(&given(7), Units(1_000_000), &known);
        batch.add(&given(8), Units(210_000), &known);
        let [moved] = batch.transactions.as_slice() else { panic!("{batch:?}") };
        assert_eq!(
            (moved.path.as_str(), moved.value.as_deref(), moved.data.as_str()),
            ("0/7", Some("790000"), "0x")
        );
        assert_eq!(batch.top_ups, []);
        let mut batch = Batch::default();
        batch.add(&given(7), Units(1), &target(Asset::Native, None));
        assert_eq!((&batch.transactions[0].value, batch.transactions[0].available.as_str()), (&None, "1"));
    }

    #[test]
    fn a_token_is_moved_by_its_contract_after_a_top_up() {
        let mut batch = Batch::default();
        let contract = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48".to_owned();
        batch.add(&given(7), Units(1_500_000), &target(Asset::Token(contract.clone()), Some(3)));
        let moved = &batch.transactions[0];
        assert_eq!((&moved.to, moved.value.as_deref()), (&contract, Some("0")));
        assert_eq!(
            moved.data,
            "0xa9059cbb00000000000000000000000000000000000000000000000000000000deadbeef\
             000000000000000000000000000000000000000000000000000000000016e360"
        );
        let top_up = TopUp { to: "0xaddress7".into(), value: Some("300000".into()), gas_limit: 100_000 };
        assert_eq!(batch.top_ups, [top_up]);
    }
}
