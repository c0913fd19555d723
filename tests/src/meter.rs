//! A proxy in front of the database that counts what DynamoDB would charge for: requests, read units, write units.
//!
//! The engine works out consumed capacity by AWS's documented rules (index writes included). It says nothing of
//! refused writes, which AWS charges too: those are counted here, by the size of the item that refused them.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of tests fails as tests do; capacity units are halves"
)]

use std::fmt;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What calls cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Calls of the database.
    pub requests: u32,
    /// Read units.
    pub reads: f64,
    /// Write units.
    pub writes: f64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, more: Cost) {
        self.requests += more.requests;
        self.reads += more.reads;
        self.writes += more.writes;
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>3} requests, {:>4} RRU, {:>2} WRU", self.requests, self.reads, self.writes)
    }
}

/// The proxy. It serves as long as the runtime that started it.
#[derive(Clone)]
pub struct Meter {
    endpoint: String,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    database: OnceLock<String>,
    http: reqwest::Client,
    cost: Mutex<Cost>,
}

impl Meter {
    /// Starts it. The database starts later and is named then.
    pub async fn start() -> Meter {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner::default());
        let router = Router::new().fallback(pass).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Meter { endpoint, inner }
    }

    /// Where it answers.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where the database is.
    pub fn measure(&self, database: &str) {
        self.inner.database.set(database.to_owned()).unwrap();
    }

    /// What was spent since the last time.
    pub fn take(&self) -> Cost {
        std::mem::take(&mut self.inner.cost.lock().unwrap())
    }
}

async fn pass(State(meter): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap().to_owned();
    let operation = target.rsplit('.').next().unwrap();
    let mut request: Value = serde_json::from_slice(&body).unwrap();
    request["ReturnConsumedCapacity"] = json!("INDEXES");
    let mut forward = meter.http.post(meter.database.get().unwrap()).body(request.to_string());
    for name in ["authorization", "content-type", "x-amz-date", "x-amz-target"] {
        forward = forward.header(name, headers.get(name).map_or("", |value| value.to_str().unwrap()));
    }
    let response = forward.send().await.unwrap();
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
    let body = response.bytes().await.unwrap();
    let reply: Value = serde_json::from_slice(&body).unwrap();
    *meter.cost.lock().unwrap() += cost(operation, &request, &reply);
    (status, [("content-type", "application/x-amz-json-1.0")], body).into_response()
}

fn cost(operation: &str, request: &Value, reply: &Value) -> Cost {
    let units: f64 = match &reply["ConsumedCapacity"] {
        Value::Array(tables) => tables.iter().map(|table| table["CapacityUnits"].as_f64().unwrap()).sum(),
        Value::Object(table) => table["CapacityUnits"].as_f64().unwrap(),
        // A refused write costs what the item in its way would have cost to write; the new one if nothing came back.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            refused(if reply["Item"].is_object() { &reply["Item"] } else { &request["Item"] })
        }
    };
    match operation {
        "GetItem" | "Query" | "BatchGetItem" | "Scan" => Cost { requests: 1, reads: units, writes: 0.0 },
        "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems" => {
            Cost { requests: 1, reads: 0.0, writes: units }
        }
        other => panic!("{other} is not metered"),
    }
}

fn refused(item: &Value) -> f64 {
    (size(item) as f64 / 1024.0).ceil().max(1.0)
}

/// Bytes of an item: names and values, a number half a byte a digit and one more.
fn size(item: &Value) -> usize {
    let attributes = item.as_object().into_iter().flatten();
    attributes.map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &Value) -> usize {
    let (kind, value) = value.as_object().and_then(|typed| typed.iter().next()).unwrap();
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => text.len(),
        ("N", Value::String(digits)) => digits.len().div_ceil(2) + 1,
        ("B", Value::String(base64)) => base64.len() / 4 * 3,
        ("M", map) => 3 + map.as_object().into_iter().flatten().count() + size(map),
        ("L", Value::Array(list)) => 3 + list.iter().map(|item| 1 + value_size(item)).sum::<usize>(),
        _ => 1,
    }
}
