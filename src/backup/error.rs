//! Why a backup can't be made, used or put back.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::{SCHEMA, StoreError};

/// Why a backup can't be made, used or put back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// The state can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file or a directory can't be read or written.
    #[error("`{}`", path.display())]
    File {
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Writing fails without a name.
    #[error("cannot write it")]
    Write(#[from] io::Error),
    /// There is a file already.
    #[error("`{}` exists already; nothing was written", path.display())]
    Exists { path: PathBuf },
    /// It is something else.
    #[error("it is no backup of vhost: {what}")]
    Foreign { what: String },
    /// It is not as it was made.
    #[error("the backup is damaged: {what}")]
    Damaged { what: String },
    /// A newer version has made it.
    #[error(
        "version {version} made the backup, with schema {schema}; this version knows up to {SCHEMA}"
    )]
    Newer { version: String, schema: i64 },
    /// What is in it can't be used.
    #[error("{} in the backup cannot be used: {}", crate::model::counted(problems.len(), "thing"), problems[0])]
    Unsound {
        /// Each with its place; never none.
        problems: Vec<String>,
    },
    /// A server answers.
    #[error("a server runs with this state: it answers at `{}`", socket.display())]
    Runs { socket: PathBuf },
    /// It was begun, and can't be ended.
    #[error("what is in `{}` is no state any more: it was moved to `{}`, and the backup could not be put there", state.display(), aside.display())]
    Unfinished {
        state: PathBuf,
        aside: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl BackupError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Store(StoreError::InUse { .. }) | Self::Runs { .. } => {
                "stop it first; a backup can be made beside it, but not put back".into()
            }
            Self::Store(StoreError::Directory { source, .. }) | Self::File { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                "run it as the server's user, or as root".into()
            }
            Self::Store(StoreError::Directory { .. }) => {
                "name the server's config with `--config`, or the directory with `--state-dir`"
                    .into()
            }
            Self::Store(error) => error.hint(),
            Self::Exists { .. } => "name another file, or replace it with `--force`".into(),
            Self::Foreign { .. } => "name a file that `vhost state backup` has made".into(),
            Self::Damaged { .. } | Self::Unsound { .. } => {
                "use another backup; nothing was changed".into()
            }
            Self::Newer { version, .. } => format!("use version {version} or a newer one"),
            Self::Unfinished { .. } => "mend that, and run the same command again".into(),
            Self::File { .. } | Self::Write(_) => return None,
        })
    }
}

/// Names the file of an error of the system.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    |source| BackupError::File { path: path.to_owned(), source }
}
