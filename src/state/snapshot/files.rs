//! What backends need of files for TLS: read when a backend is declared so, and again when asked.

use std::sync::Arc;

use super::super::BackendNode;
use super::{Snapshot, Touched};
use crate::model::BackendId;
use crate::tls::{PeerTls, TlsFileError};

/// What became of reading the files of a backend again, where that is worth telling.
#[derive(Debug)]
pub enum ReadAgain {
    /// They say something else now.
    Changed(BackendId),
    /// They can't be used; what was read before stays, if anything was.
    Kept(BackendId, TlsFileError),
}

impl Snapshot {
    /// The snapshot with the files of all backends, or of one, as they are now, and what became of
    /// them. Blocks.
    #[must_use]
    pub fn with_files_read_again(&self, only: Option<&BackendId>) -> (Self, Vec<ReadAgain>) {
        let mut next = self.clone();
        let (mut touched, mut told) = (Touched::new(), Vec::new());
        let one = only.map(|id| self.backends.get(id));
        let all = one.is_none().then(|| self.backends());
        let reads =
            |node: &&Arc<BackendNode>| node.tls_read().is_some() && node.backend.tls.has_files();
        for node in one.flatten().into_iter().chain(all.into_iter().flatten()).filter(reads) {
            let id = &node.backend.id;
            let now = match (PeerTls::read(&node.backend), node.tls_read()) {
                (Ok(now), Some(Ok(before))) if now == **before => continue,
                (Ok(now), _) => now,
                (Err(error), _) => {
                    told.push(ReadAgain::Kept(id.clone(), error));
                    continue;
                }
            };
            told.push(ReadAgain::Changed(id.clone()));
            next.backends.insert(id.clone(), Arc::new(node.with_tls(now)));
            for tag in &node.backend.tags {
                touched.entry(tag.clone()).or_default().insert(id.clone());
            }
        }
        next.rebuild_pools(touched);
        (next, told)
    }
}
