//! Any address that money may be sent back to, as the script that pays to it.

#[cfg(test)]
mod tests;

use bitcoin::base58;
use bitcoin::bech32::{self, Fe32};
use bitcoin::opcodes::all::{
    OP_CHECKSIG, OP_DUP, OP_EQUAL, OP_EQUALVERIFY, OP_HASH160, OP_PUSHBYTES_0, OP_PUSHBYTES_20,
    OP_PUSHBYTES_32, OP_PUSHNUM_1,
};

use super::Network;
use crate::chain::address::AddressError;

/// The script that pays to `address`, which may be of any form that wallets on `network` show: key hash, script hash,
/// or segregated witness of versions 0 and 1 (BIP173, BIP350).
///
/// Later witness versions are refused though nodes would pay them: until rules exist for them, anyone may take the money.
pub fn bitcoin_script(address: &str, network: Network) -> Result<Vec<u8>, AddressError> {
    match address.rsplit_once('1').map(|(hrp, _)| hrp.to_ascii_lowercase()) {
        Some(hrp) if hrp == network.hrp() => witness_script(address, network),
        Some(hrp) if MIMBLEWIMBLE_HRPS.contains(&hrp.as_str()) => Err(AddressError::ExtensionBlock),
        Some(hrp) => match Network::with_hrp(&hrp) {
            Some(other) => Err(refusal(network, other)),
            None => hash_script(address, network),
        },
        None => hash_script(address, network),
    }
}

/// Addresses within Litecoin's extension blocks, which no script can pay.
const MIMBLEWIMBLE_HRPS: [&str; 2] = ["ltcmweb", "tmweb"];

fn refusal(expected: Network, found: Network) -> AddressError {
    AddressError::OtherNetwork { found: found.name(), expected: expected.name() }
}

fn witness_script(address: &str, network: Network) -> Result<Vec<u8>, AddressError> {
    let decoded = bech32::segwit::decode(address);
    let (_, version, program) = decoded.map_err(|_| AddressError::NotAnAddressOf(network.name()))?;
    let (opcode, push) = match (version, program.len()) {
        (Fe32::Q, 20) => (OP_PUSHBYTES_0, OP_PUSHBYTES_20),
        (Fe32::Q, 32) => (OP_PUSHBYTES_0, OP_PUSHBYTES_32),
        (Fe32::P, 32) => (OP_PUSHNUM_1, OP_PUSHBYTES_32),
        _ => return Err(AddressError::AnyoneCanSpend),
    };
    Ok([&[opcode.to_u8(), push.to_u8()], program.as_slice()].concat())
}

/// One byte of version, twenty of hash (base58 with a checksum).
fn hash_script(address: &str, network: Network) -> Result<Vec<u8>, AddressError> {
    let none = AddressError::NotAnAddressOf(network.name());
    let decoded = base58::decode_check(address).map_err(|_| none)?;
    let (version, hash) = decoded.split_first().filter(|(_, hash)| hash.len() == 20).ok_or(none)?;
    if *version == network.key_hash_version() {
        let before = [OP_DUP, OP_HASH160, OP_PUSHBYTES_20].map(bitcoin::Opcode::to_u8);
        let after = [OP_EQUALVERIFY, OP_CHECKSIG].map(bitcoin::Opcode::to_u8);
        return Ok([&before, hash, &after].concat());
    }
    if network.script_hash_versions().contains(version) {
        let before = [OP_HASH160, OP_PUSHBYTES_20].map(bitcoin::Opcode::to_u8);
        return Ok([&before, hash, &[OP_EQUAL.to_u8()]].concat());
    }
    let of_version = |other: &Network| {
        other.key_hash_version() == *version || other.script_hash_versions().contains(version)
    };
    Err(Network::ALL.into_iter().find(of_version).map_or(none, |other| refusal(network, other)))
}
