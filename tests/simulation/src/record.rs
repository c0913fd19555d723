//! What was written of each payment, and what no writing may ever do.

pub mod refund;
pub mod unknown;

use std::collections::BTreeMap;

use serde_json::Value;
use shared::moment::Timestamp;
use shared::money::Cents;
use shared::payment::Status;

use self::refund::{Change, Refund};
use self::unknown::Unknown;
use crate::chain::SimChain;
use crate::kind;
use crate::net::Tally;

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
    /// What is due.
    pub due: Cents,
    /// Every transfer.
    pub transfers: BTreeMap<String, Held>,
    /// The newest refund of each coin.
    pub refunds: BTreeMap<String, Refund>,
    /// Parts of a cent that a unit is worth, by the coin's place.
    pub worth: &'static [u128],
    /// Every address given out.
    pub addresses: Vec<String>,
    /// When late money was accepted.
    pub accepted_at: Option<u64>,
    /// When it was withdrawn.
    pub cancelled_at: Option<u64>,
    /// When its time is over.
    pub expires_at: Timestamp,
    /// Since when it says so, in truth.
    pub known_since: Timestamp,
    /// When the sweep has to look at it.
    pub next_check: Option<Timestamp>,
    /// Whether it was paid once.
    pub was_paid: bool,
    /// What another version wrote.
    pub unknown: Unknown,
}

/// A transfer as its payment's item says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Whether it is deep enough to count, rate or not.
    pub counts: bool,
    /// Whether another took its place for ever.
    pub replaced: bool,
    /// The coin's place in the settings.
    pub coin: usize,
    /// How much.
    pub units: u128,
    /// When it was first seen outside of any block.
    pub unconfirmed_at: Option<u64>,
    /// The block that holds it.
    pub in_block: Option<u64>,
    /// Whether it is no longer to be found.
    pub lost: bool,
}

/// A refund, with what was known when.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// As it was written last.
    pub refund: Refund,
    /// Blocks that had been mined when it was written that it is confirmed.
    pub confirmed_by: Option<u64>,
}

/// What the world is like when a payment is written.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The chain.
    pub chain: &'a SimChain,
    /// The true time.
    pub now: Timestamp,
    /// The highest block that the cursor knows to be final.
    pub finalized: Option<u64>,
    /// Whether the writer asked a node that stands below ours, on a branch of its own.
    pub is_behind: bool,
}

/// Everything that was written.
#[derive(Debug, Default)]
pub struct Record {
    /// What a unit of each coin is worth.
    pub worth: &'static [u128],
    payments: BTreeMap<String, Written>,
    owners: BTreeMap<String, String>,
    /// Every refund, by the hash of its secret.
    stories: BTreeMap<String, Story>,
    /// Blocks that had been mined when a transfer was first written.
    first_written: BTreeMap<String, u64>,
}

/// A number of an item.
pub fn number(item: &Value, name: &str) -> Option<u64> {
    item[name]["N"].as_str()?.parse().ok()
}

/// A text of an item.
pub fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name]["S"].as_str().unwrap_or_default()
}

impl Written {
    fn read(item: &Value, worth: &'static [u128]) -> Written {
        let status = text(item, "owner_status").rsplit('#').next().unwrap_or_default();
        let terms = ["owner", "title", "amount", "created_at", "fee", "key_hash", "request_hash"];
        let transfers = item["transfers"]["M"].as_object();
        let addresses = item["addresses"]["L"].as_array();
        Written {
            id: text(item, "id").to_owned(),
            version: number(item, "version").unwrap_or(0),
            terms: terms.map(|name| item[name].to_string()).concat(),
            status: Status::from_name(status),
            due: Cents(number(item, "amount").unwrap_or(0)),
            transfers: transfers.into_iter().flatten().map(Held::of).collect(),
            refunds: refund::read(item),
            worth,
            addresses: addresses.into_iter().flatten().map(given).collect(),
            accepted_at: number(item, "late_accepted_at"),
            cancelled_at: number(item, "cancelled_at"),
            expires_at: Timestamp(
                number(item, "created_at").unwrap_or(0) + shared::payment::LIFETIME_SECONDS,
            ),
            known_since: Timestamp(0),
            next_check: number(item, "next_check").map(Timestamp),
            was_paid: number(item, "paid_at").is_some(),
            unknown: Unknown::of(item),
        }
    }
}

fn given(item: &Value) -> String {
    text(&item["M"], "address").to_owned()
}

impl Held {
    fn of((id, transfer): (&String, &Value)) -> (String, Held) {
        (id.clone(), Held::read(&transfer["M"]))
    }

    fn read(transfer: &Value) -> Held {
        let standing = &transfer["standing"];
        let required = number(transfer, "required").unwrap_or(u64::MAX);
        let confirmations = number(&standing["M"]["in_block"]["M"], "confirmations");
        Held {
            counts: confirmations.is_some_and(|confirmations| confirmations >= required),
            replaced: standing["S"] == "replaced",
            coin: kind::place(text(transfer, "coin")),
            units: text(transfer, "units").parse().unwrap_or(0),
            unconfirmed_at: number(transfer, "unconfirmed_at"),
            in_block: number(&standing["M"]["in_block"]["M"], "height"),
            lost: !standing["M"]["lost"].is_null(),
        }
    }
}

impl Record {
    /// Every payment that was written, by code.
    pub fn payments(&self) -> &BTreeMap<String, Written> {
        &self.payments
    }

    /// Takes note of a write; gives what is wrong with it.
    pub fn write(&mut self, item: &Value, around: &Surroundings<'_>) -> Vec<String> {
        let Surroundings { chain, now, .. } = *around;
        let code = text(item, "code").to_owned();
        if code.contains('#') {
            return Vec::new();
        }
        let new = Written { known_since: now, ..Written::read(item, self.worth) };
        let blank = Written { id: new.id.clone(), terms: new.terms.clone(), ..Written::default() };
        let old = self.payments.remove(&code).unwrap_or(blank);
        let depth = crate::desk::depth(new.due);
        let mut wrong = itself(&old, &new, now);
        wrong.extend(transfers(&old, &new, chain, depth));
        wrong.extend(taken_back(&old, &new, around));
        let lost = new.unknown.known_of(&old.unknown);
        wrong.extend(lost.map(|place| format!("what another version wrote into {place} is gone (R45)")));
        wrong.extend(Change { old: &old, new: &new, chain, depth, now: now.0 }.wrong());
        wrong.extend(self.owners(&code, &new));
        wrong.extend(self.remember(&new, chain));
        let wrong = wrong
            .into_iter()
            .map(|what| format!("payment {code}, version {}: {what}", new.version))
            .collect();
        let was_paid = new.was_paid || old.was_paid;
        self.payments.insert(code, Written { was_paid, ..new });
        wrong
    }

    /// An address has one payment, ever.
    fn owners(&mut self, code: &str, new: &Written) -> Vec<String> {
        let mut wrong = Vec::new();
        for address in &new.addresses {
            let owner = self.owners.entry(address.clone()).or_insert_with(|| code.to_owned());
            if owner != code {
                wrong.push(format!("address {address} was given to {owner} too (R24)"));
            }
        }
        wrong
    }

    /// Notes what was known when; refunds that share what only one of them can be are wrong.
    fn remember(&mut self, new: &Written, chain: &SimChain) -> Vec<String> {
        for id in new.transfers.keys() {
            self.first_written.entry(id.clone()).or_insert(chain.made());
        }
        for refund in new.refunds.values() {
            let story = self.stories.entry(refund.secret.clone()).or_default();
            story.refund = refund.clone();
            if refund.confirmed_at.is_some() {
                story.confirmed_by.get_or_insert(chain.made());
            }
        }
        let shared = new.refunds.iter().filter(|(_, refund)| self.is_shared(refund, chain));
        shared.map(|(coin, _)| format!("the refund of {coin} is another's too")).collect()
    }

    /// Whether more refunds are one transaction than it has outputs for.
    fn is_shared(&self, refund: &Refund, chain: &SimChain) -> bool {
        let Some(tx) = refund.paid_by.as_ref().and_then(|tx| chain.tx(tx)) else { return false };
        let is_same = |other: &&Story| {
            let Refund { paid_by, address, units, coin, .. } = &other.refund;
            (paid_by, address, units, coin) == (&refund.paid_by, &refund.address, &refund.units, &refund.coin)
        };
        self.stories.values().filter(is_same).count() > refund.outputs(tx)
    }

    /// How often what is to be tried came about.
    pub fn tally(&self) -> Tally {
        let count = |is: fn(&Story) -> bool| u64::try_from(self.stories.values().filter(|it| is(it)).count());
        let transfers = || self.payments.values().flat_map(|payment| payment.transfers.values());
        let counted = |is: fn(&Held) -> bool| u64::try_from(transfers().filter(|it| is(it)).count());
        Tally {
            refunds: count(|_| true).unwrap_or(0),
            confirmed: count(|story| story.confirmed_by.is_some()).unwrap_or(0),
            completed: count(|story| story.refund.paid_by.is_some()).unwrap_or(0),
            sightings: counted(|held| held.unconfirmed_at.is_some()).unwrap_or(0),
            replaced: counted(|held| held.replaced).unwrap_or(0),
        }
    }

    /// Every refund that was ever written.
    pub fn stories(&self) -> impl Iterator<Item = &Story> {
        self.stories.values()
    }

    /// The refund whose claim link's secret has this hash.
    pub fn story(&self, secret: &str) -> Option<&Story> {
        self.stories.get(secret)
    }

    /// How many blocks had been mined when a transfer was first written.
    pub fn first_written(&self, id: &str) -> Option<u64> {
        self.first_written.get(id).copied()
    }

    /// When the next open payment is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.payments.values().filter_map(|payment| payment.next_check).min()
    }
}

/// What is wrong with what a write made of a payment itself.
fn itself(old: &Written, new: &Written, now: Timestamp) -> Vec<String> {
    let decided = new.accepted_at >= old.accepted_at && new.cancelled_at >= old.cancelled_at;
    let ended = new.status != Some(Status::Expired) || now.plus(MARGIN) >= new.expires_at;
    let moved = format!("moved from {:?} to {:?} (R16)", old.status, new.status);
    let rules = [
        (new.version == old.version + 1, "another write came in between"),
        (new.id == old.id && new.terms == old.terms, "what was agreed changed"),
        (r16_allows(old, new), moved.as_str()),
        (new.addresses.starts_with(&old.addresses), "an address was taken back (R24)"),
        (decided, "a decision was forgotten"),
        (ended, "expired too early (R15)"),
    ];
    rules.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what.to_owned()).collect()
}

/// What is wrong with what a write made of a payment's transfers.
fn transfers(old: &Written, new: &Written, chain: &SimChain, depth: u32) -> Vec<String> {
    let mut wrong = Vec::new();
    if !old.transfers.keys().all(|id| new.transfers.contains_key(id)) {
        wrong.push("a transfer was forgotten".to_owned());
    }
    for (id, held) in &new.transfers {
        let deepest = chain.deepest(id);
        if held.counts && deepest < depth {
            wrong.push(format!("{id} counts and was never deeper than {deepest} (R22)"));
        }
        if held.replaced && !is_replaced(id, chain) {
            wrong.push(format!("{id} is given up and nothing took its place"));
        }
    }
    wrong
}

/// What is taken back that must stay, whatever a node says (R37).
fn taken_back(old: &Written, new: &Written, around: &Surroundings<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (id, held) in &new.transfers {
        let was_in = old.transfers.get(id).and_then(|old| old.in_block).filter(|_| held.lost);
        let Some(height) = was_in else { continue };
        if around.is_behind {
            wrong.push(format!("{id} is taken back by a node that is behind (R37)"));
        }
        if around.finalized.is_some_and(|finalized| height <= finalized) && around.chain.is_in(id, height) {
            wrong.push(format!("{id} is taken back though its block {height} was final (R37)"));
        }
    }
    wrong
}

/// Whether a transaction that spends the same once lay as deep as it takes.
fn is_replaced(id: &str, chain: &SimChain) -> bool {
    let tx = chain.sent().find(|tx| tx.pays.iter().any(|paid| paid.key == id));
    tx.is_some_and(|tx| chain.deepest_rival(tx) >= crate::desk::DEPTHS[1])
}

/// Clocks may be ahead by so much.
pub const MARGIN: u64 = crate::desk::MOST_SKEW_SECONDS;

/// The moves of R16, and nothing else.
fn r16_allows(old: &Written, new: &Written) -> bool {
    use Status::{Cancelled, Expired, KycRequired, Overpaid, Paid, PartiallyPaid, Pending, Refunded};
    let (Some(from), Some(to)) = (old.status, new.status) else {
        return old.status.is_none() && new.status == Some(KycRequired);
    };
    let by_money = [Pending, PartiallyPaid, Paid, Overpaid];
    let lost = |id: &String| new.transfers.get(id).is_some_and(|held| !held.counts);
    let loses = || old.transfers.iter().any(|(id, held)| held.counts && lost(id));
    match (from, to) {
        (from, to) if from == to => true,
        (KycRequired, Pending | Cancelled | Expired) | (Pending | PartiallyPaid, Cancelled | Expired) => true,
        (from, to) if by_money.contains(&from) && by_money.contains(&to) => from < to || loses(),
        (Expired | Cancelled, Paid | Overpaid) => old.accepted_at.is_none() && new.accepted_at.is_some(),
        (Expired | Cancelled, Refunded) => new.refunds.values().any(|refund| refund.paid_by.is_some()),
        _ => false,
    }
}
