//! Who is measured, doing what.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use local::template::Product;
use serde_json::{Value, json};
use shared::app::Error;

use crate::engine::Engine;
use crate::measure::{Plan, measure};
use crate::programs::{BARE, Programs, fastapi};

/// A program and the call that it is given again and again.
pub struct Contender {
    /// As it is called in the report.
    pub name: String,
    command: Vec<OsString>,
    environment: BTreeMap<String, String>,
    event: Value,
}

/// Everything that is needed to start a process and to call it.
pub struct Launch {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// All its variables.
    pub environment: BTreeMap<String, String>,
    /// The event of each call.
    pub event: String,
    /// What the answer must be.
    pub status: u64,
}

impl Contender {
    /// How to start it, with the database behind TLS or without.
    pub fn launch(&self, engine: &Engine, secure: bool) -> Launch {
        let mut environment = self.environment.clone();
        environment.insert("AWS_ENDPOINT_URL_DYNAMODB".into(), engine.endpoint(secure));
        let status = if self.event.get("pathParameters").is_some() { 200 } else { 201 };
        Launch { command: self.command.clone(), environment, event: self.event.to_string(), status }
    }
}

/// All of them: for each call the product's function, the bare one, and FastAPI's.
pub async fn all(product: &Product, programs: &Programs, engine: &Engine) -> Result<Vec<Contender>, Error> {
    let bare = |what: &str| (format!("bare function, {what}"), native(programs, BARE));
    let fastapi = |what: &str| {
        let python = programs.python.as_ref()?;
        let command = vec![python.into(), "-m".into(), "awslambdaric".into(), "app.handler".into()];
        Some((format!("FastAPI + boto3, {what}"), command))
    };
    let own = |name: &str| (name.to_owned(), native(programs, name));
    let new = |event: &Value, (name, command): (String, Vec<OsString>)| Contender {
        name,
        command,
        environment: environment(product, programs, engine),
        event: event.clone(),
    };
    let create = create(&engine.key);
    let mut contenders: Vec<Contender> = Vec::new();
    contenders.extend([own("create-payment"), bare("write")].map(|who| new(&create, who)));
    contenders.extend(fastapi("create").map(|who| new(&create, who)));
    // Each reads a payment of its own kind's making.
    let mut readers = vec![own("get-payment"), bare("read")];
    readers.extend(fastapi("get"));
    let mut reading = Vec::new();
    for (writer, reader) in contenders.iter().zip(readers) {
        let code = made(writer, engine).await?;
        reading.push(new(&get(&engine.key, &code), reader));
    }
    contenders.extend(reading);
    Ok(contenders)
}

fn native(programs: &Programs, name: &str) -> Vec<OsString> {
    vec![programs.folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)).into()]
}

/// The short code of a payment that the contender makes.
async fn made(writer: &Contender, engine: &Engine) -> Result<String, Error> {
    let run = measure(&writer.launch(engine, false), engine, Plan { calls: 0, throttled: false }).await?;
    let body = run.answer.get("body").and_then(Value::as_str).unwrap_or_default();
    let body: Value = serde_json::from_str(body)?;
    let code = ["/payment/short_code", "/payment/code"].iter().find_map(|path| body.pointer(path)?.as_str());
    Ok(code.ok_or_else(|| format!("{} makes no payment", writer.name))?.to_owned())
}

/// What Lambda would tell them, beside what the template does.
fn environment(product: &Product, programs: &Programs, engine: &Engine) -> BTreeMap<String, String> {
    let mut environment = product
        .functions
        .iter()
        .find(|function| function.binary == "create-payment")
        .map(|function| function.environment.clone())
        .unwrap_or_default();
    let path = |path: PathBuf| path.display().to_string();
    let lambda = [
        ("AWS_ACCESS_KEY_ID", "local".into()),
        ("AWS_CA_BUNDLE", path(engine.authorities())),
        ("AWS_DEFAULT_REGION", "eu-north-1".into()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".into()),
        ("AWS_LAMBDA_FUNCTION_NAME", "bench".into()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "bench".into()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".into()),
        ("AWS_REGION", "eu-north-1".into()),
        ("AWS_SECRET_ACCESS_KEY", "local".into()),
        ("LAMBDA_TASK_ROOT", path(fastapi())),
        ("PYTHONPATH", path(fastapi())),
        ("PYTHONPYCACHEPREFIX", path(programs.folder.join("bench-pycache"))),
        ("_HANDLER", "app.handler".into()),
    ];
    environment.extend(lambda.map(|(name, value)| (name.to_owned(), value)));
    environment
}

/// The event of the documented call.
fn create(key: &str) -> Value {
    let body = json!({
        "title": "Order #1234",
        "amount_usd": 49.99,
        "description": "Two tickets",
        "metadata": { "order_id": "1234" }
    });
    let path = "/api/v1/payments";
    event(key, "POST", path, path, ("body", body.to_string().into()))
}

fn get(key: &str, code: &str) -> Value {
    let path = format!("/api/v1/payments/{code}");
    event(key, "GET", &path, "/api/v1/payments/{id}", ("pathParameters", json!({ "id": code })))
}

fn event(key: &str, method: &str, path: &str, route: &str, (field, value): (&str, Value)) -> Value {
    let route_key = format!("{method} {route}");
    json!({
        field: value,
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "content-type": "application/json",
            "host": "abcdefghij.execute-api.eu-north-1.amazonaws.com",
            "user-agent": "curl/8.5.0",
            "x-api-key": key,
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https"
        },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "abcdefghij",
            "domainName": "abcdefghij.execute-api.eu-north-1.amazonaws.com",
            "domainPrefix": "abcdefghij",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "curl/8.5.0"
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route_key,
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_u64
        },
        "isBase64Encoded": false
    })
}
