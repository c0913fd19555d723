//! How everything that runs is told to end, and how its end is awaited.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// A client may hold a connection half open for ever; an end that takes longer than this is not waited for.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Held by whoever may end it all. Dropping it asks everything to end without waiting.
pub(crate) struct Stopper {
    request: watch::Sender<()>,
    finished: mpsc::Receiver<Infallible>,
}

/// Held by everything that runs.
#[derive(Clone)]
pub(crate) struct Stop {
    request: watch::Receiver<()>,
    alive: mpsc::Sender<Infallible>,
}

/// The two ends of one stop.
pub(crate) fn channel() -> (Stopper, Stop) {
    let (request, requested) = watch::channel(());
    let (alive, finished) = mpsc::channel(1);
    (Stopper { request, finished }, Stop { request: requested, alive })
}

impl Stopper {
    /// Asks everything to end and returns when it has.
    pub(crate) async fn stop(self) {
        let Stopper { request, mut finished } = self;
        drop(request);
        if tokio::time::timeout(END_LIMIT, finished.recv()).await.is_err() {
            tracing::warn!("something did not end in time and was left behind");
        }
    }
}

impl Stop {
    /// Returns when the end was asked for.
    pub(crate) async fn requested(&self) {
        // The sender never sends: an error, which says that it is gone, is the only answer.
        let mut request = self.request.clone();
        while request.changed().await.is_ok() {}
    }

    /// Whether the end was asked for.
    pub(crate) fn is_requested(&self) -> bool {
        self.request.has_changed().is_err()
    }

    /// Runs `task` until it is done or the end is asked for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.requested() => {}
            }
        });
    }

    /// Runs `task`, which heeds the stop itself, to its own end.
    pub(crate) fn spawn_to_end(&self, task: impl Future<Output = ()> + Send + 'static) {
        let alive = self.alive.clone();
        tokio::spawn(async move {
            task.await;
            drop(alive);
        });
    }
}
