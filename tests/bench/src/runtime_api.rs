//! The Lambda runtime API for one process at a time, with the moments at which it was called.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{body::Bytes, http::StatusCode};
use shared::app::Error;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What the process did.
pub enum Step {
    /// It asked for a call.
    Asked(Instant),
    /// It answered one.
    Answered(Instant, Bytes),
    /// It said that it failed.
    Failed(String),
}

/// A runtime API on a port of its own.
pub struct RuntimeApi {
    /// Where it listens.
    pub address: SocketAddr,
    steps: mpsc::UnboundedReceiver<Step>,
    events: mpsc::UnboundedSender<String>,
    serving: JoinHandle<()>,
}

struct Shared {
    steps: mpsc::UnboundedSender<Step>,
    events: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl RuntimeApi {
    /// Starts to listen.
    pub async fn start() -> Result<RuntimeApi, Error> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (told, steps) = mpsc::unbounded_channel();
        let (events, waiting) = mpsc::unbounded_channel();
        let base = "/2018-06-01/runtime";
        let router = Router::new()
            .route(&format!("{base}/invocation/next"), get(next))
            .route(&format!("{base}/invocation/{{id}}/response"), post(answered))
            .route(&format!("{base}/invocation/{{id}}/error"), post(failed))
            .route(&format!("{base}/init/error"), post(failed))
            .with_state(Arc::new(Shared { steps: told, events: Mutex::new(waiting) }));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the runtime API ended: {error}");
            }
        });
        Ok(RuntimeApi { address, steps, events, serving })
    }

    /// What the process does next.
    pub async fn step(&mut self) -> Result<Step, Error> {
        self.steps.recv().await.ok_or_else(|| "the runtime API ended".into())
    }

    /// Hands a call to the process that asked for one.
    pub fn call(&self, event: &str) -> Result<Instant, Error> {
        let now = Instant::now();
        self.events.send(event.to_owned())?;
        Ok(now)
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    // Nobody listens to steps after the last call.
    let _unheard = shared.steps.send(Step::Asked(Instant::now()));
    let Some(event) = shared.events.lock().await.recv().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        ("content-type", "application/json"),
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        // Far enough: nothing is stopped by it.
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-north-1:000000000000:function:bench"),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0"),
    ];
    (headers, event).into_response()
}

async fn answered(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let _unheard = shared.steps.send(Step::Answered(Instant::now(), body));
    StatusCode::ACCEPTED
}

async fn failed(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let _unheard = shared.steps.send(Step::Failed(String::from_utf8_lossy(&body).into_owned()));
    StatusCode::ACCEPTED
}
