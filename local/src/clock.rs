//! The one place that reads the time of day, shifted by the clock offset.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// The time of day as the functions see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    offset_seconds: u64,
}

impl Clock {
    pub(crate) fn shifted(offset_seconds: u64) -> Clock {
        Clock { offset_seconds }
    }

    /// Since the epoch, shifted.
    pub(crate) fn now(self) -> Duration {
        unshifted().saturating_add(Duration::from_secs(self.offset_seconds))
    }
}

/// Since the epoch, as this machine tells it: what Lambda's deadlines are measured by.
#[expect(clippy::disallowed_methods, reason = "this is the local product's own clock, outside the functions")]
pub(crate) fn unshifted() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `2026-03-09T14:30:00Z`, as scheduled events write it.
pub(crate) fn iso(at: Duration) -> String {
    let at = date(at);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", at.hour(), at.minute(), at.second())
}

/// `09/Mar/2026:14:30:00 +0000`, as API Gateway writes it.
pub(crate) fn common_log(at: Duration) -> String {
    let at = date(at);
    let month = at.month().to_string();
    let month = month.get(..3).unwrap_or(&month);
    let (day, year) = (at.day(), at.year());
    format!("{day:02}/{month}/{year:04}:{:02}:{:02}:{:02} +0000", at.hour(), at.minute(), at.second())
}

fn date(at: Duration) -> OffsetDateTime {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_aws_writes_them() {
        let at = Duration::from_secs(1_773_066_601);
        assert_eq!(iso(at), "2026-03-09T14:30:01Z");
        assert_eq!(common_log(at), "09/Mar/2026:14:30:01 +0000");
    }

    #[test]
    fn the_offset_shifts_ahead() {
        let now = unshifted();
        assert!(Clock::shifted(864_000).now() >= now + Duration::from_hours(240));
    }
}
