//! Moments: whole seconds since the epoch, read once where a request or a tick enters and passed down from there.

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds in a day.
pub const DAY_SECONDS: u64 = 24 * 60 * 60;

/// The last second of the last year that has four digits.
const YEAR_9999_END: u64 = 253_402_300_799;

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
        let seconds = i64::try_from(self.0.min(YEAR_9999_END)).unwrap_or_default();
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// Milliseconds since the epoch, written as seconds since then or as RFC 3339 has it; `None` for what is neither.
pub fn parse_milliseconds(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds: u64 = text.parse().ok()?;
        return (seconds <= YEAR_9999_END).then(|| seconds.saturating_mul(1_000));
    }
    let nanoseconds = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos();
    u64::try_from(nanoseconds.div_euclid(1_000_000)).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r8_a_moment_is_rfc_3339_or_seconds_since_the_epoch() {
        for (text, milliseconds) in [
            ("0", 0),
            ("1773066600", 1_773_066_600_000),
            ("253402300799", 253_402_300_799_000),
            ("2026-03-09T14:30:00+00:00", 1_773_066_600_000),
            ("2026-03-09T14:30:00Z", 1_773_066_600_000),
            ("2026-03-09t15:30:00.5+01:00", 1_773_066_600_500),
            ("2026-03-09T14:30:00.9999999Z", 1_773_066_600_999),
            ("1970-01-01T00:00:00Z", 0),
        ] {
            assert_eq!(parse_milliseconds(text), Some(milliseconds), "{text}");
        }
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            "1773066600123",
            "253402300800",
            "99999999999999999999999",
            "2026-03-09",
            "2026-03-09T14:30:00",
            "2026-13-09T14:30:00Z",
            "2026-02-30T14:30:00Z",
            "yesterday",
            " 1",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(parse_milliseconds(text), None, "{text}");
        }
    }
}
