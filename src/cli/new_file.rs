//! Files that a command writes where none is yet.

use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use crate::atomic_file;

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum NewFileError {
    /// There is one.
    #[error("`{}` exists already; nothing was written", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// What is there is no file.
    #[error("`{}` is there and is no regular file; nothing was written", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// It can't be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl NewFileError {
    /// What to do about it.
    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Exists { .. } => Some("name another file, or replace it with `--force`"),
            Self::NoFile { .. } => Some("name the file itself, and not a link to it"),
            Self::Write { .. } => None,
        }
    }
}

/// Writes a config as a whole or not at all. The server's user can read it, unless it has hashes of
/// passwords. A file that exists is replaced with `force` alone, and keeps its owner and group: the one of packages is
/// for the server's group only.
pub(super) fn write(path: &Path, config: &str, force: bool) -> Result<(), NewFileError> {
    // A device is nobody's config, and behind a link there may be anything.
    let before = std::fs::symlink_metadata(path).ok();
    if before.as_ref().is_some_and(|found| !found.is_file()) {
        return Err(NewFileError::NoFile { path: path.to_owned() });
    }
    let secret = config.contains("basic_auth");
    let mode = match &before {
        Some(found) => found.mode() & if secret { 0o660 } else { 0o666 },
        None if secret => 0o600,
        None => 0o644,
    };
    let written = atomic_file::write_with_mode(path, config.as_bytes(), mode, force);
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => NewFileError::Exists { path: path.to_owned() },
        _ => NewFileError::Write { path: path.to_owned(), source },
    })?;
    if let Some(found) = before {
        // Who may not do that has made a file of its own, as before.
        let _ = chown(path, Some(found.uid()), Some(found.gid()));
    }
    Ok(())
}
