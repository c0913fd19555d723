//! What nodes send, as JSON, and its one way into our own types: anything unexpected is `None`.

use bitcoin::hex::FromHex;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::block::{Amount, Block, Hash256, Header, Log, Receipt, Tx};
use super::bloom::Bloom;
use super::envelope::{Envelope, Face};
use super::receipts::Told;
use super::scan::TRANSFER_EVENT;
use crate::moment::Timestamp;
use crate::money::Units;

/// Hex digits of a 256-bit number.
const WORD_DIGITS: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawHeader {
    number: String,
    hash: String,
    parent_hash: String,
    timestamp: String,
}

impl RawHeader {
    pub(super) fn check(&self) -> Option<Header> {
        Some(Header {
            number: quantity(&self.number)?,
            hash: word(&self.hash)?,
            parent_hash: word(&self.parent_hash)?,
            timestamp: Timestamp(quantity(&self.timestamp)?),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawBlock {
    #[serde(flatten)]
    header: RawHeader,
    transactions_root: Option<String>,
    logs_bloom: Option<String>,
    transactions: Vec<RawTx>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawTx {
    hash: String,
    from: String,
    to: Option<String>,
    value: String,
    block_hash: Option<String>,
    #[serde(flatten)]
    envelope: Envelope,
}

impl RawBlock {
    pub(super) fn check(&self) -> Option<Block> {
        let transactions = self.transactions.iter().map(RawTx::check).collect::<Option<_>>()?;
        let bloom = self.logs_bloom.as_deref().and_then(Bloom::parse);
        Some(Block { header: self.header.check()?, transactions, bloom })
    }

    /// What the header says that its transactions come to, if it says that.
    pub(super) fn transactions_root(&self) -> Option<Hash256> {
        self.transactions_root.as_deref().and_then(word)
    }

    /// The transactions as they stand there.
    pub(super) fn transactions(&self) -> &[RawTx] {
        &self.transactions
    }
}

impl RawTx {
    fn check(&self) -> Option<Tx> {
        let to = self.to.as_deref().map(str::parse).transpose().ok()?;
        let from = self.from.parse().ok()?;
        let hash = word(&self.hash)?;
        Some(Tx { hash, from, to, value: amount(&self.value)?, input: self.envelope.input() })
    }

    /// Whether it does not say of itself that it is of another block; some nodes leave that out.
    pub(super) fn is_of(&self, block_hash: Hash256) -> bool {
        self.block_hash.as_deref().is_none_or(|hash| word(hash) == Some(block_hash))
    }

    /// Its name, as the node writes it.
    pub(super) fn name(&self) -> &str {
        &self.hash
    }

    /// Whether its bytes are all there, of a kind that is known, and their hash is not its name.
    pub(super) fn is_altered(&self) -> bool {
        self.envelope.is_common() && self.bytes().is_none()
    }

    /// Its own bytes, where they can be put together.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        let face =
            Face { hash: word(&self.hash)?, from: &self.from, to: self.to.as_deref(), value: &self.value };
        self.envelope.bytes(face)
    }
}

/// Types of transactions whose sender need not pay for them in the chain's own money: those of zkSync's paymasters, and those
/// that Celo lets be paid in tokens (the newer and the older ones).
const PAID_OTHERWISE: [u64; 3] = [0x71, 0x7b, 0x7c];

/// Who pays for what differs between networks: blobs (EIP-4844) have a price of their own, and rollups add what the
/// network below costs them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawReceipt {
    transaction_hash: String,
    block_hash: String,
    status: String,
    gas_used: String,
    effective_gas_price: Option<String>,
    blob_gas_used: Option<String>,
    blob_gas_price: Option<String>,
    l1_fee: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    fee_currency: Option<String>,
    fee_payer: Option<String>,
    /// Read only where events are: nodes that number or shape them in their own way still tell who paid.
    logs: Option<Box<RawValue>>,
}

impl RawReceipt {
    pub(super) fn check(&self) -> Option<Receipt> {
        let succeeded = match quantity(&self.status)? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let (tx, block_hash) = (word(&self.transaction_hash)?, word(&self.block_hash)?);
        let fee = if self.is_paid_otherwise() { None } else { Some(self.fee()?) };
        Some(Receipt { tx, block_hash, succeeded, fee })
    }

    /// The same with the movements of tokens that it tells of.
    pub(super) fn told(&self) -> Option<Told> {
        let receipt = self.check()?;
        let logs: Option<Vec<RawLog>> =
            self.logs.as_deref().and_then(|logs| serde_json::from_str(logs.get()).ok());
        let logs = logs.as_deref();
        let transfers = logs.and_then(|logs| transfers(logs, receipt.tx, receipt.block_hash));
        let bloom = logs.and_then(|logs| {
            let items = logs.iter().map(RawLog::items).collect::<Option<Vec<_>>>()?;
            Some(Bloom::of_items(items.iter().flatten().map(Vec::as_slice)))
        });
        Some(Told { receipt, transfers, bloom })
    }

    fn is_paid_otherwise(&self) -> bool {
        let kind = self.kind.as_deref().and_then(quantity);
        kind.is_some_and(|kind| PAID_OTHERWISE.contains(&kind))
            || self.fee_currency.is_some()
            || self.fee_payer.is_some()
    }

    fn fee(&self) -> Option<Units> {
        let number = |text: Option<&String>| text.map_or(Some(0), |text| counted(text));
        let gas = counted(&self.gas_used)?.checked_mul(number(self.effective_gas_price.as_ref())?)?;
        let blobs =
            number(self.blob_gas_used.as_ref())?.checked_mul(number(self.blob_gas_price.as_ref())?)?;
        gas.checked_add(blobs)?.checked_add(number(self.l1_fee.as_ref())?).map(Units)
    }
}

/// The movements of tokens among a transaction's events. Each is named by its place among them, however the node numbers
/// events.
fn transfers(logs: &[RawLog], tx: Hash256, block_hash: Hash256) -> Option<Vec<Log>> {
    let event = TRANSFER_EVENT.to_string();
    let transfers = (0..).zip(logs).filter(|(_, log)| log.topics.first() == Some(&event));
    transfers.map(|(place, log)| log.check_at(block_hash, place).filter(|log| log.tx == tx)).collect()
}

/// Of a receipt, where the transaction is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPlace {
    pub(super) block_number: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawLog {
    address: String,
    topics: Vec<String>,
    data: String,
    transaction_hash: String,
    block_hash: String,
    log_index: Option<String>,
    #[serde(default)]
    removed: bool,
}

impl RawLog {
    /// `None` as well when it is a log of another block than was asked for.
    pub(super) fn check(&self, block_hash: Hash256) -> Option<Log> {
        self.check_at(block_hash, quantity(self.log_index.as_ref()?)?)
    }

    /// The contract and the topics: what a filter is made of.
    fn items(&self) -> Option<Vec<Vec<u8>>> {
        let bytes = |text: &String| Vec::from_hex(text.strip_prefix("0x")?).ok();
        std::iter::once(&self.address).chain(&self.topics).map(bytes).collect()
    }

    fn check_at(&self, block_hash: Hash256, index: u64) -> Option<Log> {
        let log = Log {
            contract: self.address.parse().ok()?,
            topics: self.topics.iter().map(|topic| word(topic)).collect::<Option<_>>()?,
            data: Vec::from_hex(self.data.strip_prefix("0x")?).ok()?,
            tx: word(&self.transaction_hash)?,
            index,
            removed: self.removed,
        };
        (word(&self.block_hash)? == block_hash).then_some(log)
    }
}

pub(super) fn word(text: &str) -> Option<Hash256> {
    <[u8; 32]>::from_hex(text.strip_prefix("0x")?).ok().map(Hash256)
}

/// A number that fits 64 bits.
pub(super) fn quantity(text: &str) -> Option<u64> {
    u64::from_str_radix(digits(text)?, 16).ok()
}

/// A number that fits 256 bits.
pub(super) fn amount(text: &str) -> Option<Amount> {
    let significant = digits(text)?.trim_start_matches('0');
    if significant.len() > WORD_DIGITS {
        return None;
    }
    let units = u128::from_str_radix(&format!("0{significant}"), 16);
    Some(units.map_or(Amount::TooLarge, |units| Amount::Exact(Units(units))))
}

/// A number that fits 128 bits.
fn counted(text: &str) -> Option<u128> {
    u128::from_str_radix(digits(text)?, 16).ok()
}

/// The digits themselves; `from_str_radix` alone would let a sign pass.
fn digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x")?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}
