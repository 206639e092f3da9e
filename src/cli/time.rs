//! Formats and parses times and durations for people.

use std::time::{Duration, UNIX_EPOCH};

use crate::model::ParseError;

/// RFC 3339 in UTC, with seconds.
pub(super) fn timestamp(at_ms: u64) -> String {
    // RFC 3339 ends with the year 9999, and the formatter panics after it.
    let at = UNIX_EPOCH + Duration::from_millis(at_ms.min(253_402_300_799_999));
    humantime::format_rfc3339_seconds(at).to_string()
}

/// The day of it, in UTC.
pub(super) fn date(at_ms: u64) -> String {
    timestamp(at_ms).chars().take_while(|c| *c != 'T').collect()
}

/// How long ago it was.
pub(super) fn age(now_ms: u64, at_ms: u64) -> String {
    format!("{} ago", elapsed(now_ms, at_ms))
}

/// The elapsed time, in whole units.
pub(super) fn elapsed(now_ms: u64, at_ms: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    // The clock may have been set back in between.
    let millis = now_ms.saturating_sub(at_ms);
    match millis / 1000 {
        0 => format!("{millis} ms"),
        seconds if seconds < 2 * MINUTE => format!("{seconds} s"),
        seconds if seconds < 2 * HOUR => format!("{} min", seconds / MINUTE),
        seconds if seconds < 48 * HOUR => format!("{} h", seconds / HOUR),
        seconds => format!("{} days", seconds / (24 * HOUR)),
    }
}

/// A measured duration, with a decimal if it is short.
pub(super) fn span(duration: Duration) -> String {
    let (micros, seconds) = (duration.as_micros(), duration.as_secs());
    match seconds {
        0 if micros < 10_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        0 => format!("{} ms", micros / 1000),
        1..10 => format!("{seconds}.{} s", duration.subsec_millis() / 100),
        10..120 => format!("{seconds} s"),
        _ => format!("{} min", seconds / 60),
    }
}

/// Parses a duration such as `30s` into milliseconds. A bare number is seconds, as everywhere.
pub(super) fn parse_millis(text: &str) -> Result<u64, ParseError> {
    let fail =
        || ParseError::new("duration", text, "use a time such as `500ms`, `30s`, `2m` or `30`");
    let bare = text.parse().ok().map(Duration::from_secs);
    let parsed = bare.map_or_else(|| humantime::parse_duration(text), Ok);
    let duration = parsed.map_err(|_| fail())?;
    u64::try_from(duration.as_millis()).map_err(|_| fail())
}

/// Parses how long to wait at most, which is at least `1ms`.
pub(super) fn parse_timeout(text: &str) -> Result<u64, ParseError> {
    match parse_millis(text)? {
        0 => Err(ParseError::new("time-out", text, "use `1ms` or more")),
        millis => Ok(millis),
    }
}

/// As [`parse_timeout`], where `--no-drain` is the way not to wait.
pub(super) fn parse_drain_timeout(text: &str) -> Result<u64, ParseError> {
    match parse_millis(text)? {
        0 => Err(ParseError::new("time-out", text, "use `1ms` or more, or `--no-drain` instead")),
        millis => Ok(millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_keep_what_matters() {
        for (micros, text) in [
            (0, "0.0 ms"),
            (940, "0.9 ms"),
            (120_000, "120 ms"),
            (1_250_000, "1.2 s"),
            (59_000_000, "59 s"),
            (180_000_000, "3 min"),
        ] {
            assert_eq!(span(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn ages_are_in_whole_units() {
        for (millis, text) in [
            (3, "3 ms ago"),
            (1_999, "1 s ago"),
            (180_000, "3 min ago"),
            (7_200_000, "2 h ago"),
            (259_200_000, "3 days ago"),
        ] {
            assert_eq!(age(millis + 5, 5), text);
        }
        assert_eq!(age(1_000, 4_000), "0 ms ago", "a clock that was set back");
    }

    #[test]
    fn no_point_in_time_panics() {
        assert_eq!(timestamp(1_782_907_696_789), "2026-07-01T12:08:16Z");
        assert_eq!(timestamp(u64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn durations_are_times_or_seconds() {
        assert_eq!(parse_millis("1m 30s"), Ok(90_000));
        assert_eq!(parse_millis("500ms"), Ok(500));
        assert_eq!(parse_millis("30"), Ok(30_000));
        for text in ["", "soon", "-1s", "99999999999999999y", "18446744073709551615"] {
            let error = parse_millis(text).expect_err(text).to_string();
            assert!(error.contains("use a time such as"), "{text}: {error}");
        }
    }
}
