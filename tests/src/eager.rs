//! A door in front of the gateway behind which every payment is paid before its shop hears of it.
//!
//! So a program that creates a payment and looks at it once sees it paid, whenever it looks.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Method, Request, Response};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::shop::{Shop, text};

/// More than any answer of the gateway holds.
const LARGEST_BODY: usize = 10 * 1024 * 1024;

/// What the documentation writes where the code of the reader's own payment belongs.
const DOCUMENTED_CODE: &str = "abc123";

/// The open door.
pub struct EagerPayer {
    url: String,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Behind {
    gateway: String,
    shop: Shop,
    last_code: Arc<Mutex<String>>,
}

impl EagerPayer {
    /// Opens a door to the gateway of this shop, which must be one of test mode.
    pub async fn open(shop: &Shop) -> EagerPayer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let behind =
            Behind { gateway: shop.base_url().to_owned(), shop: shop.clone(), last_code: Arc::default() };
        let router = Router::new().fallback(pass).with_state(behind);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        EagerPayer { url, serving }
    }

    /// Where the door is.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for EagerPayer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(behind): State<Behind>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LARGEST_BODY).await.unwrap();
    let answer = forward(&behind, &parts, body).await;
    let (status, bytes) = (answer.status(), answer.bytes().await.unwrap());
    if parts.method == Method::POST && status == 201 {
        let created: Value = serde_json::from_slice(&bytes).unwrap();
        let code = text(&created["payment"]["short_code"]);
        behind.shop.simulate(&code, &json!({ "scenario": "pay" })).await;
        *behind.last_code.lock().unwrap() = code;
    }
    Response::builder().status(status).header("Content-Type", "application/json").body(bytes.into()).unwrap()
}

async fn forward(behind: &Behind, parts: &Parts, body: Bytes) -> reqwest::Response {
    let path = parts.uri.path_and_query().unwrap().as_str();
    let path = path.replace(DOCUMENTED_CODE, &behind.last_code.lock().unwrap());
    let mut call =
        Client::new().request(parts.method.clone(), format!("{}{path}", behind.gateway)).body(body);
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != "host") {
        call = call.header(name, value);
    }
    call.send().await.unwrap()
}
