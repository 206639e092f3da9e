//! Puts together what HTTPS is served with, and what keeps it so.

use std::io;
use std::sync::Arc;

use super::ServerError;
use super::listen::{Listener, Listeners};
use crate::acme::{self, Ca, Challenges, Storage};
use crate::certs::{CertSettings, Certificates, Journal, Opened};
use crate::config::{Config, IssuerSettings, LetsEncryptSettings};
use crate::proxy::Https;
use crate::state::Reader;
use crate::tls::{CertStore, Serving, Tickets};

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

/// What certificates are kept in and served with, before any is read.
pub(super) struct Prepared {
    storage: Storage,
    serving: Serving,
}

impl Prepared {
    /// The keys of session tickets.
    pub(super) fn tickets(&self) -> &Tickets {
        self.serving.tickets()
    }
}

/// Makes ready what may not be there to be had. Blocks.
pub(super) fn prepare(config: &Config) -> Result<Prepared, ServerError> {
    let storage = Storage::new(config.cache_dir.clone());
    if needs_storage(config) {
        storage.prepare().map_err(|source| no_storage(config, source))?;
    }
    let serving =
        Serving::with_min_version(config.proxy.min_tls_version).map_err(ServerError::Tls)?;
    Ok(Prepared { storage, serving })
}

/// Whether certificates could be kept. Blocks, and changes nothing.
pub(super) fn check_storage(config: &Config) -> Result<(), ServerError> {
    if !needs_storage(config) {
        return Ok(());
    }
    Storage::new(config.cache_dir.clone()).check().map_err(|source| no_storage(config, source))
}

fn needs_storage(config: &Config) -> bool {
    lets_encrypt(config).is_some() || config.cache_dir.exists()
}

fn no_storage(config: &Config, source: io::Error) -> ServerError {
    ServerError::CacheDir { path: config.cache_dir.clone(), source }
}

/// The CAs that are asked. Where nothing is served over TLS, nothing is ordered.
pub(super) fn lets_encrypt(config: &Config) -> Option<&LetsEncryptSettings> {
    config.lets_encrypt.as_ref().filter(|_| config.proxy.listen_addr.is_some())
}

/// Reads all certificates and makes them ready to be served. Blocks.
pub(super) fn open(
    prepared: Prepared,
    config: &Config,
    listeners: &Listeners,
    reader: &Reader,
    journal: Journal,
) -> Opening {
    let Prepared { storage, serving } = prepared;
    let challenges = Challenges::default();
    let port = listeners.https.first().map(Listener::address).map(|address| address.port());
    let is_served = port.is_some();
    let lets_encrypt = lets_encrypt(config);
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
        default_certificate: config.proxy.default_certificate(),
    };
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
    Opening { served, certificates, opened }
}
