//! Words of another version (R45): one that is not known is read as the known one that promises least, and kept.

use aws_sdk_dynamodb::types::AttributeValue;

use super::transfer::StandingRow;
use crate::payment::{Ending, FeePaidBy, KycMethod, KycStatus, Status};
use crate::store::attribute::{Item, as_map, s};

/// Where a transfer is that is somewhere unknown: not there, and waited for by nobody.
const NOWHERE: StandingRow = StandingRow::Lost { block: None, at: 0 };

/// Puts known words in the place of others.
pub(super) fn understand(item: &mut Item) {
    let status = item.get("owner_status").and_then(|name| name.as_s().ok());
    let status = status.and_then(|name| Status::from_name(name.rsplit_once('#')?.1));
    let is_open = status.is_none_or(|status| status == Status::KycRequired);
    let identity = if is_open { KycStatus::UnderReview } else { KycStatus::Approved };
    let ended = status.map(Status::as_str).and_then(Ending::from_name).unwrap_or(Ending::Expired);
    known(item, "ending", |word| Ending::from_name(word).is_some(), ended.as_str());
    known(item, "kyc_status", |word| KycStatus::from_name(word).is_some(), identity.as_str());
    known(item, "kyc_method", |word| KycMethod::from_name(word).is_some(), KycMethod::IdUpload.as_str());
    known(item, "fee_paid_by", |word| FeePaidBy::from_name(word).is_some(), FeePaidBy::Merchant.as_str());
    for refund in entries(item, "refunds") {
        known(refund, "reason", |word| Status::from_name(word).is_some(), Status::Expired.as_str());
        entries(refund, "seen").for_each(standing);
    }
    entries(item, "transfers").for_each(standing);
}

fn known(item: &mut Item, name: &str, is_known: impl Fn(&str) -> bool, instead: &str) {
    if let Some(word) = item.get_mut(name)
        && word.as_s().is_ok_and(|word| !is_known(word))
    {
        *word = s(instead);
    }
}

/// The same for what a chain said of one transaction.
pub(super) fn standing(entry: &mut Item) {
    let Some(standing) = entry.get_mut("standing") else { return };
    let read: Result<StandingRow, _> = serde_dynamo::from_attribute_value(standing.clone());
    if read.is_err()
        && let Ok(nowhere) = serde_dynamo::to_attribute_value(NOWHERE)
    {
        *standing = nowhere;
    }
}

/// The maps in the map under a name.
fn entries<'a>(item: &'a mut Item, name: &str) -> impl Iterator<Item = &'a mut Item> {
    let all = match item.get_mut(name) {
        Some(AttributeValue::M(all)) => Some(all),
        Some(_) | None => None,
    };
    let values = all.into_iter().flat_map(|all| all.values_mut());
    values.filter_map(as_map)
}
