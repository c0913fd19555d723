//! Moments: whole seconds since the epoch, read once where a request or a tick enters and passed down from there.

use std::fmt;

use time::OffsetDateTime;

/// Seconds in a day.
pub const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Later by `seconds`.
    #[must_use]
    pub fn plus(self, seconds: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(seconds))
    }

    /// Earlier by `seconds`, not before the epoch.
    #[must_use]
    pub fn minus(self, seconds: u64) -> Timestamp {
        Timestamp(self.0.saturating_sub(seconds))
    }

    /// Seconds since `earlier`; none when it is not earlier.
    pub fn since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The start of its minute.
    pub fn minute(self) -> Minute {
        Minute(self.0.div_euclid(60))
    }

    /// Year, month, day and hour in UTC.
    pub fn utc(self) -> (i32, u8, u8, u8) {
        let at = self.date_time();
        (at.year(), at.month().into(), at.day(), at.hour())
    }

    /// Past the last year that has four digits, it is shown as that year's end.
    fn date_time(self) -> OffsetDateTime {
        const YEAR_9999_END: i64 = 253_402_300_799;
        let seconds = i64::try_from(self.0).unwrap_or(YEAR_9999_END).min(YEAR_9999_END);
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// `2026-03-09T14:30:00+00:00` (R11).
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.date_time();
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}+00:00",
            at.hour(),
            at.minute(),
            at.second()
        )
    }
}

/// Whole minutes since the epoch: the grid on which accepted rates are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(pub u64);

impl Minute {
    /// Its first second.
    pub fn start(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(60))
    }
}
