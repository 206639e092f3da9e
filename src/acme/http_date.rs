//! Parses the times in a CA's answers: `Retry-After`, `Date`, and the text of a rate limit.

use std::time::{Duration, SystemTime};

/// Reads a `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<SystemTime> {
    /// More would overflow the clock, and no CA means it.
    const MAX_SECS: u64 = 10 * 366 * 24 * 3600;
    let value = value.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(now + Duration::from_secs(seconds.min(MAX_SECS))),
        Err(_) => http_date(value),
    }
}

/// Reads `Fri, 31 Dec 1999 23:59:59 GMT` (RFC 9110 §5.6.7).
pub(super) fn http_date(value: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(value.trim()).ok()
}

/// The time in `… retry after 2026-01-31 08:30:00 UTC: see …`, as Let's Encrypt words its limits.
pub(super) fn in_detail(detail: &str) -> Option<SystemTime> {
    let (_, rest) = detail.split_once("retry after ")?;
    humantime::parse_rfc3339_weak(rest.get(..19)?).ok()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn both_forms_are_read() {
        for (text, expected) in [
            ("120", Some(at(120))),
            (" 0 ", Some(at(0))),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(at(946_684_799))),
            ("Fri, 31 Foo 1999 23:59:59 GMT", None),
            ("Fri, 31 Dec 1999 23:59:59 CET", None),
            ("", None),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(text, UNIX_EPOCH), expected, "{text}");
        }
        assert!(retry_after(&u64::MAX.to_string(), SystemTime::now()).is_some());
    }

    #[test]
    fn limits_say_when_they_end() {
        let detail = "too many certificates (5) already issued for this exact set of identifiers in \
                      the last 168h0m0s, retry after 2025-01-31 08:30:00 UTC: see https://x.test";
        assert_eq!(in_detail(detail), Some(at(1_738_312_200)));
        assert_eq!(in_detail("retry after lunch"), None);
        assert_eq!(in_detail("retry after é2025-01-31 08:30:0"), None);
    }
}
