//! When a certificate needs attention: it has expired or soon will, or can't be obtained. Pure.

use std::time::{Duration, SystemTime};

use super::entry::{Entry, Urgency};
use crate::model::{CertificateReport, CertificateSource, CertificateState};

/// The fraction of its lifetime that is left when a warning is logged, and when somebody must act.
const WARN_FRACTION: u32 = 5;
const ACT_FRACTION: u32 = 10;

/// How urgent it is to replace a certificate: by the share of its lifetime, because some are
/// short-lived on purpose.
pub(super) fn urgency(entry: &Entry, now: SystemTime) -> Urgency {
    let Some((source, served)) = &entry.served else { return Urgency::None };
    if *source == CertificateSource::Internal {
        return Urgency::None;
    }
    let (from, until) = (served.certificate.not_before(), served.certificate.not_after());
    let life = until.duration_since(from).unwrap_or_default();
    let left = until.duration_since(now).unwrap_or_default();
    if left < life / ACT_FRACTION {
        Urgency::Act
    } else if left < life / WARN_FRACTION {
        Urgency::Warn
    } else {
        Urgency::None
    }
}

/// The warning to show, if somebody has to act.
pub(super) fn warning(
    entry: &Entry,
    report: &CertificateReport,
    now: SystemTime,
) -> Option<String> {
    let name = &report.name;
    let why = report.last_error.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    match report.state {
        CertificateState::Expired => Some(format!("the certificate of `{name}` has expired{why}")),
        CertificateState::Blocked => Some(format!("there is no certificate for `{name}`{why}")),
        CertificateState::Failed if report.served.is_none() => {
            Some(format!("there is no certificate for `{name}` yet{why}"))
        }
        CertificateState::Failed if report.source == Some(CertificateSource::Files) => {
            Some(format!("the certificate files of `{name}` can't be used{why}"))
        }
        _ if urgency(entry, now) == Urgency::Act => {
            let until = entry.served.as_ref().map(|(_, served)| served.certificate.not_after());
            let left = until.and_then(|until| until.duration_since(now).ok()).unwrap_or_default();
            Some(format!("the certificate of `{name}` expires in {}{why}", rough(left)))
        }
        _ => None,
    }
}

/// A time in its largest unit.
fn rough(time: Duration) -> String {
    let (hours, minutes) = (time.as_secs() / 3600, time.as_secs() / 60);
    match (hours, minutes) {
        (48.., _) => format!("{} days", hours / 24),
        (2.., _) => format!("{hours} hours"),
        (_, 2..) => format!("{minutes} minutes"),
        _ => format!("{} seconds", time.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::certs::plan::Plan;
    use crate::tls::testing::self_signed;
    use crate::tls::{Serving, Trust};

    #[test]
    fn what_runs_out_is_told_by_its_share_of_life() {
        let certificate = self_signed(&["example.com"]);
        let (from, until) = (certificate.not_before(), certificate.not_after());
        let life = until.duration_since(from).unwrap();
        let served = Serving::new().unwrap().serve(certificate, Trust::Public);
        let name = "example.com".parse().unwrap();
        let mut entry = Entry::new("example.com".parse().unwrap(), Plan::Acme);
        assert_eq!(urgency(&entry, from), Urgency::None, "there is nothing that could run out");
        entry.served = Some((CertificateSource::Imported, Arc::new(served)));
        for (left, expected) in [
            (life / 3, Urgency::None),
            (life / 6, Urgency::Warn),
            (life / 11, Urgency::Act),
            (Duration::ZERO, Urgency::Act),
        ] {
            let now = until - left;
            assert_eq!(urgency(&entry, now), expected, "{left:?}");
            let told = warning(&entry, &entry.report(&name, now), now);
            assert_eq!(told.is_some(), expected == Urgency::Act, "{told:?}");
        }
        assert_eq!(rough(Duration::from_hours(50)), "2 days");
        assert_eq!(rough(Duration::from_secs(59)), "59 seconds");
    }
}
