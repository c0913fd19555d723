//! The events below `events/`: documentation, input for `cargo lambda invoke`, and what each function must reply.
//!
//! They are replayed in the order of their names on a fresh product, with one account and keys of fixed bytes, so
//! that all but times and random names is the same each time. After a deliberate change: `GOLDEN=update`.
//!
//! Each function is held to its role in the template meanwhile.
#![cfg(test)]

use axum::Router;
use local::template::document;
use local::{Options, samples, workspace};
use serde_json::{Value, json};
use shared::clock::Clock;
use tests::golden;
use tests::product::{Product, alone};
use tests::roles::Guard;
use tokio::net::TcpListener;

#[test]
fn every_event_gets_the_reply_beside_it() {
    alone(async {
        let template = std::fs::read_to_string(workspace().join("template.yaml")).unwrap();
        let guard = Guard::start(document(&template).unwrap()).await;
        let mut options = Options { rpc_url: Some(quiet_chain().await), ..Options::default() };
        options.function_environment = guard.environment();
        options.environment.insert("PUBLIC_URL".into(), "https://pay.example.com".into());
        let product = Product::start_without_prices(options).await;
        guard.guard(product.local.dynamodb_endpoint());
        product.local.tick("refresh-rates").await.unwrap();
        let ids = samples::prepare(&product.local.store(), Clock::default().now()).await.unwrap();
        let events = golden::events(&workspace().join("events"));
        assert!(!events.is_empty());
        for (function, event) in events {
            let payload: Value = serde_json::from_slice(&std::fs::read(&event).unwrap()).unwrap();
            // What follows the payments has seen all of them.
            product.local.streams_idle().await.unwrap();
            let reply = product.local.invoke(&function, payload).await.unwrap();
            golden::check(&event, &golden::readable(&reply, &ids));
        }
        product.local.shutdown().await;
        assert_eq!(guard.refused(), Vec::<String>::new(), "its role does not allow it");
    });
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
        "eth_call" => json!(no_balances(call["params"][0]["data"].as_str().unwrap())),
        "eth_getBlockByNumber" => block(call["params"][0].as_str().unwrap()),
        other => panic!("{other} is not answered"),
    };
    json!({ "jsonrpc": "2.0", "id": call["id"], "result": result })
}

/// A word of zero for each address that follows the program: 31 bytes of it, or 78 and a token.
#[expect(clippy::arithmetic_side_effects, reason = "lengths of a test's own")]
fn no_balances(program: &str) -> String {
    let before = if program.starts_with("0x601f") { "0x".len() + 62 } else { "0x".len() + 156 + 64 };
    format!("0x{}", "0".repeat(program.len().saturating_sub(before)))
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
