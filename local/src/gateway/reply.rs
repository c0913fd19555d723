//! A function's reply as an HTTP response.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    status_code: u16,
    #[serde(default)]
    headers: Option<Map<String, Value>>,
    #[serde(default)]
    multi_value_headers: Option<Map<String, Value>>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// Reads a reply with a `statusCode`; any other JSON is a body with status 200, as in payload format 2.0.
pub(super) fn response(reply: Value) -> Result<Response<Body>, String> {
    if reply.get("statusCode").is_none() {
        let mut response = Response::new(Body::from(reply.to_string()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Ok(response);
    }
    let reply: Reply = serde_json::from_value(reply).map_err(|error| error.to_string())?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(reply.status_code).map_err(|error| error.to_string())?;
    for (name, value) in reply.headers.iter().flatten() {
        add(&mut response, name, value)?;
    }
    for (name, values) in reply.multi_value_headers.iter().flatten() {
        // `headers` repeats one of them.
        let parsed: HeaderName = name.parse().map_err(|_| format!("`{name}` is not a header"))?;
        response.headers_mut().remove(&parsed);
        for value in values.as_array().into_iter().flatten() {
            add(&mut response, name, value)?;
        }
    }
    for cookie in reply.cookies.into_iter().flatten() {
        add(&mut response, "set-cookie", &Value::String(cookie))?;
    }
    // The server counts for itself.
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    if !response.headers().contains_key(header::CONTENT_TYPE) {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"));
    }
    let body = reply.body.unwrap_or_default();
    let body = if reply.is_base64_encoded {
        STANDARD.decode(body).map_err(|error| error.to_string())?
    } else {
        body.into_bytes()
    };
    *response.body_mut() = Body::from(body);
    Ok(response)
}

fn add(response: &mut Response<Body>, name: &str, value: &Value) -> Result<(), String> {
    let value = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null => return Ok(()),
        Value::Array(_) | Value::Object(_) => return Err(format!("the header `{name}` is not a text")),
    };
    let parsed: HeaderName = name.parse().map_err(|_| format!("`{name}` is not a header"))?;
    let value =
        HeaderValue::from_bytes(value.as_bytes()).map_err(|_| format!("the header `{name}` is malformed"))?;
    response.headers_mut().append(parsed, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn body(response: Response<Body>) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), 1_000).await.unwrap().to_vec()
    }

    #[tokio::test]
    async fn a_reply_becomes_a_response() {
        let reply = json!({
            "statusCode": 401,
            "headers": { "WWW-Authenticate": "APIKey", "X-A": "2", "Content-Length": "99" },
            "multiValueHeaders": { "X-A": ["1", "2"] },
            "cookies": ["a=1", "b=2"],
            "body": "aGk=",
            "isBase64Encoded": true
        });
        let response = response(reply).unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "APIKey");
        let all = |name: &str| response.headers().get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(all("x-a"), ["1", "2"]);
        assert_eq!(all("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(response.headers().get("content-length"), None);
        assert_eq!(body(response).await, b"hi");
    }

    #[tokio::test]
    async fn anything_without_a_status_is_a_body() {
        let response = response(json!({ "a": 1 })).unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &HeaderValue::from_static("application/json"))
        );
        assert_eq!(body(response).await, br#"{"a":1}"#);
    }

    #[test]
    fn a_broken_reply_is_an_error() {
        for reply in [
            json!({ "statusCode": 1 }),
            json!({ "statusCode": "200" }),
            json!({ "statusCode": 200, "body": { "a": 1 } }),
            json!({ "statusCode": 200, "headers": { "a": [1] } }),
            json!({ "statusCode": 200, "headers": { "a b": "1" } }),
            json!({ "statusCode": 200, "body": "%", "isBase64Encoded": true }),
        ] {
            assert!(response(reply.clone()).is_err(), "{reply}");
        }
    }
}
