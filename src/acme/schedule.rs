//! When to renew a certificate, or to try again.
//!
//! Pure: time and randomness are parameters.

use std::time::{Duration, SystemTime};

use super::ErrorKind;

/// The longest wait for a CA's limit: none has a period of more than a week.
const MAX_WAIT: Duration = Duration::from_hours(7 * 24);

/// The longest wait for a `Retry-After` that is not about a limit: it is only a hint.
const MAX_HINT: Duration = Duration::from_mins(2);

/// When to try again after the `attempt`th failure in a row, starting with 1.
///
/// `retry_after` is what the CA asked for, `not_after` the end of what is served meanwhile, and `draw`
/// a number from 0 to 1 that spreads attempts out.
pub(crate) fn retry_at(
    now: SystemTime,
    attempt: u32,
    kind: ErrorKind,
    retry_after: Option<SystemTime>,
    not_after: Option<SystemTime>,
    draw: f64,
) -> SystemTime {
    let backoff = backoff(attempt, kind, retry_after.is_some());
    let mut wait = backoff.mul_f64(0.8 + 0.4 * unit(draw));
    if let Some(left) = not_after.and_then(|end| end.duration_since(now).ok()) {
        wait = wait.min((left / 10).max(Duration::from_secs(1)));
    }
    // The CA's limit matters more than the remaining lifetime: it would only refuse, and count the
    // attempt.
    if let Some(asked) = retry_after.and_then(|at| at.duration_since(now).ok()) {
        let is_limit = matches!(kind, ErrorKind::RateLimited { .. });
        let asked = asked.min(if is_limit { MAX_WAIT } else { MAX_HINT });
        wait = wait.max(asked + asked.mul_f64(0.05 * unit(draw)));
    }
    now + wait
}

fn backoff(attempt: u32, kind: ErrorKind, has_retry_after: bool) -> Duration {
    const TRANSIENT_MINUTES: [u64; 6] = [1, 2, 5, 10, 30, 60];
    /// Let's Encrypt's advice; it gives five failures an hour.
    const SLOW_MINUTES: [u64; 4] = [1, 10, 100, 24 * 60];
    let nth = |minutes: &[u64]| {
        let last = minutes.len() - 1;
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(last).min(last);
        Duration::from_mins(minutes[index])
    };
    match kind {
        ErrorKind::Transient => nth(&TRANSIENT_MINUTES),
        ErrorKind::RateLimited { .. } if has_retry_after => nth(&TRANSIENT_MINUTES),
        ErrorKind::Validation | ErrorKind::RateLimited { .. } => nth(&SLOW_MINUTES),
        ErrorKind::Blocked => Duration::from_hours(24),
    }
}

/// When a certificate is to be renewed; in the past when it is due. `window` is the CA's wish
/// (RFC 9773), and `draw`, from 0 to 1, the point in it: keep the draw while the window is the same.
pub(crate) fn renew_at(
    not_before: SystemTime,
    not_after: SystemTime,
    window: Option<(SystemTime, SystemTime)>,
    draw: f64,
) -> SystemTime {
    const SHORT_LIFETIME: Duration = Duration::from_hours(10 * 24);
    let Ok(lifetime) = not_after.duration_since(not_before) else { return not_before };
    let certified = (not_before, not_after);
    if let Some((start, end)) = window.filter(|window| is_sane(*window, certified)) {
        let within = end.duration_since(start).unwrap_or_default();
        // If the CA's window leaves no time for a second attempt, it is not waited for.
        return (start + within.mul_f64(unit(draw))).min(not_after - lifetime / 20);
    }
    let left = if lifetime < SHORT_LIFETIME { lifetime / 2 } else { lifetime / 3 };
    not_after - left - lifetime / 100 + (lifetime / 50).mul_f64(unit(draw))
}

/// Whether a window is one that a CA can mean for a certificate of that time. One in the past means at
/// once, such as when a certificate is revoked that was just made; one from long before it means so again
/// for each that takes its place.
pub(super) fn is_sane(
    (start, end): (SystemTime, SystemTime),
    (not_before, not_after): (SystemTime, SystemTime),
) -> bool {
    const YEAR: Duration = Duration::from_hours(366 * 24);
    const WEEK: Duration = Duration::from_hours(7 * 24);
    end + WEEK > not_before
        && end <= not_after
        && end.duration_since(start).is_ok_and(|length| !length.is_zero() && length <= YEAR)
}

fn unit(draw: f64) -> f64 {
    if draw.is_finite() { draw.clamp(0.0, 1.0) } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const DAY: Duration = Duration::from_hours(24);

    /// A moment that is not the epoch, so that there is something before it.
    fn start() -> SystemTime {
        UNIX_EPOCH + DAY * 20_000
    }

    fn waits(kind: ErrorKind) -> Vec<u64> {
        let wait = |attempt| {
            let at = retry_at(start(), attempt, kind, None, None, 0.5);
            at.duration_since(start()).unwrap().as_secs() / 60
        };
        (1..=8).map(wait).collect()
    }

    #[test]
    fn each_kind_of_failure_has_its_own_pace() {
        let limited = ErrorKind::RateLimited { whole_account: false };
        assert_eq!(waits(ErrorKind::Transient), [1, 2, 5, 10, 30, 60, 60, 60]);
        assert_eq!(waits(ErrorKind::Validation), [1, 10, 100, 1440, 1440, 1440, 1440, 1440]);
        assert_eq!(waits(limited), [1, 10, 100, 1440, 1440, 1440, 1440, 1440]);
        assert_eq!(waits(ErrorKind::Blocked), [1440; 8]);
        let zeroth = retry_at(start(), 0, ErrorKind::Transient, None, None, 0.5);
        assert_eq!(zeroth, start() + MINUTE);
        let last = retry_at(start(), u32::MAX, ErrorKind::Transient, None, None, 0.5);
        assert_eq!(last, start() + 60 * MINUTE);
    }

    #[test]
    fn attempts_are_spread_by_a_fifth_to_either_side() {
        let at = |draw| retry_at(start(), 1, ErrorKind::Transient, None, None, draw);
        assert_eq!(at(0.0), start() + Duration::from_secs(48));
        assert_eq!(at(1.0), start() + Duration::from_secs(72));
        assert_eq!(at(f64::NAN), start() + MINUTE);
        assert_eq!(at(7.0), at(1.0));
    }

    #[test]
    fn what_the_ca_asks_for_is_waited_for() {
        for whole_account in [false, true] {
            let kind = ErrorKind::RateLimited { whole_account };
            let at = |after, left| {
                retry_at(start(), 1, kind, Some(start() + after), Some(start() + left), 0.0)
            };
            assert_eq!(at(DAY, 90 * DAY), start() + DAY);
            assert_eq!(at(DAY, MINUTE), start() + DAY, "even when little is left");
            assert_eq!(at(Duration::from_secs(1), 90 * DAY), start() + Duration::from_secs(48));
            assert_eq!(at(400 * DAY, 900 * DAY), start() + 7 * DAY, "within reason");
        }
        for (kind, attempt, expected) in [
            (ErrorKind::Transient, 1, 2 * MINUTE),
            (ErrorKind::Transient, 3, 4 * MINUTE),
            (ErrorKind::Validation, 1, 2 * MINUTE),
        ] {
            let at = |after| retry_at(start(), attempt, kind, Some(start() + after), None, 0.0);
            for after in [2 * MINUTE, DAY, 400 * DAY] {
                assert_eq!(at(after), start() + expected, "a hint is no limit: {kind:?} {attempt}");
            }
        }
        let past = Some(start() - DAY);
        let at = retry_at(start(), 1, ErrorKind::Transient, past, None, 0.5);
        assert_eq!(at, start() + MINUTE);
    }

    #[test]
    fn a_renewal_never_waits_longer_than_a_tenth_of_what_is_left() {
        for kind in [ErrorKind::Transient, ErrorKind::Validation, ErrorKind::Blocked] {
            for left in [Duration::from_secs(20), Duration::from_hours(53), 30 * DAY, 600 * DAY] {
                for attempt in 1..10 {
                    let at = retry_at(start(), attempt, kind, None, Some(start() + left), 1.0);
                    let wait = at.duration_since(start()).unwrap();
                    assert!(wait <= left / 10, "{kind:?} {left:?} {attempt}: {wait:?}");
                    assert!(wait >= Duration::from_secs(1));
                }
            }
            let over = retry_at(start(), 1, kind, None, Some(start() - DAY), 0.5);
            assert_eq!(over, retry_at(start(), 1, kind, None, None, 0.5), "already expired");
            let almost = retry_at(start(), 1, kind, None, Some(start() + MINUTE / 60), 0.5);
            assert_eq!(almost, start() + Duration::from_secs(1), "no busy loop at the end");
        }
    }

    fn lifetimes() -> [(Duration, Duration); 6] {
        let hours = Duration::from_hours;
        [
            // 20-second certificates of tests, 160 hours, 45, 64 and 90 days, and 5 years.
            (Duration::from_secs(20), Duration::from_secs(10)),
            (hours(160), hours(80)),
            (45 * DAY, 15 * DAY),
            (64 * DAY, 64 * DAY / 3),
            (90 * DAY, 30 * DAY),
            (5 * 365 * DAY, 5 * 365 * DAY / 3),
        ]
    }

    #[test]
    fn without_a_window_the_lifetime_decides() {
        for (lifetime, left) in lifetimes() {
            let end = start() + lifetime;
            let at = |draw| renew_at(start(), end, None, draw);
            let middle = end - left;
            let near = |a: SystemTime, b: SystemTime| {
                let apart = a.duration_since(b).or_else(|_| b.duration_since(a)).unwrap();
                apart < Duration::from_millis(1)
            };
            assert!(near(at(0.5), middle), "{lifetime:?}");
            assert!(near(at(0.0), middle - lifetime / 100), "{lifetime:?}");
            assert!(near(at(1.0), middle + lifetime / 100), "{lifetime:?}");
        }
    }

    #[test]
    fn a_window_is_followed_while_it_leaves_time() {
        for (lifetime, _) in lifetimes() {
            let end = start() + lifetime;
            let window = (start() + lifetime / 2, start() + lifetime * 3 / 4);
            let window = (window.0, window.1.min(window.0 + 300 * DAY));
            let at = |draw| renew_at(start(), end, Some(window), draw);
            assert_eq!(at(0.0), window.0);
            assert_eq!(at(1.0), window.1);
            assert!(at(0.3) > window.0 && at(0.3) < at(0.6));
            // A revoked certificate's window lies in the past.
            let past = (start() - 2 * DAY, start() - DAY);
            assert_eq!(renew_at(start(), end, Some(past), 0.0), past.0);
            let late = (end - lifetime / 100, end);
            assert_eq!(renew_at(start(), end, Some(late), 0.5), end - lifetime / 20);
        }
    }

    #[test]
    fn an_absurd_window_is_none() {
        let end = start() + 90 * DAY;
        let base = renew_at(start(), end, None, 0.25);
        for window in [
            (start() + 60 * DAY, start() + 60 * DAY),
            (start() + 60 * DAY, start() + 59 * DAY),
            (start() + 91 * DAY, start() + 92 * DAY),
            (start() + 60 * DAY, end + DAY),
            (start() - 800 * DAY, start() + DAY),
            (start() - 9 * DAY, start() - 8 * DAY),
            (start() - 19_000 * DAY, start() - 18_999 * DAY),
            (start() + 365_000 * DAY, start() + 365_001 * DAY),
        ] {
            assert_eq!(renew_at(start(), end, Some(window), 0.25), base, "{window:?}");
        }
        assert_eq!(renew_at(end, start(), None, 0.5), end, "a certificate that ends first is due");
    }
}
