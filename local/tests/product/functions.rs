//! Functions behind the runtime API: their environment, how many run, and how they fail.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use local::{InvokeError, Local};
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::{PATIENCE, called, ended, is_alive, options, printed, start};

async fn pid(local: &Local, function: &str) -> u64 {
    local.invoke(function, json!({})).await.unwrap()["pid"].as_u64().unwrap()
}

/// The same of a function with little time: a busy machine may take longer for a call that does nothing.
async fn pid_in_time(local: &Local, function: &str) -> u64 {
    let answered = async {
        loop {
            match local.invoke(function, json!({})).await {
                Ok(reply) => break reply["pid"].as_u64().unwrap(),
                Err(InvokeError::TimedOut(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("a call that does nothing is answered in time")
}

#[tokio::test]
async fn a_function_gets_its_event_and_only_the_environment_of_lambda() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.environment.insert("GIVEN".into(), "to all".into());
    options.function_environment.insert("Echo".into(), BTreeMap::from([("MODE".into(), "mine".into())]));
    options.clock_offset_seconds = 864_000;
    let local = Local::start(options).await.unwrap();
    let reply = local.invoke("Echo", json!({ "a": [1, "x"] })).await.unwrap();
    assert_eq!(reply["event"], json!({ "a": [1, "x"] }));
    let environment = reply["environment"].as_object().unwrap();
    let expected = [
        ("TABLE", "Things"),
        ("MODE", "mine"),
        ("GIVEN", "to all"),
        ("CLOCK_OFFSET_SECONDS", "864000"),
        ("PUBLIC_URL", local.base_url()),
        ("AWS_ENDPOINT_URL_DYNAMODB", local.dynamodb_endpoint()),
        ("AWS_LAMBDA_FUNCTION_NAME", "Echo"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ];
    for (name, value) in expected {
        assert_eq!(environment[name], value, "{name}");
    }
    assert_eq!(environment.get("HOME"), None, "what the tests were started with stays outside");
    local.shutdown().await;
}

#[tokio::test]
async fn an_idle_process_is_used_again() {
    let local = start().await;
    let first = pid(&local, "Echo").await;
    assert_eq!(pid(&local, "Echo").await, first);
    local.shutdown().await;
}

#[tokio::test]
async fn calls_at_the_same_time_run_at_the_same_time() {
    let local = start().await;
    let sleep = json!({ "do": "sleep", "seconds": 1 });
    let call = || async { local.invoke("Echo", sleep.clone()).await.unwrap()["pid"].as_u64().unwrap() };
    let (a, b, c) = tokio::join!(call(), call(), call());
    assert_eq!(BTreeSet::from([a, b, c]).len(), 3);
    local.shutdown().await;
}

#[tokio::test]
async fn reserved_concurrency_makes_calls_wait() {
    let local = start().await;
    let call = || async { pid(&local, "Single").await };
    let (a, b, c) = tokio::join!(call(), call(), call());
    assert_eq!((a, b), (b, c));
    local.shutdown().await;
}

#[tokio::test]
async fn a_function_that_dies_is_replaced() {
    let local = start().await;
    let first = pid(&local, "Echo").await;
    assert_eq!(local.invoke("Echo", json!({ "do": "exit" })).await, Err(InvokeError::Died));
    ended(first).await;
    assert_ne!(pid(&local, "Echo").await, first);
    local.shutdown().await;
}

#[tokio::test]
async fn a_function_may_fail_and_go_on() {
    let local = start().await;
    let first = pid(&local, "Echo").await;
    let failed = local.invoke("Echo", json!({ "do": "fail" })).await.unwrap_err();
    let InvokeError::Failed { message, .. } = failed else { panic!("{failed:?}") };
    assert_eq!(message, "asked to fail");
    assert_eq!(pid(&local, "Echo").await, first);
    local.shutdown().await;
}

#[tokio::test]
async fn a_call_that_takes_too_long_ends_its_process() {
    let local = start().await;
    let first = pid_in_time(&local, "Hasty").await;
    let slow = local.invoke("Hasty", json!({ "do": "sleep", "seconds": 60 })).await;
    assert_eq!(slow, Err(InvokeError::TimedOut(Duration::from_secs(1))));
    ended(first).await;
    assert_ne!(pid_in_time(&local, "Hasty").await, first);
    local.shutdown().await;
}

#[tokio::test]
async fn a_function_that_cannot_start_says_why() {
    let local = start().await;
    let broken = local.invoke("Broken", json!({})).await;
    assert!(matches!(broken, Err(InvokeError::Init(_))), "{broken:?}");
    assert!(
        local
            .log()
            .iter()
            .any(|line| line.starts_with("Broken 1 | ") && line.contains("asked to fail at the start"))
    );
    let missing = local.invoke("Missing", json!({})).await;
    assert!(matches!(missing, Err(InvokeError::NotStarted(_))), "{missing:?}");
    let unknown = local.invoke("Nobody", json!({})).await;
    assert_eq!(unknown, Err(InvokeError::Unknown("Nobody".into())));
    local.shutdown().await;
}

#[tokio::test]
async fn shutdown_leaves_no_process_idle_or_busy() {
    let local = start().await;
    let idle = pid(&local, "Single").await;
    let busy = pid(&local, "Echo").await;
    let url = format!("{}/sleep", local.base_url());
    let call = tokio::spawn(async move { Client::new().post(url).send().await.unwrap().status() });
    called(&local, "Echo", 2).await;
    assert!(is_alive(idle) && is_alive(busy));
    local.shutdown().await;
    assert!(!is_alive(idle) && !is_alive(busy));
    assert_eq!(call.await.unwrap(), 500);
}

#[tokio::test]
async fn dropping_ends_the_processes_too() {
    let local = start().await;
    let idle = pid(&local, "Echo").await;
    drop(local);
    ended(idle).await;
}

#[tokio::test]
async fn a_schedule_runs_at_start_and_never_beside_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.schedules = true;
    let local = Local::start(options).await.unwrap();
    called(&local, "Slow", 1).await;
    let reply = local.tick("Slow").await.unwrap();
    assert_eq!(reply["event"]["do"], "sleep", "the schedule's own input");
    assert_eq!(printed(&local, "Slow", "called"), 2);
    // The run at start was still going on: beside it, the tick would have needed a second process.
    assert_eq!(printed(&local, "Slow", "started"), 1);
    local.shutdown().await;
}

#[tokio::test]
async fn a_tick_is_the_usual_event_and_nothing_runs_without_schedules() {
    let local = start().await;
    let reply = local.tick("Echo").await.unwrap();
    assert_eq!(reply["event"]["detail-type"], "Scheduled Event");
    assert_eq!(printed(&local, "Echo", "called"), 1);
    assert_eq!(printed(&local, "Slow", "called"), 0);
    local.shutdown().await;
}

#[tokio::test]
async fn a_large_event_and_reply_come_through() {
    let local = start().await;
    let text = "x".repeat(2_000_000);
    let reply: Value = local.invoke("Echo", json!({ "text": text })).await.unwrap();
    assert_eq!(reply["event"]["text"].as_str().map(str::len), Some(2_000_000));
    local.shutdown().await;
}
