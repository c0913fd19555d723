//! A node that knows less than the one behind it, for tests: it refuses one kind of question.

use axum::Router;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The address of a node that answers as the one at `url` does, but not to `method`.
pub async fn without(url: &str, method: &'static str) -> String {
    let (http, url) = (reqwest::Client::new(), url.to_owned());
    let answer = post(move |request: String| {
        let (http, url) = (http.clone(), url.clone());
        async move {
            let asked: Value = serde_json::from_str(&request).unwrap();
            if asked["method"] == method {
                let error = json!({ "code": -32601, "message": "the method does not exist" });
                return json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error }).to_string();
            }
            http.post(url)
                .body(request)
                .header("content-type", "application/json")
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
    format!("http://{address}")
}
