//! The secret in a claim link: whoever has it may name the address, once.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::payment::id::BASE58;

/// Base58 digits that hold 128 bits.
const SECRET_LENGTH: usize = 22;

/// A claim link's secret. Shown once, to the merchant; never printed otherwise.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimSecret(String);

/// SHA-256 of a secret: what is stored of it.
#[derive(Clone, Copy, Eq)]
pub struct ClaimHash([u8; 32]);

/// A text that cannot be a claim link's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the secret of a claim link")]
pub struct NotASecret;

impl ClaimSecret {
    /// From 128 random bits.
    pub fn new(random: [u8; 16]) -> ClaimSecret {
        let mut digits = [b'1'; SECRET_LENGTH];
        let mut rest = u128::from_be_bytes(random);
        for place in digits.iter_mut().rev() {
            let digit = usize::try_from(rest.rem_euclid(58)).unwrap_or(0);
            *place = BASE58.get(digit).copied().unwrap_or(b'1');
            rest = rest.div_euclid(58);
        }
        ClaimSecret(String::from_utf8_lossy(&digits).into_owned())
    }

    /// What is stored of it.
    pub fn hash(&self) -> ClaimHash {
        ClaimHash(Sha256::digest(&self.0).into())
    }

    /// The secret itself: for the link alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClaimSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimSecret(…)")
    }
}

impl FromStr for ClaimSecret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<ClaimSecret, NotASecret> {
        let digits = text.bytes().all(|byte| BASE58.contains(&byte));
        (digits && text.len() == SECRET_LENGTH).then(|| ClaimSecret(text.to_owned())).ok_or(NotASecret)
    }
}

impl ClaimHash {
    /// From the table.
    pub fn new(bytes: [u8; 32]) -> ClaimHash {
        ClaimHash(bytes)
    }

    /// The bytes, for the table.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

/// In constant time: how long it takes tells nothing of how much was right.
impl PartialEq for ClaimHash {
    fn eq(&self, other: &ClaimHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for ClaimHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimHash(…)")
    }
}
