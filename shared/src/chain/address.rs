//! Addresses from extended public keys (BIP32, BIP44), and Ethereum's form of them; no private key is ever accepted (R24).

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use bitcoin::bip32::{ChildNumber, Fingerprint, Xpub};
use bitcoin::hashes::Hash;
use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::secp256k1::{PublicKey, Secp256k1};
use sha2::{Digest, Sha256};
use sha3::Keccak256;

use super::bitcoin::Network;

/// The extended key of test payments when a deployment names none.
///
/// Nobody can spend what is sent to its addresses: its point and its chain code are hashes of two phrases, as a test
/// shows, so that there is no private key to be known.
pub const NOBODYS_XPUB: &str = "xpub6BemYiVNp19a1c1vL7jZyNBSMfsPJcSRzVWy3L62d74sYA5wskyorjZxedBvh8B9cqMLSHYhQPruxmjqMwijhD9MLtc2KKJ5SLa77hxvq2b";

/// Hex digits of a [`ExtendedKey::fingerprint`]: 64 bits, so that two keys of one deployment never share one by chance.
const FINGERPRINT_DIGITS: usize = 16;

/// The chain below an account whose addresses are given out (BIP44: 0 receives, 1 is change).
const RECEIVING: ChildNumber = ChildNumber::Normal { index: 0 };

/// Two levels lie below an account's key, and a depth is one byte.
const DEEPEST_ACCOUNT: u8 = u8::MAX - 2;

/// Why a text is no extended public key or no address, or why a key has no address; the text itself is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Somebody is about to give a secret away.
    #[error("this is a private key, which must stay in its wallet: give the extended public key (xpub)")]
    PrivateKey,
    /// Neither an xpub nor a tpub.
    #[error("not an extended public key (xpub)")]
    NoExtendedKey,
    /// Above 2^31 - 1, or the one index in 2^127 that has no key.
    #[error("the extended key has no address of this index")]
    NoSuchIndex,
    /// Not `0x` and forty hex digits.
    #[error("not an Ethereum address")]
    NoAddress,
    /// Mixed case that is not the checksum's (EIP-55): a digit is wrong.
    #[error("the address has a wrong checksum")]
    WrongChecksum,
}

/// An account's extended public key (`m/44'/60'/0'` for Ethereum): its addresses are the children `0/i`.
///
/// The depth is not held against a key, because wallets export accounts at different ones; nor is the network
/// (xpub or tpub), which Ethereum does not have.
#[derive(Clone, PartialEq, Eq)]
pub struct ExtendedKey {
    account: Xpub,
    receiving: Xpub,
}

impl ExtendedKey {
    /// What names the key in tables and logs: it depends on nothing but what decides the addresses, so that the same
    /// key in other clothes (tpub, another depth) takes from the same counter.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::new()
            .chain_update(self.account.public_key.serialize())
            .chain_update(self.account.chain_code.as_bytes())
            .finalize();
        let mut digits = digest.to_lower_hex_string();
        digits.truncate(FINGERPRINT_DIGITS);
        digits
    }

    /// The Ethereum address of child `0/index`.
    pub fn evm_address(&self, index: u32) -> Result<EvmAddress, AddressError> {
        let child = ChildNumber::from_normal_idx(index).map_err(|_| AddressError::NoSuchIndex)?;
        let key = self.receiving.ckd_pub(&Secp256k1::verification_only(), child);
        key.map(|key| EvmAddress::of(&key.public_key)).map_err(|_| AddressError::NoSuchIndex)
    }
}

impl ExtendedKey {
    /// The address of child `0/index` that pays to the key's hash (BIP84), on `network`.
    pub fn witness_address(&self, index: u32, network: Network) -> Result<String, AddressError> {
        let child = ChildNumber::from_normal_idx(index).map_err(|_| AddressError::NoSuchIndex)?;
        let key = self.receiving.ckd_pub(&Secp256k1::verification_only(), child);
        let key = key.map_err(|_| AddressError::NoSuchIndex)?;
        let hash = bitcoin::CompressedPublicKey(key.public_key).wpubkey_hash();
        network.witness_address(AddressKey(hash.to_byte_array()))
    }
}

impl FromStr for ExtendedKey {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<ExtendedKey, AddressError> {
        if text.get(1..4) == Some("prv") {
            return Err(AddressError::PrivateKey);
        }
        let account = Xpub::from_str(text).map_err(|_| AddressError::NoExtendedKey)?;
        let rootless = account.parent_fingerprint == Fingerprint::default()
            && account.child_number == ChildNumber::Normal { index: 0 };
        if account.depth > DEEPEST_ACCOUNT || (account.depth == 0 && !rootless) {
            return Err(AddressError::NoExtendedKey);
        }
        let receiving = account.ckd_pub(&Secp256k1::verification_only(), RECEIVING);
        receiving.map(|receiving| ExtendedKey { account, receiving }).map_err(|_| AddressError::NoExtendedKey)
    }
}

/// Only the fingerprint: whoever knows the key can link all payments of its owner.
impl fmt::Debug for ExtendedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtendedKey({})", self.fingerprint())
    }
}

/// What watch lists know an address by: the twenty bytes that all our own addresses have at their heart, which are an
/// EVM address itself, or the key's hash in a witness program (BIP141, BIP84).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey(pub [u8; 20]);

/// An account or contract on Ethereum and its like.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvmAddress(pub [u8; 20]);

impl EvmAddress {
    /// The last twenty bytes of the hash of the key's point.
    fn of(key: &PublicKey) -> EvmAddress {
        let [_form, point @ ..] = key.serialize_uncompressed();
        let [_, _, _, _, _, _, _, _, _, _, _, _, address @ ..] = <[u8; 32]>::from(Keccak256::digest(point));
        EvmAddress(address)
    }

    /// The address in a 32-byte word, as event topics carry it; `None` when the word is no address.
    pub fn in_word(word: [u8; 32]) -> Option<EvmAddress> {
        let (padding, address) = word.split_first_chunk::<12>()?;
        let address = <[u8; 20]>::try_from(address).ok()?;
        (*padding == [0; 12]).then_some(EvmAddress(address))
    }

    /// `0x` and lower-case digits: the form for keys and comparisons.
    pub fn to_lower_hex(&self) -> String {
        format!("{:#x}", self.0.as_hex())
    }

    /// The digits in the case that carries the checksum (EIP-55).
    fn checksummed(&self) -> String {
        let lower = self.0.to_lower_hex_string();
        let digest = Keccak256::digest(&lower);
        let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
        let cased = |(digit, nibble): (char, u8)| if nibble < 8 { digit } else { digit.to_ascii_uppercase() };
        lower.chars().zip(nibbles).map(cased).collect()
    }
}

/// With its checksum, for people and links.
impl fmt::Display for EvmAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", self.checksummed())
    }
}

impl fmt::Debug for EvmAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Any case; mixed case must be the checksum's.
impl FromStr for EvmAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<EvmAddress, AddressError> {
        let digits = text.strip_prefix("0x").ok_or(AddressError::NoAddress)?;
        let address = <[u8; 20]>::from_hex(digits).map(EvmAddress).map_err(|_| AddressError::NoAddress)?;
        let has = |case: fn(&u8) -> bool| digits.as_bytes().iter().any(case);
        let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
        if mixed && digits != address.checksummed() {
            return Err(AddressError::WrongChecksum);
        }
        Ok(address)
    }
}
