//! An answer: status, headers, body.

use std::future::{Future, ready};
use std::pin::Pin;

use lambda_http::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION, REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use lambda_http::{Body, IntoResponse, Response};
use serde::Serialize;

use super::{ApiError, ETag, Result};

/// A year of https for this host alone: what else is below its domain is not ours to decide. Browsers ignore it over http.
const HTTPS_ONLY: &str = "max-age=31536000";

/// What a handler answers.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: String,
}

/// The same answer says the same: headers only tell how to handle it.
impl PartialEq for Reply {
    fn eq(&self, other: &Reply) -> bool {
        (self.status, &self.body) == (other.status, &other.body)
    }
}

impl Reply {
    /// 200 with a JSON body.
    pub fn ok(body: &impl Serialize) -> Result {
        Reply::json(StatusCode::OK, body)
    }

    /// 201 with a JSON body.
    pub fn created(body: &impl Serialize) -> Result {
        Reply::json(StatusCode::CREATED, body)
    }

    /// A JSON body. No answer of the API is to be kept by anyone on the way.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Result {
        let body = serde_json::to_string(body).map_err(ApiError::internal)?;
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let not_kept = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(Reply { status, headers: vec![json, not_kept], body })
    }

    /// 303: the answer to a form, so that reloading it posts nothing again. The path may hold a secret, which nobody on the
    /// way keeps and no other site is told.
    pub fn see_other(path: &str) -> Result {
        let path = HeaderValue::from_str(path).map_err(ApiError::internal)?;
        let headers = vec![
            (LOCATION, path),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        Ok(Reply { status: StatusCode::SEE_OTHER, headers, body: String::new() })
    }

    /// A page.
    pub fn html(status: StatusCode, body: String) -> Reply {
        let html = (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        let not_kept = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Reply { status, headers: vec![html, not_kept], body }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Reply {
        self.headers.push((name, value));
        self
    }

    /// With the tag of its body.
    pub fn tagged(self) -> Result {
        let tag = HeaderValue::from_str(self.tag().as_str()).map_err(ApiError::internal)?;
        Ok(self.with(ETAG, tag))
    }

    /// What it is known by.
    pub fn tag(&self) -> ETag {
        ETag::of(&self.body)
    }

    /// 304 in its place: the caller has it already.
    #[must_use]
    pub fn not_modified(self) -> Reply {
        let headers = self.headers.into_iter().filter(|(name, _)| *name != CONTENT_TYPE);
        Reply { status: StatusCode::NOT_MODIFIED, headers: headers.collect(), body: String::new() }
    }

    /// Marked as the answer to a request that was made before (R9).
    #[must_use]
    pub fn replayed(self) -> Reply {
        self.with(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"))
    }

    /// Marked as given at once, although the caller wanted to wait, with the seconds after which asking again makes sense.
    #[must_use]
    pub fn refused_wait(self, seconds: u64) -> Reply {
        self.with(HeaderName::from_static("x-wait"), HeaderValue::from_static("refused"))
            .with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The response, under the request's name (R13), to be reached by https from now on and to be taken for nothing but
    /// what it says it is.
    pub fn into_response(self, request_id: &str) -> Response<String> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.extend(self.headers);
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HTTPS_ONLY));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        response
    }
}

/// A response whose body is text already: the conversion that any other body goes through brings the tables of all
/// character sets there are to every function.
pub(super) struct Answer(pub(super) Response<String>);

impl IntoResponse for Answer {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(ready(self.0.map(Body::Text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c18_a_redirect_that_may_hold_a_secret_is_kept_by_nobody() {
        let response = Reply::see_other("/refund/x/secret").unwrap().into_response("r");
        assert_eq!(response.status(), 303);
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("strict-transport-security", "max-age=31536000"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
    }
}
