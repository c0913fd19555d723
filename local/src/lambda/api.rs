//! The runtime API that the functions' programs poll, one address per process: `/{function}/{process}/2018-06-01/…`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tokio::net::TcpListener;

use super::call::{InvokeError, ProcessNumber};
use super::pool::Pool;
use crate::clock;
use crate::stop::Stop;

/// The largest reply that Lambda takes.
const REPLY_BYTES: usize = 6 * 1024 * 1024;

type Pools = Arc<BTreeMap<String, Arc<Pool>>>;

/// What a program says about a failure.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Failure {
    error_type: String,
    error_message: String,
}

pub(super) fn serve(listener: TcpListener, pools: Pools, stop: &Stop) {
    let base = "/{function}/{process}/2018-06-01/runtime";
    let router = Router::new()
        .route(&format!("{base}/invocation/next"), get(next))
        .route(&format!("{base}/invocation/{{id}}/response"), post(response))
        .route(&format!("{base}/invocation/{{id}}/error"), post(error))
        .route(&format!("{base}/init/error"), post(init_error))
        .layer(DefaultBodyLimit::max(REPLY_BYTES))
        .with_state(pools);
    let requested = stop.clone();
    stop.spawn_to_end(async move {
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(async move { requested.requested().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the runtime API ended");
        }
    });
}

async fn next(
    State(pools): State<Pools>,
    Path((function, number)): Path<(String, ProcessNumber)>,
) -> Response {
    let asked = pools.get(&function).and_then(|pool| Some((pool, pool.ask(number)?)));
    let Some((pool, task)) = asked else { return StatusCode::FORBIDDEN.into_response() };
    // It is dropped unsent when the product stops, and the process is about to be ended.
    let Ok(task) = task.await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let deadline = clock::unshifted().saturating_add(pool.timeout());
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", task.id),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            format!("arn:aws:lambda:local:000000000000:function:{}", pool.function()),
        ),
    ];
    (headers, task.payload).into_response()
}

async fn response(
    State(pools): State<Pools>,
    Path((function, number, id)): Path<(String, ProcessNumber, String)>,
    body: Result<Bytes, BytesRejection>,
) -> StatusCode {
    if let Ok(body) = body {
        return answer(&pools, &function, number, &id, Ok(body));
    }
    let kind = "Function.ResponseSizeTooLarge".to_owned();
    let message = "the reply is larger than 6 MB".to_owned();
    answer(&pools, &function, number, &id, Err(InvokeError::Failed { kind, message }));
    StatusCode::PAYLOAD_TOO_LARGE
}

async fn error(
    State(pools): State<Pools>,
    Path((function, number, id)): Path<(String, ProcessNumber, String)>,
    body: Bytes,
) -> StatusCode {
    let Failure { error_type: kind, error_message: message } = failure(&body);
    answer(&pools, &function, number, &id, Err(InvokeError::Failed { kind, message }))
}

async fn init_error(
    State(pools): State<Pools>,
    Path((function, number)): Path<(String, ProcessNumber)>,
    body: Bytes,
) -> StatusCode {
    let Failure { error_type, error_message } = failure(&body);
    if let Some(pool) = pools.get(&function) {
        pool.init_failed(number, format!("{error_type}: {error_message}"));
    }
    StatusCode::ACCEPTED
}

fn answer(
    pools: &Pools,
    function: &str,
    number: ProcessNumber,
    id: &str,
    reply: Result<Bytes, InvokeError>,
) -> StatusCode {
    match pools.get(function) {
        Some(pool) if pool.answer(number, id, reply) => StatusCode::ACCEPTED,
        Some(_) | None => StatusCode::BAD_REQUEST,
    }
}

fn failure(body: &[u8]) -> Failure {
    serde_json::from_slice(body).unwrap_or_default()
}
