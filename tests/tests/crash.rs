//! The program `local`, killed at any moment: what was acknowledged is there, and nothing happened twice.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::anvil::{ANVIL_XPUB, Anvil};
use tests::live::{CONFIRMATIONS, ETH, chains};
use tests::program::{PATIENCE, Program, operator, until};
use tests::shop::{Shop, text, units};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Shops' servers that call at the same time.
const CLIENTS: usize = 4;

/// After so many acknowledged calls the program is killed: in the first ones, and with all functions warm.
const KILLED_AFTER: [usize; 4] = [1, 10, 33, 75];

/// Every payment is paid in these two parts, each named so that a repetition is the same transfer.
const PARTS: [(&str, u32); 2] = [("first", 40), ("second", 60)];

/// A live payment comes in so many parts, each in a block of its own, so that the watcher is at work for a while.
const TRANSFERS: u8 = 25;

/// The watcher is killed when so many of them have been told to the payment: while it is at the next ones.
const KILLED_WHEN_SEEN: [usize; 3] = [1, 7, 16];

/// The payment whose page tells whether there are prices.
const ASKS_FOR_PRICES: &str = "asks-for-prices";

/// What the shops know: what they have asked for, and what they were told.
#[derive(Default)]
struct Ledger {
    asked: BTreeSet<String>,
    created: BTreeMap<String, String>,
    received: BTreeSet<(String, &'static str)>,
}

/// A shop's server: creates payments and has them paid, until nobody answers.
struct Client<'a> {
    shop: Shop,
    ledger: &'a Mutex<Ledger>,
    acknowledged: &'a watch::Sender<usize>,
}

impl Client<'_> {
    async fn work(&self, name: &str) -> Option<()> {
        for number in 0_u32.. {
            let key = format!("{name}-{number}");
            self.ledger.lock().unwrap().asked.insert(key.clone());
            let id = text(&self.call(create(&self.shop, &key)).await?.payment()["id"]);
            self.ledger.lock().unwrap().created.insert(key, id.clone());
            self.simulate(&id, json!({ "scenario": "approve_identity" })).await?;
            self.simulate(&id, json!({ "scenario": "choose_coin" })).await?;
            for (part, percent) in PARTS {
                self.simulate(&id, transfer(part, percent)).await?;
                self.ledger.lock().unwrap().received.insert((id.clone(), part));
            }
        }
        None
    }

    async fn simulate(&self, id: &str, scenario: Value) -> Option<Value> {
        let call = self.shop.api(Method::POST, &format!("/test/payments/{id}/simulate")).json(&scenario);
        Some(self.call(call).await?.payment())
    }

    /// `None` when the gateway is dead.
    async fn call(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        let answer = Answer::try_of(request).await.ok()?;
        self.acknowledged.send_modify(|count| *count += 1);
        Some(answer)
    }
}

fn create(shop: &Shop, key: &str) -> reqwest::RequestBuilder {
    let request = json!({ "title": "Order", "amount_usd": 100, "metadata": { "key": key } });
    shop.api(Method::POST, "/payments").header("Idempotency-Key", key).json(&request)
}

fn transfer(part: &str, percent: u32) -> Value {
    json!({ "scenario": "transfer", "transfer_id": part, "percent": percent })
}

/// Lets shops work until so many of their calls were acknowledged, and then kills the program.
async fn work_and_kill(program: Program, round: usize, killed_after: usize, ledger: &'static Mutex<Ledger>) {
    let acknowledged: &'static watch::Sender<usize> = Box::leak(Box::new(watch::Sender::new(0)));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = Client { shop: program.test_shop(), ledger, acknowledged };
        clients.spawn(async move { client.work(&format!("round-{round}-client-{number}")).await });
    }
    acknowledged.subscribe().wait_for(|count| *count >= killed_after).await.unwrap();
    assert_ne!(program.functions(), [0; 0], "there is something to be left behind");
    program.kill().await;
    clients.join_all().await;
}

/// Everything that was acknowledged is there, and asking again makes nothing new.
async fn check(shop: &Shop, ledger: &Mutex<Ledger>) {
    let Ledger { asked, created, received } = std::mem::take(&mut *ledger.lock().unwrap());
    for key in &asked {
        let replay = Answer::of(create(shop, key)).await;
        let replayed = replay.headers.contains_key("Idempotent-Replayed");
        let payment = replay.payment();
        if let Some(id) = created.get(key) {
            assert_eq!((&payment["id"], replayed), (&json!(id), true), "{key}");
        }
    }
    let all = all_payments(shop).await;
    let keys: Vec<_> = all.iter().map(|payment| text(&payment["metadata"]["key"])).collect();
    assert_eq!((keys.len(), BTreeSet::from_iter(keys)), (asked.len(), asked), "one payment for each key");
    for (id, part) in &received {
        let payment = all.iter().find(|payment| payment["id"] == id.as_str()).unwrap();
        let transfers = payment["transfers"].as_array().unwrap();
        let transfer = transfers.iter().find(|transfer| transfer["tx_id"] == *part);
        assert_eq!(
            transfer.map(|transfer| &transfer["state"]),
            Some(&json!("counted")),
            "{part} of {payment}"
        );
    }
    for payment in all {
        finish(shop, &payment).await;
    }
}

/// Plays everything that may have happened once more: the sum is the same.
async fn finish(shop: &Shop, payment: &Value) {
    let id = text(&payment["id"]);
    if payment["status"] == "kyc_required" {
        shop.simulate(&id, &json!({ "scenario": "approve_identity" })).await;
    }
    if payment["selected_coin"] == Value::Null {
        shop.simulate(&id, &json!({ "scenario": "choose_coin" })).await;
    }
    for (part, percent) in PARTS {
        shop.simulate(&id, &transfer(part, percent)).await;
    }
    let payment = shop.get(&id).await;
    assert_eq!((&payment["status"], &payment["amount_received_usd"]), (&json!("paid"), &json!(100.0)));
    assert_eq!(payment["transfers"].as_array().unwrap().len(), PARTS.len());
}

async fn all_payments(shop: &Shop) -> Vec<Value> {
    let (mut payments, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = [("limit", "200"), ("cursor", &cursor)];
        let query = if cursor.is_empty() { &query[..1] } else { &query[..] };
        let page = Answer::of(shop.api(Method::GET, "/payments").query(query)).await.json();
        payments.extend(page["payments"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return payments,
        }
    }
}

#[tokio::test]
async fn r9_kill_9_loses_nothing_acknowledged_and_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let ledger: &'static Mutex<Ledger> = Box::leak(Box::default());
    ledger.lock().unwrap().asked.insert(ASKS_FOR_PRICES.to_owned());
    for (round, killed_after) in KILLED_AFTER.into_iter().enumerate() {
        let program = Program::start(folder.path(), &[]).await;
        priced(&program).await;
        work_and_kill(program, round, killed_after, ledger).await;
    }
    let program = Program::start(folder.path(), &[]).await;
    priced(&program).await;
    check(&program.test_shop(), ledger).await;
    program.kill().await;
}

/// Returns when there are prices: the schedules begin beside the answers.
async fn priced(program: &Program) {
    let shop = program.test_shop();
    let payment = Answer::of(create(&shop, ASKS_FOR_PRICES)).await.payment();
    let code = text(&payment["short_code"]);
    if payment["status"] == "kyc_required" {
        shop.simulate(&code, &json!({ "scenario": "approve_identity" })).await;
    }
    until("there are prices", async || {
        let state = shop.page_state(&code).await;
        state["coins"].as_array().is_some_and(|coins| !coins.is_empty())
    })
    .await;
}

#[tokio::test]
async fn r22_kill_9_while_the_watcher_works_counts_money_once() {
    let Some(anvil) = Anvil::start().await else { return };
    let token = anvil.deploy_token().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chains.json");
    std::fs::write(&file, chains(&token)).unwrap();
    let start = async || start_live(&folder.path().join("data"), &file, anvil.url()).await;

    let program = start().await;
    let payment = program.live_shop().create("100").await;
    let code = text(&payment["short_code"]);
    operator(program.database(), &["identity", "approve", &code]).await;
    let address = choose(&program.live_shop(), &code).await;
    // The very first look at a chain only notes where to begin; the next would come a minute later.
    until("the watcher has begun", async || program.log().contains("WatcherLagSeconds")).await;
    program.kill().await;
    let part = units(&json!("0.04"), ETH.decimals) / u128::from(TRANSFERS);
    for _ in 0..TRANSFERS {
        anvil.send_eth(&address, part).await;
    }
    anvil.mine(CONFIRMATIONS).await;
    for seen in KILLED_WHEN_SEEN {
        let program = start().await;
        count_up_to(&program.live_shop(), &code, seen).await;
        program.kill().await;
    }
    let program = start().await;
    let shop = program.live_shop();
    until("the payment is paid", async || shop.get(&code).await["status"] == "paid").await;
    let paid = shop.get(&code).await;
    assert_eq!((&paid["amount_received_usd"], &paid["overpaid_usd"]), (&json!(100.0), &json!(0.0)));
    assert_eq!(paid["transfers"].as_array().unwrap().len(), usize::from(TRANSFERS));
    program.kill().await;
}

/// Looks again and again, without a pause, until the payment shows so many transfers.
async fn count_up_to(shop: &Shop, code: &str, seen: usize) {
    let looking = async { while shop.get(code).await["transfers"].as_array().unwrap().len() < seen {} };
    tokio::time::timeout(PATIENCE, looking).await.unwrap();
}

async fn start_live(data: &Path, chains: &Path, rpc_url: &str) -> Program {
    let chains = chains.to_str().unwrap();
    Program::start(data, &["--chains", chains, "--rpc-url", rpc_url, "--live-xpub", ANVIL_XPUB]).await
}

/// Chooses ether as soon as there is a price for it; tells where to pay.
async fn choose(shop: &Shop, code: &str) -> String {
    let mut address = String::new();
    until("there is a price", async || {
        let answer = shop.choose(code, ETH.name).await;
        let chosen = answer.status == 200;
        if chosen {
            address = text(&answer.json()["wallet_address"]);
        }
        chosen
    })
    .await;
    address
}

#[tokio::test]
async fn ctrl_c_ends_the_whole_product() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[]).await;
    program.test_shop().create("1").await;
    assert_ne!(program.functions(), [0; 0], "there is something to be left behind");
    assert_eq!(program.interrupt().await.code(), Some(0));
}
