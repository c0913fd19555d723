//! A transfer as a part of its payment's item.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::{QuoteRow, chain_id, coin_id, decimals, is_default, rate, units, words};
use crate::moment::{Minute, Timestamp};
use crate::payment::{BlockAt, Movement, Pin, Sequence, Standing, Transfer, TransferId};
use crate::store::StoreError;
use crate::store::unknown::keep_value;

/// Units are text: a number of DynamoDB has 38 digits, a coin may need 39.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(in crate::store::payments) struct TransferRow {
    coin: String,
    decimals: u8,
    chain: String,
    tx: String,
    address: String,
    units: String,
    required: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    unconfirmed_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reported_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_block: Option<(u64, u64, u64)>,
    seq: u64,
    standing: StandingRow,
    #[serde(skip_serializing_if = "Option::is_none")]
    deep_since: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    rates: Vec<(u64, u64)>,
    #[serde(default, skip_serializing_if = "is_default")]
    after_end: bool,
    /// Which quote prices it for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<PinRow>,
}

/// Without a quote none held.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
struct PinRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<QuoteRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<u64>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StandingRow {
    Unconfirmed { at: u64 },
    InBlock { height: u64, time: u64, confirmations: u32 },
    Lost { block: Option<(u64, u64)>, at: u64 },
    Replaced,
}

impl TransferRow {
    pub(super) fn new(transfer: &Transfer) -> TransferRow {
        let movement = &transfer.movement;
        let (Sequence(seq), standing) = transfer.latest;
        TransferRow {
            coin: movement.coin.to_string(),
            decimals: movement.decimals.get(),
            chain: movement.chain.to_string(),
            tx: movement.tx_id.clone(),
            address: movement.address.clone(),
            units: movement.units.0.to_string(),
            required: movement.confirmations_required,
            unconfirmed_at: transfer.unconfirmed_at.map(|at| at.0),
            reported_at: transfer.reported_at.map(|at| at.0),
            first_block: transfer.first_block.map(|(Sequence(seq), block)| (seq, block.height, block.time.0)),
            seq,
            standing: StandingRow::new(standing),
            deep_since: transfer.deep_since.map(|at| at.0),
            rates: transfer.rates.iter().map(|(minute, rate)| (minute.0, rate.get())).collect(),
            after_end: transfer.after_end,
            pin: transfer.pin.as_ref().map(PinRow::new),
        }
    }

    /// A transfer as an attribute of an item.
    pub(in crate::store::payments) fn value(transfer: &Transfer) -> Result<AttributeValue, StoreError> {
        serde_dynamo::to_attribute_value(TransferRow::new(transfer)).map_err(|error| unreadable(&error))
    }

    /// What this version reads in such an attribute.
    pub(in crate::store::payments) fn read(mut value: AttributeValue) -> Result<TransferRow, StoreError> {
        if let AttributeValue::M(entry) = &mut value {
            words::standing(entry);
        }
        serde_dynamo::from_attribute_value(value).map_err(|error| unreadable(&error))
    }

    /// Carries over what this version does not know of a transfer into what is written over it (R45).
    pub(in crate::store::payments) fn keep_unknown(
        old: &AttributeValue,
        new: &mut AttributeValue,
    ) -> Result<(), StoreError> {
        let understood = TransferRow::read(old.clone())?;
        keep_value(
            "",
            old,
            &serde_dynamo::to_attribute_value(understood).map_err(|error| unreadable(&error))?,
            new,
        );
        Ok(())
    }

    pub(in crate::store::payments) fn transfer(
        self,
        id: String,
    ) -> Result<(TransferId, Transfer), StoreError> {
        let id = TransferId::new(id);
        let rates = self.rates.into_iter().map(|(minute, price)| Ok((Minute(minute), rate(price)?)));
        let movement = Movement {
            id: id.clone(),
            coin: coin_id(&self.coin)?,
            decimals: decimals(self.decimals)?,
            chain: chain_id(&self.chain)?,
            tx_id: self.tx,
            address: self.address,
            units: units(&self.units)?,
            confirmations_required: self.required,
        };
        let transfer = Transfer {
            movement,
            unconfirmed_at: self.unconfirmed_at.map(Timestamp),
            reported_at: self.reported_at.map(Timestamp),
            first_block: self
                .first_block
                .map(|(seq, height, time)| (Sequence(seq), block_at((height, time)))),
            latest: (Sequence(self.seq), self.standing.standing()),
            deep_since: self.deep_since.map(Timestamp),
            rates: rates.collect::<Result<_, StoreError>>()?,
            after_end: self.after_end,
            pin: self.pin.map(PinRow::pin).transpose()?,
        };
        Ok((id, transfer))
    }
}

fn unreadable(error: &serde_dynamo::Error) -> StoreError {
    StoreError::Malformed(error.to_string())
}

impl PinRow {
    fn new(pin: &Pin) -> PinRow {
        PinRow { quote: pin.quote.as_ref().map(QuoteRow::new), choices: pin.choices }
    }

    fn pin(self) -> Result<Pin, StoreError> {
        Ok(Pin { quote: self.quote.map(QuoteRow::quote).transpose()?, choices: self.choices })
    }
}

fn block_at((height, time): (u64, u64)) -> BlockAt {
    BlockAt { height, time: Timestamp(time) }
}

impl StandingRow {
    pub(super) fn new(standing: Standing) -> StandingRow {
        match standing {
            Standing::Unconfirmed { at } => StandingRow::Unconfirmed { at: at.0 },
            Standing::InBlock { block, confirmations } => {
                StandingRow::InBlock { height: block.height, time: block.time.0, confirmations }
            }
            Standing::Lost { block, at } => {
                StandingRow::Lost { block: block.map(|block| (block.height, block.time.0)), at: at.0 }
            }
            Standing::Replaced => StandingRow::Replaced,
        }
    }

    pub(super) fn standing(self) -> Standing {
        match self {
            StandingRow::Unconfirmed { at } => Standing::Unconfirmed { at: Timestamp(at) },
            StandingRow::InBlock { height, time, confirmations } => {
                Standing::InBlock { block: block_at((height, time)), confirmations }
            }
            StandingRow::Lost { block, at } => {
                Standing::Lost { block: block.map(block_at), at: Timestamp(at) }
            }
            StandingRow::Replaced => Standing::Replaced,
        }
    }
}
