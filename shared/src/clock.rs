//! The one place that reads the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::moment::Timestamp;

/// Where the time comes from: the machine, in debug builds shifted by `CLOCK_OFFSET_SECONDS`, or a simulation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    offset_seconds: u64,
    hands: Option<&'static AtomicU64>,
}

impl Clock {
    /// Deployed functions are release builds and have no door to shift their time.
    pub fn from_env() -> Clock {
        let offset =
            cfg!(debug_assertions).then(|| crate::settings::optional("CLOCK_OFFSET_SECONDS")).flatten();
        let offset_seconds = offset.and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        Clock { offset_seconds, hands: None }
    }

    /// A clock whose seconds since the epoch somebody else sets: a simulation passes years in minutes.
    pub fn set_by(hands: &'static AtomicU64) -> Clock {
        Clock { offset_seconds: 0, hands: Some(hands) }
    }

    /// A clock that stands still.
    #[cfg(test)]
    pub(crate) fn stopped(at: Timestamp) -> Clock {
        Clock::set_by(Box::leak(Box::new(AtomicU64::new(at.0))))
    }

    /// Now, in whole seconds.
    pub fn now(self) -> Timestamp {
        Timestamp(self.now_milliseconds().div_euclid(1_000))
    }

    /// Lets time pass for others to do something. Where somebody else sets the clock, only their turn comes first.
    pub async fn pause(self, duration: Duration) {
        match self.hands {
            Some(_) => tokio::task::yield_now().await,
            None => tokio::time::sleep(duration).await,
        }
    }

    /// Now, in milliseconds since the epoch: what a UUID of version 7 wants.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now_milliseconds(self) -> u64 {
        if let Some(hands) = self.hands {
            return hands.load(Ordering::Relaxed).saturating_mul(1_000);
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        milliseconds.saturating_add(self.offset_seconds.saturating_mul(1_000))
    }
}
