//! Gas that a sweep proposed, as a part of its payment's item.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{coin_id, is_default, units};
use crate::moment::Timestamp;
use crate::payment::{Answer, TopUp, TransferId};
use crate::store::StoreError;

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct TopUpRow {
    coin: String,
    address: String,
    units: String,
    at: u64,
    /// What may answer it, by transfer: when it was first seen, by when it was there, units.
    #[serde(default, skip_serializing_if = "is_default")]
    answers: BTreeMap<String, (u64, u64, String)>,
    /// Transfers that a quote asked the payer for.
    #[serde(default, skip_serializing_if = "is_default")]
    asked_for: BTreeSet<String>,
}

impl TopUpRow {
    pub(super) fn new(top_up: &TopUp) -> TopUpRow {
        let answer = |(id, answer): (&TransferId, &Answer)| {
            let Answer { first_seen, there_by, units } = answer;
            (id.to_string(), (first_seen.0, there_by.0, units.0.to_string()))
        };
        TopUpRow {
            coin: top_up.coin.to_string(),
            address: top_up.address.clone(),
            units: top_up.units.0.to_string(),
            at: top_up.at.0,
            answers: top_up.answers.iter().map(answer).collect(),
            asked_for: top_up.asked_for.iter().map(ToString::to_string).collect(),
        }
    }

    pub(super) fn top_up(self) -> Result<TopUp, StoreError> {
        let answers = self.answers.into_iter().map(|(id, (first_seen, there_by, text))| {
            let (first_seen, there_by) = (Timestamp(first_seen), Timestamp(there_by));
            Ok((TransferId::new(id), Answer { first_seen, there_by, units: units(&text)? }))
        });
        Ok(TopUp {
            coin: coin_id(&self.coin)?,
            address: self.address,
            units: units(&self.units)?,
            at: Timestamp(self.at),
            answers: answers.collect::<Result<_, StoreError>>()?,
            asked_for: self.asked_for.into_iter().map(TransferId::new).collect(),
        })
    }
}
