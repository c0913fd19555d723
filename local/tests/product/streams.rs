//! Changes of a table reach the function that wants them: filtered, in order, again after a failure and a restart.

use std::collections::BTreeMap;
use std::path::Path;

use local::{Data, Local};
use serde_json::Value;

use crate::support::{options, put};

async fn start(folder: &Path) -> Local {
    let mut options = options(folder);
    options.data = Data::Folder(folder.join("data"));
    let out = folder.join("out").display().to_string();
    options.function_environment.insert("Told".into(), BTreeMap::from([("OUT".into(), out)]));
    Local::start(options).await.unwrap()
}

fn told(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("out")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["dynamodb"]["Keys"]["id"]["S"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn wanted_changes_arrive_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let local = start(folder.path()).await;
    for n in 0..25 {
        put(local.dynamodb_endpoint(), &format!("t{n:02}"), n).await;
    }
    put(local.dynamodb_endpoint(), "t00", 100).await;
    local.streams_idle().await.unwrap();
    let told = told(folder.path());
    let expected: Vec<String> = (0..25).map(|n| format!("t{n:02}")).collect();
    assert_eq!(ids(&told), expected, "the change of t00 is filtered out");
    let first = &told[0];
    assert_eq!(first["eventName"], "INSERT");
    assert_eq!(first["eventSource"], "aws:dynamodb");
    assert_eq!(first["dynamodb"]["NewImage"]["n"]["N"], "0");
    assert_eq!(first["dynamodb"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
    assert!(first["eventSourceARN"].as_str().unwrap().contains("table/Things/stream/"));
    assert!(first["eventID"].is_string() && first["dynamodb"]["SequenceNumber"].is_string());
    local.shutdown().await;
}

#[tokio::test]
async fn a_batch_that_fails_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let local = start(folder.path()).await;
    std::fs::write(folder.path().join("out.fail"), "").unwrap();
    put(local.dynamodb_endpoint(), "a", 1).await;
    local.streams_idle().await.unwrap();
    assert_eq!(ids(&told(folder.path())), ["a"]);
    assert!(!folder.path().join("out.fail").exists(), "it had failed first");
    local.shutdown().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let local = start(folder.path()).await;
    put(local.dynamodb_endpoint(), "a", 1).await;
    local.streams_idle().await.unwrap();
    local.shutdown().await;
    let local = start(folder.path()).await;
    put(local.dynamodb_endpoint(), "b", 1).await;
    local.streams_idle().await.unwrap();
    assert_eq!(ids(&told(folder.path())), ["a", "b"]);
    local.shutdown().await;
}
