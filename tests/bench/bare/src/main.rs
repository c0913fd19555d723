//! The benchmark's yardstick: one write or one read with the SDK and the Lambda runtime, and no product around it.
//! It checks nobody and nothing, and is never deployed.

use std::collections::HashMap;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

type Item = HashMap<String, AttributeValue>;

/// What a DynamoDB client needs to know.
struct Table {
    client: Client,
    name: String,
}

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let table = &table()?;
        // As in the functions: the connection is opened while the processor is not throttled yet.
        read(table, "-").await?;
        lambda_runtime::run(service_fn(async |event| answer(table, event).await)).await
    })
}

#[expect(clippy::disallowed_methods, reason = "it has no settings")]
fn variable(name: &str) -> Result<String, Error> {
    std::env::var(name).map_err(|_| format!("{name} is missing").into())
}

fn table() -> Result<Table, Error> {
    let (key, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    let roots = TrustStore::empty().with_pem_certificate(std::fs::read(variable("AWS_CA_BUNDLE")?)?);
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(TlsContext::builder().with_trust_store(roots).build()?)
        .build_https();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(variable("AWS_REGION")?))
        .credentials_provider(Credentials::new(key, secret, None, None, "environment"))
        .http_client(http)
        .endpoint_url(variable("AWS_ENDPOINT_URL_DYNAMODB")?);
    Ok(Table { client: Client::from_conf(config.build()), name: variable("PAYMENTS_TABLE")? })
}

async fn answer(table: &Table, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let payload = event.payload;
    let code = payload.pointer("/pathParameters/id").and_then(Value::as_str);
    let (status, body) = match code {
        Some(code) => (200, read(table, code).await?),
        None => (201, write(table, &payload, event.context.deadline).await?),
    };
    let headers = json!({ "content-type": "application/json" });
    Ok(json!({ "statusCode": status, "headers": headers, "body": body, "isBase64Encoded": false }))
}

/// Reads one payment and shows what it holds.
async fn read(table: &Table, code: &str) -> Result<String, Error> {
    let key = AttributeValue::S(code.to_owned());
    let get = table.client.get_item().table_name(&table.name).key("code", key).consistent_read(true);
    let item = get.send().await?.item.unwrap_or_default();
    Ok(show(&item))
}

/// Writes a payment with the attributes and on the condition of the product's own.
async fn write(table: &Table, payload: &Value, now: u64) -> Result<String, Error> {
    let body: Value = serde_json::from_str(payload.get("body").and_then(Value::as_str).unwrap_or_default())?;
    let item = item(&body, now)?;
    let shown = show(&item);
    let put = table.client.put_item().table_name(&table.name).set_item(Some(item));
    put.condition_expression("attribute_not_exists(code)").send().await?;
    Ok(shown)
}

fn item(body: &Value, now: u64) -> Result<Item, Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let id = format!("{:032x}", u128::from_be_bytes(random));
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let texts = [
        ("code", id.chars().take(8).collect()),
        ("id", id.clone()),
        ("owner", "mer_00000000000000000000#test".into()),
        ("owner_status", "mer_00000000000000000000#test#kyc_required".into()),
        ("due_hour", "2026010100#00".into()),
        ("title", text("title")),
        ("description", text("description")),
        ("kyc_method", "id_upload".into()),
        ("kyc_status", "not_started".into()),
        ("fee_paid_by", "merchant".into()),
        ("metadata", body.get("metadata").map(Value::to_string).unwrap_or_default()),
    ];
    let seconds = now.to_string();
    let numbers = [
        ("amount", "4999"),
        ("fee", "50"),
        ("version", "1"),
        ("created_at", seconds.as_str()),
        ("updated_at", seconds.as_str()),
        ("next_check", seconds.as_str()),
    ];
    let texts = texts.map(|(name, text)| (name.to_owned(), AttributeValue::S(text)));
    let numbers = numbers.map(|(name, number)| (name.to_owned(), AttributeValue::N(number.to_owned())));
    Ok(texts.into_iter().chain(numbers).collect())
}

fn show(item: &Item) -> String {
    let value = |value: &AttributeValue| json!(value.as_s().or_else(|_| value.as_n()).ok());
    let payment: Value = item.iter().map(|(name, held)| (name.clone(), value(held))).collect();
    json!({ "success": true, "payment": payment }).to_string()
}
