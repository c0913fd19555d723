//! HTTP in, events out, and back.

use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::support::start;

async fn echoed(response: Response) -> Value {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-echo"], "yes");
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_request_reaches_its_function_as_an_event() {
    let local = start().await;
    let url = format!("{}/things/a%20b?x=1&x=2", local.base_url());
    let response = Client::new().post(url).header("X-API-Key", "k").body("text").send().await.unwrap();
    let id = response.headers()["apigw-requestid"].to_str().unwrap().to_owned();
    let event = &echoed(response).await["event"];
    assert_eq!(event["routeKey"], "POST /things/{id}");
    assert_eq!(event["pathParameters"], json!({ "id": "a b" }));
    assert_eq!(event["queryStringParameters"], json!({ "x": "1,2" }));
    assert_eq!(event["headers"]["x-api-key"], "k");
    assert_eq!(event["requestContext"]["requestId"], id.as_str());
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
    local.shutdown().await;
}

#[tokio::test]
async fn what_no_route_takes_reaches_the_default() {
    let local = start().await;
    for (method, path) in [("GET", "/things/1"), ("PUT", "/things/1"), ("GET", "/"), ("POST", "/things/1/")] {
        let url = format!("{}{path}", local.base_url());
        let response = Client::new().request(method.parse().unwrap(), url).send().await.unwrap();
        assert_eq!(echoed(response).await["event"]["routeKey"], "$default", "{method} {path}");
    }
    local.shutdown().await;
}

#[tokio::test]
async fn failures_look_as_api_gateway_shows_them() {
    let local = start().await;
    for (path, status, message) in [
        ("/exit", 500, "Internal Server Error"),
        ("/fail", 500, "Internal Server Error"),
        ("/nonsense", 500, "Internal Server Error"),
        ("/sleep", 500, "Internal Server Error"),
    ] {
        let response = Client::new().get(format!("{}{path}", local.base_url())).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.text().await.unwrap(), json!({ "message": message }).to_string(), "{path}");
        let next = Client::new().get(format!("{}/next", local.base_url())).send().await.unwrap();
        assert_eq!(next.status(), 200, "the call after {path}");
    }
    local.shutdown().await;
}

#[tokio::test]
async fn a_body_over_10_mb_is_refused_before_a_function_sees_it() {
    let local = start().await;
    let body = "x".repeat(10 * 1024 * 1024 + 1);
    let response =
        Client::new().post(format!("{}/things/1", local.base_url())).body(body).send().await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(response.text().await.unwrap(), r#"{"message":"Request Entity Too Large"}"#);
    assert_eq!(local.log(), Vec::<String>::new());
    local.shutdown().await;
}
