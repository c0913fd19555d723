//! What was written of each payment, and what no writing may ever do.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::moment::Timestamp;
use shared::money::Cents;
use shared::payment::Status;

use crate::chain::SimChain;

/// A payment as its item says.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u64,
    /// What must never change: owner, amount, time.
    terms: String,
    /// Where it stands.
    pub status: Option<Status>,
    /// Every transfer, with whether it counts.
    pub transfers: BTreeMap<String, bool>,
    /// Every address given out.
    pub addresses: Vec<String>,
    /// When late money was accepted.
    pub accepted_at: Option<u64>,
    /// When it was withdrawn.
    pub cancelled_at: Option<u64>,
    /// When its time is over.
    pub expires_at: Timestamp,
    /// When the sweep has to look at it.
    pub next_check: Option<Timestamp>,
}

/// Everything that was written.
#[derive(Debug, Default)]
pub struct Record {
    payments: BTreeMap<String, Written>,
    owners: BTreeMap<String, String>,
}

fn number(item: &Value, name: &str) -> Option<u64> {
    item[name]["N"].as_str()?.parse().ok()
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name]["S"].as_str().unwrap_or_default()
}

impl Written {
    fn read(item: &Value) -> Written {
        let status = text(item, "owner_status").rsplit('#').next().unwrap_or_default();
        let terms = ["owner", "title", "amount", "created_at", "fee", "key_hash", "request_hash"];
        let transfers = item["transfers"]["M"].as_object();
        let addresses = item["addresses"]["L"].as_array();
        Written {
            id: text(item, "id").to_owned(),
            version: number(item, "version").unwrap_or(0),
            terms: terms.map(|name| item[name].to_string()).concat(),
            status: Status::from_name(status),
            transfers: transfers
                .into_iter()
                .flatten()
                .map(|(id, transfer)| (id.clone(), counts(&transfer["M"])))
                .collect(),
            addresses: addresses
                .into_iter()
                .flatten()
                .map(|given| text(&given["M"], "address").to_owned())
                .collect(),
            accepted_at: number(item, "late_accepted_at"),
            cancelled_at: number(item, "cancelled_at"),
            expires_at: Timestamp(
                number(item, "created_at").unwrap_or(0) + shared::payment::LIFETIME_SECONDS,
            ),
            next_check: number(item, "next_check").map(Timestamp),
        }
    }
}

/// Whether a transfer is deep enough to count, rate or not.
fn counts(transfer: &Value) -> bool {
    let standing = &transfer["standing"]["M"]["in_block"]["M"];
    let required = number(transfer, "required").unwrap_or(u64::MAX);
    number(standing, "confirmations").is_some_and(|confirmations| confirmations >= required)
}

impl Record {
    /// Every payment that was written, by code.
    pub fn payments(&self) -> &BTreeMap<String, Written> {
        &self.payments
    }

    /// Takes note of a write; gives what is wrong with it.
    pub fn write(&mut self, item: &Value, chain: &SimChain, now: Timestamp) -> Vec<String> {
        let code = text(item, "code").to_owned();
        if code.contains('#') {
            return Vec::new();
        }
        let new = Written::read(item);
        let mut wrong = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("payment {code}, version {}: {what}", new.version));
            }
        };
        let blank = Written { id: new.id.clone(), terms: new.terms.clone(), ..Written::default() };
        let old = self.payments.get(&code).unwrap_or(&blank);
        must(new.version == old.version + 1, "another write came in between");
        must(new.id == old.id && new.terms == old.terms, "what was agreed changed");
        must(r16_allows(old, &new), &format!("moved from {:?} to {:?} (R16)", old.status, new.status));
        must(old.transfers.keys().all(|id| new.transfers.contains_key(id)), "a transfer was forgotten");
        must(new.addresses.starts_with(&old.addresses), "an address was taken back (R24)");
        must(
            new.accepted_at >= old.accepted_at && new.cancelled_at >= old.cancelled_at,
            "a decision was forgotten",
        );
        must(
            new.status != Some(Status::Expired) || now.plus(MARGIN) >= new.expires_at,
            "expired too early (R15)",
        );
        let needed = crate::desk::depth(Cents(number(item, "amount").unwrap_or(0)));
        for (id, _) in new.transfers.iter().filter(|(_, counts)| **counts) {
            let deepest = chain.deepest(id);
            must(deepest >= needed, &format!("{id} counts and was never deeper than {deepest} (R22)"));
        }
        for address in &new.addresses {
            let owner = self.owners.entry(address.clone()).or_insert_with(|| code.clone());
            must(*owner == code, &format!("address {address} was given to {owner} too (R24)"));
        }
        self.payments.insert(code, new);
        wrong
    }

    /// When the next open payment is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.payments.values().filter_map(|payment| payment.next_check).min()
    }
}

/// Clocks may be ahead by so much.
const MARGIN: u64 = crate::desk::MOST_SKEW_SECONDS;

/// The moves of R16, and nothing else.
fn r16_allows(old: &Written, new: &Written) -> bool {
    use Status::{Cancelled, Expired, KycRequired, Overpaid, Paid, PartiallyPaid, Pending, Refunded};
    let (Some(from), Some(to)) = (old.status, new.status) else {
        return old.status.is_none() && new.status == Some(KycRequired);
    };
    let by_money = [Pending, PartiallyPaid, Paid, Overpaid];
    let loses = || old.transfers.iter().any(|(id, counts)| *counts && new.transfers.get(id) == Some(&false));
    match (from, to) {
        (from, to) if from == to => true,
        (KycRequired, Pending | Cancelled | Expired) | (Pending | PartiallyPaid, Cancelled | Expired) => true,
        (from, to) if by_money.contains(&from) && by_money.contains(&to) => from < to || loses(),
        (Expired | Cancelled, Paid | Overpaid) => old.accepted_at.is_none() && new.accepted_at.is_some(),
        (Expired | Cancelled, Refunded) => true,
        _ => false,
    }
}
