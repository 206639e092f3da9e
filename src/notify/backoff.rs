//! When a delivery that failed is tried again. Pure.

use std::time::{Duration, SystemTime};

use http::StatusCode;

/// The time to the second try.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

/// The longest time between two tries, also of a target that asks for a longer one.
const MAX_INTERVAL: Duration = Duration::from_hours(1);

/// How long an event is tried.
pub(super) const MAX_AGE: Duration = Duration::from_hours(24);

/// The time after the failed try number `tries`, from 1: it doubles with each. `chance`, from 0 to 1, spreads
/// those of several servers, by a quarter to either side.
pub(super) fn interval(tries: u32, chance: f64) -> Duration {
    let doubled = 2u32.saturating_pow(tries.saturating_sub(1));
    let whole = FIRST_INTERVAL.saturating_mul(doubled).min(MAX_INTERVAL);
    whole.mul_f64(0.75 + chance / 2.0).min(MAX_INTERVAL)
}

/// Whether to try again after this status.
pub(super) fn may_try_again(status: StatusCode) -> bool {
    const FOR_NOW: [StatusCode; 3] =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || FOR_NOW.contains(&status)
}

/// How long to wait by a `Retry-After`: a number of seconds, or a date.
pub(super) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let asked = match text.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text.trim()).ok()?.duration_since(now).ok()?,
    };
    Some(asked.min(MAX_INTERVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_double_from_a_second_to_an_hour() {
        let seconds = |tries| interval(tries, 0.5).as_secs();
        let first: Vec<_> = (1..=13).map(seconds).collect();
        assert_eq!(first, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600]);
        assert_eq!((seconds(0), seconds(u32::MAX)), (1, 3600));
        assert_eq!(interval(1, 0.0), Duration::from_millis(750));
        assert_eq!(interval(1, 1.0), Duration::from_millis(1250));
        assert_eq!(interval(30, 1.0), Duration::from_hours(1));
    }

    #[test]
    fn what_the_target_has_refused_for_good_is_not_tried_again() {
        for (status, again) in [
            (301, false),
            (400, false),
            (401, false),
            (404, false),
            (408, true),
            (410, false),
            (425, true),
            (429, true),
            (500, true),
            (503, true),
        ] {
            assert_eq!(may_try_again(StatusCode::from_u16(status).unwrap()), again, "{status}");
        }
    }

    #[test]
    fn a_target_may_ask_for_up_to_an_hour() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("86400", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", None),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
