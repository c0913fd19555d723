//! API Gateway on one machine: HTTP requests become events of an HTTP API (payload 2.0), and replies become responses.

mod event;
mod reply;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::lambda::{InvokeError, Lambda, request_id};
use crate::stop::Stop;
use crate::template::Product;

use event::Incoming;
use routes::Routes;

/// The largest body that API Gateway takes.
const BODY_BYTES: usize = 10 * 1024 * 1024;

/// Read before a body is refused, so that a client hears the answer instead of a broken connection.
const READ_BYTES: usize = 32 * 1024 * 1024;

/// How long API Gateway waits for a function.
const TIMEOUT: Duration = Duration::from_secs(30);

struct Gateway {
    routes: Routes,
    lambda: Lambda,
    clock: Clock,
    base_url: String,
}

/// Serves the product's routes on `listener`.
pub(crate) fn serve(
    listener: TcpListener,
    base_url: String,
    product: &Product,
    lambda: Lambda,
    clock: Clock,
    stop: &Stop,
) {
    let gateway = Gateway { routes: Routes::new(product), lambda, clock, base_url };
    let router = Router::new()
        .fallback(handle)
        .layer(DefaultBodyLimit::max(READ_BYTES))
        .with_state(Arc::new(gateway))
        .into_make_service_with_connect_info::<SocketAddr>();
    let requested = stop.clone();
    stop.spawn_to_end(async move {
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(async move { requested.requested().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the gateway ended");
        }
    });
}

async fn handle(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    parts: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    let request_id = request_id();
    let mut response = match body {
        Ok(body) if body.len() <= BODY_BYTES => gateway.answer(parts, body, client, &request_id).await,
        Ok(_) => refusal(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            refusal(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
        }
        Err(_) => refusal(StatusCode::BAD_REQUEST, "Bad Request"),
    };
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("apigw-requestid", id);
    }
    response
}

impl Gateway {
    async fn answer(
        &self,
        parts: Parts,
        body: Bytes,
        client: SocketAddr,
        request_id: &str,
    ) -> Response<Body> {
        let Some(matched) = self.routes.find(&parts.method, parts.uri.path()) else {
            return refusal(StatusCode::NOT_FOUND, "Not Found");
        };
        let request = Request::from_parts(parts, body);
        let now = self.clock.now();
        let incoming = Incoming {
            request: &request,
            matched: &matched,
            client,
            request_id,
            now,
            base_url: &self.base_url,
        };
        let event = incoming.event();
        let invoked = self.lambda.invoke(matched.function, &event);
        match tokio::time::timeout(TIMEOUT, invoked).await {
            Ok(Ok(reply)) => reply::response(reply).unwrap_or_else(|problem| {
                tracing::error!(
                    function = matched.function,
                    problem,
                    "the function's reply is not a response"
                );
                refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }),
            Ok(Err(InvokeError::Busy)) | Err(_) => {
                refusal(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            }
            Ok(Err(error)) => {
                tracing::error!(function = matched.function, %error, "a call failed");
                refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }
}

/// What API Gateway answers by itself.
fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::json!({ "message": message }).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
