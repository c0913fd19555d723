//! The program `local`, as people start and kill it.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use reqwest::Client;
use serde_json::{Value, json};
use shared::keys::ApiKey;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::{PATIENCE, TEMPLATE, database, ended, programs, put};

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let template = folder.join("template.yaml");
    std::fs::write(&template, TEMPLATE).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command.arg("--template").arg(template).arg("--binaries").arg(programs());
    command.arg("--data").arg(folder.join("data")).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The running program, what it goes on to say, and its database.
struct Running {
    child: Child,
    _lines: Lines<BufReader<ChildStdout>>,
    database: String,
}

/// Starts the program and returns when it has said that it answers.
async fn start(folder: &Path) -> Running {
    let mut child = command(folder, &["--port", "0", "--database-port", "0"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut database = String::new();
    let said = tokio::time::timeout(PATIENCE, async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(endpoint) = line.strip_prefix("Database") {
                endpoint.trim().clone_into(&mut database);
            }
            if line.starts_with("Ctrl-C") {
                return true;
            }
        }
        false
    });
    assert!(said.await.unwrap(), "it ended before it answered");
    Running { child, _lines: lines, database }
}

async fn output(folder: &Path, arguments: &[&str]) -> Output {
    let running = command(folder, arguments).output();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap()
}

fn variable(folder: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(folder.join("data/env")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap().to_owned()
}

/// The process of a function that has answered a call.
async fn function(folder: &Path) -> u64 {
    let url = variable(folder, "CRYPTOGAP_URL");
    let text = Client::new().get(url).send().await.unwrap().text().await.unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["pid"].as_u64().unwrap()
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().await.unwrap().success());
}

#[tokio::test]
async fn ctrl_c_and_sigterm_end_everything_well() {
    for name in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let mut running = start(folder.path()).await;
        let function = function(folder.path()).await;
        signal(&running.child, name).await;
        let status = tokio::time::timeout(PATIENCE, running.child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(0), "{name}");
        ended(function).await;
    }
}

#[tokio::test]
async fn after_kill_9_functions_end_and_the_data_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = start(folder.path()).await;
    let function = function(folder.path()).await;
    let key = variable(folder.path(), "CRYPTOGAP_TEST_KEY");
    put(&first.database, "kept", 7).await;
    first.child.kill().await.unwrap();
    ended(function).await;
    let second = start(folder.path()).await;
    assert_eq!(variable(folder.path(), "CRYPTOGAP_TEST_KEY"), key);
    let get = json!({ "TableName": "Things", "Key": { "id": { "S": "kept" } } });
    assert_eq!(database(&second.database, "GetItem", &get).await["Item"]["n"]["N"], "7");
    self::function(folder.path()).await;
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    for (ours, others) in [("--port", "--database-port"), ("--database-port", "--port")] {
        let output = output(folder.path(), &[ours, &port, others, "0"]).await;
        assert_eq!(output.status.code(), Some(1));
        let expected = format!("error: port {port} is in use; choose another with {ours}\n");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
}

/// What the program says until it answers.
async fn said(folder: &Path, arguments: &[&str]) -> (Child, String) {
    let mut child = command(folder, arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reading = tokio::time::timeout(PATIENCE, async {
        let mut said = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            said = format!("{said}{line}\n");
            if line.starts_with("Ctrl-C") {
                return said;
            }
        }
        panic!("it ended before it answered: {said}");
    });
    (child, reading.await.unwrap())
}

/// A port whose next ones are free just now.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if port < 65_000 && (port..port + 4).all(is_free) {
            return port;
        }
    }
}

#[tokio::test]
async fn c13_the_database_takes_the_port_after_the_products_or_the_next_free_one() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let (mut child, told) = said(folder.path(), &["--port", &port.to_string()]).await;
    assert!(told.contains(&format!("CryptoGap  http://127.0.0.1:{port}\n")), "{told}");
    assert!(told.contains(&format!("Database   http://127.0.0.1:{}\n", port + 1)), "{told}");
    assert!(!told.contains("is in use"), "{told}");
    child.kill().await.unwrap();

    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let _taken = TcpListener::bind(("127.0.0.1", port + 1)).unwrap();
    let (mut child, told) = said(folder.path(), &["--port", &port.to_string()]).await;
    let (wanted, next) = (port + 1, port + 2);
    let sentence =
        format!("Port {wanted} is in use; {next} is taken instead (choose one with --database-port)\n");
    assert!(told.contains(&sentence), "{told}");
    assert!(told.contains(&format!("Database   http://127.0.0.1:{next}\n")), "{told}");
    child.kill().await.unwrap();
}

#[tokio::test]
async fn c13_where_nobody_chose_a_port_one_that_is_in_use_is_no_obstacle() {
    // Whoever has the usual port, it is in use.
    let _taken = TcpListener::bind("127.0.0.1:8787");
    let folder = tempfile::tempdir().unwrap();
    let (mut child, told) = said(folder.path(), &[]).await;
    assert!(told.contains("Port 8787 is in use; "), "{told}");
    assert!(!told.contains("CryptoGap  http://127.0.0.1:8787\n"), "{told}");
    function(folder.path()).await;
    child.kill().await.unwrap();
}

#[tokio::test]
async fn c14_who_loses_the_file_with_the_keys_gets_new_keys_of_the_same_merchant() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = start(folder.path()).await;
    let old = variable(folder.path(), "CRYPTOGAP_LIVE_KEY");
    first.child.kill().await.unwrap();
    std::fs::remove_file(folder.path().join("data/env")).unwrap();
    let second = start(folder.path()).await;
    let new = variable(folder.path(), "CRYPTOGAP_LIVE_KEY");
    assert_ne!(old, new);
    assert_eq!(merchant_of(&second.database, &old).await, merchant_of(&second.database, &new).await);
}

async fn merchant_of(endpoint: &str, key: &str) -> Value {
    let hash = ApiKey::parse(key).unwrap().hash();
    let get = json!({ "TableName": "Keys", "Key": { "key_hash": { "S": hash.as_str() } } });
    let merchant = database(endpoint, "GetItem", &get).await["Item"]["merchant"]["S"].clone();
    assert!(merchant.is_string());
    merchant
}

#[tokio::test]
async fn c17_the_folder_and_its_files_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    function(folder.path()).await;
    put(&running.database, "kept", 7).await;
    let data = folder.path().join("data");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    for name in ["dynamodb.sqlite", "dynamodb.sqlite-wal", "dynamodb.sqlite-shm", "env", "functions.log"] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_data_folder_in_use_is_one_clear_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let _running = start(folder.path()).await;
    let output = output(folder.path(), &["--port", "0", "--database-port", "0"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is in use by another `cargo local`"), "{said}");
}

#[tokio::test]
async fn the_database_can_be_started_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(folder.path(), &["--database-only", "--database-port", "0"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    let endpoint = line.split_whitespace().last().unwrap();
    let answer = Client::new().get(endpoint).send().await.unwrap();
    assert!(answer.text().await.unwrap().starts_with("healthy: dynamodb"));
    signal(&child, "-INT").await;
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}
