//! One call of a function: what waits for a process, and how it can fail.

use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::oneshot;

/// The number of a process within its function.
pub(super) type ProcessNumber = u64;

/// A call on its way to a process.
pub(super) struct Call {
    pub(super) id: String,
    pub(super) payload: Bytes,
    /// Told which process took the call, when one does.
    pub(super) taken: oneshot::Sender<ProcessNumber>,
    pub(super) reply: oneshot::Sender<Result<Bytes, InvokeError>>,
}

/// What a process is handed.
pub(super) struct Task {
    pub(super) id: String,
    pub(super) payload: Bytes,
}

/// A call that a process has taken.
pub(super) struct Running {
    pub(super) id: String,
    pub(super) reply: oneshot::Sender<Result<Bytes, InvokeError>>,
}

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The template has no such function.
    #[error("there is no function `{0}`")]
    Unknown(String),
    /// The program could not be run.
    #[error("the function's program does not start: {0}")]
    NotStarted(String),
    /// The process ended before it asked for a call.
    #[error("the function failed while it started: {0}")]
    Init(String),
    /// The process ended during the call.
    #[error("the function's process ended during the call")]
    Died,
    /// The call took longer than the template allows, and its process was ended.
    #[error("the function took longer than {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The function answered with an error.
    #[error("the function failed: {kind}: {message}")]
    Failed {
        /// The error's type.
        kind: String,
        /// What the function says about it.
        message: String,
    },
    /// No process was free for too long.
    #[error("all processes of the function are busy")]
    Busy,
    /// The reply is not JSON.
    #[error("the function's reply cannot be read: {0}")]
    Unreadable(String),
    /// The local product is shutting down.
    #[error("everything is shutting down")]
    Stopped,
}

/// A random UUID, which is what Lambda and API Gateway identify calls by.
pub(crate) fn request_id() -> String {
    let mut bytes = [0; 16];
    if let Err(error) = getrandom::fill(&mut bytes) {
        // Ids only tell calls apart in a log.
        tracing::warn!(%error, "no random request id");
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
