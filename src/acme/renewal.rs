//! When a CA wants a certificate to be renewed (RFC 9773).

use std::time::{Duration, SystemTime};

use instant_acme::{CertificateIdentifier, Error};
use rustls::pki_types::CertificateDer;
use tracing::warn;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::context::CaContext;
use super::error::AcmeError;
use super::schedule;

/// When a CA wants a certificate to be renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RenewalWindow {
    /// Its start. In the past if the certificate should be renewed at once.
    pub start: SystemTime,
    /// Its end; after [`start`](Self::start), and before the certificate expires.
    pub end: SystemTime,
    /// A page that says why.
    pub explanation_url: Option<String>,
    /// How long to wait before asking again.
    pub look_again: Duration,
}

pub(super) async fn ask(
    ca: &CaContext,
    leaf: &CertificateDer<'_>,
) -> Result<Option<RenewalWindow>, AcmeError> {
    let bad = |why: String| AcmeError::blocked(format!("the certificate cannot be read: {why}"));
    let id = CertificateIdentifier::try_from(leaf).map_err(bad)?;
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| bad(error.to_string()))?;
    let at = |seconds: i64| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    };
    let (from, until) = (&parsed.validity().not_before, &parsed.validity().not_after);
    let certified = (at(from.timestamp()), at(until.timestamp()));
    let session = ca.session().await?;
    let (info, look_again) = match session.account.renewal_info(&id).await {
        Ok(answer) => answer,
        Err(Error::Unsupported(_)) => return Ok(None),
        Err(error) => return Err(session.error(error)),
    };
    let window = info.suggested_window;
    let (start, end) = (SystemTime::from(window.start), SystemTime::from(window.end));
    if !schedule::is_sane((start, end), certified) {
        warn!(
            directory_url = ca.issuer.directory_url,
            start = %window.start,
            end = %window.end,
            "the CA's renewal window is not plausible"
        );
        return Ok(None);
    }
    Ok(Some(RenewalWindow {
        start,
        end,
        explanation_url: info.explanation_url,
        look_again: look_again_in(look_again, fastrand::f64()),
    }))
}

/// Bounded, and spread so that not all ask at once.
fn look_again_in(asked: Duration, draw: f64) -> Duration {
    let asked = asked.clamp(Duration::from_hours(1), Duration::from_hours(12));
    asked.mul_f64(0.9 + 0.2 * draw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_is_asked_again_within_reason() {
        let hours = Duration::from_hours;
        assert_eq!(look_again_in(Duration::ZERO, 0.5), hours(1));
        assert_eq!(look_again_in(hours(6), 0.5), hours(6));
        assert_eq!(look_again_in(hours(1000), 0.5), hours(12));
        assert!(look_again_in(hours(6), 0.0) < hours(6) && look_again_in(hours(6), 1.0) > hours(6));
    }
}
