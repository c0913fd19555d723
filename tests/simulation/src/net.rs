//! What lies between the gateway's processes and everything else: requests wait here, get lost, and are watched.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use fastrand::Rng;
use serde_json::{Value, json};
use shared::moment::Timestamp;
use shared::payment::Status;

use crate::bugs::Bugs;
use crate::chain::SimChain;
use crate::covered::Covered;
use crate::desk::{SEATS, STAGE};
use crate::engine::{Answer, Engine};
use crate::record::{Record, Surroundings};
use crate::storm::{Mishap, Storm};

/// An index is behind its table by less than this; the sweep allows for ten minutes.
const INDEX_SECONDS: u64 = 5 * 60;

/// A process, by its place at the table.
pub type Seat = usize;

/// A request of the SDK.
#[derive(Clone, Debug)]
pub struct Asked {
    operation: String,
    body: String,
    /// The body of a write, read.
    document: Value,
}

impl Asked {
    /// As it came over the wire.
    pub fn new(operation: &str, body: &str) -> Asked {
        let is_write = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"].contains(&operation);
        let document = if is_write { serde_json::from_str(body).unwrap_or_default() } else { Value::Null };
        Asked { operation: operation.to_owned(), body: body.to_owned(), document }
    }

    /// Whether it writes several items, or none.
    fn is_transaction(&self) -> bool {
        self.operation == "TransactWriteItems"
    }

    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        !self.document.is_null()
    }

    /// Whether it puts an item into a table, and which.
    pub fn puts(&self, table: &str) -> Option<&Value> {
        let into = self.operation == "PutItem" && self.document["TableName"] == table;
        into.then(|| &self.document["Item"])
    }

    /// Every item that it puts into a table, alone or with others.
    pub fn all_puts(&self, table: &str) -> Vec<&Value> {
        let others = self.document["TransactItems"].as_array().into_iter().flatten().map(|item| &item["Put"]);
        let puts = others.filter(|put| put["TableName"] == table).map(|put| &put["Item"]);
        self.puts(table).into_iter().chain(puts).collect()
    }

    /// Whether it changes an item of a table, and which.
    pub fn updates(&self, table: &str) -> Option<&Value> {
        let into = self.operation == "UpdateItem" && self.document["TableName"] == table;
        into.then(|| &self.document["Key"])
    }

    /// Whether it asks for a chain's cursor.
    pub fn gets_cursor(&self) -> bool {
        self.operation == "GetItem" && self.body.contains("\"entry\":{\"S\":\"cursor\"}")
    }

    /// Whether it asks for what a chain has still to show.
    pub fn queries_outlying(&self) -> bool {
        self.operation == "Query" && self.body.contains("\"S\":\"outside#\"")
    }

    /// The request's text.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The same request with another body.
    pub fn with(&self, change: impl FnOnce(&mut Value)) -> Asked {
        let mut document = if self.is_write() {
            self.document.clone()
        } else {
            serde_json::from_str(&self.body).unwrap_or_default()
        };
        change(&mut document);
        Asked::new(&self.operation, &document.to_string())
    }

    /// Whether DynamoDB may answer it with what was.
    fn may_be_stale(&self) -> bool {
        let consistent = self.body.contains("\"ConsistentRead\":true");
        !self.is_write() && !consistent && !self.body.contains("\"TableName\":\"Keys\"")
    }
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// An answer.
    Answer(Answer),
    /// Nothing, ever.
    Nothing,
    /// Nothing yet: the SDK asks again.
    Again,
}

/// What went wrong and what was seen.
#[derive(Debug, Default)]
pub struct Journal {
    /// Requests made.
    pub requests: u64,
    /// Mishaps of all kinds.
    pub faults: u64,
    /// What must never be and was.
    pub violations: Vec<String>,
    /// Where payments stood in the end.
    pub ends: Vec<Status>,
    /// What happened, if somebody wants to read it.
    pub trace: Option<Vec<String>>,
}

/// How often what is to be tried came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Refunds that were asked for.
    pub refunds: u64,
    /// Those of them that were confirmed.
    pub confirmed: u64,
    /// Those of them that were paid.
    pub completed: u64,
    /// Transfers that were seen to wait for a block.
    pub sightings: u64,
    /// Transfers that others took the place of.
    pub replaced: u64,
}

impl Tally {
    /// With another.
    pub fn add(&mut self, other: Tally) {
        self.refunds += other.refunds;
        self.confirmed += other.confirmed;
        self.completed += other.completed;
        self.sightings += other.sightings;
        self.replaced += other.replaced;
    }
}

/// Everything outside the gateway's processes.
#[derive(Debug)]
pub struct State {
    database: Engine,
    /// The only source of chance.
    pub random: Rng,
    /// How bad the weather is.
    pub storm: Storm,
    /// The chain.
    pub chain: SimChain,
    /// What was written of each payment.
    pub record: Record,
    /// What is wrong with the gateway on purpose.
    pub bugs: Bugs,
    /// What went wrong.
    pub journal: Journal,
    /// The true time.
    pub now: Timestamp,
    /// Every address that anybody claimed.
    pub claimed: Vec<String>,
    /// Every wallet that was noted.
    pub wallets: Vec<Value>,
    /// Everything that was written of payments, as streams tell it.
    pub stream: Vec<Value>,
    began_at: Timestamp,
    hands: Hands,
    tips: Vec<(Timestamp, u64)>,
    late: Vec<(Seat, Asked)>,
    newest: BTreeMap<String, Value>,
    former: BTreeMap<String, Value>,
    /// What runs of watchers that are under way are like.
    runs: BTreeMap<Seat, Running>,
    /// What was noted of blocks and lies below a cursor.
    pub covered: Covered,
    /// Whether a node that waits is to wait on.
    pub holds: bool,
    /// Whether one does.
    pub is_held: bool,
}

/// The hands of all processes' clocks.
pub type Hands = [&'static AtomicU64; SEATS];

/// A watcher's run.
#[derive(Clone, Copy, Debug, Default)]
struct Running {
    /// Seconds that each request takes.
    seconds: u64,
    /// Whether its node stands on a branch of its own below ours, and is not to be believed yet.
    is_behind: bool,
}

/// Runs in a row that must meet a branch below ours before it is followed.
const STRAY_RUNS: u64 = 3;

/// A shared hold on it.
#[derive(Clone, Debug)]
pub struct Net(Arc<Mutex<State>>);

impl State {
    /// A world without anybody, at a moment.
    pub fn new(database: Engine, random: Rng, bugs: Bugs, now: Timestamp, hands: Hands) -> State {
        State {
            database,
            random,
            storm: Storm::CALM,
            chain: SimChain::new(now.minus(1_000)),
            record: Record::default(),
            bugs,
            journal: Journal::default(),
            now,
            claimed: Vec::new(),
            wallets: Vec::new(),
            stream: Vec::new(),
            began_at: now,
            hands,
            tips: Vec::new(),
            late: Vec::new(),
            newest: BTreeMap::new(),
            former: BTreeMap::new(),
            runs: BTreeMap::new(),
            covered: Covered::default(),
            holds: false,
            is_held: false,
        }
    }

    /// Time passes by every clock.
    pub fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(seconds);
        for hand in self.hands {
            hand.fetch_add(seconds, Ordering::Relaxed);
        }
    }

    /// A watcher begins a run, in which each request takes so many seconds.
    pub fn begin_run(&mut self, seat: Seat, seconds: u64) {
        self.runs.insert(seat, Running { seconds, is_behind: false });
        self.bugs.begin_run(seat, self.now);
        self.covered.begin_run(seat);
    }

    /// A run ended, whatever it came to.
    pub fn end_run(&mut self, seat: Seat) {
        self.runs.remove(&seat);
    }

    /// A run was told the tip of a node that stands on a branch of its own.
    pub fn meet_orphan(&mut self, seat: Seat, tip: u64) {
        let is_behind = self.cursor("height").is_some_and(|ours| tip < ours)
            && self.cursor("strayed").unwrap_or(0) + 1 < STRAY_RUNS;
        if let Some(run) = self.runs.get_mut(&seat) {
            run.is_behind = is_behind;
        }
    }

    /// A number of the cursor as it was written last.
    fn cursor(&self, name: &str) -> Option<u64> {
        let cursor =
            self.newest.iter().find(|(key, _)| key.ends_with("/\"cursor\"")).map(|(_, item)| item)?;
        cursor[name]["N"].as_str()?.parse().ok()
    }

    /// Notes what happened, if somebody wants to read it.
    pub fn tell(&mut self, what: impl FnOnce() -> String) {
        let since = self.now.since(self.began_at);
        if let Some(trace) = &mut self.journal.trace {
            trace.push(format!("{since:>7} s  {}", what()));
        }
    }

    /// Notes what must never be.
    pub fn violation(&mut self, what: String) {
        self.tell(|| format!("VIOLATION {what}"));
        self.journal.violations.push(what);
    }

    /// Notes a mishap.
    pub fn fault(&mut self, what: impl FnOnce() -> String) {
        self.journal.faults += 1;
        self.tell(what);
    }

    /// Whether the node says nothing this time.
    pub fn is_mute(&mut self) -> bool {
        let mute = Storm::happens(self.storm.mute, &mut self.random);
        if mute {
            self.fault(|| "the node does not answer".to_owned());
        }
        mute
    }

    /// Writes the chain as it is now into the trace.
    pub fn tell_chain(&mut self) {
        let best = self.chain.best();
        let told = self.chain.blocks().iter().filter(|block| !block.txs.is_empty());
        let held: Vec<String> = told
            .map(|block| {
                let txs: Vec<u64> = block.txs.iter().map(|tx| tx.number).collect();
                format!("{}:{txs:?}", block.header.number)
            })
            .collect();
        self.tell(|| format!("chain of {} blocks, transactions at {}", best.number, held.join(" ")));
    }

    /// Whether the cursor says that some block holds money that does not count yet.
    pub fn waits_to_count(&self) -> bool {
        let mut cursors = self.newest.iter().filter(|(key, _)| key.ends_with("/\"cursor\""));
        cursors.any(|(_, cursor)| !cursor["open_from"].is_null())
    }

    /// Notes which tip a watcher was told.
    pub fn note_tip(&mut self, height: u64) {
        self.tips.push((self.now, height));
    }

    /// The lowest tip that any watcher was told at or after `moment`, less what clocks may differ.
    pub fn lowest_tip_since(&self, moment: Timestamp) -> Option<u64> {
        let since = moment.minus(crate::desk::MOST_SKEW_SECONDS);
        self.tips.iter().filter(|(at, _)| *at >= since).map(|(_, height)| *height).min()
    }

    fn receive(&mut self, seat: Seat, asked: &Asked) -> Received {
        self.journal.requests += 1;
        let seconds = self.runs.get(&seat).map_or(0, |run| run.seconds);
        if seconds > 0 {
            self.pass(seconds);
        }
        let Some(mishap) = self.storm.strike(&mut self.random, asked.is_write()) else {
            return Received::Answer(self.perform(seat, asked));
        };
        let is_kept_out = match mishap {
            Mishap::Stale => !asked.may_be_stale(),
            // It would be tried again after a pause, and no time passes here.
            Mishap::Throttled => asked.is_transaction(),
            Mishap::Lost | Mishap::AnswerLost | Mishap::Late | Mishap::Repeated => false,
        };
        if is_kept_out {
            return Received::Answer(self.perform(seat, asked));
        }
        self.fault(|| format!("{mishap:?} for {seat}: {} {:.160}", asked.operation, asked.body));
        match mishap {
            Mishap::Throttled => Received::Answer(throttled()),
            Mishap::Lost => Received::Nothing,
            Mishap::AnswerLost => {
                self.perform(seat, asked);
                Received::Nothing
            }
            Mishap::Late => {
                self.late.push((seat, asked.clone()));
                Received::Nothing
            }
            Mishap::Repeated => {
                self.perform(seat, asked);
                Received::Again
            }
            Mishap::Stale => Received::Answer(self.stale(asked)),
        }
    }

    fn perform(&mut self, seat: Seat, asked: &Asked) -> Answer {
        let tampered = self.bugs.tamper(seat, asked, self.now);
        for held in tampered.first {
            self.do_it(seat, &held);
        }
        let answer = match tampered.then {
            Some(asked) => self.do_it(seat, &asked),
            None => Answer { status: 200, body: "{}".to_owned() },
        };
        self.bugs.answer(seat, asked, answer)
    }

    fn do_it(&mut self, seat: Seat, asked: &Asked) -> Answer {
        let answer = self.database.ask(&asked.operation, &asked.body);
        self.tell(|| {
            format!(
                "{seat}: {} {:.300} -> {} {:.100}",
                asked.operation, asked.body, answer.status, answer.body
            )
        });
        if asked.is_write() && answer.status == 200 {
            self.note_write(seat, asked);
        }
        answer
    }

    fn note_write(&mut self, seat: Seat, asked: &Asked) {
        let is_behind = self.runs.get(&seat).is_some_and(|run| run.is_behind);
        for item in asked.all_puts("Payments") {
            let finalized = self.cursor("finalized");
            let around = Surroundings { chain: &self.chain, now: self.now, finalized, is_behind };
            for violation in self.record.write(item, &around) {
                self.violation(violation);
            }
            let sequence = self.stream.len().to_string();
            let keys = json!({ "code": item["code"] });
            let change = json!({ "SequenceNumber": sequence, "Keys": keys, "NewImage": item });
            self.stream.push(json!({ "dynamodb": change }));
        }
        if let Some(key) = asked.updates("Addresses").filter(|key| !self.wallets.contains(key)) {
            self.wallets.push(key.clone());
        }
        if let Some(item) = asked.puts("Addresses") {
            let claimed = item["bucket"]["S"].as_str().and_then(|bucket| bucket.strip_prefix("address#"));
            self.claimed.extend(claimed.map(str::to_owned));
        }
        // What is noted already is noted again by a run that is told so.
        if let Some(item) = asked.updates("Chains").and_then(|key| self.newest.get(&entry(key))) {
            self.covered.note(seat, item);
        }
        if let Some(item) = asked.puts("Chains") {
            let key = entry(item);
            self.covered.note(seat, item);
            if key.ends_with("/\"cursor\"") {
                for violation in self.covered.move_cursor(seat, item, &self.record) {
                    self.violation(violation);
                }
            }
            if let Some(former) = self.newest.insert(key.clone(), item.clone()) {
                self.former.insert(key, former);
            }
        }
    }

    /// An item as it is.
    pub fn item(&self, table: &str, key: &Value) -> Option<Value> {
        let body = json!({ "TableName": table, "Key": key });
        let answer = self.database.ask("GetItem", &body.to_string());
        let mut answer = serde_json::from_str::<Value>(&answer.body).ok()?;
        Some(answer["Item"].take()).filter(|item| !item.is_null())
    }

    /// Another version writes an item, with nothing in its way.
    pub fn put(&mut self, table: &str, item: &Value) {
        let body = json!({ "TableName": table, "Item": item });
        self.do_it(STAGE, &Asked::new("PutItem", &body.to_string()));
    }

    /// Whether an index must have a payment's item by now.
    fn is_settled(&self, item: &Value) -> bool {
        let payment = item["code"]["S"].as_str().and_then(|code| self.record.payments().get(code));
        payment.is_none_or(|payment| payment.known_since.plus(INDEX_SECONDS) <= self.now)
    }

    /// What a read that need not be consistent may say: an item as it was, an index without its newest entries.
    fn stale(&mut self, asked: &Asked) -> Answer {
        let mut answer = self.database.ask(&asked.operation, &asked.body);
        let Ok(mut body) = serde_json::from_str::<Value>(&answer.body) else { return answer };
        if let Some(items) = body.pointer_mut("/Responses/Chains").and_then(Value::as_array_mut) {
            for item in items {
                if let Some(former) = self.former.get(&entry(item)) {
                    *item = former.clone();
                }
            }
        } else if let Some(items) = body.get_mut("Items").and_then(Value::as_array_mut) {
            items.retain(|item| self.is_settled(item));
            body["Count"] = json!(items.len());
        }
        answer.body = body.to_string();
        answer
    }
}

fn entry(item: &Value) -> String {
    format!("{}/{}", item["chain"]["S"], item["entry"]["S"])
}

fn throttled() -> Answer {
    let code = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
    Answer { status: 400, body: json!({ "__type": code, "message": "throttled" }).to_string() }
}

impl Net {
    /// Around a world.
    pub fn new(state: State) -> Net {
        Net(Arc::new(Mutex::new(state)))
    }

    /// The world, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request arrives, or does not.
    pub fn receive(&self, seat: Seat, asked: &Asked) -> Received {
        self.lock().receive(seat, asked)
    }

    /// A request is done.
    pub fn perform(&self, seat: Seat, asked: &Asked) -> Answer {
        self.lock().perform(seat, asked)
    }

    /// Writes arrive whose senders gave up on them.
    pub fn deliver_late(&self) {
        let late = std::mem::take(&mut self.lock().late);
        for (seat, asked) in late {
            self.lock().tell(|| format!("late write of {seat}"));
            // What its writer is about by now says nothing of it.
            self.lock().end_run(seat);
            self.perform(seat, &asked);
        }
    }

    /// A node waits as long as somebody wants it to.
    pub fn hold(&self) -> Hold<'_> {
        Hold { net: self }
    }

    /// Waits while others go on, or not.
    pub fn delay(&self) -> Delay<'_> {
        Delay { net: self, waited: false }
    }
}

/// Waits until nobody wants that any more.
#[derive(Debug)]
pub struct Hold<'a> {
    net: &'a Net,
}

impl Future for Hold<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.net.lock();
        state.is_held = state.holds;
        if !state.holds {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A moment in which others may go on.
#[derive(Debug)]
pub struct Delay<'a> {
    net: &'a Net,
    waited: bool,
}

impl Future for Delay<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.waited {
            return Poll::Ready(());
        }
        let mut state = self.net.lock();
        let State { random, storm, .. } = &mut *state;
        let waits = Storm::happens(storm.delayed, random);
        drop(state);
        if !waits {
            return Poll::Ready(());
        }
        self.waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
