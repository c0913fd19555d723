//! An HTTP API's event, as far as a client wrote it.
//!
//! `lambda_http` makes a URI of host, path and query and panics where they are none, before anything of ours could
//! answer. So they are taken out of the event here, and its URI is always the same.

use lambda_http::http::header::HOST;
use lambda_http::lambda_runtime::LambdaEvent;
use lambda_http::request::LambdaRequest;

/// What a call is made to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// The path, decoded by API Gateway.
    pub path: String,
    /// Names and values of the query in their order, decoded.
    pub query: Vec<(String, String)>,
    /// Whether the query has characters that a URI cannot have.
    pub is_malformed: bool,
    /// The API's own id. Unlike the `Host` header it is API Gateway's word and not the client's.
    pub api: String,
}

/// Takes the target out of an event.
pub(super) fn separate(event: LambdaEvent<LambdaRequest>) -> (LambdaEvent<LambdaRequest>, Target) {
    let LambdaEvent { payload, context } = event;
    let (payload, target) = match payload {
        LambdaRequest::ApiGatewayV2(mut request) => {
            let raw = request.raw_query_string.take().unwrap_or_default();
            let path = request.raw_path.replace("/".to_owned()).unwrap_or_default();
            request.headers.remove(HOST);
            request.request_context.domain_name = None;
            let target = Target {
                path,
                query: form_urlencoded::parse(raw.as_bytes()).into_owned().collect(),
                is_malformed: !raw.bytes().all(may_be_in_query),
                api: request.request_context.apiid.clone().unwrap_or_default(),
            };
            (LambdaRequest::ApiGatewayV2(request), target)
        }
        other => (other, Target::default()),
    };
    (LambdaEvent { payload, context }, target)
}

/// What is left as it is when a URL is written (the WHATWG's set for queries): everything else must be percent-encoded.
fn may_be_in_query(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn target(path: &str, query: &str, host: &str) -> Target {
        let event: Value = json!({
            "version": "2.0", "rawPath": path, "rawQueryString": query, "headers": { "host": host },
            "requestContext": {
                "apiId": "a1b2c3", "domainName": host, "stage": "$default",
                "http": { "method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "::1" },
            },
            "isBase64Encoded": false,
        });
        let payload = serde_json::from_value(event).unwrap();
        let (event, target) = separate(LambdaEvent { payload, context: lambda_http::Context::default() });
        // The conversion that panicked.
        let request: lambda_http::Request = event.payload.into();
        assert_eq!((request.uri().to_string().as_str(), request.headers().get(HOST)), ("/", None));
        target
    }

    #[test]
    fn c12_whatever_a_client_writes_becomes_a_request() {
        for query in [" ", "\"", "<", ">", "a=b c", "status=\"paid\"", "é", "\u{0}", "\t", "x=#"] {
            assert!(target("/", query, "pay.example.com").is_malformed, "{query:?}");
        }
        for query in ["", "&", "a=%20+%zz%", "status[]=paid", "x={}|\\^`", "limit=5&cursor=-_~"] {
            assert!(!target("/", query, "pay.example.com").is_malformed, "{query:?}");
        }
        for path in ["", "/", "//", "/a b", "/\"<>|^`{}[]", "/é\u{0}", "x", ":99999999/"] {
            assert_eq!(target(path, "", "pay.example.com").path, path);
        }
        for host in ["", "a b", "[", "evil.example:99999999", "<>"] {
            assert_eq!(target("/x", "a=1", host).api, "a1b2c3");
        }
    }

    #[test]
    fn c12_names_and_values_are_decoded_in_their_order() {
        let query = target("/", "status%5B%5D=paid&b=1+2&b=%2B&c&=d", "h").query;
        let expected = [("status[]", "paid"), ("b", "1 2"), ("b", "+"), ("c", ""), ("", "d")];
        assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
