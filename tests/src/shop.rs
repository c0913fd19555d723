//! A shop and its customer: calls of the API with a key, and of the pay page without one.

use reqwest::header::ACCEPT;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::answer::Answer;

/// A merchant's server.
#[derive(Clone)]
pub struct Shop {
    http: Client,
    base_url: String,
    key: String,
}

impl Shop {
    /// A shop with that key at that gateway.
    pub fn new(base_url: &str, key: &str) -> Shop {
        Shop { http: Client::new(), base_url: base_url.to_owned(), key: key.to_owned() }
    }

    /// Where the gateway answers.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// A request of the API, to be completed and sent with [`Answer::of`].
    pub fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/api/v1{path}", self.base_url)).header("X-API-Key", &self.key)
    }

    /// Creates a payment over so many dollars.
    pub async fn create(&self, amount_usd: &str) -> Value {
        self.create_with(&json!({ "title": "Order #1234", "amount_usd": amount_usd })).await
    }

    /// Creates a payment.
    pub async fn create_with(&self, request: &Value) -> Value {
        Answer::of(self.api(Method::POST, "/payments").json(request)).await.payment()
    }

    /// Reads a payment.
    pub async fn get(&self, id: &str) -> Value {
        Answer::of(self.api(Method::GET, &format!("/payments/{id}"))).await.payment()
    }

    /// Withdraws a payment.
    pub async fn cancel(&self, id: &str) -> Answer {
        Answer::of(self.api(Method::POST, &format!("/payments/{id}/cancel"))).await
    }

    /// Makes something happen to a test payment.
    pub async fn simulate(&self, id: &str, scenario: &Value) -> Value {
        let call = self.api(Method::POST, &format!("/test/payments/{id}/simulate"));
        Answer::of(call.json(scenario)).await.payment()
    }

    /// The customer chooses a coin on the page, or asks for a new amount.
    pub async fn choose(&self, code: &str, coin: &str) -> Answer {
        let call = self.http.post(format!("{}/pay/{code}/coin", self.base_url)).form(&[("coin", coin)]);
        Answer::of(call.header(ACCEPT, "application/json")).await
    }

    /// What the customer's page asks for again and again.
    pub async fn page_state(&self, code: &str) -> Value {
        let answer = Answer::of(self.http.get(format!("{}/pay/{code}/state", self.base_url))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }
}

/// A JSON text.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// A decimal amount in the smallest units of a coin.
pub fn units(amount: &Value, decimals: usize) -> u128 {
    let amount = text(amount);
    let (whole, fraction) = amount.split_once('.').unwrap_or((&amount, ""));
    format!("{whole}{fraction:0<decimals$}").parse().expect("a decimal amount")
}
