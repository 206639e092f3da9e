//! What backends need of files for TLS: read when a backend is declared so, and again when asked.

use std::sync::Arc;

use super::{BackendNode, Snapshot, Touched};
use crate::model::{Backend, BackendId};
use crate::tls::{PeerTls, TlsFileError};

/// What handshakes with a backend need, or why there can be none.
pub(super) type NodeTls = Option<Result<Arc<PeerTls>, Arc<TlsFileError>>>;

/// What became of reading the files of a backend again, where that is worth telling.
#[derive(Debug)]
pub enum ReadAgain {
    /// They say something else now.
    Changed(BackendId),
    /// They can't be used any more; what was read before stays.
    Kept(BackendId, TlsFileError),
}

/// Reads what handshakes with the backend need. Blocks where that is in files.
pub(super) fn read(backend: &Backend) -> NodeTls {
    let read = || PeerTls::read(backend).map(Arc::new).map_err(Arc::new);
    backend.scheme.is_tls().then(read)
}

impl Snapshot {
    /// The snapshot with the files of all backends as they are now, and what became of them. Blocks.
    #[must_use]
    pub fn with_files_read_again(&self) -> (Self, Vec<ReadAgain>) {
        let mut next = self.clone();
        let (mut touched, mut told) = (Touched::new(), Vec::new());
        let reads = |node: &&Arc<BackendNode>| node.tls.is_some() && node.backend.tls.has_files();
        for node in self.backends().filter(reads) {
            let id = &node.backend.id;
            let tls = match (PeerTls::read(&node.backend), &node.tls) {
                (Ok(now), Some(Ok(before))) if now == **before => continue,
                (Ok(now), _) => Ok(Arc::new(now)),
                (Err(error), Some(Ok(_))) => {
                    told.push(ReadAgain::Kept(id.clone(), error));
                    continue;
                }
                // As before, but it may be another reason.
                (Err(error), _) => Err(Arc::new(error)),
            };
            if tls.is_ok() {
                told.push(ReadAgain::Changed(id.clone()));
            }
            next.backends.insert(id.clone(), Arc::new(node.with_tls(Some(tls))));
            for tag in &node.backend.tags {
                touched.entry(tag.clone()).or_default().insert(id.clone());
            }
        }
        next.rebuild_pools(touched);
        (next, told)
    }
}
