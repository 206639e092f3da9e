//! A backend as routing sees it: what was declared, what is observed, and what requests need of it.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::BackendLive;
use crate::model::{AppOptions, Backend, BackendId, HealthCheckOptions, RequestLimit, Seconds};
use crate::stable_hash::stable_hash;
use crate::tls::{PeerFiles, PeerTls, TlsFileError};

/// `None` where it is reached without TLS.
type NodeTls = Option<Result<PeerTls, Arc<TlsFileError>>>;

/// A backend as routing sees it.
#[derive(Debug, Clone)]
pub struct BackendNode {
    /// What the operator declared.
    pub backend: Backend,
    /// What is observed of it, shared by every snapshot that holds the backend.
    pub live: Arc<BackendLive>,
    tls: NodeTls,
    health_check: Arc<HealthCheckOptions>,
    connection_group: u64,
    seed: u64,
    connect_timeout: Option<Duration>,
    max_requests: Option<RequestLimit>,
}

/// Two nodes are equal when the backend is reached the same way and is declared the same.
impl PartialEq for BackendNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.live, &other.live)
            && self.backend == other.backend
            && self.connection_group == other.connection_group
            && self.health_check == other.health_check
            && self.max_requests == other.max_requests
    }
}

impl BackendNode {
    /// A backend that no snapshot has held before; `files` is what was read for it.
    pub fn new(backend: Backend, app: Option<&AppOptions>, files: &PeerFiles) -> Self {
        let live = Arc::new(BackendLive::new(&backend.address, backend.state));
        live.set_max_requests(max_requests(&backend, app));
        let tls = node_tls(&backend, files, None);
        Self::of(backend, app, live, tls)
    }

    /// The backend after `before`; `files` is what was read for it since.
    pub(super) fn following(
        backend: Backend,
        app: Option<&AppOptions>,
        before: &Self,
        files: &PeerFiles,
    ) -> Self {
        let was = &before.backend;
        let is_same_way = was.address == backend.address
            && was.options.connection() == backend.options.connection();
        let live = if is_same_way {
            Arc::clone(&before.live)
        } else {
            let live = before.live.moved(&backend.address, backend.state);
            live.set_max_requests(max_requests(&backend, app));
            Arc::new(live)
        };
        let tls = node_tls(&backend, files, Some(before));
        Self::of(backend, app, live, tls)
    }

    fn of(
        backend: Backend,
        app: Option<&AppOptions>,
        live: Arc<BackendLive>,
        tls: NodeTls,
    ) -> Self {
        let connection_group = connection_group(&backend, &tls);
        let options = &backend.options;
        Self {
            connection_group,
            seed: seed(&backend.id),
            health_check: health_check(&backend, app),
            connect_timeout: options.connect_timeout_secs.map(Seconds::get),
            max_requests: max_requests(&backend, app),
            backend,
            live,
            tls,
        }
    }

    /// What handshakes with it need; `None` where it is reached without TLS.
    ///
    /// # Errors
    /// When its files can't be used, so that there can be no handshake.
    pub fn tls(&self) -> Result<Option<&PeerTls>, &TlsFileError> {
        match &self.tls {
            None => Ok(None),
            Some(Ok(tls)) => Ok(Some(tls)),
            Some(Err(error)) => Err(error),
        }
    }

    /// Whether its files hold something else by now than what handshakes go by.
    pub fn differs_from(&self, files: &PeerFiles) -> bool {
        match (&self.tls, files.of(&self.backend.options)) {
            (Some(Ok(before)), Some(Ok(now))) => *before.keys() != now,
            (Some(Err(_)), Some(Ok(_))) => true,
            (None, _) | (_, None | Some(Err(_))) => false,
        }
    }

    /// How long a connection to it may take to be made, where that is given for it.
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.connect_timeout
    }

    /// How many requests may run on it at once, where that is given for it. What holds is its `live`'s.
    pub(super) fn max_requests(&self) -> Option<RequestLimit> {
        self.max_requests
    }

    /// What its health check has that `[health_check]` has not: all layers above that in one.
    pub fn health_check(&self) -> &Arc<HealthCheckOptions> {
        &self.health_check
    }

    /// Distinguishes kept connections: another backend, or the same one moved, has another number.
    pub fn connection_group(&self) -> u64 {
        self.connection_group
    }

    /// What distinguishes it when keys are spread over backends; of its id alone, so that a move changes
    /// nothing.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

/// How many requests may run on it at once: by its own option, else by its app's.
fn max_requests(backend: &Backend, app: Option<&AppOptions>) -> Option<RequestLimit> {
    backend.options.max_requests.or(app.and_then(|app| app.max_requests))
}

/// The layers of the health check as one, the topmost first. Backends for which none says anything share
/// that.
fn health_check(backend: &Backend, app: Option<&AppOptions>) -> Arc<HealthCheckOptions> {
    static NONE: LazyLock<Arc<HealthCheckOptions>> = LazyLock::new(Arc::default);
    let of_app = app.and_then(|app| app.health_check.as_deref());
    let layers = [backend.options.health_check.as_deref(), of_app];
    let merged = HealthCheckOptions::layered(layers.into_iter().flatten());
    if merged.is_empty() { Arc::clone(&NONE) } else { Arc::new(merged) }
}

/// Hashed when the state changes, so that requests need not. Pingora's own key has neither the CAs nor
/// ALPN, and of a client certificate nothing but its serial number: so all of it is in here.
fn connection_group(backend: &Backend, tls: &NodeTls) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    let Backend { id, address, options, .. } = backend;
    (id, address, options.connection()).hash(&mut hasher);
    if let Some(Ok(tls)) = tls {
        tls.keys().digest().hash(&mut hasher);
    }
    hasher.finish()
}

/// The same on every server and after every restart.
fn seed(id: &BackendId) -> u64 {
    // The last byte is what the first version hashed after a text: with it no key moves.
    stable_hash(&[id.as_str().as_bytes(), b"\xff"].concat())
}

/// What handshakes with the backend need. Files that can't be used any more change nothing: what was read
/// of them before stays.
fn node_tls(backend: &Backend, files: &PeerFiles, before: Option<&BackendNode>) -> NodeTls {
    if !backend.options.scheme.is_tls() {
        return None;
    }
    let is_same =
        |before: &&BackendNode| before.backend.options.files().eq(backend.options.files());
    let before = before.filter(is_same).and_then(|before| before.tls.clone());
    let keys = match (files.of(&backend.options), before) {
        (Some(Ok(keys)), _) => Ok(keys),
        (_, Some(Ok(before))) => Ok(before.keys().clone()),
        (Some(Err(error)), _) | (None, Some(Err(error))) => Err(error),
        (None, None) => Err(Arc::new(TlsFileError::not_read(&backend.options))),
    };
    Some(keys.map(|keys| PeerTls::new(backend, keys)))
}
