//! A refund as a part of its payment's item.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::transfer::StandingRow;
use super::{chain_id, coin_id, decimals, hash, is_default, malformed, units};
use crate::chain::CoinId;
use crate::moment::Timestamp;
use crate::money::Credit;
use crate::payment::{Claim, ClaimHash, Confirmation, Earlier, Refund, Sequence, Sighting, Status};
use crate::store::StoreError;

/// Of the claim link's secret only the hash is here.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct RefundRow {
    /// Absent in items of old: such a refund has the moment at which it was asked for as its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    chain: String,
    decimals: u8,
    units: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    worth: Option<String>,
    required: u32,
    reason: String,
    secret: String,
    at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scanned: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn_at: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    seen: BTreeMap<String, SightingRow>,
    /// What earlier refunds of the coin gave back.
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier: Option<EarlierRow>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
struct EarlierRow {
    units: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    worth: Option<String>,
    txs: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<u64>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
struct SightingRow {
    #[serde(default, skip_serializing_if = "is_default")]
    own: bool,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    outputs: u32,
    seq: u64,
    standing: StandingRow,
    #[serde(skip_serializing_if = "Option::is_none")]
    deep_since: Option<u64>,
}

fn credit(text: Option<&str>) -> Result<Option<Credit>, StoreError> {
    text.map(|text| text.parse().map_err(|_| malformed("worth"))).transpose()
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_one(outputs: &u32) -> bool {
    *outputs == one()
}

impl RefundRow {
    /// The row under the name of its coin.
    pub(super) fn named(refund: &Refund) -> (String, RefundRow) {
        let confirmation = refund.confirmation;
        let sightings = refund.sightings.iter();
        let row = RefundRow {
            number: Some(refund.number),
            chain: refund.chain.to_string(),
            decimals: refund.decimals.get(),
            units: refund.units.0.to_string(),
            worth: refund.worth.as_ref().map(Credit::fraction),
            required: refund.confirmations_required,
            reason: refund.reason.as_str().to_owned(),
            secret: URL_SAFE_NO_PAD.encode(refund.secret.to_bytes()),
            at: refund.requested_at.0,
            address: refund.claim.as_ref().map(|claim| claim.address.clone()),
            claimed_at: refund.claim.as_ref().map(|claim| claim.at.0),
            confirmed_at: confirmation.map(|confirmation| confirmation.at.0),
            scanned: confirmation.and_then(|confirmation| confirmation.scanned),
            tx: refund.named_tx.clone(),
            withdrawn_at: refund.withdrawn_at.map(|at| at.0),
            seen: sightings.map(|(tx, sighting)| (tx.clone(), SightingRow::new(sighting))).collect(),
            earlier: EarlierRow::new(&refund.earlier),
        };
        (refund.coin.to_string(), row)
    }

    pub(super) fn refund(self, coin: &str) -> Result<(CoinId, Refund), StoreError> {
        let claim = match (self.address, self.claimed_at) {
            (Some(address), Some(at)) => Some(Claim { address, at: Timestamp(at) }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(malformed("claimed_at")),
        };
        let confirmation = match (self.confirmed_at, self.scanned) {
            (Some(at), scanned) if claim.is_some() => Some(Confirmation { at: Timestamp(at), scanned }),
            (None, None) => None,
            (Some(_) | None, Some(_) | None) => return Err(malformed("confirmed_at")),
        };
        let sightings = self.seen.into_iter().map(|(tx, row)| (tx, row.sighting()));
        let coin = coin_id(coin)?;
        let refund = Refund {
            number: self.number.unwrap_or(self.at),
            coin: coin.clone(),
            chain: chain_id(&self.chain)?,
            decimals: decimals(self.decimals)?,
            units: units(&self.units)?,
            worth: credit(self.worth.as_deref())?,
            confirmations_required: self.required,
            reason: Status::from_name(&self.reason).ok_or_else(|| malformed("reason"))?,
            secret: ClaimHash::new(hash(&self.secret, "secret")?),
            requested_at: Timestamp(self.at),
            claim,
            confirmation,
            named_tx: self.tx,
            withdrawn_at: self.withdrawn_at.map(Timestamp),
            sightings: sightings.collect(),
            earlier: self.earlier.map(EarlierRow::earlier).transpose()?.unwrap_or_default(),
        };
        Ok((coin, refund))
    }
}

impl EarlierRow {
    /// None for the first refund of a coin.
    fn new(earlier: &Earlier) -> Option<EarlierRow> {
        let row = || EarlierRow {
            units: earlier.units.0.to_string(),
            worth: earlier.worth.as_ref().map(Credit::fraction),
            txs: earlier.tx_ids.clone(),
            ended_at: earlier.ended_at.map(|at| at.0),
        };
        (*earlier != Earlier::default()).then(row)
    }

    fn earlier(self) -> Result<Earlier, StoreError> {
        let (units, ended_at) = (units(&self.units)?, self.ended_at.map(Timestamp));
        Ok(Earlier { units, worth: credit(self.worth.as_deref())?, tx_ids: self.txs, ended_at })
    }
}

impl SightingRow {
    fn new(sighting: &Sighting) -> SightingRow {
        let (Sequence(seq), standing) = sighting.latest;
        SightingRow {
            own: sighting.from_payment,
            outputs: sighting.outputs,
            seq,
            standing: StandingRow::new(standing),
            deep_since: sighting.deep_since.map(|at| at.0),
        }
    }

    fn sighting(self) -> Sighting {
        Sighting {
            from_payment: self.own,
            outputs: self.outputs,
            latest: (Sequence(self.seq), self.standing.standing()),
            deep_since: self.deep_since.map(Timestamp),
        }
    }
}
