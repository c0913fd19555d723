//! A transaction's own bytes, put together again from a node's JSON: its name is their hash, so that it is known whether
//! they are right, and the block's root is made of them.

#[cfg(test)]
mod tests;

use bitcoin::hex::FromHex;
use serde::Deserialize;

use super::rlp::List;
use super::trie::keccak;
use super::wire::quantity;
use crate::chain::block::Hash256;

/// What of a transaction only its bytes need.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope {
    #[serde(rename = "type")]
    kind: Option<String>,
    chain_id: Option<String>,
    nonce: Option<String>,
    gas_price: Option<String>,
    max_priority_fee_per_gas: Option<String>,
    max_fee_per_gas: Option<String>,
    max_fee_per_blob_gas: Option<String>,
    gas: Option<String>,
    input: Option<String>,
    access_list: Option<Vec<Access>>,
    blob_versioned_hashes: Option<Vec<String>>,
    authorization_list: Option<Vec<Authorization>>,
    y_parity: Option<String>,
    v: Option<String>,
    r: Option<String>,
    s: Option<String>,
    /// Of what a rollup brings from the network below it.
    source_hash: Option<String>,
    mint: Option<String>,
    is_system_tx: Option<bool>,
}

/// What a transaction says beforehand that it will read (EIP-2930).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Access {
    address: String,
    #[serde(default)]
    storage_keys: Vec<String>,
}

/// An account that lets itself be run as a contract (EIP-7702).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    chain_id: String,
    address: String,
    nonce: String,
    y_parity: Option<String>,
    v: Option<String>,
    r: String,
    s: String,
}

/// What of a transaction is read anyway.
#[derive(Clone, Copy)]
pub(super) struct Face<'a> {
    pub(super) hash: Hash256,
    pub(super) from: &'a str,
    pub(super) to: Option<&'a str>,
    pub(super) value: &'a str,
}

impl Envelope {
    /// What the transaction hands to whom it calls.
    pub(super) fn input(&self) -> Vec<u8> {
        self.input.as_deref().and_then(bytes).unwrap_or_default()
    }

    /// Whether it is of a kind that every network has.
    pub(super) fn is_common(&self) -> bool {
        self.kind.as_deref().map_or(Some(0), quantity).is_some_and(|kind| kind <= 4)
    }

    /// The transaction's bytes, if they are of a kind that is known here and their hash is its name.
    pub(super) fn bytes(&self, face: Face<'_>) -> Option<Vec<u8>> {
        let kind = self.kind.as_deref().map_or(Some(0), quantity)?;
        let encoded = match kind {
            0x00 => self.legacy(face)?.end(),
            0x01 => typed(0x01, self.access_listed(face)?),
            0x02 => typed(0x02, self.with_fees(face)?.signed(self)?),
            0x03 => {
                let blobs = self.blob_versioned_hashes.as_ref()?;
                let blobs =
                    blobs.iter().try_fold(List::default(), |list, hash| Some(list.bytes(&bytes(hash)?)))?;
                let fee = number(self.max_fee_per_blob_gas.as_ref())?;
                typed(0x03, self.with_fees(face)?.number(&fee).encoded(&blobs.end()).signed(self)?)
            }
            0x04 => {
                let all = self.authorization_list.as_ref()?;
                let all =
                    all.iter().try_fold(List::default(), |list, one| Some(list.encoded(&one.encoded()?)))?;
                typed(0x04, self.with_fees(face)?.encoded(&all.end()).signed(self)?)
            }
            0x6a => {
                typed(0x6a, List::default().number(&number(self.chain_id.as_ref())?).bytes(&self.data()?))
            }
            0x7e => typed(0x7e, self.deposited(face)?),
            _ => return None,
        };
        (keccak(&encoded) == face.hash).then_some(encoded)
    }

    fn legacy(&self, face: Face<'_>) -> Option<List> {
        let list = List::default()
            .number(&number(self.nonce.as_ref())?)
            .number(&number(self.gas_price.as_ref())?)
            .number(&number(self.gas.as_ref())?)
            .bytes(&receiver(face)?)
            .number(&digits(face.value)?)
            .bytes(&self.data()?)
            .number(&number(self.v.as_ref())?)
            .number(&number(self.r.as_ref())?)
            .number(&number(self.s.as_ref())?);
        Some(list)
    }

    fn access_listed(&self, face: Face<'_>) -> Option<List> {
        let list = List::default()
            .number(&number(self.chain_id.as_ref())?)
            .number(&number(self.nonce.as_ref())?)
            .number(&number(self.gas_price.as_ref())?)
            .number(&number(self.gas.as_ref())?);
        self.called(list, face)?.signed(self)
    }

    fn with_fees(&self, face: Face<'_>) -> Option<List> {
        let list = List::default()
            .number(&number(self.chain_id.as_ref())?)
            .number(&number(self.nonce.as_ref())?)
            .number(&number(self.max_priority_fee_per_gas.as_ref())?)
            .number(&number(self.max_fee_per_gas.as_ref())?)
            .number(&number(self.gas.as_ref())?);
        self.called(list, face)
    }

    fn called(&self, list: List, face: Face<'_>) -> Option<List> {
        let list = list.bytes(&receiver(face)?).number(&digits(face.value)?).bytes(&self.data()?);
        let accesses = self.access_list.iter().flatten();
        let accesses = accesses.map(Access::encoded);
        let accesses = accesses.collect::<Option<Vec<_>>>()?.concat();
        Some(list.encoded(&List::default().encoded(&accesses).end()))
    }

    /// What a rollup of Optimism's kind brings up from the network below it: nobody signs it.
    fn deposited(&self, face: Face<'_>) -> Option<List> {
        let mint = self.mint.as_deref().map_or(Some(Vec::new()), digits)?;
        let list = List::default()
            .bytes(&bytes(self.source_hash.as_ref()?)?)
            .bytes(&bytes(face.from)?)
            .bytes(&receiver(face)?)
            .number(&mint)
            .number(&digits(face.value)?)
            .number(&number(self.gas.as_ref())?)
            .number(&[u8::from(self.is_system_tx.unwrap_or(false))])
            .bytes(&self.data()?);
        Some(list)
    }

    fn data(&self) -> Option<Vec<u8>> {
        bytes(self.input.as_ref()?)
    }
}

impl List {
    fn signed(self, envelope: &Envelope) -> Option<List> {
        let parity = envelope.y_parity.as_ref().or(envelope.v.as_ref());
        let signed = self
            .number(&number(parity)?)
            .number(&number(envelope.r.as_ref())?)
            .number(&number(envelope.s.as_ref())?);
        Some(signed)
    }
}

impl Access {
    fn encoded(&self) -> Option<Vec<u8>> {
        let keys = self.storage_keys.iter();
        let keys = keys.clone().try_fold(List::default(), |list, key| Some(list.bytes(&bytes(key)?)))?;
        Some(List::default().bytes(&bytes(&self.address)?).encoded(&keys.end()).end())
    }
}

impl Authorization {
    fn encoded(&self) -> Option<Vec<u8>> {
        let list = List::default()
            .number(&digits(&self.chain_id)?)
            .bytes(&bytes(&self.address)?)
            .number(&digits(&self.nonce)?)
            .number(&number(self.y_parity.as_ref().or(self.v.as_ref()))?)
            .number(&digits(&self.r)?)
            .number(&digits(&self.s)?);
        Some(list.end())
    }
}

fn typed(kind: u8, list: List) -> Vec<u8> {
    let mut all = vec![kind];
    all.extend(list.end());
    all
}

/// Nobody, where a contract is made.
fn receiver(face: Face<'_>) -> Option<Vec<u8>> {
    face.to.map_or(Some(Vec::new()), bytes)
}

fn number(text: Option<&String>) -> Option<Vec<u8>> {
    digits(text?)
}

/// A number's bytes; JSON has it without the zero that makes its digits even.
fn digits(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?;
    if digits.len().is_multiple_of(2) {
        Vec::from_hex(digits).ok()
    } else {
        Vec::from_hex(&format!("0{digits}")).ok()
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    Vec::from_hex(text.strip_prefix("0x")?).ok()
}
