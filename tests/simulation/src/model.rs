//! The payment itself, checked in every state that a small world can bring it to: a few transfers on a chain that
//! re-organises, reports of it in any order and again, and every command at any time.
//!
//! The payment is the real one and changes through the real `apply`; only what reports to it is modelled.

use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use shared::chain::{ChainId, CoinId};
use shared::moment::Timestamp;
use shared::money::{BasisPoints, Cents, Decimals, Rate, Units};
use shared::payment::{
    BlockAt, Code, Event, Fee, FeePaidBy, GivenAddress, IdentityStep, KycMethod, LIFETIME_SECONDS,
    MerchantId, Mode, Movement, Offer, Payment, PaymentId, Report, Request, Sequence, Standing, Status,
    Terms, TransferId, Window,
};
use stateright::{Checker, Expectation, Model, Property};

use crate::kind::{CENT, Kind};

/// What is due.
const DUE: Cents = Cents(10_000);

/// How deep money must lie.
const REQUIRED: u32 = 3;

/// When the payment was created.
const CREATED_AT: Timestamp = Timestamp(1_728_000_000);

/// The moments at which things happen: at once, when the quote is over, before the end, after it, and when nothing is
/// waited for any more.
const MOMENTS: [u64; 5] =
    [60, 1_200, LIFETIME_SECONDS - 60, LIFETIME_SECONDS + 60, LIFETIME_SECONDS + 4 * 24 * 60 * 60];

/// The first moment after the end.
const AFTER_END: usize = 3;

/// The transfers: coin, by its place, and units. All that is due; less than that; the rest, twice over.
const TRANSFERS: [(usize, u128); 3] =
    [(0, 40_000_000_000_000_000), (1, 60_000_000), (0, 32_000_000_000_000_000)];

const COINS: [(&str, u8, u64); 2] = [("ETH", 18, 2_500), ("USDC", 6, 1)];

/// A mistake in what reports to a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The report that comes last is believed, not the one that was made last.
    LastComerWins,
    /// A transfer that moves to another block is another transfer.
    NamedByBlock,
    /// A loss is not reported.
    LossUnreported,
    /// One block less is deep enough.
    Shallow,
    /// Blocks' confirmations are added up from report to report.
    AddsUp,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 5] = [
        Mutant::LastComerWins,
        Mutant::NamedByBlock,
        Mutant::LossUnreported,
        Mutant::Shallow,
        Mutant::AddsUp,
    ];

    /// The smallest world in which it shows.
    pub fn world(self) -> World {
        let changes = if self == Mutant::NamedByBlock { 5 } else { 3 };
        World { transfers: 1, changes, mutant: Some(self) }
    }
}

/// A small world.
#[derive(Clone, Debug)]
pub struct World {
    /// Transfers that may be sent.
    pub transfers: usize,
    /// How often each may change its place on the chain.
    pub changes: usize,
    /// What is wrong on purpose.
    pub mutant: Option<Mutant>,
}

/// Where a transfer is, in truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Unsent,
    Pool,
    Block { at: u64, moment: usize, deep: bool },
    Gone { from: Option<(u64, usize)> },
    Replaced,
}

/// One report that a watcher can make: at its number, of a transfer's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Said {
    transfer: usize,
    number: u64,
    moment: usize,
    place: Place,
    told: bool,
}

/// The world and the payment in it.
#[derive(Clone, PartialEq)]
pub struct State {
    places: Vec<Place>,
    changes: Vec<usize>,
    /// Blocks in which each transfer ever was.
    blocks: Vec<usize>,
    said: Vec<Said>,
    moment: usize,
    told: u64,
    payment: Arc<Payment>,
    wrong: Option<&'static str>,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A transfer is sent.
    Send(usize),
    /// It gets into a block.
    Mine(usize),
    /// Blocks come upon it.
    Deepen(usize),
    /// Its block, or its place in the pool, is gone.
    Lose(usize),
    /// Another transaction spends its coins for good.
    Replace(usize),
    /// The payment is told a report, perhaps not for the first time.
    Tell(usize),
    /// Time passes.
    Pass,
    /// Identity is approved.
    Approve,
    /// A coin is chosen.
    Choose(usize),
    /// The merchant withdraws it.
    Cancel,
    /// The sweep looks at it.
    Expire,
    /// The merchant accepts late money.
    AcceptLate,
}

/// Writes what a value shows into a hash: the payment shows everything that it is.
struct HashWriter<'a, H>(&'a mut H);

impl<H: Hasher> Write for HashWriter<'_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.places, &self.changes, &self.blocks, &self.said, self.moment, self.wrong).hash(hasher);
        write!(HashWriter(hasher), "{:?}", self.payment).expect("a hash takes any text");
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.payment.recorded_status();
        write!(f, "{:?} {status:?} {:?} at {}", self.places, self.payment.received(), self.moment)
    }
}

fn now(moment: usize) -> Timestamp {
    CREATED_AT.plus(MOMENTS[moment])
}

fn coin(place: usize) -> CoinId {
    CoinId::new(COINS[place].0).expect("a coin")
}

fn rate(place: usize) -> Rate {
    Rate::new(COINS[place].2 * 100_000_000).expect("a rate")
}

fn decimals(place: usize) -> Decimals {
    Decimals::new(COINS[place].1).expect("decimals")
}

fn chain() -> ChainId {
    ChainId::new("ethereum").expect("a chain")
}

fn payment() -> Payment {
    let request = Request {
        title: "Order".to_owned(),
        description: None,
        amount: DUE,
        kyc_method: KycMethod::IdUpload,
        allow_bankid: false,
        fee_paid_by: FeePaidBy::Merchant,
        metadata: None,
    };
    let fee = Fee { usd: Cents::ZERO, free_tier: false };
    let terms = Terms {
        request,
        fee,
        tolerance: BasisPoints::ZERO,
        spread: BasisPoints::ZERO,
        created_at: CREATED_AT,
        idempotency: None,
    };
    let id = PaymentId::new(CREATED_AT.0 * 1_000, [1; 10], Code::from_random(1));
    Payment::new(id, MerchantId::new("mer_1"), Mode::Live, terms)
}

fn offer(place: usize) -> Offer {
    let (family, address) = ("evm".to_owned(), "0xabc".to_owned());
    let address = GivenAddress { family, address, xpub: "f".to_owned(), index: 0 };
    Offer { coin: coin(place), decimals: decimals(place), rate: rate(place), address }
}

impl World {
    fn report(&self, said: Said, told: u64) -> Option<Report> {
        let (place, units) = TRANSFERS[said.transfer];
        let block = |at: u64, moment: usize| BlockAt { height: at, time: now(moment) };
        let at = now(said.moment);
        let standing = match said.place {
            Place::Unsent => return None,
            Place::Pool => Standing::Unconfirmed { at },
            Place::Block { at, moment, deep } => {
                let confirmations = if deep { REQUIRED } else { REQUIRED - 1 };
                let added = if self.mutant == Some(Mutant::AddsUp) { u32::from(told > 1) } else { 0 };
                Standing::InBlock { block: block(at, moment), confirmations: confirmations + added }
            }
            Place::Gone { .. } if self.mutant == Some(Mutant::LossUnreported) => return None,
            Place::Gone { from } => Standing::Lost { block: from.map(|(at, moment)| block(at, moment)), at },
            Place::Replaced => Standing::Replaced,
        };
        let id = match (self.mutant, said.place) {
            (Some(Mutant::NamedByBlock), Place::Block { at, .. } | Place::Gone { from: Some((at, _)) }) => {
                format!("{}:{at}", said.transfer)
            }
            _ => said.transfer.to_string(),
        };
        let movement = Movement {
            id: TransferId::new(id),
            coin: coin(place),
            decimals: decimals(place),
            chain: chain(),
            tx_id: said.transfer.to_string(),
            address: "0xabc".to_owned(),
            units: Units(units),
            confirmations_required: if self.mutant == Some(Mutant::Shallow) {
                REQUIRED - 1
            } else {
                REQUIRED
            },
        };
        let number = if self.mutant == Some(Mutant::LastComerWins) { told } else { said.number };
        let rates = (0..MOMENTS.len()).map(|moment| (now(moment).minute(), rate(place))).collect();
        Some(Report { movement, sequence: Sequence(number), at, standing, rates })
    }

    fn tell(&self, payment: &Payment, said: Said, told: u64, moment: usize) -> Payment {
        match self.report(said, told) {
            Some(report) => payment.apply_reports([&report], now(moment)),
            None => payment.clone(),
        }
    }

    fn change(state: &mut State, transfer: usize, place: Place) {
        state.places[transfer] = place;
        state.changes[transfer] += 1;
        let number = u64::try_from(state.said.len()).unwrap_or(u64::MAX) + 1;
        state.said.push(Said { transfer, number, moment: state.moment, place, told: false });
    }

    /// The chain closes the window at a height that it has scanned: everything in a block up to there was told.
    fn window(state: &State) -> Option<Window> {
        let told = state.said.iter().all(|said| said.told || !matches!(said.place, Place::Block { .. }));
        let height = u64::try_from(state.said.len()).unwrap_or(u64::MAX);
        told.then(|| Window { chain: chain(), height })
    }

    fn command(state: &State, action: Action) -> Option<Event> {
        match action {
            Action::Approve => Some(Event::Identity(IdentityStep::Approve)),
            Action::Choose(place) => Some(Event::Choose(offer(place))),
            Action::Cancel => Some(Event::Cancel),
            Action::Expire => {
                let windows: Vec<Window> = World::window(state).into_iter().collect();
                let complete = !windows.is_empty();
                Some(Event::Expire { windows, complete })
            }
            Action::AcceptLate => Some(Event::AcceptLate),
            Action::Send(_)
            | Action::Mine(_)
            | Action::Deepen(_)
            | Action::Lose(_)
            | Action::Replace(_)
            | Action::Tell(_)
            | Action::Pass => None,
        }
    }

    fn moved(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        let blocks = u64::try_from(state.said.len()).unwrap_or(u64::MAX) + 1;
        match action {
            Action::Send(transfer) => World::change(&mut next, transfer, Place::Pool),
            Action::Mine(transfer) => {
                next.blocks[transfer] += 1;
                let place = Place::Block { at: blocks, moment: state.moment, deep: false };
                World::change(&mut next, transfer, place);
            }
            Action::Deepen(transfer) => {
                let Place::Block { at, moment, .. } = state.places[transfer] else { return None };
                World::change(&mut next, transfer, Place::Block { at, moment, deep: true });
            }
            Action::Lose(transfer) => {
                let from = match state.places[transfer] {
                    Place::Block { at, moment, .. } => Some((at, moment)),
                    Place::Unsent | Place::Pool | Place::Gone { .. } | Place::Replaced => None,
                };
                World::change(&mut next, transfer, Place::Gone { from });
            }
            Action::Replace(transfer) => World::change(&mut next, transfer, Place::Replaced),
            Action::Pass => next.moment += 1,
            Action::Tell(place) => return Some(self.told(state, place)),
            Action::Approve | Action::Choose(_) | Action::Cancel | Action::Expire | Action::AcceptLate => {
                let event = World::command(state, action)?;
                let mut payment = state.payment.as_ref().clone();
                if action == Action::Approve {
                    payment = payment.apply(Event::Identity(IdentityStep::Start), now(state.moment)).ok()?;
                }
                next.payment = Arc::new(payment.apply(event, now(state.moment)).ok()?);
            }
        }
        Some(next)
    }

    /// The payment after a report, told once, twice, and before or after each other one that waits: always the same.
    fn told(&self, state: &State, place: usize) -> State {
        let mut next = state.clone();
        let said = state.said[place];
        next.told = state.told + 1;
        let after = self.tell(&state.payment, said, next.told, state.moment);
        if self.tell(&after, said, next.told, state.moment) != after {
            next.wrong = Some("a report told twice is not the same as once (R22)");
        }
        for other in state.said.iter().filter(|other| !other.told && **other != said) {
            let one_way = self.tell(&after, *other, next.told + 1, state.moment);
            let first = self.tell(&state.payment, *other, next.told, state.moment);
            if self.tell(&first, said, next.told + 1, state.moment) != one_way {
                next.wrong = Some("the order of two reports shows (R22)");
            }
        }
        next.said[place].told = true;
        next.payment = Arc::new(after);
        next
    }

    /// Dollars, in parts of a cent, of what the latest told word of each transfer says to be deep enough.
    fn counted(&self, state: &State) -> u128 {
        (0..self.transfers)
            .map(|transfer| {
                let told = state.said.iter().filter(|said| said.told && said.transfer == transfer);
                let latest = told.max_by_key(|said| said.number);
                let deep = latest.is_some_and(|said| matches!(said.place, Place::Block { deep: true, .. }));
                let (coin, units) = TRANSFERS[transfer];
                if deep { units * Kind::Evm.worth()[coin] } else { 0 }
            })
            .sum()
    }

    /// Money in time beyond doubt: deep, in its only block, and that before the end.
    fn in_time(&self, state: &State) -> u128 {
        let is_in_time = |transfer: &usize| {
            let Place::Block { moment, deep: true, .. } = state.places[*transfer] else { return false };
            moment < AFTER_END && state.blocks[*transfer] == 1
        };
        let in_time = (0..self.transfers).filter(is_in_time).map(|transfer| TRANSFERS[transfer]);
        in_time.map(|(coin, units)| units * Kind::Evm.worth()[coin]).sum()
    }
}

/// R16, as a list of what may follow what.
fn allows(before: &Payment, after: &Payment, action: Action) -> bool {
    use Status::{Cancelled, Expired, KycRequired, Overpaid, Paid, PartiallyPaid, Pending};
    let by_money = [Pending, PartiallyPaid, Paid, Overpaid];
    let (from, to) = (before.recorded_status(), after.recorded_status());
    if from == to {
        return true;
    }
    match action {
        Action::Approve => (from, to) == (KycRequired, Pending),
        Action::Cancel => [KycRequired, Pending, PartiallyPaid].contains(&from) && to == Cancelled,
        Action::Expire => [KycRequired, Pending, PartiallyPaid].contains(&from) && to == Expired,
        Action::AcceptLate => [Expired, Cancelled].contains(&from) && [Paid, Overpaid].contains(&to),
        Action::Tell(_) => by_money.contains(&from) && by_money.contains(&to),
        Action::Send(_)
        | Action::Mine(_)
        | Action::Deepen(_)
        | Action::Lose(_)
        | Action::Replace(_)
        | Action::Pass
        | Action::Choose(_) => false,
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let payment = Arc::new(payment());
        let (places, zeros) = (vec![Place::Unsent; self.transfers], vec![0; self.transfers]);
        let (changes, blocks) = (zeros.clone(), zeros);
        vec![State { places, changes, blocks, said: Vec::new(), moment: 0, told: 0, payment, wrong: None }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.wrong.is_some() {
            return;
        }
        // An address exists once a coin was chosen.
        let reachable = !state.payment.addresses().is_empty();
        for transfer in
            (0..self.transfers).filter(|transfer| reachable && state.changes[*transfer] < self.changes)
        {
            match state.places[transfer] {
                Place::Unsent => actions.extend([Action::Send(transfer), Action::Mine(transfer)]),
                Place::Pool => actions.extend([Action::Mine(transfer), Action::Lose(transfer)]),
                Place::Block { deep: false, .. } => {
                    actions.extend([Action::Deepen(transfer), Action::Lose(transfer)]);
                }
                Place::Block { deep: true, .. } => actions.push(Action::Lose(transfer)),
                Place::Gone { .. } => actions.extend([Action::Mine(transfer), Action::Replace(transfer)]),
                Place::Replaced => {}
            }
        }
        actions.extend((0..state.said.len()).map(Action::Tell));
        actions.extend([Action::Approve, Action::Cancel, Action::Expire, Action::AcceptLate]);
        actions.extend((0..COINS.len()).map(Action::Choose));
        if state.moment + 1 < MOMENTS.len() {
            actions.push(Action::Pass);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = self.moved(state, action)?;
        if !allows(&state.payment, &next.payment, action) {
            next.wrong = Some("a move outside R16");
        }
        if next.payment.transfers().count() < state.payment.transfers().count() {
            next.wrong = Some("money was forgotten");
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<World>> {
        vec![
            Property::always("every step is allowed", |_, state: &State| state.wrong.is_none()),
            Property::always(
                "received is what was told last of each transfer",
                |world: &World, state: &State| {
                    u128::from(state.payment.received().0) == world.counted(state) / CENT
                },
            ),
            Property::always(
                "money in time makes it paid once it is told",
                |world: &World, state: &State| {
                    let status = state.payment.recorded_status();
                    let told = state.said.iter().all(|said| said.told);
                    let covered = world.in_time(state) >= u128::from(DUE.0) * CENT;
                    !told || !covered || status.is_paid() || status == Status::Cancelled
                },
            ),
            Property::sometimes("it is paid", |_, state: &State| {
                state.payment.recorded_status() == Status::Paid
            }),
            Property::sometimes("it is overpaid", |_, state: &State| {
                state.payment.recorded_status() == Status::Overpaid
            }),
            Property::sometimes("it expires with money that came too late", |_, state: &State| {
                state.payment.recorded_status() == Status::Expired && state.payment.has_late_money()
            }),
        ]
    }
}

/// What checking came to.
#[derive(Debug)]
pub struct Checked {
    /// Different states seen.
    pub states: usize,
    /// Whether those are all there are.
    pub complete: bool,
    /// Properties that do not hold.
    pub failed: Vec<String>,
    /// What should be seen some time and never was.
    pub unseen: Vec<&'static str>,
}

/// Checks a world until `states` states were reached, each as often as there are ways to it.
pub fn check(world: World, states: usize, threads: usize) -> Checked {
    let checker = world.checker().threads(threads).target_state_count(states).spawn_bfs().join();
    let discoveries = checker.discoveries();
    let properties = checker.model().properties();
    let is_wish = |property: &&Property<World>| property.expectation == Expectation::Sometimes;
    let failed = properties.iter().filter(|property| !is_wish(property)).filter_map(|property| {
        let path = discoveries.get(property.name)?;
        let actions: Vec<String> =
            path.clone().into_actions().iter().map(|action| format!("{action:?}")).collect();
        let why = path.last_state().wrong.unwrap_or_default();
        Some(format!("{}: {why} after {}", property.name, actions.join(", ")))
    });
    let unseen = properties.iter().filter(is_wish).map(|property| property.name);
    let unseen = unseen.filter(|name| !discoveries.contains_key(name)).collect();
    let complete = checker.state_count() < states;
    Checked { states: checker.unique_state_count(), complete, failed: failed.collect(), unseen }
}
