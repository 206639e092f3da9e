//! The `ServerConfig` of handshakes: one for each certificate, otherwise identical.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ALL_VERSIONS, ServerConfig};

use super::{Certificate, Tickets};
use crate::clock::now_ms;
use crate::model::worded;

/// What all handshakes have in common: versions, suites, protocols, and the keys of session tickets.
#[derive(Clone)]
pub struct Serving {
    /// A handshake with it ends with an alert, and reveals nothing.
    refusing: Arc<ServerConfig>,
    tickets: Tickets,
}

worded! {
    /// A version of TLS.
    #[derive(Default)]
    pub enum TlsVersion {
        #[default]
        Tls12 "1.2",
        Tls13 "1.3",
    }
}

/// Whether clients trust a certificate without being configured to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// They probably do: plain HTTP may be redirected.
    Public,
    /// They don't.
    Private,
}

/// A certificate that is served.
#[derive(Clone)]
pub struct Served {
    pub certificate: Certificate,
    /// Whether clients trust it.
    pub trust: Trust,
    config: Arc<ServerConfig>,
    /// When a client got it last, in seconds since 1970.
    used: Arc<AtomicU64>,
}

impl Serving {
    /// As [`Self::with_min_version`], with TLS 1.2 and 1.3.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new() -> Result<Self, rustls::Error> {
        Self::with_min_version(TlsVersion::default())
    }

    /// TLS from this version on, HTTP/2 and HTTP/1.1, tickets whose keys are replaced every few hours.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn with_min_version(oldest: TlsVersion) -> Result<Self, rustls::Error> {
        let versions: &[_] = match oldest {
            TlsVersion::Tls12 => ALL_VERSIONS,
            TlsVersion::Tls13 => &[&TLS13],
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Nobody));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let tickets = Tickets::new()?;
        config.ticketer = Arc::new(tickets.clone());
        Ok(Self { refusing: Arc::new(config), tickets })
    }

    /// Makes a certificate ready to be served.
    pub fn serve(&self, certificate: Certificate, trust: Trust) -> Served {
        let mut config = ServerConfig::clone(&self.refusing);
        config.cert_resolver =
            Arc::new(SingleCertAndKey::from(Arc::clone(certificate.certified_key())));
        let used = Arc::new(AtomicU64::new(now_ms() / 1000));
        Served { certificate, trust, config: Arc::new(config), used }
    }

    /// The keys of session tickets, which all configs share.
    pub(crate) fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// A config with which every handshake fails.
    pub fn refusing(&self) -> &Arc<ServerConfig> {
        &self.refusing
    }
}

impl Served {
    /// Notes that a client gets it now.
    pub fn touch(&self) {
        let now = now_ms() / 1000;
        // Written at most once a second, because threads share it.
        if self.used.load(Ordering::Relaxed) != now {
            self.used.store(now, Ordering::Relaxed);
        }
    }

    /// When a client was served with it last, in seconds since 1970; at first, when it was made.
    pub fn last_used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The config for handshakes with it.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Served").field(&self.certificate).field(&self.trust).finish()
    }
}

/// Has no certificate for any client.
#[derive(Debug)]
struct Nobody;

impl ResolvesServerCert for Nobody {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}
