//! An edit of the state, before it is made.

use crate::model::{Change, EventKind};
use crate::state::{ReadyMade, Snapshot};
use crate::tls::PeerFiles;

/// An edit that was found right, and its event in the history.
#[derive(Debug)]
pub(super) struct Edit {
    pub(super) changes: Vec<Change>,
    pub(super) event: EventKind,
    /// The declarations of the config file, when it is they that are applied.
    pub(super) applied_file: Option<String>,
    /// Whether a file of a backend that was named before is read again.
    pub(super) reads_again: bool,
    /// What was read for the changes.
    pub(super) files: PeerFiles,
    /// Backends that were made and proven before.
    pub(super) ready_made: ReadyMade,
    /// The operation that ends with it.
    pub(super) ends_operation: Option<u64>,
    /// The state that the changes lead to, where it was built to be looked at. Valid only while the
    /// state that it was built on is the current one.
    pub(super) next: Option<Snapshot>,
}

impl Edit {
    pub(super) fn new(changes: Vec<Change>, event: EventKind) -> Self {
        let (files, ready_made) = (PeerFiles::default(), ReadyMade::new());
        Self {
            changes,
            event,
            applied_file: None,
            reads_again: false,
            files,
            ready_made,
            ends_operation: None,
            next: None,
        }
    }
}
