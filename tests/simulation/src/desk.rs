//! What a thread keeps from one history to the next: the database, the clients, the clocks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::Engine;
use local::template::Product;
use serde_json::{Value, json};
use shared::account::{Account, AccountState};
use shared::chain::Chains;
use shared::chain::address::NOBODYS_XPUB;
use shared::clock::Clock;
use shared::keys::{ApiKey, KeyRecord, Scope};
use shared::moment::Timestamp;
use shared::money::{BasisPoints, Cents};
use shared::payment::{MerchantId, Mode, Secret};
use shared::settings::{FeeSettings, Settings};
use shared::store::Store;

use crate::client::store;
use crate::kind::Kind;
use crate::net::{Hands, Net, Seat, State};
use crate::wire::Wire;

/// Two of the merchant's processes, two of the payers', two watchers, the sweep, two that follow the streams.
pub const MERCHANTS: [Seat; 2] = [0, 1];
/// The payers' side.
pub const PAYERS: [Seat; 2] = [2, 3];
/// More than one, by mistake.
pub const WATCHERS: [Seat; 2] = [4, 5];
/// Ends what is overdue.
pub const SWEEP: Seat = 6;
/// Sees and writes without mishaps: the stage itself.
pub const STAGE: Seat = 7;
/// Follow what is written of payments: one notes wallets, the other counts volume.
pub const FOLLOWERS: [Seat; 2] = [8, 9];

/// Places at the table.
pub const SEATS: usize = 10;

/// Clocks of two processes differ by twice this at most.
pub const MOST_SKEW_SECONDS: u64 = 20;

/// Histories that share a database before it has grown too large to be fast.
const HISTORIES_A_DATABASE: u64 = 400;

/// Histories on one database lie this far apart in time, so that none sees another's addresses or rates.
const APART_SECONDS: u64 = 100 * 24 * 60 * 60;

/// The time of a database's first history.
const BEGINNING: u64 = 1_728_000_000;

/// The day on which the merchant's key was used last, far ahead: keys are not what is tried here.
const LONG_AGO_USED: u64 = 1_000_000;

/// What an account's attributes begin with that say how much was paid in a month.
pub const VOLUME: &str = "volume_";

/// The merchant.
pub const MERCHANT: &str = "mer_sim";

/// Confirmations below and from a thousand dollars on.
pub const DEPTHS: [u32; 2] = [3, 5];

/// The amount from which money must lie deeper.
const LARGE: Cents = Cents(100_000);

/// One thread's stage.
#[derive(Debug)]
pub struct Desk {
    net: Net,
    database: Engine,
    hands: Hands,
    stores: Vec<Store>,
    /// The merchant's key.
    pub key: ApiKey,
    used: u64,
}

impl Desk {
    /// A stage of its own.
    pub fn new() -> Desk {
        let database = Engine::new();
        let hands = std::array::from_fn(|_| &*Box::leak(Box::new(AtomicU64::new(BEGINNING))));
        let net = Net::new(State::new(
            database.clone(),
            fastrand::Rng::with_seed(0),
            crate::bugs::Bugs::default(),
            Timestamp(BEGINNING),
            hands,
        ));
        let stores = (0..SEATS).map(|seat| store(Wire { seat, net: net.clone() })).collect();
        let key = ApiKey::new(Mode::Live, [7; 32]);
        Desk { net, database, hands, stores, key, used: HISTORIES_A_DATABASE }
    }

    /// What lies between the processes.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// A process's way to the tables.
    pub fn store(&self, seat: Seat) -> &Store {
        &self.stores[seat]
    }

    /// A process's clock.
    pub fn clock(&self, seat: Seat) -> Clock {
        Clock::set_by(self.hands[seat])
    }

    /// Sets every clock, each a little wrong.
    pub fn set_clocks(&self, now: Timestamp, skews: &[i64; SEATS]) {
        for (hand, skew) in self.hands.iter().zip(skews) {
            hand.store(now.0.saturating_add_signed(*skew), Ordering::Relaxed);
        }
    }

    /// Clears the stage for a history; gives its number on this database, and its time.
    pub async fn clear(&mut self, random: fastrand::Rng, bugs: crate::bugs::Bugs) -> (u64, Timestamp) {
        let (claimed, wallets) = {
            let mut state = self.net.lock();
            (std::mem::take(&mut state.claimed), std::mem::take(&mut state.wallets))
        };
        if self.used >= HISTORIES_A_DATABASE {
            self.used = 0;
            self.begin_database().await;
        } else {
            self.forget_addresses(&claimed);
            for wallet in &wallets {
                self.delete("Addresses", wallet);
            }
            self.forget_volume();
        }
        let now = Timestamp(BEGINNING + self.used * APART_SECONDS);
        *self.net.lock() = State::new(self.database.clone(), random, bugs, now, self.hands);
        self.set_clocks(now, &[0; SEATS]);
        self.used += 1;
        (self.used, now)
    }

    /// A new database with the account; outside of any history, whose chance must not depend on what was before it.
    async fn begin_database(&mut self) {
        self.database = Engine::new();
        create_tables(&self.database);
        let (random, bugs) = (fastrand::Rng::with_seed(0), crate::bugs::Bugs::default());
        *self.net.lock() = State::new(self.database.clone(), random, bugs, Timestamp(BEGINNING), self.hands);
        self.set_clocks(Timestamp(BEGINNING), &[0; SEATS]);
        self.open_account().await;
    }

    async fn open_account(&self) {
        let store = self.store(STAGE);
        store.insert_account(&account()).await.expect("an account");
        let record = KeyRecord {
            hash: self.key.hash(),
            merchant: MerchantId::new(MERCHANT),
            mode: Mode::Live,
            scopes: Scope::ALL.to_vec(),
            name: "simulation".to_owned(),
            shown: self.key.shown(),
            created_at: Timestamp(BEGINNING),
            expires_at: None,
            revoked_at: None,
            last_used_day: Some(LONG_AGO_USED),
        };
        store.insert_key(&record).await.expect("a key");
    }

    /// Takes out what the next history must not find: addresses that it is going to give out itself.
    fn forget_addresses(&self, addresses: &[String]) {
        let xpub: shared::chain::address::ExtendedKey = NOBODYS_XPUB.parse().expect("a key");
        self.delete("Accounts", &json!({ "account": { "S": format!("xpub#{}", xpub.fingerprint()) } }));
        for address in addresses {
            self.delete(
                "Addresses",
                &json!({ "bucket": { "S": format!("address#{address}") }, "stamp": { "S": "-" } }),
            );
        }
    }

    /// No payment of the next history was paid before.
    fn forget_volume(&self) {
        let key = json!({ "account": { "S": MERCHANT } });
        let Some(mut account) = self.net.lock().item("Accounts", &key) else { return };
        if let Some(account) = account.as_object_mut() {
            account.retain(|name, _| !name.starts_with(VOLUME));
        }
        self.put("Accounts", &account);
    }

    fn delete(&self, table: &str, key: &Value) {
        let body = json!({ "TableName": table, "Key": key });
        self.database.ask("DeleteItem", &body.to_string());
    }

    /// Makes rates the market's, and keeps them under their minute.
    pub fn accept_rates(&self, rates: &[(&str, u64)], at: Timestamp) {
        let at_text = at.0.to_string();
        let mut latest =
            json!({ "chain": { "S": "rates" }, "entry": { "S": "latest" }, "at": { "N": at_text } });
        for (symbol, rate) in rates {
            let rate = rate.to_string();
            latest[format!("rate_{symbol}")] =
                json!({ "M": { "rate": { "N": rate }, "at": { "N": at_text } } });
            let (chain, entry) = (format!("rates#{symbol}"), format!("{:020}", at.minute().0));
            self.put(
                "Chains",
                &json!({ "chain": { "S": chain }, "entry": { "S": entry }, "rate": { "N": rate } }),
            );
        }
        self.put("Chains", &latest);
    }

    fn put(&self, table: &str, item: &Value) {
        let body = json!({ "TableName": table, "Item": item });
        self.database.ask("PutItem", &body.to_string());
    }

    /// Takes out what the sweep of an earlier history put off.
    pub fn forget_put_off(&self) {
        let asked = json!({
            "TableName": "Chains",
            "KeyConditionExpression": "chain = :sweep AND begins_with(entry, :retry)",
            "ExpressionAttributeValues": { ":sweep": { "S": "sweep" }, ":retry": { "S": "retry#" } },
        });
        let found = self.database.ask("Query", &asked.to_string());
        let found: Value = serde_json::from_str(&found.body).expect("an answer");
        for item in found["Items"].as_array().into_iter().flatten() {
            self.delete("Chains", &json!({ "chain": item["chain"], "entry": item["entry"] }));
        }
    }

    /// Where the sweep starts next, set as the idle sweeps of every minute would have left it.
    pub fn set_sweep_hour(&self, hour: Timestamp) {
        let item = json!({ "chain": { "S": "sweep" }, "entry": { "S": "hour" }, "hour": { "N": hour.0.to_string() } });
        self.put("Chains", &item);
    }
}

/// Settings of the simulated deployment, whose chain has a name of its own.
pub fn settings(chain: &str, kind: Kind, less: u32) -> Settings {
    Settings {
        public_url: Some("https://sim.example".to_owned()),
        api_domain: String::new(),
        chains: chains(chain, kind, less),
        test_xpub: None,
        fees: FeeSettings { rate: BasisPoints::ZERO, minimum: Cents::ZERO, free_volume: Cents::ZERO },
        tolerance: BasisPoints::ZERO,
        fixed_rates: false,
        waits: 0,
    }
}

/// The chain, with each depth so many blocks less than it should be.
fn chains(name: &str, kind: Kind, less: u32) -> Chains {
    let [small, large] = DEPTHS.map(|depth| depth - less);
    let text = format!(
        r#"[{{"chain":"{name}",{},
        "confirmations":[{{"below_usd":"1000.00","blocks":{small}}},{{"blocks":{large}}}]}}]"#,
        kind.setting()
    );
    Chains::parse(&text).expect("chains")
}

/// How deep a payment's money must lie.
pub fn depth(due: Cents) -> u32 {
    DEPTHS[usize::from(due >= LARGE)]
}

fn account() -> Account {
    Account {
        merchant: MerchantId::new(MERCHANT),
        name: "Simulation".to_owned(),
        state: AccountState::Enabled,
        secret: Secret::new([9; 32]),
        fee_rate: None,
        fee_minimum: None,
        free_volume: None,
        spread: BasisPoints::ZERO,
        xpubs: ["evm", "bitcoin"].map(|family| (family.to_owned(), NOBODYS_XPUB.to_owned())).into(),
        volume_used: Cents::ZERO,
    }
}

/// The index of the tables that somebody reads here: the sweep.
const INDEX_READ: &str = "due";

/// The template's tables; without streams, whose records nobody reads here and which would grow for ever, and without the
/// indexes of lists that nobody asks for, which each write would pay for.
fn create_tables(database: &Engine) {
    let template = include_str!("../../../template.yaml");
    let product = Product::read(template, &BTreeMap::new()).expect("the template");
    for table in product.tables {
        let mut definition = table.definition;
        definition.as_object_mut().map(|definition| definition.remove("StreamSpecification"));
        leave_out_unread_indexes(&mut definition);
        definition["TableName"] = json!(table.logical_id.trim_end_matches("Table"));
        let answer = database.ask("CreateTable", &definition.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

fn leave_out_unread_indexes(definition: &mut Value) {
    const INDEXES: &str = "GlobalSecondaryIndexes";
    let kept = definition[INDEXES].take();
    let kept: Vec<&Value> =
        kept.as_array().into_iter().flatten().filter(|index| index["IndexName"] == INDEX_READ).collect();
    let keys: Vec<Value> = std::iter::once(&definition["KeySchema"])
        .chain(kept.iter().map(|index| &index["KeySchema"]))
        .flat_map(|keys| keys.as_array().into_iter().flatten())
        .map(|key| key["AttributeName"].clone())
        .collect();
    let indexes = (!kept.is_empty()).then(|| json!(kept));
    let definition = definition.as_object_mut().expect("a table");
    definition.remove(INDEXES);
    definition.extend(indexes.map(|indexes| (INDEXES.to_owned(), indexes)));
    let attributes = definition["AttributeDefinitions"].as_array_mut().expect("attributes");
    attributes.retain(|attribute| keys.contains(&attribute["AttributeName"]));
}
