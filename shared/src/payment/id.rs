//! Names of a payment: the id and the short code carry the same key, so that either finds it in one read.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{MerchantId, Mode};

/// Bits that a code carries: the most that fit eight base58 characters.
const CODE_BITS: u32 = 46;

const CODE_MASK: u64 = (1 << CODE_BITS) - 1;

/// Characters in a code (R12).
const CODE_LENGTH: usize = 8;

/// Bitcoin's alphabet: no `0`, `O`, `I`, `l`.
pub(super) const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// The short code of a payment, which is also its key in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u64);

impl Code {
    /// From the low 46 of random bits.
    pub fn from_random(bits: u64) -> Code {
        Code(bits & CODE_MASK)
    }

    /// Its six bytes.
    pub fn to_bytes(self) -> [u8; 6] {
        let [_, _, code @ ..] = self.0.to_be_bytes();
        code
    }

    /// From its six bytes.
    pub fn from_bytes(bytes: [u8; 6]) -> Code {
        Code::from_random(bytes.iter().fold(0, |code, byte| code << 8 | u64::from(*byte)))
    }

    /// Which of `shards` parts it falls into.
    pub fn shard(self, shards: u64) -> u64 {
        self.0.checked_rem_euclid(shards).unwrap_or(0)
    }

    /// The code of the `attempt`th try to create the payment that `key` asks for (R9): the same question has the same code.
    pub fn idempotent(secret: &Secret, mode: Mode, key: &IdempotencyKey, attempt: u32) -> Code {
        let mac = secret.mac(&[b"code", mode.as_str().as_bytes(), key.0.as_bytes(), &attempt.to_be_bytes()]);
        let (head, _) = mac.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        Code::from_random(u64::from_be_bytes(*head))
    }
}

/// Eight base58 characters (R12).
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'1'; CODE_LENGTH];
        let mut rest = self.0;
        for place in text.iter_mut().rev() {
            let digit = usize::try_from(rest.rem_euclid(58)).unwrap_or(0);
            *place = BASE58.get(digit).copied().unwrap_or(b'1');
            rest = rest.div_euclid(58);
        }
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// A text that names no payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id or the short code of a payment")]
pub struct NotAnId;

impl FromStr for Code {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Code, NotAnId> {
        if text.len() != CODE_LENGTH {
            return Err(NotAnId);
        }
        let digit = |character: u8| BASE58.iter().position(|&known| known == character);
        let value = text.bytes().try_fold(0_u64, |value, character| {
            let digit = u64::try_from(digit(character)?).ok()?;
            value.checked_mul(58)?.checked_add(digit)
        });
        value.filter(|&value| value <= CODE_MASK).map(Code).ok_or(NotAnId)
    }
}

/// A payment's id: a UUID of version 7 whose low 46 bits are its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentId(Uuid);

impl PaymentId {
    /// The id of a payment created at `milliseconds` since the epoch; of `random` it takes what the code leaves.
    pub fn new(milliseconds: u64, random: [u8; 10], code: Code) -> PaymentId {
        let drawn = uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid().as_u128();
        let above_code = drawn & !u128::from(CODE_MASK);
        PaymentId(Uuid::from_u128(above_code | u128::from(code.0)))
    }

    /// The least id that a payment created at `milliseconds` or later can have: ids sort by time.
    pub fn earliest(milliseconds: u64) -> PaymentId {
        PaymentId::new(milliseconds, [0; 10], Code(0))
    }

    /// The short code in its low bits.
    pub fn code(self) -> Code {
        let (_, low) = self.0.as_u64_pair();
        Code::from_random(low)
    }

    /// Its sixteen bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// From its sixteen bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> PaymentId {
        PaymentId(Uuid::from_bytes(bytes))
    }
}

/// Hyphenated, in lower case.
impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.hyphenated())
    }
}

/// Only the hyphenated form, in either case (R4).
impl FromStr for PaymentId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<PaymentId, NotAnId> {
        const HYPHENATED: usize = 36;
        let parsed = (text.len() == HYPHENATED).then(|| Uuid::try_parse(text).ok()).flatten();
        parsed.map(PaymentId).ok_or(NotAnId)
    }
}

/// How a caller names a payment: by either form (R4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// By its short code.
    Code(Code),
    /// By its whole id.
    Id(PaymentId),
}

impl Name {
    /// The key to read.
    pub fn code(self) -> Code {
        match self {
            Name::Code(code) => code,
            Name::Id(id) => id.code(),
        }
    }

    /// Whether the payment found under the key is the one that was named.
    pub fn names(self, id: PaymentId) -> bool {
        match self {
            Name::Code(code) => code == id.code(),
            Name::Id(named) => named == id,
        }
    }
}

impl FromStr for Name {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Name, NotAnId> {
        text.parse().map(Name::Code).or_else(|_| text.parse().map(Name::Id))
    }
}

/// An account's secret: makes codes of idempotency keys and seals cursors. Never changed, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// From 256 random bits.
    pub fn new(bytes: [u8; 32]) -> Secret {
        Secret(bytes)
    }

    /// The bytes, for the table alone.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// HMAC-SHA256 over the parts, each with its length before it, so that no two lists of parts are alike.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a caller sends to be able to ask again (R9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    const MAX_LENGTH: usize = 255;

    /// `None` unless 1 to 255 visible ASCII characters.
    pub fn new(text: &str) -> Option<IdempotencyKey> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        let sized = !text.is_empty() && text.len() <= IdempotencyKey::MAX_LENGTH;
        (sized && visible).then(|| IdempotencyKey(text.to_owned()))
    }

    /// What the payment keeps of the key: enough to know it again.
    pub fn hash(&self, mode: Mode, merchant: &MerchantId) -> [u8; 32] {
        let owner = format!("{}\0{}\0", mode.as_str(), merchant.as_str());
        Sha256::new().chain_update(owner).chain_update(&self.0).finalize().into()
    }
}
