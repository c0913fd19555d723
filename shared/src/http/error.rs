//! Every way a call can fail, as the caller sees it.

use lambda_http::http::header::{ALLOW, WWW_AUTHENTICATE};
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use super::Reply;
use crate::chain::CoinId;
use crate::pay::NotOffered;
use crate::payment::{InvalidParameter, Refusal};
use crate::store::StoreError;

/// Why a call fails. `Display` is the `detail` of the answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No key, or one that opens nothing (R2).
    #[error("Invalid or missing API key")]
    Unauthenticated,
    /// The account may not call (R3).
    #[error("Account is disabled")]
    AccountDisabled,
    /// The key may not do this.
    #[error("Key lacks permission")]
    MissingScope,
    /// No such payment, or not the caller's (R4).
    #[error("Payment not found")]
    PaymentNotFound,
    /// No such path (R10).
    #[error("Not found")]
    PathNotFound,
    /// The path knows other methods (R10).
    #[error("Method not allowed")]
    MethodNotAllowed {
        /// Which, as a header.
        allow: String,
    },
    /// A parameter is wrong.
    #[error(transparent)]
    Invalid(#[from] InvalidParameter),
    /// The payment's state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The key was used for another request (R9).
    #[error("Idempotency-Key was already used with a different request")]
    IdempotencyKeyReused,
    /// The coin cannot be chosen now.
    #[error("{}", .why.about(Some(.coin)))]
    NotOffered {
        /// Which.
        coin: CoinId,
        /// What stands in the way.
        why: NotOffered,
    },
    /// No coin at all can be chosen now.
    #[error("{}", .0.as_ref().map_or_else(|| "No coin is configured".to_owned(), |why| why.about(None)))]
    NothingOffered(Option<NotOffered>),
    /// Nobody looks for money on the coin's chain (R20: a coin that cannot be paid is not offered).
    #[error("This coin cannot be paid at the moment, because its chain is not watched")]
    NotWatched,
    /// Throttled, or too many changes at once.
    #[error("Too busy right now. Try again")]
    Busy,
    /// Something broke; the cause is logged and goes no further (R13).
    #[error("Internal server error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A handler panicked; the panic is in the log.
    #[error("Internal server error")]
    Panicked,
}

impl ApiError {
    /// Something that is not the caller's fault.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
        ApiError::Internal(cause.into())
    }

    /// The status, and the word under `X-Error-Code` that never changes.
    pub fn public(&self) -> (StatusCode, &'static str) {
        match self {
            ApiError::Unauthenticated => (StatusCode::UNAUTHORIZED, "invalid_api_key"),
            ApiError::AccountDisabled => (StatusCode::FORBIDDEN, "account_disabled"),
            ApiError::MissingScope => (StatusCode::FORBIDDEN, "missing_scope"),
            ApiError::PaymentNotFound => (StatusCode::NOT_FOUND, "payment_not_found"),
            ApiError::PathNotFound => (StatusCode::NOT_FOUND, "not_found"),
            ApiError::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            ApiError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid_parameter"),
            ApiError::Refused(Refusal::NoRefund | Refusal::NoClaim) => {
                (StatusCode::NOT_FOUND, "refund_not_found")
            }
            ApiError::Refused(Refusal::OtherRefund) => (StatusCode::CONFLICT, "other_refund"),
            ApiError::Refused(_) => (StatusCode::BAD_REQUEST, "payment_state"),
            ApiError::IdempotencyKeyReused => (StatusCode::CONFLICT, "idempotency_key_reused"),
            ApiError::NotOffered { why, .. } | ApiError::NothingOffered(Some(why)) if why.passes() => {
                (StatusCode::SERVICE_UNAVAILABLE, why.code())
            }
            ApiError::NotOffered { why, .. } | ApiError::NothingOffered(Some(why)) => {
                (StatusCode::BAD_REQUEST, why.code())
            }
            ApiError::NothingOffered(None) => (StatusCode::SERVICE_UNAVAILABLE, "no_coin"),
            ApiError::NotWatched => (StatusCode::SERVICE_UNAVAILABLE, "chain_not_watched"),
            ApiError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            ApiError::Internal(_) | ApiError::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    pub(super) fn into_reply(self, request_id: &str) -> Reply {
        let body = json!({ "detail": self.to_string() });
        let (status, _) = self.public();
        let Ok(reply) = Reply::json(status, &body) else { return Reply::html(status, String::new()) };
        self.label(reply, request_id)
    }

    /// `reply` as the answer to this error: labelled with its word, its cause logged (R13).
    pub fn label(self, reply: Reply, request_id: &str) -> Reply {
        if let ApiError::Internal(cause) = &self {
            tracing::error!(request_id, cause = chain(cause.as_ref()), "the call failed");
        }
        if matches!(self, ApiError::Panicked | ApiError::Busy) {
            tracing::error!(request_id, cause = %format_args!("{self:?}"), "the call failed");
        }
        let (_, code) = self.public();
        let reply = reply.with(HeaderName::from_static("x-error-code"), HeaderValue::from_static(code));
        match self {
            ApiError::Unauthenticated => reply.with(WWW_AUTHENTICATE, HeaderValue::from_static("APIKey")),
            ApiError::MethodNotAllowed { allow } => match HeaderValue::from_str(&allow) {
                Ok(allow) => reply.with(ALLOW, allow),
                Err(_) => reply,
            },
            ApiError::AccountDisabled
            | ApiError::MissingScope
            | ApiError::PaymentNotFound
            | ApiError::PathNotFound
            | ApiError::Invalid(_)
            | ApiError::Refused(_)
            | ApiError::IdempotencyKeyReused
            | ApiError::NotOffered { .. }
            | ApiError::NothingOffered(_)
            | ApiError::NotWatched
            | ApiError::Busy
            | ApiError::Internal(_)
            | ApiError::Panicked => reply,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        match error {
            StoreError::Contended | StoreError::Throttled => ApiError::Busy,
            broken @ (StoreError::Unavailable(_) | StoreError::Malformed(_)) => ApiError::internal(broken),
        }
    }
}

impl From<getrandom::Error> for ApiError {
    fn from(error: getrandom::Error) -> ApiError {
        ApiError::internal(error)
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> ApiError {
        ApiError::internal(error)
    }
}

/// An error and everything below it, outermost first.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
