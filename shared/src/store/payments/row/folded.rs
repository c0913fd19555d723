//! The sums of transfers that lie beside their payment's item, as a part of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{chain_id, coin_id, decimals, is_default, malformed, units};
use crate::money::Credit;
use crate::payment::{Folded, Group, GroupKey, Sequence, Step, Steps, Sum, Sums};
use crate::store::StoreError;

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct FoldedRow {
    count: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    counted: Vec<StepRow>,
    #[serde(default, skip_serializing_if = "is_default")]
    coming: SumsRow,
    #[serde(default, skip_serializing_if = "is_default")]
    unpriced: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    lost: Vec<StepRow>,
    #[serde(default, skip_serializing_if = "is_default")]
    groups: Vec<GroupRow>,
    #[serde(default, skip_serializing_if = "is_default")]
    heights: BTreeMap<String, Vec<StepRow>>,
    seq: u64,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
struct StepRow {
    at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    sums: SumsRow,
}

/// A sum is its number and its exact cents.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
struct SumsRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    in_time: Option<(u64, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<(u64, String)>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
struct GroupRow {
    coin: String,
    chain: String,
    decimals: u8,
    address: String,
    required: u32,
    count: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    counted: u64,
    units: String,
    credit: String,
}

impl FoldedRow {
    /// None where all transfers are in hand.
    pub(super) fn new(folded: &Folded) -> Option<FoldedRow> {
        let heights = folded.heights.iter();
        let row = || FoldedRow {
            count: folded.count,
            counted: StepRow::all(&folded.counted),
            coming: SumsRow::new(&folded.coming),
            unpriced: folded.unpriced,
            lost: StepRow::all(&folded.lost),
            groups: folded.groups.iter().map(GroupRow::new).collect(),
            heights: heights.map(|(chain, steps)| (chain.to_string(), StepRow::all(steps))).collect(),
            seq: folded.sequence.0,
        };
        (*folded != Folded::default()).then(row)
    }

    pub(super) fn folded(self) -> Result<Folded, StoreError> {
        let steps = |rows: Vec<StepRow>| {
            rows.into_iter().map(StepRow::step).collect::<Result<Vec<_>, _>>().map(Steps)
        };
        let heights = self.heights.into_iter().map(|(chain, rows)| Ok((chain_id(&chain)?, steps(rows)?)));
        Ok(Folded {
            count: self.count,
            counted: steps(self.counted)?,
            coming: self.coming.sums()?,
            unpriced: self.unpriced,
            lost: steps(self.lost)?,
            groups: self.groups.into_iter().map(GroupRow::group).collect::<Result<_, _>>()?,
            heights: heights.collect::<Result<_, StoreError>>()?,
            sequence: Sequence(self.seq),
        })
    }
}

impl StepRow {
    fn all(steps: &Steps) -> Vec<StepRow> {
        steps.0.iter().map(StepRow::new).collect()
    }

    fn new(step: &Step) -> StepRow {
        let from = (step.from != step.to).then_some(step.from);
        StepRow { at: step.to, from, sums: SumsRow::new(&step.sums) }
    }

    fn step(self) -> Result<Step, StoreError> {
        let from = self.from.unwrap_or(self.at);
        Ok(Step { from, to: self.at, sums: self.sums.sums()? })
    }
}

impl SumsRow {
    fn new(sums: &Sums) -> SumsRow {
        let row = |sum: &Sum| (*sum != Sum::default()).then(|| (sum.count, sum.credit.to_text()));
        SumsRow { in_time: row(&sums.in_time), late: row(&sums.late) }
    }

    fn sums(self) -> Result<Sums, StoreError> {
        let sum = |row: Option<(u64, String)>| {
            let Some((count, text)) = row else { return Ok(Sum::default()) };
            Ok(Sum { count, credit: credit(&text)? })
        };
        Ok(Sums { in_time: sum(self.in_time)?, late: sum(self.late)? })
    }
}

impl GroupRow {
    fn new((key, group): (&GroupKey, &Group)) -> GroupRow {
        GroupRow {
            coin: key.coin.to_string(),
            chain: key.chain.to_string(),
            decimals: key.decimals.get(),
            address: key.address.clone(),
            required: key.required,
            count: group.count,
            counted: group.counted,
            units: group.units.0.to_string(),
            credit: group.credit.to_text(),
        }
    }

    fn group(self) -> Result<(GroupKey, Group), StoreError> {
        let key = GroupKey {
            coin: coin_id(&self.coin)?,
            chain: chain_id(&self.chain)?,
            decimals: decimals(self.decimals)?,
            address: self.address,
            required: self.required,
        };
        let (units, credit) = (units(&self.units)?, credit(&self.credit)?);
        Ok((key, Group { count: self.count, counted: self.counted, units, credit }))
    }
}

fn credit(text: &str) -> Result<Credit, StoreError> {
    Credit::from_text(text).ok_or_else(|| malformed("folded"))
}
