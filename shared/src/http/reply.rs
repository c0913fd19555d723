//! An answer: status, headers, body.

use std::future::{Future, ready};
use std::pin::Pin;

use lambda_http::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION};
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use lambda_http::{Body, IntoResponse, Response};
use serde::Serialize;

use super::{ApiError, ETag, Result};

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

    /// 303: the answer to a form, so that reloading it posts nothing again.
    pub fn see_other(path: &str) -> Result {
        let path = HeaderValue::from_str(path).map_err(ApiError::internal)?;
        Ok(Reply { status: StatusCode::SEE_OTHER, headers: vec![(LOCATION, path)], body: String::new() })
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

    /// The response, under the request's name (R13).
    pub fn into_response(self, request_id: &str) -> Response<String> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        if let Ok(id) = HeaderValue::from_str(request_id) {
            response.headers_mut().insert(HeaderName::from_static("x-request-id"), id);
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
