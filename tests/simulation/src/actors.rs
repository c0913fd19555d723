//! What merchants, payers, reviewers, watchers and the sweep do, each through the product's own door.

pub mod follow;
pub mod refund;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use fastrand::Rng;
use lambda_http::http::Method;
use lambda_http::{Body, Request};
use serde_json::{Value, json};
use shared::app::App;
use shared::callers::{Accounts, Callers};
use shared::chain::{Chain, Coin};
use shared::checkout;
use shared::http::{ApiError, Call, Reply};
use shared::money::Cents;
use shared::payment::{Code, IdentityStep};
use shared::settings::Settings;
use shared::watch::{WatchList, Watcher};

use self::refund::Link;
use crate::desk::{Desk, SEATS, SWEEP, WATCHERS};
use crate::manner::Manner;
use crate::net::{Net, Seat};
use crate::node::Node;

/// Something that a process is doing.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// Random bytes of the handlers: the same again for the same history.
    static ENTROPY: RefCell<Rng> = const { RefCell::new(Rng::with_seed(0)) };
}

/// What a payer was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// The coin's place in the settings.
    pub coin: usize,
    /// Where to.
    pub address: String,
    /// How much.
    pub units: u128,
}

/// A payment that a merchant knows of.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its code.
    pub code: Code,
    /// Its whole id.
    pub id: String,
    /// What is due.
    pub due: Cents,
    /// Whether identity was approved.
    pub approved: bool,
    /// What its payer was told.
    pub told: Vec<Told>,
}

/// A payment that a merchant wants, and asks for until there is an answer.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its `Idempotency-Key`, if it has one.
    pub key: Option<String>,
    /// How much.
    pub due: Cents,
}

/// The processes of one history.
#[derive(Debug)]
pub struct World {
    /// What lies between them.
    pub net: Net,
    /// The chain as it is watched.
    pub chain: Chain,
    /// One a seat.
    pub apps: Vec<App>,
    /// What merchants were answered, by code.
    pub orders: RefCell<BTreeMap<String, Order>>,
    /// The claim links that merchants were told.
    pub links: RefCell<Vec<Link>>,
    /// Which id a key was answered with.
    answers: RefCell<BTreeMap<String, String>>,
    lists: RefCell<BTreeMap<Seat, WatchList>>,
    followed: RefCell<BTreeMap<Seat, usize>>,
    key: String,
}

impl World {
    /// The processes, none of which has done anything yet.
    pub fn new(desk: &Desk, settings: &Settings, watched: Chain, seed: u64) -> World {
        ENTROPY.with_borrow_mut(|entropy| entropy.seed(seed));
        let app = |seat| App {
            store: desk.store(seat).clone(),
            settings: settings.clone(),
            clock: desk.clock(seat),
            callers: Callers::default(),
            accounts: Accounts::default(),
            entropy: |bytes| {
                ENTROPY.with_borrow_mut(|entropy| entropy.fill(bytes));
                Ok(())
            },
        };
        World {
            net: desk.net().clone(),
            chain: watched,
            apps: (0..SEATS).map(app).collect(),
            orders: RefCell::default(),
            links: RefCell::default(),
            answers: RefCell::default(),
            lists: RefCell::default(),
            followed: RefCell::default(),
            key: desk.key.reveal().to_owned(),
        }
    }

    /// How many of a stream's changes a process took in.
    fn followed(&self, seat: Seat) -> usize {
        self.followed.borrow().get(&seat).copied().unwrap_or(0)
    }

    fn follow_from(&self, seat: Seat, place: usize) {
        self.followed.borrow_mut().insert(seat, place);
    }

    /// A process died: what it knew is gone.
    pub fn crash(&self, seat: Seat) {
        self.lists.borrow_mut().remove(&seat);
        let mut state = self.net.lock();
        state.bugs.crash(seat);
        state.end_run(seat);
    }

    fn call(&self, seat: Seat, method: Method, key: Option<&str>, body: &Value) -> Call<()> {
        let mut request = Request::new(Body::Text(body.to_string()));
        *request.method_mut() = method;
        let headers = request.headers_mut();
        headers.insert("x-api-key", self.key.parse().expect("a header"));
        headers.insert("content-type", "application/json".parse().expect("a header"));
        if let Some(key) = key {
            headers.insert("idempotency-key", key.parse().expect("a header"));
        }
        Call::new(request, self.apps[seat].clock.now())
    }

    /// Holds a process to its word: what it acknowledged must be written.
    fn promise(&self, what: &str, code: &str, kept: impl Fn(&crate::record::Written) -> bool) {
        let mut state = self.net.lock();
        if !state.record.payments().get(code).is_some_and(kept) {
            state.violation(format!("payment {code}: {what} was acknowledged and is not written"));
        }
    }
}

fn refused(world: &World, seat: Seat, what: &str, error: &ApiError) {
    world.net.lock().tell(|| format!("{seat}: {what}: {error}"));
}

fn payment_of(reply: Reply) -> Value {
    let body = reply.into_response("simulation").into_body();
    serde_json::from_str::<Value>(&body).unwrap_or_default()["payment"].take()
}

/// A merchant asks for a payment.
pub async fn create(world: Rc<World>, seat: Seat, wish: Wish) {
    let app = &world.apps[seat];
    let body =
        json!({ "title": "Order", "amount_usd": format!("{}.{:02}", wish.due.0 / 100, wish.due.0 % 100) });
    let call = world.call(seat, Method::POST, wish.key.as_deref(), &body);
    let answered = async {
        create_payment::create_payment(app, call.authenticate(app, create_payment::SCOPE).await?).await
    };
    let payment = match answered.await {
        Ok(reply) => payment_of(reply),
        Err(error) => return refused(&world, seat, "create", &error),
    };
    let text = payment["short_code"].as_str().unwrap_or_default();
    let id = payment["id"].as_str().unwrap_or_default().to_owned();
    let code = text.parse().expect("a code");
    world.promise("a payment", text, |written| written.id == id);
    if let Some(key) = wish.key {
        let first = world.answers.borrow_mut().entry(key).or_insert_with(|| id.clone()).clone();
        if first != id {
            world
                .net
                .lock()
                .violation(format!("payment {text}: the same key was answered with {first} before (R9)"));
        }
    }
    let order = Order { code, id, due: wish.due, approved: false, told: Vec::new() };
    world.orders.borrow_mut().entry(text.to_owned()).or_insert(order);
}

/// A reviewer approves identity.
pub async fn approve(world: Rc<World>, seat: Seat, order: Order) {
    let app = &world.apps[seat];
    let now = app.clock.now();
    let decide = |payment: &shared::payment::Payment| {
        Ok::<_, ApiError>(payment.decide_identity(IdentityStep::Approve, now)?)
    };
    match app.store.change_payment(order.code, decide).await {
        Ok(_) => {
            if let Some(order) = world.orders.borrow_mut().get_mut(&order.code.to_string()) {
                order.approved = true;
            }
        }
        Err(error) => refused(&world, seat, "approve", &error),
    }
}

/// A payer chooses a coin, or wants a new quote.
pub async fn choose(world: Rc<World>, seat: Seat, order: Order, coin: usize) {
    let app = &world.apps[seat];
    let wanted: &Coin = &world.chain.coins[coin];
    let payment = match checkout::choose(app, order.code, &wanted.id, app.clock.now()).await {
        Ok(chosen) => chosen.payment,
        Err(error) => return refused(&world, seat, "choose", &error),
    };
    let text = order.code.to_string();
    let (Some(selection), Some(quote)) = (payment.selection(), payment.quote()) else { return };
    world.promise("an address", &text, |written| written.addresses.contains(&selection.address));
    let told = Told { coin, address: selection.address.clone(), units: quote.units.0 };
    if let Some(order) = world.orders.borrow_mut().get_mut(&text) {
        order.told.push(told);
    }
}

/// A merchant withdraws a payment.
pub async fn cancel(world: Rc<World>, seat: Seat, order: Order) {
    let app = &world.apps[seat];
    let path = HashMap::from([("id".to_owned(), order.id.clone())]);
    let call = world.call(seat, Method::DELETE, None, &json!({})).with_path(path);
    let answered = async {
        cancel_payment::cancel_payment(app, call.authenticate(app, cancel_payment::SCOPE).await?).await
    };
    match answered.await {
        Ok(_) => world.promise("a cancel", &order.code.to_string(), |written| written.cancelled_at.is_some()),
        Err(error) => refused(&world, seat, "cancel", &error),
    }
}

/// A merchant accepts late money.
pub async fn accept_late(world: Rc<World>, seat: Seat, order: Order) {
    let app = &world.apps[seat];
    let path = HashMap::from([("id".to_owned(), order.id.clone())]);
    let call = world.call(seat, Method::POST, None, &json!({})).with_path(path);
    let answered =
        async { accept_late::accept_late(app, call.authenticate(app, accept_late::SCOPE).await?).await };
    match answered.await {
        Ok(_) => {
            world.promise("late money", &order.code.to_string(), |written| written.accepted_at.is_some());
        }
        Err(error) => refused(&world, seat, "accept late", &error),
    }
}

/// A watcher's run; whether the chain is scanned to its tip and nothing waits.
pub async fn watch(world: Rc<World>, seat: Seat, manner: Manner) -> bool {
    debug_assert!(WATCHERS.contains(&seat));
    let app = &world.apps[seat];
    let mut list = world.lists.borrow_mut().remove(&seat).unwrap_or_default();
    world.net.lock().begin_run(seat, manner.seconds());
    let source = Node { chain: &world.chain, net: world.net.clone(), manner, seat, asked: Cell::new(0) };
    let watcher = Watcher { chain: &world.chain, source: &source, store: &app.store, clock: app.clock };
    let ran = watcher.run(&mut list).await;
    world.net.lock().end_run(seat);
    world.net.lock().tell(|| format!("{seat}: watched a node that is {manner:?}: {ran:?}"));
    world.lists.borrow_mut().insert(seat, list);
    ran.is_ok_and(|outcome| outcome.caught_up)
}

/// A run of the sweep; whether nothing due is left.
pub async fn sweep(world: Rc<World>) -> bool {
    let app = &world.apps[SWEEP];
    let swept = shared::sweep::sweep(&app.store, &app.settings.chains, app.clock).await;
    world.net.lock().tell(|| format!("{SWEEP}: swept: {swept:?}"));
    swept.is_ok_and(|swept| swept.finished)
}
