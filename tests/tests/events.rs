//! The events below `events/`: documentation, input for `cargo lambda invoke`, and what each function must reply.
//!
//! They are replayed in the order of their names on a fresh product, with one account and keys of fixed bytes, so
//! that all but times and random names is the same each time. After a deliberate change: `GOLDEN=update`.
#![cfg(test)]

use std::collections::BTreeMap;

use axum::Router;
use local::{Options, workspace};
use serde_json::{Value, json};
use shared::account::{Account, AccountState};
use shared::clock::Clock;
use shared::keys::{ApiKey, KeyRecord, Scope};
use shared::money::{BasisPoints, Cents};
use shared::payment::{Fee, MerchantId, Mode, Payment, PaymentId, Request, Secret, Terms};
use shared::store::Store;
use tests::golden;
use tests::product::{Caller, Product, alone};
use tokio::net::TcpListener;

/// The payments that the events name, and what happened to them before.
const PAYMENTS: [(&str, &[&str]); 7] = [
    ("019cd2a1-7c40-7abc-80de-f01234567890", &[]),
    ("019cd2a1-7c40-7abc-81de-f01234567891", &[]),
    ("019cd2a1-7c40-7abc-82de-f01234567892", &["pay"]),
    ("019cd2a1-7c40-7abc-83de-f01234567893", &["pay"]),
    ("019cd2a1-7c40-7abc-84de-f01234567894", &[]),
    ("019cd2a1-7c40-7abc-85de-f01234567895", &["approve_identity", "choose_coin"]),
    ("019cd2a1-7c40-7abc-86de-f01234567896", &["approve_identity"]),
];

#[test]
fn every_event_gets_the_reply_beside_it() {
    alone(async {
        let mut options = Options { rpc_url: Some(quiet_chain().await), ..Options::default() };
        options.environment.insert("PUBLIC_URL".into(), "https://pay.example.com".into());
        let product = Product::start(options).await;
        let ids = prepare(&product).await;
        let events = golden::events(&workspace().join("events"));
        assert!(!events.is_empty());
        for (function, event) in events {
            let payload: Value = serde_json::from_slice(&std::fs::read(&event).unwrap()).unwrap();
            let reply = product.local.invoke(&function, payload).await.unwrap();
            golden::check(&event, &golden::readable(&reply, &ids));
        }
        product.local.shutdown().await;
    });
}

/// The demo account with its keys and payments.
async fn prepare(product: &Product) -> Vec<PaymentId> {
    let store = product.local.store();
    assert!(store.insert_account(&account()).await.unwrap());
    let key = insert_key(&store, Mode::Test, 1).await;
    insert_key(&store, Mode::Live, 2).await;
    let caller = product.caller(&key);
    let mut ids = Vec::new();
    for (id, past) in PAYMENTS {
        ids.push(insert_payment(&store, &caller, id, past).await);
    }
    ids
}

fn account() -> Account {
    Account {
        merchant: MerchantId::new("mer_demo"),
        name: "Demo shop".to_owned(),
        state: AccountState::Enabled,
        secret: Secret::new([3; 32]),
        fee_rate: None,
        fee_minimum: None,
        free_volume: None,
        xpubs: BTreeMap::new(),
        volume_used: Cents::ZERO,
    }
}

async fn insert_key(store: &Store, mode: Mode, byte: u8) -> ApiKey {
    let key = ApiKey::new(mode, [byte; 32]);
    let record = KeyRecord {
        hash: key.hash(),
        merchant: MerchantId::new("mer_demo"),
        mode,
        scopes: Scope::ALL.to_vec(),
        name: "events".to_owned(),
        shown: key.shown(),
        created_at: Clock::default().now(),
        expires_at: None,
        revoked_at: None,
        last_used_day: None,
    };
    store.insert_key(&record).await.unwrap();
    key
}

async fn insert_payment(store: &Store, caller: &Caller, id: &str, past: &[&str]) -> PaymentId {
    let id: PaymentId = id.parse().unwrap();
    let order = json!({ "title": "Order #1041", "description": "2 × T-shirt", "amount_usd": 49.99 });
    let terms = Terms {
        request: Request::parse(&order.to_string()).unwrap(),
        fee: Fee { usd: Cents(50), free_tier: false },
        tolerance: BasisPoints::ZERO,
        created_at: Clock::default().now(),
        idempotency: None,
    };
    let payment = Payment::new(id, MerchantId::new("mer_demo"), Mode::Test, terms);
    assert!(store.insert_payment(&payment).await.unwrap().is_none());
    for scenario in past {
        let answer = caller.simulate(&id.to_string(), &json!({ "scenario": scenario })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    id
}

/// A node of a chain of empty blocks that stands still.
async fn quiet_chain() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .fallback(async |call: String| json_rpc(&serde_json::from_str(&call).unwrap()).to_string());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn json_rpc(call: &Value) -> Value {
    let result = match call["method"].as_str().unwrap() {
        "eth_chainId" => json!("0x1"),
        "eth_getLogs" => json!([]),
        "eth_getBlockByNumber" => block(call["params"][0].as_str().unwrap()),
        other => panic!("{other} is not answered"),
    };
    json!({ "jsonrpc": "2.0", "id": call["id"], "result": result })
}

fn block(height: &str) -> Value {
    let digits = height.strip_prefix("0x").unwrap_or("14");
    let number = u64::from_str_radix(digits, 16).unwrap();
    json!({
        "number": format!("{number:#x}"),
        "hash": format!("0x{number:064x}"),
        "parentHash": format!("0x{:064x}", number.saturating_sub(1)),
        "timestamp": "0x69aeda28",
        "transactions": [],
    })
}
