//! Mistakes that one could make in the gateway, each switched on at its edge: proof that the simulation finds such.

#![allow(clippy::wildcard_enum_match_arm, reason = "each mistake is about one kind of request")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::chain::block::Header;

use crate::net::{Asked, Seat};

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Bug {
    /// A payment is written over what was written since it was read.
    PaymentUnguarded,
    /// A payment is created over the one that the same key made.
    CreateUnguarded,
    /// A block that holds money is not noted.
    BlockUnnoted,
    /// A write is acknowledged before it is kept.
    WriteBehind,
    /// An address given out is not put on the watchers' list.
    AddressUnlisted,
    /// The list is read from the last look on, not from two minutes before.
    NoLookBack,
    /// The cursor forgets that blocks hold money that does not count yet.
    OpenForgotten,
    /// The sweep leaves an hour behind in which payments are still due.
    SweepHurries,
    /// Payments are not told that their money is gone.
    LossUntold,
    /// Headers are asked for once and remembered by height.
    HeadersRemembered,
    /// Transfers are named by their place in a block, which changes with the block.
    KeysByPlace,
    /// Money counts one block too early.
    CountsEarly,
    /// What waits for a block is told to its payment and not noted.
    SightingUnnoted,
    /// Payments are not told that another transaction took the place of one they wait for.
    ReplacedUntold,
    /// A transaction is made a refund's though it is another's.
    ClaimUnguarded,
    /// A confirmed refund is not put among those that the chain has to show.
    PayoutUnawaited,
    /// What a merchant says of a refund is taken for whichever of its coin there is by then.
    RefundUnnamed,
}

impl Bug {
    /// All of them.
    pub fn all() -> &'static [Bug] {
        <Bug as clap::ValueEnum>::value_variants()
    }

    /// A seed whose history is known to show it, so that tests need not look for one.
    pub fn shown_by(self) -> u64 {
        match self {
            Bug::WriteBehind | Bug::AddressUnlisted => 1,
            Bug::KeysByPlace => 3,
            Bug::PaymentUnguarded => 8,
            Bug::PayoutUnawaited => 14,
            Bug::LossUntold | Bug::SightingUnnoted => 18,
            Bug::NoLookBack => 19,
            Bug::CreateUnguarded | Bug::SweepHurries => 24,
            Bug::RefundUnnamed => 35,
            Bug::BlockUnnoted | Bug::OpenForgotten => 45,
            Bug::ClaimUnguarded => 47,
            Bug::CountsEarly => 85,
            Bug::ReplacedUntold => 308,
            Bug::HeadersRemembered => 345,
        }
    }

    /// As written on the command line.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// A mistake at work in one history.
#[derive(Debug, Default)]
pub struct Bugs {
    which: Option<Bug>,
    held: BTreeMap<Seat, Vec<Asked>>,
    headers: BTreeMap<u64, Header>,
}

/// What becomes of a request.
#[derive(Debug)]
pub struct Tampered {
    /// Requests held back until now.
    pub first: Vec<Asked>,
    /// The request; `None` if it only seems to be done.
    pub then: Option<Asked>,
}

impl Bugs {
    /// At most one mistake at a time.
    pub fn new(which: Option<Bug>) -> Bugs {
        Bugs { which, ..Bugs::default() }
    }

    /// Which it is.
    pub fn which(&self) -> Option<Bug> {
        self.which
    }

    /// A process died: what it held back is gone.
    pub fn crash(&mut self, seat: Seat) {
        self.held.remove(&seat);
    }

    /// A header as the watcher gets it.
    pub fn remember(&mut self, height: u64, header: Option<Header>) -> Option<Header> {
        if self.which != Some(Bug::HeadersRemembered) {
            return header;
        }
        let header = self.headers.get(&height).copied().or(header)?;
        self.headers.insert(height, header);
        Some(header)
    }

    /// What becomes of a request by the gateway as it is wrong.
    pub fn tamper(&mut self, seat: Seat, asked: &Asked) -> Tampered {
        let asked = asked.clone();
        let as_it_is = |asked| Tampered { first: Vec::new(), then: Some(asked) };
        let Some(bug) = self.which else { return as_it_is(asked) };
        if let Some(tampered) = self.hold(bug, seat, &asked) {
            return tampered;
        }
        if swallows(bug, &asked) {
            return Tampered { first: Vec::new(), then: None };
        }
        as_it_is(change(bug, asked))
    }

    /// Writes that are kept only when their writer asks for something else.
    fn hold(&mut self, bug: Bug, seat: Seat, asked: &Asked) -> Option<Tampered> {
        if bug != Bug::WriteBehind {
            return None;
        }
        if asked.puts("Payments").is_some() {
            self.held.entry(seat).or_default().push(asked.clone());
            return Some(Tampered { first: Vec::new(), then: None });
        }
        Some(Tampered { first: self.held.remove(&seat).unwrap_or_default(), then: Some(asked.clone()) })
    }
}

/// Writes that are never done.
fn swallows(bug: Bug, asked: &Asked) -> bool {
    match bug {
        Bug::BlockUnnoted => entry_of(asked).is_some_and(|entry| entry.starts_with("block#")),
        Bug::AddressUnlisted => {
            asked.puts("Addresses").is_some_and(|item| item["stamp"]["S"].as_str() != Some("-"))
        }
        Bug::LossUntold => asked.puts("Payments").is_some_and(|item| {
            item["transfers"]["M"]
                .as_object()
                .is_some_and(|all| all.values().any(|one| one.to_string().contains("\"lost\"")))
        }),
        Bug::SightingUnnoted => entry_of(asked).is_some_and(|entry| entry.starts_with("outside#seen#")),
        Bug::PayoutUnawaited => entry_of(asked).is_some_and(|entry| entry.starts_with("outside#refund#")),
        Bug::ReplacedUntold => asked.puts("Payments").is_some_and(|item| {
            let transfers = item["transfers"]["M"].as_object();
            transfers.is_some_and(|all| all.values().any(|one| one["M"]["standing"]["S"] == "replaced"))
        }),
        _ => false,
    }
}

/// Requests that are done otherwise than they should be.
fn change(bug: Bug, asked: Asked) -> Asked {
    let is_cursor = entry_of(&asked) == Some("cursor");
    let creates = asked.body().contains("attribute_not_exists(code)");
    match bug {
        Bug::PaymentUnguarded if asked.puts("Payments").is_some() && !creates => asked.with(unguard),
        Bug::CreateUnguarded if asked.puts("Payments").is_some() && creates => asked.with(unguard),
        Bug::ClaimUnguarded if entry_of(&asked).is_some_and(|entry| entry.starts_with("refund-tx#")) => {
            asked.with(unguard)
        }
        Bug::OpenForgotten if is_cursor => asked.with(|body| {
            body["Item"].as_object_mut().map(|item| item.remove("open_from"));
        }),
        Bug::SweepHurries if entry_of(&asked) == Some("hour") => {
            asked.with(|body| add(&mut body["Item"]["hour"], 2 * 3_600))
        }
        Bug::NoLookBack if asked.body().contains("stamp >= :since") => asked.with(|body| {
            let since = &mut body["ExpressionAttributeValues"][":since"]["S"];
            let later = since.as_str().and_then(|since| since.parse::<u64>().ok()).unwrap_or(0) + 120;
            *since = json!(format!("{later:020}"));
        }),
        _ => asked,
    }
}

fn entry_of(asked: &Asked) -> Option<&str> {
    asked.puts("Chains")?["entry"]["S"].as_str()
}

fn unguard(body: &mut Value) {
    if let Some(body) = body.as_object_mut() {
        for name in
            ["ConditionExpression", "ExpressionAttributeValues", "ReturnValuesOnConditionCheckFailure"]
        {
            body.remove(name);
        }
    }
}

fn add(number: &mut Value, more: u64) {
    let was = number["N"].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    number["N"] = json!((was + more).to_string());
}
