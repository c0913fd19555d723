//! The programs that the documentation shows, as their readers run them: base URL and key changed, nothing else.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Output, Stdio};

use local::demo;
use local::{Local, Options, workspace};
use tests::eager::EagerPayer;
use tests::program::PATIENCE;
use tests::shop::Shop;
use tests::tools;
use tokio::process::Command;

/// What readers put their own in place of.
const DOCUMENTED_URL: &str = "https://cryptogap.com";
const DOCUMENTED_KEY: &str = "cgk_your_api_key";

/// Each language's interpreter, and how to know that it has what a snippet uses.
const SHELL: [&str; 3] = ["sh", "-c", "curl --version"];
const PYTHON: [&str; 3] = ["python3", "-c", "import requests"];
const JAVASCRIPT: [&str; 3] = ["node", "-e", "fetch"];
const PHP: [&str; 3] = ["php", "-r", "curl_version();"];

/// Runs a snippet of the documentation against a gateway whose payers pay at once.
async fn run(snippet: &str, language: [&str; 3]) -> Option<Output> {
    if !tools::works(&language) {
        return None;
    }
    let local = Local::start(Options::default()).await.unwrap();
    local.tick("refresh-rates").await.unwrap();
    let key = demo::demo(&local.store(), None, &[]).await.unwrap().test;
    let payer = EagerPayer::open(&Shop::new(local.base_url(), &key)).await;
    let documented = std::fs::read_to_string(workspace().join("docs/snippets").join(snippet)).unwrap();
    for placeholder in [DOCUMENTED_URL, DOCUMENTED_KEY] {
        assert!(documented.contains(placeholder), "{snippet} does not show {placeholder}");
    }
    let text = documented.replace(DOCUMENTED_URL, payer.url()).replace(DOCUMENTED_KEY, &key);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(snippet);
    std::fs::write(&file, text).unwrap();
    let output = execute(language[0], &file).await;
    local.shutdown().await;
    Some(output)
}

async fn execute(interpreter: &str, file: &Path) -> Output {
    let running = Command::new(interpreter).arg(file).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", file.display());
    output
}

/// The snippet names the pay link and then reports completion, and says nothing else.
async fn completes(snippet: &str, language: [&str; 3]) {
    let Some(output) = run(snippet, language).await else { return };
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("Pay URL: http://127.0.0.1:") && lines[0].contains("/pay/"), "{said}");
    assert_eq!(lines[1], "Payment complete!");
}

#[tokio::test]
async fn the_curl_snippet_completes() {
    completes("create-and-poll.sh", SHELL).await;
}

#[tokio::test]
async fn the_python_snippet_completes() {
    completes("create-and-poll.py", PYTHON).await;
}

#[tokio::test]
async fn the_javascript_snippet_completes() {
    completes("create-and-poll.mjs", JAVASCRIPT).await;
}

#[tokio::test]
async fn the_php_snippet_completes() {
    completes("create-and-poll.php", PHP).await;
}

#[tokio::test]
async fn the_three_steps_create_a_payment_and_find_it_paid() {
    let Some(output) = run("quickstart.sh", SHELL).await else { return };
    let said = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&said).into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.len(), 2, "{said}");
    let (created, polled) = (&answers[0], &answers[1]);
    assert_eq!(created["payment"]["status"], "kyc_required");
    assert_eq!(created["payment"]["description"], "Premium Plan - Monthly");
    assert_eq!(polled["payment"]["status"], "paid");
    assert_eq!(polled["payment"]["id"], created["payment"]["id"]);
}

/// The first code block of the README that contains `text`.
fn readme_block(text: &str) -> String {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let block = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    block.into_iter().find(|block| block.contains(text)).unwrap().to_owned()
}

#[test]
fn the_readme_prints_the_three_steps_that_are_run() {
    let steps = std::fs::read_to_string(workspace().join("docs/snippets/quickstart.sh")).unwrap();
    assert_eq!(readme_block("# 1. Create a payment"), steps);
}

#[tokio::test]
async fn the_readmes_scenario_takes_a_payment_to_paid() {
    if !tools::works(&SHELL) {
        return;
    }
    let local = Local::start(Options::default()).await.unwrap();
    local.tick("refresh-rates").await.unwrap();
    let key = demo::demo(&local.store(), None, &[]).await.unwrap().test;
    let shop = Shop::new(local.base_url(), &key);
    let created = shop.create("49.99").await;
    let code = tests::shop::text(&created["short_code"]);
    let running = Command::new("sh")
        .args(["-c", &readme_block("/simulate")])
        .envs([("CRYPTOGAP_URL", local.base_url()), ("CRYPTOGAP_TEST_KEY", &key), ("CODE", &code)])
        .output();
    let output = tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["payment"]["status"], "paid");
    local.shutdown().await;
}
