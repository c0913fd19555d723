//! A table that refuses: what it is asked goes through to the engine, but for what a test wants refused.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What is to be refused; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Vec<Fault>>>);

struct Fault {
    operation: &'static str,
    table: &'static str,
    left: usize,
    error: Value,
}

impl Faults {
    /// Refuses the next so many calls of an operation that name a table, as an error of DynamoDB.
    pub(crate) fn refuse(&self, operation: &'static str, table: &'static str, times: usize, error: Value) {
        self.0.lock().unwrap().push(Fault { operation, table, left: times, error });
    }

    /// Refuses them because the table is throttled.
    pub(crate) fn throttle(&self, operation: &'static str, table: &'static str, times: usize) {
        let code = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
        self.refuse(operation, table, times, json!({ "__type": code, "message": "slow down" }));
    }

    /// Cancels transactions, each of their items for the reason at its place.
    pub(crate) fn cancel(&self, table: &'static str, times: usize, reasons: &[&str]) {
        let reasons: Vec<Value> = reasons.iter().map(|code| json!({ "Code": code })).collect();
        let code = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
        let error = json!({ "__type": code, "Message": "cancelled", "CancellationReasons": reasons });
        self.refuse("TransactWriteItems", table, times, error);
    }

    /// How many refusals nobody has met yet.
    pub(crate) fn left(&self) -> usize {
        self.0.lock().unwrap().iter().map(|fault| fault.left).sum()
    }

    /// Refuses nothing any more.
    pub(crate) fn no_more(&self) {
        self.0.lock().unwrap().clear();
    }

    fn meets(&self, operation: &str, body: &str) -> Option<Value> {
        let mut faults = self.0.lock().unwrap();
        let meets = |fault: &&mut Fault| {
            fault.left > 0 && fault.operation == operation && body.contains(&format!("\"{}\"", fault.table))
        };
        let fault = faults.iter_mut().find(meets)?;
        fault.left = fault.left.saturating_sub(1);
        Some(fault.error.clone())
    }

    /// Serves the engine at `endpoint` with these faults; where.
    pub(super) async fn before(&self, endpoint: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = format!("http://{}", listener.local_addr().unwrap());
        let state = (self.clone(), endpoint, reqwest::Client::new());
        let router = Router::new().fallback(pass).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        here
    }
}

async fn pass(
    State((faults, endpoint, http)): State<(Faults, String, reqwest::Client)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.rsplit('.').next().unwrap();
    let json = [("content-type", "application/x-amz-json-1.0")];
    if let Some(error) = faults.meets(operation, std::str::from_utf8(&body).unwrap()) {
        return (StatusCode::BAD_REQUEST, json, error.to_string()).into_response();
    }
    let mut forward = http.post(endpoint).body(body);
    for name in ["authorization", "content-type", "x-amz-date", "x-amz-target"] {
        forward = forward.header(name, &headers[name]);
    }
    let answer = forward.send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, json, answer.bytes().await.unwrap()).into_response()
}
