//! The whole product for tests: started once for a test program, called over HTTP, each test with accounts of its own.

use std::future::Future;
use std::sync::LazyLock;

use local::{Local, Options};
use reqwest::Method;
use serde_json::Value;
use shared::account::Account;
use shared::admin::{self, NewKey};
use shared::clock::Clock;
use shared::keys::{ApiKey, Scope};
use shared::moment::Timestamp;
use shared::payment::{MerchantId, Mode};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::OnceCell;

use crate::answer::Answer;

/// Outlives each test, because the product does.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// Where payments are.
pub const PAYMENTS: &str = "/api/v1/payments";

/// Prices that make amounts easy to read, and one that does not divide.
const RATES: &str = r#"{"BTC":"60000.00","ETH":"2500.00","LTC":"80.00","USDC":"1.00","USDT":"0.97"}"#;

/// Runs a test on the product that all tests of this program share.
///
/// Nobody stops that product: its functions end by themselves when the program that they poll is gone.
pub fn shared<T>(test: impl AsyncFnOnce(&'static Product) -> T) -> T {
    static PRODUCT: OnceCell<Product> = OnceCell::const_new();
    let mut options = Options::default();
    options.environment.insert("FIXED_RATES".into(), RATES.into());
    // Tests of waits must not take each other's places.
    options.environment.insert("CONCURRENCY".into(), "400".into());
    let product = PRODUCT.get_or_init(|| Product::start(options));
    RUNTIME.block_on(async { test(product.await).await })
}

/// Runs a test that starts what it needs itself.
pub fn alone<T>(test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(test)
}

/// The running product.
pub struct Product {
    /// The product itself.
    pub local: Local,
    http: reqwest::Client,
}

impl Product {
    /// Starts it, with prices.
    pub async fn start(options: Options) -> Product {
        let product = Product::start_without_prices(options).await;
        product.local.tick("refresh-rates").await.unwrap();
        product
    }

    /// Starts it; no coin can be chosen until prices are asked for.
    pub async fn start_without_prices(options: Options) -> Product {
        Product { local: Local::start(options).await.unwrap(), http: reqwest::Client::new() }
    }

    /// The name of a table, by its name in the template.
    pub fn table(&self, logical_id: &str) -> &str {
        let tables = &self.local.product().tables;
        tables.iter().find(|table| table.logical_id == logical_id).map(|table| table.name.as_str()).unwrap()
    }

    /// A new account with keys of both modes.
    pub async fn shop(&self) -> Shop<'_> {
        let account = admin::open_account(&self.local.store(), "Shop").await.unwrap();
        self.shop_of(account).await
    }

    /// The account, with new keys of both modes.
    pub async fn shop_of(&self, account: Account) -> Shop<'_> {
        let key = |mode| self.key(&account.merchant, mode, &Scope::ALL, None);
        let (test, live) = (key(Mode::Test).await, key(Mode::Live).await);
        Shop { product: self, test: self.caller(&test), live: self.caller(&live), account }
    }

    /// A new key of an account.
    pub async fn key(
        &self,
        merchant: &MerchantId,
        mode: Mode,
        scopes: &[Scope],
        expires_at: Option<Timestamp>,
    ) -> ApiKey {
        let (merchant, scopes) = (merchant.clone(), scopes.to_vec());
        let new = NewKey { merchant, mode, name: "test".to_owned(), scopes, expires_at };
        admin::make_key(&self.local.store(), new, Clock::default().now()).await.unwrap()
    }

    /// Whoever holds that key.
    pub fn caller(&self, key: &ApiKey) -> Caller {
        self.caller_with(Some(key.reveal()))
    }

    /// Whoever says that this is a key, or nothing.
    pub fn caller_with(&self, key: Option<&str>) -> Caller {
        let (base_url, key) = (self.local.base_url().to_owned(), key.map(str::to_owned));
        Caller { http: self.http.clone(), base_url, key }
    }
}

/// An account of one test.
pub struct Shop<'a> {
    /// The product it uses.
    pub product: &'a Product,
    /// The account.
    pub account: Account,
    /// With its test key.
    pub test: Caller,
    /// With its live key.
    pub live: Caller,
}

/// Somebody with a key, or without.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    base_url: String,
    /// What is sent as `X-API-Key`.
    pub key: Option<String>,
}

impl Caller {
    /// Any call.
    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let method: Method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.base_url)).body(body);
        for (name, value) in self.key.iter().map(|key| ("X-API-Key", key.as_str())).chain(headers.to_vec()) {
            request = request.header(name, value);
        }
        Answer::read(request.send().await.unwrap()).await
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], Vec::new()).await
    }

    /// `POST` of this text as JSON.
    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.call("POST", path, &[("Content-Type", "application/json")], body.into()).await
    }

    /// Creates a payment.
    pub async fn create(&self, body: &Value) -> Answer {
        self.post(PAYMENTS, &body.to_string()).await
    }

    /// Creates a payment under an idempotency key.
    pub async fn create_once(&self, key: &str, body: &Value) -> Answer {
        self.call("POST", PAYMENTS, &[("Idempotency-Key", key)], body.to_string().into()).await
    }

    /// Creates a payment of these dollars and returns its id.
    pub async fn created(&self, amount_usd: &str) -> String {
        let body = format!(r#"{{"title": "Order", "amount_usd": {amount_usd}}}"#);
        let answer = self.post(PAYMENTS, &body).await;
        answer.field("id").as_str().unwrap().to_owned()
    }

    /// Reads a payment.
    pub async fn read(&self, id: &str) -> Answer {
        self.get(&format!("{PAYMENTS}/{id}")).await
    }

    /// Asks why a payment stands where it stands.
    pub async fn explain(&self, id: &str) -> Answer {
        self.get(&format!("{PAYMENTS}/{id}/explain")).await
    }

    /// Lists payments.
    pub async fn list(&self, query: &str) -> Answer {
        self.get(&format!("{PAYMENTS}?{query}")).await
    }

    /// Cancels a payment.
    pub async fn cancel(&self, id: &str) -> Answer {
        self.post(&format!("{PAYMENTS}/{id}/cancel"), "").await
    }

    /// Accepts late money.
    pub async fn accept_late(&self, id: &str) -> Answer {
        self.post(&format!("{PAYMENTS}/{id}/accept-late"), "").await
    }

    /// Calls what belongs to a payment's refunds.
    pub async fn refunds(&self, method: &str, id: &str, rest: &str, body: &Value) -> Answer {
        let path = format!("{PAYMENTS}/{id}/refunds{rest}");
        let json = [("Content-Type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.call(method, &path, &json, body.into()).await
    }

    /// A merchant's command about the newest refund of a coin, which it names as it sees it.
    pub async fn command(&self, id: &str, coin: &str, rest: &str, body: &Value) -> Answer {
        let mut body = body.clone();
        for (field, value) in self.seen_refund(id, coin).await {
            body[field] = value;
        }
        self.refunds("POST", id, &format!("/{coin}/{rest}"), &body).await
    }

    /// The alias that takes it back, which has no body.
    pub async fn delete_refund(&self, id: &str, coin: &str) -> Answer {
        let [(_, name), (_, amount)] = self.seen_refund(id, coin).await;
        let (name, amount) = (name.as_str().unwrap(), amount.as_str().unwrap());
        let rest = format!("/{coin}?refund_id={name}&amount={amount}");
        self.refunds("DELETE", id, &rest, &Value::Null).await
    }

    /// What a command says of the newest refund of a coin.
    pub async fn seen_refund(&self, id: &str, coin: &str) -> [(&'static str, Value); 2] {
        let listed = self.refunds("GET", id, "", &Value::Null).await.json()["refunds"].clone();
        let all = listed.as_array().unwrap();
        let refund = all.iter().find(|refund| refund["coin"] == coin).expect("a refund of the coin");
        [("refund_id", refund["id"].clone()), ("amount", refund["amount"].clone())]
    }

    /// Simulates a scenario of test mode.
    pub async fn simulate(&self, id: &str, scenario: &Value) -> Answer {
        self.post(&format!("/api/v1/test/payments/{id}/simulate"), &scenario.to_string()).await
    }

    /// Plays scenarios one after the other, each of which is to be answered with 200; the last answer.
    pub async fn play(&self, id: &str, scenarios: &[Value]) -> Answer {
        let mut last = None;
        for scenario in scenarios {
            let answer = self.simulate(id, scenario).await;
            assert_eq!(answer.status, 200, "{scenario}: {}", answer.text);
            last = Some(answer);
        }
        last.expect("a scenario")
    }
}
