//! Whether a backend can be spoken to as it is declared.

use super::ControlError;
use super::caller::{FileErrors, HIDDEN_ERROR, HIDDEN_HINT};
use super::plane::Edit;
use crate::model::{Backend, Change, EventKind, TlsProblem};
use crate::state::{ReadAgain, Snapshot};
use crate::tls::TlsFileError;

/// The state with the backend as it is to be, where its TLS is new: it holds what was read of the files.
/// Blocks.
///
/// # Errors
/// When keys don't fit together, or a file can't be used.
pub(super) fn checked(
    snapshot: &Snapshot,
    backend: &Backend,
    errors: FileErrors,
) -> Result<Option<Snapshot>, ControlError> {
    check_options(backend)?;
    let before = snapshot.backend(&backend.id).map(|node| &node.backend);
    let rules = |of: &Backend| (of.address.clone(), of.scheme, of.tls.clone());
    let is_new = before.is_none_or(|before| rules(before) != rules(backend));
    if !is_new {
        return Ok(None);
    }
    let change = Change::PutBackend(backend.clone());
    let next = snapshot.after(vec![change], snapshot.revision() + 1);
    match next.backend(&backend.id).map(|node| node.tls()) {
        Some(Err(error)) => Err(unusable(backend, error, errors)),
        _ => Ok(Some(next)),
    }
}

/// How the history tells that a backend's files hold something else.
pub(super) const FILES: &str = "the contents of its TLS files";

/// The edit that takes in what the files of a backend hold now; nothing when that is the same. Blocks.
///
/// # Errors
/// When a file can't be used.
pub(super) fn read_again(
    snapshot: &Snapshot,
    backend: &Backend,
    errors: FileErrors,
) -> Result<Option<Edit>, ControlError> {
    let (next, mut told) = snapshot.with_files_read_again(Some(&backend.id));
    match told.pop() {
        None => Ok(None),
        Some(ReadAgain::Kept(_, error)) => Err(unusable(backend, &error, errors)),
        Some(ReadAgain::Changed(id)) => {
            let event = EventKind::BackendSet { backend: id, changed: vec![FILES.to_owned()] };
            Ok(Some(Edit { next: Some(next), ..Edit::new(Vec::new(), event) }))
        }
    }
}

/// Whether the options fit the scheme and each other.
pub(super) fn check_options(backend: &Backend) -> Result<(), ControlError> {
    let Backend { id, scheme, tls, send_proxy_protocol: send, .. } = backend;
    let refuse =
        |what, remedy| Err(ControlError::BackendOption { backend: id.clone(), what, remedy });
    if let Some(TlsProblem { key, remedy }) = tls.problems(*scheme).into_iter().next() {
        return refuse(format!("its `{key}` so"), remedy);
    }
    match send.problem_with(*scheme) {
        None => Ok(()),
        Some(remedy) => refuse(
            format!("`send_proxy_protocol` at `{send}` with the scheme `{scheme}`"),
            remedy.to_owned(),
        ),
    }
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
