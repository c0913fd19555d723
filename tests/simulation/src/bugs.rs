//! Mistakes that one could make in the gateway, each switched on at its edge: proof that the simulation finds such.

#![allow(clippy::wildcard_enum_match_arm, reason = "each mistake is about one kind of request")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::chain::block::Header;
use shared::moment::Timestamp;

use crate::engine::Answer;
use crate::net::{Asked, Seat};
use crate::record::unknown;

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
    /// What a run looks for is not read again when its blocks may be younger.
    ListsOnce,
    /// A list of a block is believed though the block's root says that it is not whole.
    ShortListBelieved,
    /// A block that the node refuses to tell of is taken for one that holds nothing.
    RefusalForEmpty,
    /// A branch that ends below ours is followed at once, whatever was final.
    StrayFollowed,
    /// The cursor says that what does not count yet begins a block higher.
    OpenRises,
    /// What a run had no time for is not left to the next one.
    CutOffForgotten,
    /// What another version wrote into the parts of a payment's item is not written again.
    UnknownErased,
    /// A payment that was paid counts for its account's volume as often as it is told.
    VolumeUnmarked,
    /// A change of a payment that could not be taken in is not delivered again.
    ChangeSkipped,
}

impl Bug {
    /// All of them.
    pub fn all() -> &'static [Bug] {
        <Bug as clap::ValueEnum>::value_variants()
    }

    /// As written on the command line.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// A run that lasts so long tells nobody anything more.
const CUT_OFF_SECONDS: u64 = 45;

/// A mistake at work in one history.
#[derive(Debug, Default)]
pub struct Bugs {
    which: Option<Bug>,
    /// When the run of each watcher began.
    began: BTreeMap<Seat, Timestamp>,
    /// What a run was told first that a chain has to show.
    outlying: BTreeMap<Seat, Answer>,
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

    /// A watcher begins a run.
    pub fn begin_run(&mut self, seat: Seat, now: Timestamp) {
        self.outlying.remove(&seat);
        self.began.insert(seat, now);
    }

    /// An answer as the gateway that is wrong takes it.
    pub fn answer(&mut self, seat: Seat, asked: &Asked, answer: Answer) -> Answer {
        match self.which {
            Some(Bug::ListsOnce) if asked.queries_outlying() => {
                self.outlying.entry(seat).or_insert(answer).clone()
            }
            Some(Bug::StrayFollowed) if asked.gets_cursor() => believing(answer),
            _ => answer,
        }
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
    pub fn tamper(&mut self, seat: Seat, asked: &Asked, now: Timestamp) -> Tampered {
        let asked = asked.clone();
        let as_it_is = |asked| Tampered { first: Vec::new(), then: Some(asked) };
        let Some(bug) = self.which else { return as_it_is(asked) };
        if let Some(tampered) = self.hold(bug, seat, &asked) {
            return tampered;
        }
        if swallows(bug, &asked) {
            return Tampered { first: Vec::new(), then: None };
        }
        let lasts = self.began.get(&seat).map_or(0, |began| now.since(*began));
        if bug == Bug::CutOffForgotten && lasts >= CUT_OFF_SECONDS && entry_of(&asked) == Some("cursor") {
            return as_it_is(asked.with(forget_open));
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
        Bug::OpenForgotten if is_cursor => asked.with(forget_open),
        Bug::OpenRises if is_cursor && !asked.puts("Chains").is_some_and(|it| it["open_from"].is_null()) => {
            asked.with(|body| add(&mut body["Item"]["open_from"], 1))
        }
        Bug::VolumeUnmarked if asked.body().contains("\"S\":\"paid#") => asked.with(|body| {
            unguard(&mut body["TransactItems"][0]["Put"]);
        }),
        Bug::UnknownErased if asked.puts("Payments").is_some() => {
            asked.with(|body| unknown::erase(&mut body["Item"]))
        }
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

fn forget_open(body: &mut Value) {
    body["Item"].as_object_mut().map(|item| item.remove("open_from"));
}

/// A cursor's answer by which every branch was met often before, and nothing is final.
fn believing(answer: Answer) -> Answer {
    let Ok(mut body) = serde_json::from_str::<Value>(&answer.body) else { return answer };
    let Some(item) = body["Item"].as_object_mut() else { return answer };
    item.insert("strayed".to_owned(), json!({ "N": "2" }));
    item.remove("finalized");
    Answer { body: body.to_string(), ..answer }
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
