//! A certificate with its chain and key, read from PEM and checked to belong together.

use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::model::{CertificateFacts, DomainName};

/// Why a certificate and a key can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// There is no certificate in the text.
    #[error("there is no certificate in it; PEM has a line `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// There is no key in the text.
    #[error("there is no private key in it; PEM has a line such as `-----BEGIN PRIVATE KEY-----`")]
    NoKey,
    /// A block of the text is damaged.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The key is of a kind that can't be used.
    #[error("the key can't be used: {0}")]
    BadKey(String),
    /// The key is another certificate's.
    #[error("the key does not belong to the certificate")]
    Mismatch,
}

/// A certificate with its chain and key.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    facts: Arc<CertificateFacts>,
}

impl Certificate {
    /// Reads a chain, the leaf first, and the leaf's key.
    ///
    /// # Errors
    /// When either is missing or damaged, or they don't belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        Self::new(certificates(chain)?, private_key(key)?)
    }

    /// Reads a text with the key, the leaf and its chain.
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn from_bundle(bundle: &str) -> Result<Self, CertificateError> {
        Self::from_pem(bundle.as_bytes(), bundle.as_bytes())
    }

    /// Joins a chain, the leaf first, and the leaf's key.
    ///
    /// # Errors
    /// When either is damaged, or they don't belong together.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let leaf = chain.first().ok_or(CertificateError::NoCertificate)?;
        let facts = facts(leaf, &chain[1..])?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider());
        let key = key.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch,
            rustls::Error::InvalidCertificate(error) => {
                CertificateError::Damaged(format!("{error:?}"))
            }
            error => CertificateError::BadKey(error.to_string()),
        })?;
        Ok(Self { key: Arc::new(key), facts: Arc::new(facts) })
    }

    /// Facts about it.
    pub fn facts(&self) -> &CertificateFacts {
        &self.facts
    }

    /// The chain and key for handshakes.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// The certificate itself.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.key.cert[0]
    }

    /// From when it is valid.
    pub fn not_before(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.facts.not_before_ms)
    }

    /// Until when it is valid.
    pub fn not_after(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.facts.not_after_ms)
    }

    /// Whether it is for this name. A wildcard needs exactly that wildcard.
    pub fn covers(&self, name: &DomainName) -> bool {
        self.covers_host(&name.to_string())
    }

    /// Whether it is for this host, which is normalised: it has the name itself, or the wildcard one
    /// label up (RFC 9525 §6.3).
    pub fn covers_host(&self, host: &str) -> bool {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // An address never matches a wildcard, because no name ends like one.
        let parent = host.split_once('.').filter(|(label, _)| !label.is_empty());
        self.facts.names.iter().any(|own| {
            own.eq_ignore_ascii_case(host)
                || own.strip_prefix("*.").is_some_and(|own| {
                    parent.is_some_and(|(_, parent)| own.eq_ignore_ascii_case(parent))
                })
        })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.facts.names).finish()
    }
}

/// The certificates of a PEM text, in order.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let all: Result<_, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.map_err(|error| CertificateError::Damaged(error.to_string()))
}

/// The first private key of a PEM text.
pub(super) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => CertificateError::NoKey,
        // The error's text never contains the input.
        error => CertificateError::Damaged(error.to_string()),
    })
}

fn facts(
    leaf: &CertificateDer<'_>,
    chain: &[CertificateDer<'_>],
) -> Result<CertificateFacts, CertificateError> {
    let parsed = parse(leaf)?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let chain: Result<Vec<_>, _> =
        chain.iter().map(|der| parse(der).map(|parsed| name_of(parsed.subject()))).collect();
    Ok(CertificateFacts {
        names: names.filter_map(name).collect(),
        issuer: name_of(parsed.issuer()),
        serial: hex(parsed.raw_serial()),
        sha256: hex(::ring::digest::digest(&::ring::digest::SHA256, leaf).as_ref()),
        key_type: key_type(&parsed),
        not_before_ms: millis(parsed.validity().not_before.timestamp()),
        not_after_ms: millis(parsed.validity().not_after.timestamp()),
        chain: chain?,
    })
}

pub(super) fn parse<'a>(
    der: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, CertificateError> {
    let parsed = X509Certificate::from_der(der);
    parsed.map(|(_, parsed)| parsed).map_err(|error| CertificateError::Damaged(error.to_string()))
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

/// The common name, or else the organisation, or else the whole.
fn name_of(name: &x509_parser::x509::X509Name<'_>) -> String {
    let text = |found: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
        found.and_then(|found| found.as_str().ok()).map(str::to_owned)
    };
    text(name.iter_common_name().next())
        .or_else(|| text(name.iter_organization().next()))
        .unwrap_or_else(|| name.to_string())
}

fn key_type(certificate: &X509Certificate<'_>) -> String {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("P-{}", point.key_size()),
        _ if certificate.public_key().algorithm.algorithm
            == x509_parser::oid_registry::OID_SIG_ED25519 =>
        {
            "Ed25519".to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

fn millis(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self_signed, self_signed_pem};
    use super::*;

    #[test]
    fn a_certificate_is_for_its_names_and_no_others() {
        let certificate = self_signed(&["example.com", "*.example.com", "127.0.0.1"]);
        for (name, covered) in [
            ("example.com", true),
            ("www.example.com", true),
            ("*.example.com", true),
            ("a.www.example.com", false),
            ("*.www.example.com", false),
            ("example.org", false),
            ("127.0.0.1", true),
            ("*", false),
        ] {
            assert_eq!(certificate.covers(&name.parse().unwrap()), covered, "{name}");
        }
        assert_eq!(certificate.facts().key_type, "P-256");
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let (chain, key) = self_signed_pem(&["a.example"]);
        let (_, other) = self_signed_pem(&["a.example"]);
        let read = |chain: &str, key: &str| {
            Certificate::from_pem(chain.as_bytes(), key.as_bytes()).map(|_| ())
        };
        assert_eq!(read(&chain, &key), Ok(()));
        assert_eq!(read(&chain, &other), Err(CertificateError::Mismatch));
        assert_eq!(read("", &key), Err(CertificateError::NoCertificate));
        assert_eq!(read(&chain, &chain), Err(CertificateError::NoKey));
        let half = &chain[..chain.len() / 2];
        assert!(matches!(read(half, &key), Err(CertificateError::Damaged(_))));
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(read(nonsense, &key), Err(CertificateError::Damaged(_))));
        assert_eq!(Certificate::from_bundle(&(key + &chain)).map(|_| ()), Ok(()));
    }
}
