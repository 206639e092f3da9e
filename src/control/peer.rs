//! Whether a backend can be spoken to as it is declared.

use super::ControlError;
use crate::model::{Backend, Change};
use crate::state::Snapshot;
use crate::tls::TlsFileError;

/// The state with the backend as it is to be, where its TLS is new: it holds what was read of the files.
/// Blocks.
///
/// # Errors
/// When keys don't fit together, or a file can't be used.
pub(super) fn checked(
    snapshot: &Snapshot,
    backend: &Backend,
) -> Result<Option<Snapshot>, ControlError> {
    check_keys(backend)?;
    let before = snapshot.backend(&backend.id).map(|node| &node.backend);
    let rules = |of: &Backend| (of.address.clone(), of.scheme, of.tls.clone());
    let is_new = before.is_none_or(|before| rules(before) != rules(backend));
    if !is_new {
        return Ok(None);
    }
    let change = Change::PutBackend(backend.clone());
    let next = snapshot.after(vec![change], snapshot.revision() + 1);
    match next.backend(&backend.id).map(|node| node.tls()) {
        Some(Err(error)) => Err(unusable(backend, error)),
        _ => Ok(Some(next)),
    }
}

/// Whether the keys of its TLS fit its scheme and each other.
pub(super) fn check_keys(backend: &Backend) -> Result<(), ControlError> {
    backend.tls.problems(backend.scheme).into_iter().next().map_or(Ok(()), |problem| {
        let (backend, key, remedy) = (backend.id.clone(), problem.key, problem.remedy);
        Err(ControlError::BackendTls { backend, key, remedy })
    })
}

fn unusable(backend: &Backend, error: &TlsFileError) -> ControlError {
    let (what, remedy) = (error.to_string(), error.hint());
    ControlError::BackendFile { backend: backend.id.clone(), what, remedy }
}
