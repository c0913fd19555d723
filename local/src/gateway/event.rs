//! An HTTP request as the event that an HTTP API sends (payload format 2.0).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Request, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::routes::{Matched, decoded};
use crate::clock;

/// A request and what is known about it.
pub(super) struct Incoming<'a> {
    pub(super) request: &'a Request<Bytes>,
    pub(super) matched: &'a Matched<'a>,
    pub(super) client: SocketAddr,
    pub(super) request_id: &'a str,
    pub(super) now: Duration,
    pub(super) base_url: &'a str,
}

impl Incoming<'_> {
    /// The event.
    pub(super) fn event(&self) -> Value {
        let query = self.request.uri().query().unwrap_or_default();
        let mut event = json!({
            "version": "2.0",
            "routeKey": self.matched.route_key,
            // An HTTP API hands out the path decoded; the query it leaves as it came.
            "rawPath": self.path(),
            "rawQueryString": query,
            "headers": self.headers(),
            "requestContext": self.context(),
            "isBase64Encoded": false
        });
        if let Some(event) = event.as_object_mut() {
            let cookies = cookies(self.request.headers());
            insert_if_some(event, "cookies", !cookies.is_empty(), json!(cookies));
            let parameters = query_parameters(query);
            insert_if_some(event, "queryStringParameters", !parameters.is_empty(), json!(parameters));
            let path = &self.matched.path_parameters;
            insert_if_some(event, "pathParameters", !path.is_empty(), json!(path));
            self.add_body(event);
        }
        event
    }

    fn path(&self) -> String {
        decoded(self.request.uri().path())
    }

    fn context(&self) -> Value {
        let agent = self.request.headers().get(header::USER_AGENT).map(header_text).unwrap_or_default();
        let domain = self.domain();
        json!({
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": domain,
            "domainPrefix": domain.split('.').next(),
            "http": {
                "method": self.request.method().as_str(),
                "path": self.path(),
                "protocol": format!("{:?}", self.request.version()),
                "sourceIp": self.client.ip().to_string(),
                "userAgent": agent
            },
            "requestId": self.request_id,
            "routeKey": self.matched.route_key,
            "stage": "$default",
            "time": clock::common_log(self.now),
            "timeEpoch": u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX)
        })
    }

    /// The host under which we answer, without port: deployed APIs have none, and whatever host a client names, a deployed
    /// one is reached by its own names only.
    fn domain(&self) -> String {
        let host = self.base_url.split_once("://").map_or(self.base_url, |(_, host)| host);
        host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned()
    }

    /// Lower-case names; several values of one name are joined by commas.
    fn headers(&self) -> BTreeMap<String, String> {
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in self.request.headers() {
            // They have a place of their own.
            if name == header::COOKIE {
                continue;
            }
            let value = header_text(value);
            let known = headers.entry(name.as_str().to_owned());
            known.and_modify(|known| *known = format!("{known},{value}")).or_insert(value);
        }
        let (scheme, rest) = self.base_url.split_once("://").unwrap_or(("http", ""));
        let port = rest.rsplit_once(':').map_or("443", |(_, port)| port);
        headers.insert("x-forwarded-for".into(), self.client.ip().to_string());
        headers.insert("x-forwarded-port".into(), port.to_owned());
        headers.insert("x-forwarded-proto".into(), scheme.to_owned());
        headers
    }

    fn add_body(&self, event: &mut Map<String, Value>) {
        let body = self.request.body();
        if body.is_empty() {
            return;
        }
        let kind = self.request.headers().get(header::CONTENT_TYPE).map(header_text).unwrap_or_default();
        let text = std::str::from_utf8(body).ok().filter(|_| is_text(&kind));
        let (body, encoded) =
            text.map_or_else(|| (STANDARD.encode(body), true), |text| (text.to_owned(), false));
        event.insert("body".into(), json!(body));
        event.insert("isBase64Encoded".into(), json!(encoded));
    }
}

fn insert_if_some(event: &mut Map<String, Value>, name: &str, some: bool, value: Value) {
    if some {
        event.insert(name.into(), value);
    }
}

/// Header values may hold any byte; API Gateway reads them as Latin-1.
fn header_text(value: &header::HeaderValue) -> String {
    value.as_bytes().iter().copied().map(char::from).collect()
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(header::COOKIE).iter().map(header_text);
    let split =
        all.flat_map(|line| line.split(';').map(|cookie| cookie.trim().to_owned()).collect::<Vec<_>>());
    split.filter(|cookie| !cookie.is_empty()).collect()
}

/// Decoded; several values of one name are joined by commas.
fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let known = parameters.entry(name.into_owned());
        known.and_modify(|known| *known = format!("{known},{value}")).or_insert_with(|| value.into_owned());
    }
    parameters
}

/// Whether an HTTP API hands out a body of this type as text; everything else goes in base64.
fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = ["application/json", "application/javascript", "application/xml"];
    kind.starts_with("text/")
        || text.contains(&kind.as_str())
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(request: &Request<Bytes>) -> Value {
        let path_parameters = BTreeMap::from([("id".to_owned(), "a b".to_owned())]);
        let matched = Matched { function: "f", route_key: "POST /x/{id}", path_parameters };
        let client = SocketAddr::from(([192, 0, 2, 1], 999));
        let now = Duration::from_millis(1_773_066_600_123);
        let base_url = "http://127.0.0.1:8787";
        Incoming { request, matched: &matched, client, request_id: "r", now, base_url }.event()
    }

    #[test]
    fn a_request_becomes_an_event_of_payload_2() {
        let request = Request::post("/x/a%20b?status=paid&status=expired&n=%2B1&empty")
            .header("Host", "127.0.0.1:8787")
            .header("X-API-Key", "k")
            .header("Accept", "a")
            .header("Accept", "b")
            .header("Cookie", "a=1; b=2")
            .header("User-Agent", "curl")
            .header("Content-Type", "application/json")
            .body(Bytes::from("{}"))
            .unwrap();
        let expected = json!({
            "version": "2.0",
            "routeKey": "POST /x/{id}",
            "rawPath": "/x/a b",
            "rawQueryString": "status=paid&status=expired&n=%2B1&empty",
            "headers": {
                "accept": "a,b",
                "content-type": "application/json",
                "host": "127.0.0.1:8787",
                "user-agent": "curl",
                "x-api-key": "k",
                "x-forwarded-for": "192.0.2.1",
                "x-forwarded-port": "8787",
                "x-forwarded-proto": "http"
            },
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "local",
                "domainName": "127.0.0.1",
                "domainPrefix": "127",
                "http": {
                    "method": "POST", "path": "/x/a b", "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1", "userAgent": "curl"
                },
                "requestId": "r",
                "routeKey": "POST /x/{id}",
                "stage": "$default",
                "time": "09/Mar/2026:14:30:00 +0000",
                "timeEpoch": 1_773_066_600_123_u64
            },
            "isBase64Encoded": false,
            "cookies": ["a=1", "b=2"],
            "queryStringParameters": { "status": "paid,expired", "n": "+1", "empty": "" },
            "pathParameters": { "id": "a b" },
            "body": "{}"
        });
        assert_eq!(event(&request), expected);
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let event = event(&Request::get("/x").body(Bytes::new()).unwrap());
        for name in ["cookies", "queryStringParameters", "body"] {
            assert_eq!(event.get(name), None, "{name}");
        }
    }

    #[test]
    fn bodies_that_are_not_text_go_in_base64() {
        let encoded = |kind: Option<&str>, body: &'static [u8]| {
            let mut request = Request::post("/x").body(Bytes::from_static(body)).unwrap();
            if let Some(kind) = kind {
                request.headers_mut().insert("content-type", kind.parse().unwrap());
            }
            event(&request)["isBase64Encoded"].as_bool().unwrap()
        };
        assert!(!encoded(Some("application/json; charset=utf-8"), b"{}"));
        assert!(!encoded(Some("text/plain"), b"x"));
        assert!(!encoded(Some("application/problem+json"), b"x"));
        assert!(encoded(Some("application/json"), b"\xff"));
        assert!(encoded(Some("application/x-www-form-urlencoded"), b"a=1"));
        assert!(encoded(None, b"{}"));
    }
}
