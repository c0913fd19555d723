//! Addresses from extended public keys (BIP32, BIP44), and Ethereum's form of them; no private key is ever accepted (R24).

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use bitcoin::base58;
use bitcoin::bip32::{ChildNumber, DerivationPath, Fingerprint, Xpub};
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

/// The first four bytes of an xpub, the form to which the others are brought.
const XPUB: [u8; 4] = [0x04, 0x88, 0xb2, 0x1e];

/// Other forms of the same key (SLIP-132 and Litecoin's own): tpub, zpub, vpub, Ltub, ttub.
const SAME_KEY: [[u8; 4]; 5] = [
    [0x04, 0x35, 0x87, 0xcf],
    [0x04, 0xb2, 0x47, 0x46],
    [0x04, 0x5f, 0x1c, 0xf6],
    [0x01, 0x9d, 0xa4, 0x62],
    [0x04, 0x36, 0xf6, 0xe1],
];

/// Keys whose wallets look for other addresses than ours, and would not find the money: ypub, upub and Mtub (nested
/// segregated witness), Ypub, Zpub, Upub and Vpub (several signers).
const OTHER_WALLETS: [[u8; 4]; 7] = [
    [0x04, 0x9d, 0x7c, 0xb2],
    [0x04, 0x4a, 0x52, 0x62],
    [0x01, 0xb2, 0x6e, 0xf6],
    [0x02, 0x95, 0xb4, 0x3f],
    [0x02, 0xaa, 0x7e, 0xd3],
    [0x02, 0x42, 0x89, 0xef],
    [0x02, 0x57, 0x54, 0x83],
];

/// Why a text is no extended public key or no address, or why a key has no address; the text itself is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Somebody is about to give a secret away.
    #[error("this is a private key, which must stay in its wallet: give the extended public key (xpub)")]
    PrivateKey,
    /// None of the forms in which wallets export a public key.
    #[error("not an extended public key (xpub, zpub)")]
    NoExtendedKey,
    /// A key of a wallet that looks for addresses of another form.
    #[error(
        "this key's wallet would not find the money: give the key of an account with native segwit addresses (zpub)"
    )]
    OtherWallet,
    /// Above 2^31 - 1, or the one index in 2^127 that has no key.
    #[error("the extended key has no address of this index")]
    NoSuchIndex,
    /// Not `0x` and forty hex digits.
    #[error("not an Ethereum address")]
    NoAddress,
    /// Mixed case that is not the checksum's (EIP-55): a digit is wrong.
    #[error("the address has a wrong checksum")]
    WrongChecksum,
    /// A misspelt one, or something else.
    #[error("not an address of {0}")]
    NotAnAddressOf(&'static str),
    /// Somebody is about to send one currency to the other's address.
    #[error("an address of {found}, not of {expected}")]
    OtherNetwork {
        /// The network that the address is of.
        found: &'static str,
        /// The network that was asked for.
        expected: &'static str,
    },
    /// An address within Litecoin's extension blocks.
    #[error(
        "an address of Litecoin's extension blocks (MWEB), which cannot be paid from here: give one that begins with ltc1"
    )]
    ExtensionBlock,
    /// A witness version or length without rules of its own.
    #[error("money sent to an address of this form could be taken by anyone")]
    AnyoneCanSpend,
}

/// The extended public key from which test payments have their addresses unless a deployment names another. It is in the
/// template for everybody to read, and nobody has the private key.
pub const TEST_XPUB: &str = "xpub6BemYiVNp19a1c1vL7jZyNBSMfsPJcSRzVWy3L62d74sYA5wskyorjZxedBvh8B9cqMLSHYhQPruxmjqMwijhD9MLtc2KKJ5SLa77hxvq2b";

/// An account's extended public key (`m/44'/60'/0'` for Ethereum, `m/84'/0'/0'` for Bitcoin, `m/84'/2'/0'` for Litecoin):
/// its addresses are the children `0/i`.
///
/// The depth is not held against a key, because wallets export accounts at different ones; nor is the network
/// (xpub or tpub), which Ethereum does not have, nor the purpose (zpub), which not every wallet tells.
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
        self.receiving_key(index).map(|key| EvmAddress::of(&key.public_key))
    }

    /// Child `0/index`.
    fn receiving_key(&self, index: u32) -> Result<Xpub, AddressError> {
        let child = ChildNumber::from_normal_idx(index).map_err(|_| AddressError::NoSuchIndex)?;
        let key = self.receiving.ckd_pub(&Secp256k1::verification_only(), child);
        key.map_err(|_| AddressError::NoSuchIndex)
    }
}

impl ExtendedKey {
    /// The address of child `0/index` that pays to the key's hash (BIP84), on `network`.
    pub fn witness_address(&self, index: u32, network: Network) -> Result<String, AddressError> {
        let hash = self.receiving_key(index)?.to_pub().wpubkey_hash();
        network.witness_address(AddressKey(hash.to_byte_array()))
    }
}

impl FromStr for ExtendedKey {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<ExtendedKey, AddressError> {
        if matches!(text.get(1..4), Some("prv" | "tpv")) {
            return Err(AddressError::PrivateKey);
        }
        let bytes = base58::decode_check(text).map_err(|_| AddressError::NoExtendedKey)?;
        let (version, key) = bytes.split_first_chunk::<4>().ok_or(AddressError::NoExtendedKey)?;
        if OTHER_WALLETS.contains(version) {
            return Err(AddressError::OtherWallet);
        }
        if *version != XPUB && !SAME_KEY.contains(version) {
            return Err(AddressError::NoExtendedKey);
        }
        let account = Xpub::decode(&[&XPUB, key].concat()).map_err(|_| AddressError::NoExtendedKey)?;
        let rootless = account.parent_fingerprint == Fingerprint::default()
            && account.child_number == ChildNumber::Normal { index: 0 };
        if account.depth > DEEPEST_ACCOUNT || (account.depth == 0 && !rootless) {
            return Err(AddressError::NoExtendedKey);
        }
        let receiving = account.ckd_pub(&Secp256k1::verification_only(), RECEIVING);
        receiving.map(|receiving| ExtendedKey { account, receiving }).map_err(|_| AddressError::NoExtendedKey)
    }
}

/// A key that signs for an address, as a wallet finds it again (BIP174): counted from the account's key, because nobody
/// told us what lies above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOrigin {
    /// The key.
    pub public_key: PublicKey,
    /// The account's key (BIP32).
    pub fingerprint: Fingerprint,
    /// The way from there.
    pub path: DerivationPath,
}

impl ExtendedKey {
    /// Which key signs for child `0/index`.
    pub fn origin(&self, index: u32) -> Result<KeyOrigin, AddressError> {
        let child = ChildNumber::from_normal_idx(index).map_err(|_| AddressError::NoSuchIndex)?;
        let public_key = self.receiving_key(index)?.public_key;
        let path = DerivationPath::from(vec![RECEIVING, child]);
        Ok(KeyOrigin { public_key, fingerprint: self.account.fingerprint(), path })
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
