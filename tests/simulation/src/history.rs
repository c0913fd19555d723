//! One history: a seed decides who does what when, what goes wrong, and how the chain moves; then all becomes quiet.

mod money;
mod refunds;
mod surprise;

use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use fastrand::Rng;
use shared::moment::{Minute, Timestamp};
use shared::money::Cents;
use shared::payment::Status;
use shared::store::Cursor;

use self::surprise::Surprise;
use crate::actors::follow::{self, Delivery};
use crate::actors::{self, Order, Task, Wish, World};
use crate::bugs::{Bug, Bugs};
use crate::chain::Block;
use crate::desk::{
    self, Desk, FOLLOWERS, MERCHANTS, MOST_SKEW_SECONDS, PAYERS, SEATS, STAGE, SWEEP, WATCHERS,
};
use crate::kind::Kind;
use crate::manner::{HIGHEST_BOAST, Manner};
use crate::net::{Net, Seat, Tally};
use crate::storm::Storm;

use crate::verdict;

/// Steps before all becomes quiet.
const STEPS: std::ops::Range<usize> = 8..22;

/// The same where money goes back after them.
const FEWER_STEPS: std::ops::Range<usize> = 6..14;

/// Fewer changes than this are delivered at once.
const BATCH: usize = 6;

/// One of so many runs meets a node that parts from all others.
const ORPHAN_IN: u8 = 14;

/// Such a node's tip is less than so many blocks below ours.
const MOST_BELOW: usize = 16;

/// And has made less than so many blocks itself.
const MOST_OWN: usize = 8;

/// Polls of one process at a time: few enough that it is often in the middle of something when another goes on.
const POLLED: usize = 14;

/// Polls after which a task that nothing delays must have ended.
const POLLS: usize = 100_000;

/// What is due, in cents: two that must lie deeper among them.
const AMOUNTS: [u64; 6] = [1, 4_999, 10_000, 33_333, 100_000, 250_000];

/// What a history came to.
#[derive(Debug, Default)]
pub struct Played {
    /// What must never be and was.
    pub violations: Vec<String>,
    /// Mishaps.
    pub faults: u64,
    /// Requests to the tables.
    pub requests: u64,
    /// Where payments stood in the end.
    pub ends: Vec<Status>,
    /// How often what is to be tried came about.
    pub tally: Tally,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
}

/// Plays the history of `seed`.
pub fn play(desk: &mut Desk, seed: u64, bug: Option<Bug>, traced: bool) -> Played {
    let mut random = Rng::with_seed(seed);
    let (number, now) = finish(desk.clear(random.fork(), Bugs::new(bug)));
    desk.net().lock().journal.trace = traced.then(Vec::new);
    let name = format!("sim-{number}");
    let kind = Kind::draw(&mut random);
    let settings = desk::settings(&name, kind, 0);
    let less = u32::from(bug == Some(Bug::CountsEarly));
    let watched = desk::settings(&name, kind, less).chains.named(&name).expect("the chain").clone();
    let world = Rc::new(World::new(desk, &settings, watched, seed));
    let mut stage = Stage {
        desk,
        net: world.net.clone(),
        world,
        kind,
        wishes: wishes(&mut random, seed),
        skews: std::array::from_fn(|_| 0),
        running: Vec::new(),
        next_tx: 0,
        payouts: Vec::new(),
        gives_back: random.u8(0..3) == 0,
        dwells: random.u8(0..4) > 0,
        orphaned: false,
        ages: random.u8(0..8) == 0,
        random,
        hour: hour_of(now.minus(2 * HOUR_SECONDS)),
        priced: None,
    };
    stage.open();
    stage.go_through();
    stage.come_to_rest();
    let mut state = stage.net.lock();
    let journal = std::mem::take(&mut state.journal);
    Played {
        violations: journal.violations,
        faults: journal.faults,
        requests: journal.requests,
        ends: journal.ends,
        tally: state.record.tally(),
        trace: journal.trace.unwrap_or_default(),
    }
}

fn wishes(random: &mut Rng, seed: u64) -> Vec<Wish> {
    let wish = |place| Wish {
        key: (random.u8(0..4) > 0).then(|| format!("{seed}-{place}")),
        due: Cents(AMOUNTS[random.usize(0..AMOUNTS.len())]),
    };
    let wished = [1, 1, 1, 2, 3][usize::try_from(seed % 5).unwrap_or(0)];
    (0..wished).map(wish).collect()
}

const HOUR_SECONDS: u64 = 3_600;

fn hour_of(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - at.0 % HOUR_SECONDS)
}

/// Runs what nothing delays to its end.
fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..POLLS {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
    panic!("a task that nothing delays does not end");
}

/// The stage while a history is played.
struct Stage<'a> {
    desk: &'a mut Desk,
    net: Net,
    world: Rc<World>,
    kind: Kind,
    random: Rng,
    wishes: Vec<Wish>,
    skews: [i64; SEATS],
    running: Vec<(Seat, Task)>,
    next_tx: u64,
    /// Transactions that merchants sent for refunds, with the hash of the refund's secret.
    payouts: Vec<(String, String)>,
    /// Whether money goes back in the end.
    gives_back: bool,
    /// Whether it waits until addresses are no longer new.
    dwells: bool,
    /// Whether a node stands on a branch of its own.
    orphaned: bool,
    /// Whether it goes on to the end of its payments' time.
    ages: bool,
    hour: Timestamp,
    /// The minute of the last rates.
    priced: Option<Minute>,
}

impl Stage<'_> {
    fn open(&mut self) {
        let most = i64::try_from(MOST_SKEW_SECONDS).unwrap_or(0);
        self.skews = std::array::from_fn(|_| self.random.i64(-most..=most));
        self.skews[STAGE] = 0;
        self.desk.forget_put_off();
        self.desk.set_sweep_hour(self.hour);
        self.net.lock().record.worth = self.kind.worth();
        self.pass(0);
        self.accept_rates();
        self.begin_chain();
        let storm = Storm::draw(&mut self.random);
        self.net.lock().storm = storm;
        self.net.lock().tell(|| format!("{storm:?}"));
    }

    fn go_through(&mut self) {
        let steps = self.random.usize(if self.gives_back { FEWER_STEPS } else { STEPS });
        for step in 0..steps {
            if self.ages && step == steps / 2 {
                self.grow_old();
            }
            self.step();
            if self.dwells && self.is_told() {
                self.dwell();
            }
        }
        if self.gives_back {
            self.give_back();
        }
        // What still waits is the last that can be replaced.
        if self.kind == Kind::Bitcoin && self.random.bool() {
            let _disturbed = self.unsettle();
        }
    }

    fn is_told(&self) -> bool {
        self.world.orders.borrow().values().any(|order| !order.told.is_empty())
    }

    /// Addresses grow so old that blocks are read once for them, and no more.
    fn dwell(&mut self) {
        self.dwells = false;
        let seconds = self.random.u64(130..200);
        self.pass(seconds);
        self.accept_rates();
        self.mine_one();
        self.complete_watch();
    }

    /// The chain was seen once before anything else: no coin is offered that nobody watches.
    fn begin_chain(&self) {
        let best = self.net.lock().chain.best();
        let kept =
            |block: &Block| *block.header.hash.0.first_chunk().expect("longer than what is kept of it");
        let hashes = self.net.lock().chain.blocks().iter().map(kept).collect();
        let known_at = self.now();
        let cursor = Cursor {
            version: known_at.0,
            height: best.number,
            hashes,
            known_at,
            fresh_at: known_at,
            ..Cursor::default()
        };
        let store = &self.world.apps[STAGE].store;
        finish(store.move_cursor(&self.world.chain.id, 0, &cursor)).expect("a cursor");
    }

    /// Time passes.
    fn pass(&mut self, seconds: u64) {
        let now = {
            let mut state = self.net.lock();
            state.now = state.now.plus(seconds);
            state.now
        };
        self.desk.set_clocks(now, &self.skews);
    }

    fn now(&self) -> Timestamp {
        self.net.lock().now
    }

    /// The market accepts its rates again, once a minute.
    fn accept_rates(&mut self) {
        let minute = self.now().minute();
        if self.priced == Some(minute) {
            return;
        }
        self.priced = Some(minute);
        let symbols = self.world.chain.coins.iter().map(|coin| coin.rate_symbol.as_str());
        let rates: Vec<(&str, u64)> =
            symbols.zip(self.kind.rates().iter().map(|dollars| dollars * 100_000_000)).collect();
        self.desk.accept_rates(&rates, self.now());
    }

    fn step(&mut self) {
        if !self.running.is_empty() && self.random.u8(0..10) < 4 {
            return self.go_on();
        }
        let (known, told) = (!self.world.orders.borrow().is_empty(), self.is_told());
        let drawn = self.random.u8(0..100);
        // First there must be something to pay: little can go wrong before.
        match drawn {
            0..80 if !known => self.begin(MERCHANTS[usize::from(drawn % 2)]),
            0..70 if !told => self.begin(PAYERS[usize::from(drawn % 2)]),
            70..85 if !told => self.begin(WATCHERS[0]),
            0..20 => self.pay(),
            20..23 => self.surprise_payer(),
            23..42 => self.mine(),
            42..59 => self.begin(WATCHERS[usize::from(drawn.is_multiple_of(3))]),
            59..62 => self.begin(FOLLOWERS[usize::from(drawn % 2)]),
            62..70 => self.fork(),
            70..76 => self.begin(PAYERS[usize::from(drawn % 2)]),
            76..86 => self.begin(MERCHANTS[usize::from(drawn % 2)]),
            86..90 => self.wait(),
            90 => self.upgrade(),
            91..95 if self.ages => self.begin(SWEEP),
            91..98 if !self.running.is_empty() => self.crash(),
            _ => self.net.deliver_late(),
        }
    }

    /// Somebody pays; where that shows before a block holds it, a watcher often looks.
    fn pay(&mut self) {
        self.send();
        if self.kind == Kind::Bitcoin && self.random.u8(0..3) == 0 {
            self.begin(WATCHERS[0]);
        }
    }

    /// An address is given out while a run reads.
    fn surprise_payer(&mut self) {
        let orders: Vec<Order> =
            self.world.orders.borrow().values().filter(|order| order.approved).cloned().collect();
        if orders.is_empty() {
            return self.pay();
        }
        let order = orders[self.random.usize(0..orders.len())].clone();
        self.surprise(Surprise::Address(order));
    }

    fn wait(&mut self) {
        let most = if self.random.u8(0..if self.ages { 2 } else { 8 }) == 0 { 1_200 } else { 40 };
        let seconds = self.random.u64(1..most);
        self.pass(seconds);
        self.accept_rates();
    }

    /// Lets one process go on for a while.
    fn go_on(&mut self) {
        let place = self.random.usize(0..self.running.len());
        let polls = self.random.usize(1..POLLED);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..polls {
            if self.running[place].1.as_mut().poll(&mut context).is_ready() {
                drop(self.running.swap_remove(place));
                return;
            }
        }
    }

    /// A process dies in the middle of what it is doing.
    fn crash(&mut self) {
        let place = self.random.usize(0..self.running.len());
        let (seat, task) = self.running.swap_remove(place);
        drop(task);
        self.world.crash(seat);
        self.net.lock().fault(|| format!("{seat} crashes"));
    }

    /// Somebody begins something, unless still busy.
    fn begin(&mut self, seat: Seat) {
        if self.running.iter().any(|(busy, _)| *busy == seat) {
            return self.go_on();
        }
        if let Some(task) = self.task_of(seat) {
            self.start(seat, task);
        }
    }

    /// Somebody begins this very thing, unless still busy.
    fn start(&mut self, seat: Seat, task: Task) {
        if self.running.iter().all(|(busy, _)| *busy != seat) {
            self.running.push((seat, task));
        }
        self.go_on();
    }

    fn task_of(&mut self, seat: Seat) -> Option<Task> {
        let world = self.world.clone();
        if seat == SWEEP {
            self.leave_idle_hours();
            return Some(Box::pin(async move {
                actors::sweep(world).await;
            }));
        }
        if FOLLOWERS.contains(&seat) {
            let delivery = self.delivery();
            return Some(Box::pin(async move {
                follow::follow(world, seat, delivery).await;
            }));
        }
        if WATCHERS.contains(&seat) {
            let manner = self.manner();
            if manner != Manner::Honest {
                self.net.lock().fault(|| format!("a node is {manner:?}"));
            }
            return Some(Box::pin(async move {
                actors::watch(world, seat, manner).await;
            }));
        }
        let orders: Vec<Order> = self.world.orders.borrow().values().cloned().collect();
        let order = (!orders.is_empty()).then(|| orders[self.random.usize(0..orders.len())].clone());
        if MERCHANTS.contains(&seat) { self.merchant(seat, order) } else { self.payer(seat, order) }
    }

    /// Some of what was written of payments; now and then the same again.
    fn delivery(&mut self) -> Delivery {
        Delivery { changes: self.random.usize(1..BATCH), is_forgotten: self.random.u8(0..4) == 0 }
    }

    /// How the node behaves that a run asks: one that stands on a branch of its own is often met again.
    fn manner(&mut self) -> Manner {
        if self.orphaned && self.random.u8(0..3) == 0 {
            return Manner::Orphan;
        }
        if self.random.u8(0..ORPHAN_IN) > 0 {
            return Manner::draw(&mut self.random, self.kind);
        }
        self.orphaned = true;
        let (below, own) = (self.random.usize(1..MOST_BELOW), self.random.usize(1..MOST_OWN));
        let mut state = self.net.lock();
        let now = state.now;
        state.chain.part(below + own, own, now);
        Manner::Orphan
    }

    fn merchant(&mut self, seat: Seat, order: Option<Order>) -> Option<Task> {
        let world = self.world.clone();
        let Some(order) = order.filter(|_| self.random.u8(0..3) > 0) else {
            let wish = self.wishes[self.random.usize(0..self.wishes.len())].clone();
            return Some(Box::pin(actors::create(world, seat, wish)));
        };
        match self.random.u8(0..10) {
            0 => Some(Box::pin(actors::cancel(world, seat, order))),
            1 | 2 if self.ages => Some(Box::pin(actors::accept_late(world, seat, order))),
            _ if !order.approved => Some(Box::pin(actors::approve(world, seat, order))),
            _ => None,
        }
    }

    fn payer(&mut self, seat: Seat, order: Option<Order>) -> Option<Task> {
        let order = order?;
        let world = self.world.clone();
        if !order.approved {
            return Some(Box::pin(actors::approve(world, seat, order)));
        }
        let coin = self.random.usize(0..self.world.chain.coins.len());
        Some(Box::pin(actors::choose(world, seat, order, coin)))
    }

    fn mine(&mut self) {
        let blocks = self.random.u64(1..4);
        for _ in 0..blocks {
            self.mine_one();
        }
    }

    fn mine_one(&mut self) {
        let seconds = self.random.u64(1..20);
        self.pass(seconds);
        let back = self.random.u64(0..10);
        let mut state = self.net.lock();
        let now = state.now.minus(back);
        let mut random = self.random.fork();
        state.chain.mine(now, || random.u8(0..10) < 7);
        state.tell_chain();
    }

    fn fork(&mut self) {
        let depth =
            if self.random.u8(0..6) == 0 { self.random.usize(4..12) } else { self.random.usize(1..4) };
        let longer = self.random.usize(0..3);
        let forgets = self.random.u8(0..4) == 0;
        let mut random = self.random.fork();
        self.net.lock().chain.take_away(depth);
        self.revive();
        let mut state = self.net.lock();
        if forgets {
            state.chain.forget_waiting();
        }
        for _ in 0..(depth + longer).max(1) {
            let now = state.now;
            state.chain.mine(now, || random.u8(0..10) < 5);
        }
        state.fault(|| format!("the last {depth} blocks are others now"));
        state.tell_chain();
        drop(state);
        if self.random.bool() {
            self.disagree();
        }
    }

    /// Two watchers at once, one of them on the branch that is gone.
    fn disagree(&mut self) {
        for (seat, manner) in WATCHERS.into_iter().zip([Manner::Former, Manner::Honest]) {
            if self.running.iter().all(|(busy, _)| *busy != seat) {
                let world = self.world.clone();
                self.running.push((
                    seat,
                    Box::pin(async move {
                        actors::watch(world, seat, manner).await;
                    }),
                ));
            }
        }
    }

    /// To the last minutes of the payments' time.
    fn grow_old(&mut self) {
        let ends = self.net.lock().record.next_due();
        let Some(ends) = ends else { return };
        let before = self.random.u64(0..200);
        let seconds = ends.minus(before).since(self.now());
        self.pass(seconds);
        self.accept_rates();
        self.net.lock().tell(|| "the end of its time is near".to_owned());
        if self.random.u8(0..3) > 0 {
            self.begin(WATCHERS[0]);
            self.send();
            self.mine();
        }
    }

    /// The sweeps of idle hours, of which there was one every minute, are not played: they left behind every hour that
    /// was over and in which nothing was due.
    fn leave_idle_hours(&mut self) {
        let idle = hour_of(self.now().minus(HOUR_SECONDS + 600));
        let due = self.net.lock().record.next_due().map_or(idle, hour_of);
        let hour = idle.min(due);
        if hour > self.hour && !self.running.iter().any(|(seat, _)| *seat == SWEEP) {
            self.hour = hour;
            self.desk.set_sweep_hour(hour);
        }
    }

    /// Nothing goes wrong any more, and everybody goes on until nothing changes: then the record must say what the chain
    /// says.
    fn come_to_rest(&mut self) {
        self.net.lock().tell(|| "all becomes quiet".to_owned());
        self.net.lock().storm = Storm::CALM;
        for (seat, task) in std::mem::take(&mut self.running) {
            drop(task);
            self.world.crash(seat);
        }
        self.net.deliver_late();
        self.pass(130);
        self.accept_rates();
        self.settle();
        for _ in 0..SWEEPS {
            let Some(due) = self.overdue() else { break };
            self.pass(due.since(self.now()));
            self.settle();
            self.leave_idle_hours();
            finish(actors::sweep(self.world.clone()));
        }
        for seat in FOLLOWERS {
            let delivery = Delivery { changes: usize::MAX, is_forgotten: false };
            let _none_left = finish(follow::follow(self.world.clone(), seat, delivery));
        }
        verdict::judge(&self.world, self.now());
    }

    /// When the next payment whose time is over is due; later than it says if it was looked at in vain already.
    fn overdue(&self) -> Option<Timestamp> {
        let state = self.net.lock();
        let latest = state.now.plus(desk::MOST_SKEW_SECONDS);
        let overdue = state.record.payments().values().filter(|payment| payment.expires_at <= latest);
        let due = overdue.filter_map(|payment| payment.next_check).min()?;
        let waited = self.hour > Timestamp(0) && due > latest.plus(60);
        // Money that does not come back holds a payment open for three days: they pass.
        Some(if waited {
            due.max(state.now.plus(GIVEN_UP_SECONDS))
        } else {
            due.max(state.now).plus(desk::MOST_SKEW_SECONDS)
        })
    }

    fn settle(&mut self) {
        let deepest = desk::DEPTHS[1];
        {
            let mut state = self.net.lock();
            // Beyond any tip that was boasted of: an idle watcher waits there for the chain.
            for _ in 0..u64::from(deepest).max(HIGHEST_BOAST) {
                let now = state.now;
                state.chain.mine(now, || true);
            }
            state.tell_chain();
        }
        for _ in 0..RUNS {
            self.pass(20);
            let caught_up = finish(actors::watch(self.world.clone(), WATCHERS[0], Manner::Honest));
            if caught_up && !self.net.lock().waits_to_count() {
                return;
            }
        }
        self.net.lock().violation("the watcher does not come to an end".to_owned());
    }
}

/// Longer than money that is gone holds a payment open.
const GIVEN_UP_SECONDS: u64 = 73 * HOUR_SECONDS;

/// Sweeps after which a payment whose time is over must have ended.
const SWEEPS: usize = 6;

/// Runs after which a watcher that nothing disturbs must have told everything.
const RUNS: usize = 6;
