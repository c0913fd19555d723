//! `?wait=`: an answer that comes when there is something new to say, instead of a question every second.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Call, Caller, Result};
use crate::app::App;
use crate::payment::InvalidParameter;
use crate::store::{Place, StoreError};

/// The longest wait: API Gateway gives up on a function after 30 seconds, and a slow start must fit in as well.
const MAX_WAIT_SECONDS: u64 = 25;

/// Between two reads.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits of one key at a time.
const WAITS_PER_KEY: u64 = 2;

/// How much longer than its wait a place is held at most: a process that died frees it by that.
const MARGIN_SECONDS: u64 = 5;

/// What became of the wish to wait.
#[derive(Debug)]
pub enum Wait {
    /// There was none.
    Unwanted,
    /// Too many wait already.
    Refused,
    /// It is under way.
    Begun(Waiting),
}

/// The places of one wait, its key's and the deployment's; free again as soon as it is over.
#[derive(Debug)]
pub struct Waiting {
    seconds: u64,
    started: Instant,
    places: Vec<Place>,
}

impl Call<Caller> {
    /// How long the caller wants to wait for news; 0 for not at all.
    pub fn wait_seconds(&self) -> Result<u64> {
        let Some(text) = self.query("wait") else { return Ok(0) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = digits.then(|| text.parse().ok()).flatten();
        let rule = "must be a whole number from 0 to 25";
        let seconds = seconds.filter(|seconds| *seconds <= MAX_WAIT_SECONDS);
        seconds.ok_or_else(|| InvalidParameter::new("wait", rule).into())
    }

    /// Begins a wait, unless too many are under way; then the answer is given at once, and says so.
    pub async fn begin_wait(&self, app: &App, seconds: u64) -> Wait {
        if seconds == 0 {
            return Wait::Unwanted;
        }
        let started = Instant::now();
        let lots = [(self.who.key.as_str(), WAITS_PER_KEY), ("all", app.settings.waits)];
        let mut waiting = Waiting { seconds, started, places: Vec::new() };
        for (name, places) in lots {
            match self.take_place(app, name, places, seconds).await {
                Ok(Some(place)) => waiting.places.push(place),
                Ok(None) => return self.refuse_wait(app, waiting).await,
                Err(error) => {
                    tracing::warn!(request_id = self.request_id, %error, "a wait could not be begun");
                    return self.refuse_wait(app, waiting).await;
                }
            }
        }
        Wait::Begun(waiting)
    }

    async fn refuse_wait(&self, app: &App, waiting: Waiting) -> Wait {
        self.end_wait(app, waiting).await;
        Wait::Refused
    }

    async fn take_place(
        &self,
        app: &App,
        name: &str,
        places: u64,
        seconds: u64,
    ) -> std::result::Result<Option<Place>, StoreError> {
        let now = app.clock.now();
        let until = now.plus(seconds).plus(MARGIN_SECONDS);
        app.store.take_place(name, places, &self.request_id, now, until).await
    }

    /// Ends a wait. A place that cannot be given back is free by itself a few seconds later.
    pub async fn end_wait(&self, app: &App, waiting: Waiting) {
        for place in waiting.places {
            if let Err(error) = app.store.free_place(&place).await {
                tracing::warn!(request_id = self.request_id, %error, "a place was not given back");
            }
        }
    }
}

impl Waiting {
    /// Lets a second pass, or what is left of the wait; `false` once it is over.
    pub async fn pause(&self) -> bool {
        let left = Duration::from_secs(self.seconds).saturating_sub(self.started.elapsed());
        sleep(left.min(PAUSE)).await;
        !left.is_zero()
    }
}

/// Reads again and again, with a pause before each time, until something else is read or no time is left.
pub async fn changed<T, E, P, R>(
    first: T,
    pause: impl Fn() -> P,
    read: impl Fn() -> R,
) -> std::result::Result<T, E>
where
    T: PartialEq,
    P: Future<Output = bool>,
    R: Future<Output = std::result::Result<T, E>>,
{
    for _ in 0..MAX_WAIT_SECONDS {
        if !pause().await {
            break;
        }
        let next = read().await?;
        if next != first {
            return Ok(next);
        }
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;

    use super::*;

    async fn waited(pauses: u64, changes_at: u64) -> (u64, u64) {
        let (paused, reads) = (Cell::new(0), Cell::new(0));
        let pause = || {
            paused.set(u64::saturating_add(paused.get(), 1));
            ready(paused.get() <= pauses)
        };
        let read = || {
            reads.set(u64::saturating_add(reads.get(), 1));
            ready(Ok::<_, ()>(u64::from(reads.get() >= changes_at)))
        };
        let last = changed(0, pause, read).await.unwrap();
        (last, reads.get())
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_first_read_that_differs_or_with_its_time() {
        assert_eq!(waited(25, 1).await, (1, 1));
        assert_eq!(waited(25, 7).await, (1, 7));
        assert_eq!(waited(5, 7).await, (0, 5), "what was read first is still right");
        assert_eq!(waited(0, 1).await, (0, 0));
        assert_eq!(waited(1_000, 1_000).await, (0, MAX_WAIT_SECONDS), "one read a second at most");
    }
}
