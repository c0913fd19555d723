//! The database's own protocol, for what no code of the product does: broken items, and looking at raw ones.

#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a helper of tests fails as tests do")]

use serde_json::Value;

/// The engine checks the form of a signature, not the signature.
const SIGNATURE: &str = "AWS4-HMAC-SHA256 Credential=local/20260101/local/dynamodb/aws4_request, \
                         SignedHeaders=host;x-amz-date;x-amz-target, Signature=0";

/// One call of the database at `endpoint`.
pub async fn call(endpoint: &str, operation: &str, body: &Value) -> Value {
    let request = reqwest::Client::new()
        .post(endpoint)
        .header("Authorization", SIGNATURE)
        .header("Content-Type", "application/x-amz-json-1.0")
        .header("X-Amz-Date", "20260101T000000Z")
        .header("X-Amz-Target", format!("DynamoDB_20120810.{operation}"))
        .body(body.to_string());
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert!(status.is_success(), "{operation}: {status} {text}");
    serde_json::from_str(&text).unwrap()
}
