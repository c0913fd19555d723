//! R46: tables that do not answer. With functions, connections and a database: `tests/tests/tables.rs`.

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;
use crate::payment::Code;

/// An endpoint that accepts connections and never says anything.
async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept: Vec<TcpStream> = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            kept.push(connection);
        }
    });
    endpoint
}

fn store(endpoint: &str) -> Store {
    let name = || "none".to_owned();
    let tables =
        Tables { payments: name(), keys: name(), accounts: name(), addresses: name(), chains: name() };
    local_store(endpoint, tables)
}

#[tokio::test]
async fn b2_a_start_waits_no_longer_than_a_second_for_its_connection() {
    let (store, started) = (store(&silent().await), Instant::now());
    store.open_connection().await;
    assert!(started.elapsed() < ATTEMPT, "{:?}", started.elapsed());
}

#[tokio::test]
async fn b2_what_hangs_is_given_up_and_asked_again_and_in_the_end_an_error() {
    let (store, started) = (store(&silent().await), Instant::now());
    let failed = store.payment(Code::from_random(1)).await.unwrap_err();
    let took = started.elapsed();
    assert!(
        took > ATTEMPT.saturating_mul(2) && took < OPERATION.saturating_add(CONNECT),
        "{took:?}: {failed}"
    );
}
