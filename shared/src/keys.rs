//! API keys: their form, checksum, hash and scopes (R25).

use std::fmt;

use sha2::{Digest, Sha256};

use crate::moment::Timestamp;
use crate::payment::{MerchantId, Mode};

/// Base62 digits that hold 256 random bits.
const SECRET_LENGTH: usize = 43;

/// Base62 digits that hold a CRC-32.
const CHECKSUM_LENGTH: usize = 6;

/// Characters of the secret shown later, to tell keys apart.
const SHOWN_LENGTH: usize = 6;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A well-formed API key. Never printed but where it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// SHA-256 of a key in hex: what is stored of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(String);

/// A text that cannot be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct NotAKey;

impl ApiKey {
    /// A key from 256 random bits.
    pub fn new(mode: Mode, random: [u8; 32]) -> ApiKey {
        let (prefix, secret) = (prefix(mode), base62(&random, SECRET_LENGTH));
        let checksum = checksum(prefix, &secret);
        ApiKey(format!("{prefix}{secret}{checksum}"))
    }

    /// Junk is refused here, before anything is read from a table.
    pub fn parse(text: &str) -> Result<ApiKey, NotAKey> {
        let mode = if text.starts_with(prefix(Mode::Test)) { Mode::Test } else { Mode::Live };
        let body = text.strip_prefix(prefix(mode)).ok_or(NotAKey)?;
        let digits = body.bytes().all(|byte| BASE62.contains(&byte));
        let (secret, sum) = body.split_at_checked(SECRET_LENGTH).ok_or(NotAKey)?;
        let well_formed = digits && sum == checksum(prefix(mode), secret);
        well_formed.then(|| ApiKey(text.to_owned())).ok_or(NotAKey)
    }

    /// What is stored of it.
    pub fn hash(&self) -> KeyHash {
        let halves = |byte: u8| [byte >> 4, byte & 15];
        let digit = |half: u8| char::from_digit(u32::from(half), 16);
        KeyHash(Sha256::digest(&self.0).into_iter().flat_map(halves).filter_map(digit).collect())
    }

    /// Its first characters, which tell keys apart and open nothing.
    pub fn shown(&self) -> String {
        let prefix =
            if self.0.starts_with(prefix(Mode::Test)) { prefix(Mode::Test) } else { prefix(Mode::Live) };
        self.0.chars().take(prefix.len().saturating_add(SHOWN_LENGTH)).collect()
    }

    /// The whole key: shown once, when it is made.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

impl KeyHash {
    /// `None` unless 64 lower-case hex digits.
    pub fn from_hex(hex: &str) -> Option<KeyHash> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (hex.len() == 64 && hex.bytes().all(digit)).then(|| KeyHash(hex.to_owned()))
    }

    /// In hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn prefix(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "cgk_",
        Mode::Test => "cgk_test_",
    }
}

fn checksum(prefix: &str, secret: &str) -> String {
    let crc = crc32fast::hash(format!("{prefix}{secret}").as_bytes());
    base62(&crc.to_be_bytes(), CHECKSUM_LENGTH)
}

/// The bytes as one big number in base 62, padded to `length` digits.
fn base62(bytes: &[u8], length: usize) -> String {
    let mut digits = vec![0_u32; length];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in digits.iter_mut().rev() {
            let value = digit.saturating_mul(256).saturating_add(carry);
            *digit = value.rem_euclid(62);
            carry = value.div_euclid(62);
        }
    }
    let letter =
        |digit: u32| usize::try_from(digit).ok().and_then(|digit| BASE62.get(digit)).copied().unwrap_or(b'0');
    digits.into_iter().map(|digit| char::from(letter(digit))).collect()
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// See payments and their refunds.
    PaymentsRead,
    /// Create and change payments.
    PaymentsWrite,
    /// Ask for refunds, and confirm where money goes back to. Who sees payments sees their refunds as well.
    Refunds,
    /// See the addresses with money, and have it moved.
    Wallets,
    /// Decide who is told of events.
    Webhooks,
    /// See what the gateway charges.
    FeesRead,
}

impl Scope {
    /// All scopes: what a key has unless it is made for less.
    pub const ALL: [Scope; 6] = [
        Scope::PaymentsRead,
        Scope::PaymentsWrite,
        Scope::Refunds,
        Scope::Wallets,
        Scope::Webhooks,
        Scope::FeesRead,
    ];

    /// As written in the table and by the operator.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::PaymentsRead => "payments:read",
            Scope::PaymentsWrite => "payments:write",
            Scope::Refunds => "refunds",
            Scope::Wallets => "wallets",
            Scope::Webhooks => "webhooks",
            Scope::FeesRead => "fees:read",
        }
    }

    /// The scope of that name.
    pub fn from_name(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its hash.
    pub hash: KeyHash,
    /// Whose it is.
    pub merchant: MerchantId,
    /// Which payments it makes and sees.
    pub mode: Mode,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// What its owner calls it.
    pub name: String,
    /// Its first characters.
    pub shown: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// The day of its last use, as days since the epoch.
    pub last_used_day: Option<u64>,
}

impl KeyRecord {
    /// Whether it opens anything at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

#[cfg(test)]
mod tests {
    //! R25.

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn r25_a_key_has_its_form_and_is_known_again(random: [u8; 32], test: bool) {
            let mode = if test { Mode::Test } else { Mode::Live };
            let key = ApiKey::new(mode, random);
            let expected = if test { 9 + 49 } else { 4 + 49 };
            prop_assert_eq!(key.reveal().len(), expected);
            prop_assert_eq!(ApiKey::parse(key.reveal()), Ok(key.clone()));
            let printed = format!("{key:?}");
            prop_assert!(!printed.contains(key.reveal()));
            prop_assert!(key.shown().len() < 16 && key.reveal().starts_with(&key.shown()));
        }

        #[test]
        fn r25_a_typing_error_is_noticed_without_a_read(random: [u8; 32], place in 4..53_usize, letter in 0..62_usize) {
            let key = ApiKey::new(Mode::Live, random);
            let mut bytes = key.reveal().as_bytes().to_vec();
            bytes[place] = BASE62[letter];
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(ApiKey::parse(&changed).is_ok(), changed == key.reveal());
        }
    }

    #[test]
    fn r25_the_largest_secret_fits() {
        assert_eq!(base62(&[255; 32], SECRET_LENGTH).len(), SECRET_LENGTH);
        assert_eq!(base62(&[0, 0, 0, 63], 3), "011");
        for junk in ["", "cgk_", "cgk_test_", "sk_live_x", "cgk_é", &format!("cgk_{}", "a".repeat(49))] {
            assert_eq!(ApiKey::parse(junk), Err(NotAKey), "{junk}");
        }
    }
}
