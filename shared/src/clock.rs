//! The one place that reads the time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::moment::Timestamp;

/// Where the time comes from: the machine, in debug builds shifted by `CLOCK_OFFSET_SECONDS`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    offset_seconds: u64,
    #[cfg(test)]
    stopped_at: Option<Timestamp>,
}

impl Clock {
    /// Deployed functions are release builds and have no door to shift their time.
    pub fn from_env() -> Clock {
        let offset =
            cfg!(debug_assertions).then(|| crate::settings::optional("CLOCK_OFFSET_SECONDS")).flatten();
        let offset_seconds = offset.and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        Clock {
            offset_seconds,
            #[cfg(test)]
            stopped_at: None,
        }
    }

    /// A clock that stands still.
    #[cfg(test)]
    pub(crate) fn stopped(at: Timestamp) -> Clock {
        Clock { offset_seconds: 0, stopped_at: Some(at) }
    }

    /// Now, in whole seconds.
    pub fn now(self) -> Timestamp {
        Timestamp(self.now_milliseconds().div_euclid(1_000))
    }

    /// Now, in milliseconds since the epoch: what a UUID of version 7 wants.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now_milliseconds(self) -> u64 {
        #[cfg(test)]
        if let Some(at) = self.stopped_at {
            return at.0.saturating_mul(1_000);
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        milliseconds.saturating_add(self.offset_seconds.saturating_mul(1_000))
    }
}
