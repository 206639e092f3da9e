//! The files that a command names: read and checked before it waits for the writer's lock.

use super::caller::{FileErrors, HIDDEN_ERROR, HIDDEN_HINT};
use super::edit::Edit;
use super::{ControlError, Reach};
use crate::model::{Backend, Change, EventKind};
use crate::state::Snapshot;
use crate::tls::{PeerFiles, TlsFileError};

/// How the history shows that a backend's files hold something else.
pub(super) const FILES: &str = "the contents of its TLS files";

/// Looks at where an edit newly has the server reach, and reads the files that it names. Blocks.
///
/// # Errors
/// When a file can't be had, or nobody may be served from there.
pub(super) fn read(
    reach: &Reach,
    errors: FileErrors,
    before: &Snapshot,
    edit: &Edit,
) -> Result<PeerFiles, ControlError> {
    let mut files = PeerFiles::default();
    for change in &edit.changes {
        match change {
            Change::PutDomain(after) => {
                let before = before.domain(&after.domain).map(|node| &node.virtual_host);
                reach.check_domain(before, after, errors)?;
            }
            Change::PutBackend(after) => {
                let before = before.backend(&after.id).map(|node| &node.backend);
                reach.check_backend(before, after)?;
                let is_same = |before: &Backend| {
                    before.address == after.address
                        && before.options.connection() == after.options.connection()
                };
                let is_new = !before.is_some_and(is_same);
                if is_new || edit.reads_again {
                    let read = files.read(&after.options);
                    read.map_err(|error| unusable(after, &error, errors))?;
                }
            }
            Change::DropDomain(_)
            | Change::DropBackend(_)
            | Change::PutApp(_)
            | Change::DropApp(_) => {}
        }
    }
    Ok(files)
}

impl Edit {
    /// The edit with what was read for it; `None` when that is what the state has already.
    pub(super) fn with_files(mut self, before: &Snapshot, files: PeerFiles) -> Option<Self> {
        if self.reads_again
            && let EventKind::BackendSet { backend, changed } = &mut self.event
        {
            if before.backend(backend).is_some_and(|node| node.differs_from(&files)) {
                changed.push(FILES.to_owned());
            }
            if changed.is_empty() {
                return None;
            }
        }
        self.files = files;
        Some(self)
    }
}

/// Whether the options fit the scheme and each other.
pub(super) fn check_options(backend: &Backend) -> Result<(), ControlError> {
    let problem = backend.problems().into_iter().next();
    problem.map_or(Ok(()), |problem| Err(ControlError::backend_option(&backend.id, problem)))
}

fn unusable(backend: &Backend, error: &TlsFileError, errors: FileErrors) -> ControlError {
    let (what, remedy) = match errors {
        FileErrors::Whole => (error.to_string(), error.hint()),
        FileErrors::Hidden => {
            tracing::info!(backend_id = %backend.id, %error, "a command names a file that cannot be used");
            let what = format!("`{}` `{}`: {HIDDEN_ERROR}", error.key, error.path.display());
            (what, HIDDEN_HINT.to_owned())
        }
    };
    ControlError::BackendFile { backend: backend.id.clone(), what, remedy }
}
