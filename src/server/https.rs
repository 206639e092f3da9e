//! Puts together what HTTPS is served with, and what keeps it so.

use std::sync::Arc;

use super::ServerError;
use super::listen::{Listener, Listeners};
use crate::acme::{self, Ca, Challenges, Storage};
use crate::certs::{CertSettings, Certificates, Journal, Opened};
use crate::config::{Config, IssuerSettings};
use crate::proxy::Https;
use crate::state::Reader;
use crate::tls::{CertStore, Serving};

/// The directory of our own CA, in the state directory.
const AUTHORITY: &str = "ca";

/// What HTTPS is served with.
pub(super) struct Opening {
    /// What listeners and redirects go by; nothing where there is no listener.
    pub(super) served: Option<Arc<Https>>,
    /// How it stands with certificates.
    pub(super) certificates: Certificates,
    /// What keeps them.
    pub(super) opened: Opened,
}

/// Reads all certificates and makes them ready to be served. Blocks.
pub(super) fn open(
    config: &Config,
    listeners: &Listeners,
    reader: &Reader,
    journal: Journal,
) -> Result<Opening, ServerError> {
    let challenges = Challenges::default();
    let storage = Storage::new(config.cache_dir.clone());
    let port = listeners.https.first().map(Listener::address).map(|address| address.port());
    let is_served = port.is_some();
    // Where nothing is served over TLS, nothing is ordered.
    let lets_encrypt = config.lets_encrypt.as_ref().filter(|_| is_served);
    if lets_encrypt.is_some() || config.cache_dir.exists() {
        storage
            .prepare()
            .map_err(|source| ServerError::CacheDir { path: config.cache_dir.clone(), source })?;
    }
    let ca = |issuer: &IssuerSettings, hook| {
        let listeners = acme::Listeners { http: !listeners.http.is_empty(), tls: is_served };
        Ca::new(issuer.clone(), hook, listeners, storage.clone(), challenges.clone())
    };
    let cas = lets_encrypt.iter().flat_map(|settings| {
        settings.issuers.iter().map(|issuer| ca(issuer, settings.dns_hook.clone()))
    });
    let settings = CertSettings {
        cas: cas.collect(),
        on_demand: lets_encrypt.and_then(|settings| settings.on_demand.clone()),
        storage: storage.clone(),
        authority_dir: config.proxy.state_dir.join(AUTHORITY),
        default_certificate: config.proxy.default_certificate.clone(),
    };
    let serving = Serving::new().map_err(ServerError::Tls)?;
    let (store, demands) = CertStore::new();
    let served = port.map(|port| {
        Arc::new(Https {
            certificates: store.clone(),
            challenges: challenges.clone(),
            serving: serving.clone(),
            port,
            acme: lets_encrypt.is_some(),
        })
    });
    let (certificates, opened) =
        Certificates::open(settings, reader.clone(), (store, demands), serving, journal);
    Ok(Opening { served, certificates, opened })
}
