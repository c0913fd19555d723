//! A payment as an item. Attribute names are for ever; reading checks what writing guaranteed.

mod folded;
mod refund;
mod top_up;
mod transfer;
mod words;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use self::folded::FoldedRow;
use self::refund::RefundRow;
use self::top_up::TopUpRow;
pub(super) use self::transfer::TransferRow;
use super::DUE_SHARDS;
use crate::chain::{ChainId, CoinId};
use crate::moment::Timestamp;
use crate::money::{BasisPoints, Cents, Decimals, Rate, Units};
use crate::payment::{
    Code, Deferral, Ending, Fee, FeePaidBy, GivenAddress, Idempotency, Identity, KycMethod, KycStatus,
    MerchantId, Metadata, Mode, Payment, PaymentId, Progress, Quote, Quotes, Request, Selection, Status,
    Terms,
};
use crate::store::StoreError;
use crate::store::attribute::{Item, text};
use crate::store::unknown::keep;

/// Absent and null are the same: null is not stored.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Row {
    code: String,
    id: String,
    version: u64,
    owner: String,
    owner_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_hour: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_check: Option<u64>,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    amount: u64,
    kyc_method: String,
    #[serde(default, skip_serializing_if = "is_default")]
    allow_bankid: bool,
    fee_paid_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    fee: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    fee_free: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    tolerance: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    spread: u64,
    created_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_hash: Option<String>,
    kyc_status: String,
    #[serde(default, skip_serializing_if = "is_default")]
    kyc_attempts: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    coin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    addresses: Vec<AddressRow>,
    #[serde(default, skip_serializing_if = "is_default")]
    quotes: Vec<QuoteRow>,
    /// How many quotes there were, if some are forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    quotes_issued: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    transfers: BTreeMap<String, TransferRow>,
    /// How many transfers there are, wherever they lie; for the stream's readers.
    #[serde(default, skip_serializing_if = "is_default")]
    transfer_count: u64,
    /// Further items, which hold the transfers that this one does not.
    #[serde(default, skip_serializing_if = "is_default")]
    pages: u32,
    /// What those transfers come to.
    #[serde(skip_serializing_if = "Option::is_none")]
    folded: Option<FoldedRow>,
    #[serde(default, skip_serializing_if = "is_default")]
    windows: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late_accepted_at: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    waits: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    deferred_until: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    advanced: u64,
    updated_at: u64,
    /// For the stream's readers; the payment works it out itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<u64>,
    /// For the stream's readers; the payment works it out itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded_at: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    refunds: BTreeMap<String, RefundRow>,
    #[serde(default, skip_serializing_if = "is_default")]
    top_ups: Vec<TopUpRow>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
struct AddressRow {
    family: String,
    address: String,
    xpub: String,
    index: u32,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct QuoteRow {
    coin: String,
    usd: u64,
    decimals: u8,
    units: String,
    rate: u64,
    at: u64,
    until: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The partition in which a payment waits for its check.
pub(super) fn due_hour(at: Timestamp, shard: u64) -> String {
    let (year, month, day, hour) = at.utc();
    format!("{year:04}{month:02}{day:02}{hour:02}#{shard:02}")
}

/// The partition of everything that an account owns in one mode.
pub(super) fn owner(merchant: &MerchantId, mode: Mode) -> String {
    format!("{}#{}", merchant.as_str(), mode.as_str())
}

/// The partition of what it owns in one status.
pub(super) fn owner_status(merchant: &MerchantId, mode: Mode, status: Status) -> String {
    format!("{}#{}", owner(merchant, mode), status.as_str())
}

/// The key of an item of an index.
pub(super) fn code(item: &Item) -> Result<Code, StoreError> {
    text(item, "code")?.parse().map_err(|_| malformed("code"))
}

fn malformed(attribute: &str) -> StoreError {
    StoreError::Malformed(format!("`{attribute}` of a payment"))
}

impl Row {
    pub(super) fn new(payment: &Payment, version: u64, pages: u32) -> Row {
        let (terms, progress) = (payment.terms(), payment.progress());
        let request = &terms.request;
        let (merchant, mode) = (payment.merchant(), payment.mode());
        let code = payment.id().code();
        let next_check = payment.next_check().map(|at| {
            // Not into an hour that the sweep has left: a re-organisation may open a payment again after its end.
            at.max(payment.updated_at()).minus(progress.advanced_seconds)
        });
        let encode = |hash: [u8; 32]| URL_SAFE_NO_PAD.encode(hash);
        Row {
            code: code.to_string(),
            id: payment.id().to_string(),
            version,
            owner: owner(merchant, mode),
            owner_status: owner_status(merchant, mode, payment.recorded_status()),
            due_hour: next_check.map(|at| due_hour(at, code.shard(DUE_SHARDS))),
            next_check: next_check.map(|at| at.0),
            title: request.title.clone(),
            description: request.description.clone(),
            amount: request.amount.0,
            kyc_method: request.kyc_method.as_str().into(),
            allow_bankid: request.allow_bankid,
            fee_paid_by: request.fee_paid_by.as_str().into(),
            metadata: request.metadata.as_ref().map(|metadata| metadata.as_json().to_owned()),
            fee: terms.fee.usd.0,
            fee_free: terms.fee.free_tier,
            tolerance: terms.tolerance.get(),
            spread: terms.spread.get(),
            created_at: terms.created_at.0,
            key_hash: terms.idempotency.map(|kept| encode(kept.key_hash)),
            request_hash: terms.idempotency.map(|kept| encode(kept.request_hash)),
            kyc_status: progress.identity.status.as_str().into(),
            kyc_attempts: progress.identity.attempts,
            coin: progress.selection.as_ref().map(|selected| selected.coin.to_string()),
            address: progress.selection.as_ref().map(|selected| selected.address.clone()),
            addresses: progress.addresses.iter().map(AddressRow::new).collect(),
            quotes: progress.quotes.iter().map(QuoteRow::new).collect(),
            quotes_issued: forgotten(&progress.quotes),
            transfers: progress
                .transfers
                .iter()
                .map(|(id, transfer)| (id.to_string(), TransferRow::new(transfer)))
                .collect(),
            transfer_count: payment.transfers_total(),
            pages,
            folded: FoldedRow::new(&progress.folded),
            windows: progress.windows.iter().map(|(chain, height)| (chain.to_string(), *height)).collect(),
            ending: progress.ending.map(|ending| ending.as_str().into()),
            late_accepted_at: progress.late_accepted_at.map(|at| at.0),
            waits: progress.deferral.map_or(0, |deferral| deferral.waits),
            deferred_until: progress.deferral.map(|deferral| deferral.until.0),
            advanced: progress.advanced_seconds,
            updated_at: progress.updated_at.0,
            paid_at: payment.paid_at().map(|at| at.0),
            cancelled_at: progress.cancelled_at.map(|at| at.0),
            refunded_at: payment.refunded_at().map(|at| at.0),
            refunds: payment.refunds().map(RefundRow::named).collect(),
            top_ups: progress.top_ups.iter().map(TopUpRow::new).collect(),
        }
    }

    pub(super) fn into_item(self) -> Result<Item, StoreError> {
        serde_dynamo::to_item(self).map_err(|error| StoreError::Malformed(error.to_string()))
    }

    fn from_item(mut item: Item) -> Result<Row, StoreError> {
        words::understand(&mut item);
        serde_dynamo::from_item(item).map_err(|error| StoreError::Malformed(error.to_string()))
    }

    /// Carries over what this version does not know of an item into the one that is written over it (R45).
    pub(super) fn keep_unknown(old: &Item, new: &mut Item) -> Result<(), StoreError> {
        keep(old, &Row::from_item(old.clone())?.into_item()?, new);
        Ok(())
    }

    /// The payment of an item, and the number of its last write.
    pub(super) fn read(item: Item) -> Result<(Payment, u64), StoreError> {
        let row = Row::from_item(item)?;
        let version = row.version;
        Ok((row.payment()?, version))
    }

    fn payment(self) -> Result<Payment, StoreError> {
        let id: PaymentId = self.id.parse().map_err(|_| malformed("id"))?;
        let (merchant, mode) = self.owner.rsplit_once('#').ok_or_else(|| malformed("owner"))?;
        let merchant = MerchantId::new(merchant);
        let mode = Mode::from_name(mode).ok_or_else(|| malformed("owner"))?;
        if id.code().to_string() != self.code {
            return Err(malformed("code"));
        }
        let terms = self.terms()?;
        Ok(Payment::restore(id, merchant, mode, terms, self.progress()?))
    }

    fn terms(&self) -> Result<Terms, StoreError> {
        let metadata = self.metadata.as_deref().map(Metadata::parse).transpose();
        let request = Request {
            title: self.title.clone(),
            description: self.description.clone(),
            amount: Cents(self.amount),
            kyc_method: KycMethod::from_name(&self.kyc_method).ok_or_else(|| malformed("kyc_method"))?,
            allow_bankid: self.allow_bankid,
            fee_paid_by: FeePaidBy::from_name(&self.fee_paid_by).ok_or_else(|| malformed("fee_paid_by"))?,
            metadata: metadata.map_err(|_| malformed("metadata"))?,
        };
        let idempotency = match (&self.key_hash, &self.request_hash) {
            (Some(key), Some(request)) => Some(Idempotency {
                key_hash: hash(key, "key_hash")?,
                request_hash: hash(request, "request_hash")?,
            }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(malformed("key_hash")),
        };
        Ok(Terms {
            request,
            fee: Fee { usd: Cents(self.fee), free_tier: self.fee_free },
            tolerance: BasisPoints::new(self.tolerance).ok_or_else(|| malformed("tolerance"))?,
            spread: BasisPoints::new(self.spread).ok_or_else(|| malformed("spread"))?,
            created_at: Timestamp(self.created_at),
            idempotency,
        })
    }

    fn progress(self) -> Result<Progress, StoreError> {
        let status = KycStatus::from_name(&self.kyc_status).ok_or_else(|| malformed("kyc_status"))?;
        let selection = match (self.coin, self.address) {
            (Some(coin), Some(address)) => Some(Selection { coin: coin_id(&coin)?, address }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(malformed("coin")),
        };
        let quotes = self.quotes.into_iter().map(QuoteRow::quote).collect::<Result<Vec<_>, _>>()?;
        let kept = u64::try_from(quotes.len()).unwrap_or(u64::MAX);
        let issued = self.quotes_issued.unwrap_or(kept);
        let transfers = self.transfers.into_iter().map(|(id, row)| row.transfer(id));
        let windows = self.windows.into_iter().map(|(chain, height)| Ok((chain_id(&chain)?, height)));
        let refunds = self.refunds.into_iter().map(|(coin, row)| row.refund(&coin));
        let ending =
            self.ending.as_deref().map(|name| Ending::from_name(name).ok_or_else(|| malformed("ending")));
        let waits = self.waits;
        Ok(Progress {
            identity: Identity { status, attempts: self.kyc_attempts },
            selection,
            quotes: Quotes::restore(quotes, issued),
            addresses: self.addresses.into_iter().map(AddressRow::address).collect(),
            transfers: transfers.collect::<Result<_, StoreError>>()?,
            folded: self.folded.map(FoldedRow::folded).transpose()?.unwrap_or_default(),
            windows: windows.collect::<Result<_, StoreError>>()?,
            ending: ending.transpose()?,
            late_accepted_at: self.late_accepted_at.map(Timestamp),
            deferral: self.deferred_until.map(|until| Deferral { until: Timestamp(until), waits }),
            advanced_seconds: self.advanced,
            updated_at: Timestamp(self.updated_at),
            cancelled_at: self.cancelled_at.map(Timestamp),
            refunds: refunds.collect::<Result<_, StoreError>>()?,
            top_ups: self.top_ups.into_iter().map(TopUpRow::top_up).collect::<Result<_, _>>()?,
        })
    }
}

/// How many quotes there were, if not all are kept.
fn forgotten(quotes: &Quotes) -> Option<u64> {
    let kept = u64::try_from(quotes.iter().count()).unwrap_or(u64::MAX);
    (quotes.issued() > kept).then_some(quotes.issued())
}

fn hash(text: &str, attribute: &str) -> Result<[u8; 32], StoreError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed(attribute))?;
    bytes.try_into().map_err(|_| malformed(attribute))
}

fn coin_id(name: &str) -> Result<CoinId, StoreError> {
    CoinId::new(name).ok_or_else(|| malformed("coin"))
}

fn chain_id(name: &str) -> Result<ChainId, StoreError> {
    ChainId::new(name).ok_or_else(|| malformed("chain"))
}

fn units(text: &str) -> Result<Units, StoreError> {
    text.parse().map(Units).map_err(|_| malformed("units"))
}

fn decimals(number: u8) -> Result<Decimals, StoreError> {
    Decimals::new(number).ok_or_else(|| malformed("decimals"))
}

fn rate(hundred_millionths: u64) -> Result<Rate, StoreError> {
    Rate::new(hundred_millionths).ok_or_else(|| malformed("rate"))
}

impl AddressRow {
    fn new(given: &GivenAddress) -> AddressRow {
        let GivenAddress { family, address, xpub, index } = given.clone();
        AddressRow { family, address, xpub, index }
    }

    fn address(self) -> GivenAddress {
        GivenAddress { family: self.family, address: self.address, xpub: self.xpub, index: self.index }
    }
}

impl QuoteRow {
    pub(super) fn new(quote: &Quote) -> QuoteRow {
        QuoteRow {
            coin: quote.coin.to_string(),
            usd: quote.usd.0,
            decimals: quote.decimals.get(),
            units: quote.units.0.to_string(),
            rate: quote.rate.get(),
            at: quote.issued_at.0,
            until: quote.until.0,
        }
    }

    pub(super) fn quote(self) -> Result<Quote, StoreError> {
        Ok(Quote {
            coin: coin_id(&self.coin)?,
            usd: Cents(self.usd),
            decimals: decimals(self.decimals)?,
            units: units(&self.units)?,
            rate: rate(self.rate)?,
            issued_at: Timestamp(self.at),
            until: Timestamp(self.until),
        })
    }
}

#[cfg(test)]
mod tests {
    //! What is written is what is read.

    use proptest::prelude::*;

    use super::*;
    use crate::payment::tests::arb_payment;

    proptest! {
        #[test]
        fn a_payment_read_back_is_the_payment_written(payment in arb_payment(), version in 1..u64::MAX) {
            let item = Row::new(&payment, version, 0).into_item().unwrap();
            prop_assert_eq!(Row::read(item).unwrap(), (payment, version));
        }
    }
}
