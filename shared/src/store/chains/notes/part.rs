//! Some hundreds of a payment's transfers in one item.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use bitcoin::hex::DisplayHex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{TouchedBlock, TouchedTransfer, to_row};
use crate::store::StoreError;
use crate::store::chains::malformed;

/// Transfers to an item, which are also told in one go.
pub(crate) const TRANSFERS: usize = 250;

/// Bytes of their texts to an item, which may hold 400,000.
const BYTES: usize = 150_000;

/// Bytes of the hash that tells an item of a payment's from others of the same place.
const DIGEST: usize = 8;

/// Transfers of one payment that are one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// What it is called beside its block. It follows from the transfers.
    pub(crate) name: String,
    /// Whose they are.
    pub(crate) code: &'a str,
    /// The largest first.
    pub(crate) transfers: Vec<&'a TouchedTransfer>,
}

/// What several transfers have in common, and what each of them has alone.
#[derive(Deserialize, Serialize)]
struct Row {
    coin: String,
    decimals: u8,
    tx: String,
    address: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    coinbase: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    replaced: bool,
    /// Key and units of each.
    each: Vec<(String, String)>,
}

/// The same for a payment.
#[derive(Deserialize, Serialize)]
struct Rows {
    code: String,
    rows: Vec<Row>,
}

impl<'a> Part<'a> {
    /// The one at this place among its payment's.
    fn new(code: &'a str, place: usize, transfers: Vec<&'a TouchedTransfer>) -> Part<'a> {
        // What is noted otherwise another time is another item, and the later one is believed.
        let digest = Sha256::digest(serde_json::to_vec(&transfers).unwrap_or_default());
        let digest = digest.first_chunk::<DIGEST>().copied().unwrap_or_default().to_lower_hex_string();
        Part { name: format!("{code}#{place:04}#{digest}"), code, transfers }
    }

    pub(super) fn to_row(&self) -> Result<AttributeValue, StoreError> {
        let mut rows: Vec<Row> = Vec::new();
        for transfer in &self.transfers {
            let each = (transfer.id.clone(), transfer.units.clone());
            match rows.last_mut().filter(|row| row.fits(transfer)) {
                Some(row) => row.each.push(each),
                None => rows.push(Row::of(transfer, each)),
            }
        }
        to_row(&Rows { code: self.code.to_owned(), rows })
    }
}

impl Row {
    fn of(transfer: &TouchedTransfer, each: (String, String)) -> Row {
        let TouchedTransfer { coin, decimals, tx, address, coinbase, inputs, replaced, .. } =
            transfer.clone();
        Row { coin, decimals, tx, address, coinbase, inputs, replaced, each: vec![each] }
    }

    fn fits(&self, transfer: &TouchedTransfer) -> bool {
        self.tx == transfer.tx
            && self.coin == transfer.coin
            && self.decimals == transfer.decimals
            && self.address == transfer.address
            && self.coinbase == transfer.coinbase
            && self.inputs == transfer.inputs
            && self.replaced == transfer.replaced
    }
}

pub(super) fn read(rows: &AttributeValue) -> Result<Vec<TouchedTransfer>, StoreError> {
    let read = serde_dynamo::from_attribute_value(rows.clone());
    let Rows { code, rows } = read.map_err(|_| malformed("transfers"))?;
    let mut transfers = Vec::new();
    for Row { coin, decimals, tx, address, coinbase, inputs, replaced, each } in rows {
        let (id, units) = (String::new(), String::new());
        let code = code.clone();
        let common =
            TouchedTransfer { code, id, coin, decimals, tx, address, units, coinbase, inputs, replaced };
        transfers.extend(each.into_iter().map(|(id, units)| TouchedTransfer { id, units, ..common.clone() }));
    }
    Ok(transfers)
}

/// The transfers that are not noted yet as they are.
pub(super) fn news(transfers: &[TouchedTransfer], known: Option<&TouchedBlock>) -> Vec<TouchedTransfer> {
    let known: HashMap<&str, &TouchedTransfer> =
        known.iter().flat_map(|known| &known.transfers).map(|known| (known.id.as_str(), known)).collect();
    let is_news = |transfer: &&TouchedTransfer| known.get(transfer.id.as_str()) != Some(transfer);
    transfers.iter().filter(is_news).cloned().collect()
}

/// The items that transfers become: each payment's by themselves, the largest of each coin first, so that dust never stands
/// before the money that a payment waits for.
pub(crate) fn parts(transfers: &[TouchedTransfer]) -> Vec<Part<'_>> {
    let mut by_payment: BTreeMap<&str, Vec<&TouchedTransfer>> = BTreeMap::new();
    for transfer in transfers {
        by_payment.entry(&transfer.code).or_default().push(transfer);
    }
    let mut parts = Vec::new();
    for (code, transfers) in by_payment {
        let (mut open, mut bytes): (Vec<&TouchedTransfer>, usize) = (Vec::new(), 0);
        let mut place = 0_usize;
        for transfer in largest_first(transfers) {
            let more = size(transfer, open.last().copied());
            if open.len() >= TRANSFERS || (!open.is_empty() && bytes.saturating_add(more) > BYTES) {
                parts.push(Part::new(code, place, std::mem::take(&mut open)));
                place = place.saturating_add(1);
                bytes = 0;
            }
            bytes = bytes.saturating_add(size(transfer, open.last().copied()));
            open.push(transfer);
        }
        parts.push(Part::new(code, place, open));
    }
    parts
}

/// The largest of each coin, then the second of each, and so on: amounts of two coins cannot be compared.
fn largest_first(transfers: Vec<&TouchedTransfer>) -> Vec<&TouchedTransfer> {
    let mut by_coin: BTreeMap<&str, Vec<&TouchedTransfer>> = BTreeMap::new();
    for transfer in transfers {
        by_coin.entry(&transfer.coin).or_default().push(transfer);
    }
    let mut ranked = Vec::new();
    for of_coin in by_coin.values_mut() {
        of_coin.sort_by_cached_key(|transfer| {
            let units: u128 = transfer.units.parse().unwrap_or(0);
            // What is taken back is told before, or together with, what takes its place.
            (!transfer.replaced, Reverse(units), transfer.tx.clone(), transfer.id.clone())
        });
        ranked.extend(of_coin.iter().copied().enumerate());
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, transfer)| transfer).collect()
}

/// About how many bytes a transfer takes behind another one of the same transaction, or alone.
fn size(transfer: &TouchedTransfer, behind: Option<&TouchedTransfer>) -> usize {
    let alone = transfer.id.len().saturating_add(transfer.units.len());
    if behind.is_some_and(|other| other.tx == transfer.tx && other.inputs == transfer.inputs) {
        return alone;
    }
    let inputs: usize = transfer.inputs.iter().map(String::len).sum();
    alone.saturating_add(transfer.tx.len()).saturating_add(transfer.address.len()).saturating_add(inputs)
}
