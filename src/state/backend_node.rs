//! A backend as routing sees it: what was declared, what is observed, and what requests need of it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::BackendLive;
use crate::model::{Backend, BackendId};
use crate::stable_hash::stable_hash;
use crate::tls::{PeerTls, TlsFileError};

/// What handshakes with a backend need, or why there can be none.
pub(super) type NodeTls = Option<Result<Arc<PeerTls>, Arc<TlsFileError>>>;

/// A backend as routing sees it.
#[derive(Debug, Clone)]
pub struct BackendNode {
    /// What the operator declared.
    pub backend: Backend,
    /// What is observed of it, shared by every snapshot that holds the backend.
    pub live: Arc<BackendLive>,
    tls: NodeTls,
    connection_group: u64,
    seed: u64,
}

/// Two nodes are the same when nothing about the backend would have to be told to anyone.
impl PartialEq for BackendNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.live, &other.live)
            && self.backend == other.backend
            && self.connection_group == other.connection_group
    }
}

impl BackendNode {
    /// A backend that no snapshot has held before. Blocks where its TLS is in files.
    pub fn new(backend: Backend) -> Self {
        let live = Arc::new(BackendLive::new(&backend.address, backend.state));
        let tls = read(&backend);
        Self::of(backend, live, tls)
    }

    pub(super) fn following(backend: Backend, before: &Self) -> Self {
        fn way(backend: &Backend) -> impl PartialEq + '_ {
            let Backend { address, scheme, tls, send_proxy_protocol, .. } = backend;
            (address, scheme, tls, send_proxy_protocol)
        }
        if way(&before.backend) == way(&backend) {
            return Self::of(backend, Arc::clone(&before.live), before.tls.clone());
        }
        let live = Arc::new(before.live.moved(&backend.address, backend.state));
        let tls = read(&backend);
        Self::of(backend, live, tls)
    }

    pub(super) fn with_tls(&self, tls: PeerTls) -> Self {
        Self::of(self.backend.clone(), Arc::clone(&self.live), Some(Ok(Arc::new(tls))))
    }

    fn of(backend: Backend, live: Arc<BackendLive>, tls: NodeTls) -> Self {
        let connection_group = connection_group(&backend, &tls);
        Self { connection_group, seed: seed(&backend.id), backend, live, tls }
    }

    /// What handshakes with it need; nothing where it is spoken to in the clear.
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

    /// What was read for handshakes with it.
    pub(super) fn tls_read(&self) -> &NodeTls {
        &self.tls
    }

    /// Tells kept connections apart: another backend, or the same one moved, has another number.
    pub fn connection_group(&self) -> u64 {
        self.connection_group
    }

    /// What tells it from other backends when keys are spread; its id's alone, so that a move changes
    /// nothing.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

/// Hashed when the state changes, so that requests need not. Pingora's own key has neither the CAs nor
/// ALPN, and of a client certificate nothing but its serial number: so all of it is in here.
fn connection_group(backend: &Backend, tls: &NodeTls) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    let Backend { id, address, scheme, tls: options, send_proxy_protocol, .. } = backend;
    (id, address, scheme, options, send_proxy_protocol).hash(&mut hasher);
    if let Some(Ok(tls)) = tls {
        tls.digest().hash(&mut hasher);
    }
    hasher.finish()
}

/// The same on every server and after every restart.
fn seed(id: &BackendId) -> u64 {
    // The last byte is what the first version hashed after a text: with it no key moves.
    stable_hash(&[id.as_str().as_bytes(), b"\xff"].concat())
}

/// Reads what handshakes with the backend need. Blocks where that is in files.
fn read(backend: &Backend) -> NodeTls {
    let read = || PeerTls::read(backend).map(Arc::new).map_err(Arc::new);
    backend.scheme.is_tls().then(read)
}
