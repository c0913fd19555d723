//! A function for the tests of `local`: it answers with its event, or fails in the way that it is asked to.
#![expect(clippy::print_stdout, reason = "what it prints goes to the log")]

use std::io::Write;
use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if variable("FAIL_INIT").is_some() {
        return Err("asked to fail at the start".into());
    }
    println!("started");
    lambda_runtime::run(service_fn(answer)).await
}

async fn answer(event: LambdaEvent<Value>) -> Result<Value, Error> {
    println!("called");
    let payload = event.payload;
    if let Some(records) = payload.get("Records").and_then(Value::as_array) {
        return record(records);
    }
    let wish =
        payload.get("rawPath").or_else(|| payload.get("do")).and_then(Value::as_str).unwrap_or_default();
    match wish.trim_start_matches('/') {
        "exit" => std::process::exit(3),
        "fail" => return Err("asked to fail".into()),
        "nonsense" => return Ok(json!({ "statusCode": "nonsense" })),
        "sleep" => {
            let seconds = payload.get("seconds").and_then(Value::as_u64).unwrap_or(60);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
        _ => {}
    }
    let environment: serde_json::Map<String, Value> =
        std::env::vars().map(|(name, value)| (name, json!(value))).collect();
    let answer = json!({ "pid": std::process::id(), "environment": environment, "event": payload });
    Ok(if payload.get("rawPath").is_some() {
        json!({ "statusCode": 200, "headers": { "x-echo": "yes" }, "body": answer.to_string() })
    } else {
        answer
    })
}

/// Appends the batch to a file, or fails once if a file asks for it.
fn record(records: &[Value]) -> Result<Value, Error> {
    let out = variable("OUT").ok_or("OUT is not set")?;
    if std::fs::remove_file(format!("{out}.fail")).is_ok() {
        return Err("asked to fail a batch".into());
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(out)?;
    for record in records {
        writeln!(file, "{record}")?;
    }
    Ok(json!({ "batchItemFailures": [] }))
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)?.into_string().ok()
}
