//! What can go wrong with the state directory and the database in it.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the state could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The directory can't be made or written.
    #[error("cannot use the state directory `{path}`")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Another server holds it.
    #[error("another server uses the state directory `{path}`")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The database was written by something else, or by a newer version.
    #[error("the database `{path}` has schema {found}, this version knows up to {known}")]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema number.
        found: i64,
        /// The newest that this version reads.
        known: i64,
    },
    /// The file is a database, but not ours.
    #[error("`{path}` is not a vhost database")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The directory is open to others and holds what is not ours, so it can't be made private.
    #[error("the state directory `{path}` is open to other users and holds other files")]
    Shared {
        /// The directory.
        path: PathBuf,
    },
    /// A restore was cut short.
    #[error("a restore of the state directory `{path}` was cut short")]
    HalfRestored {
        /// The directory.
        path: PathBuf,
    },
    /// SQLite finds it damaged.
    #[error("the database is damaged: {found}")]
    Damaged {
        /// The first that it finds.
        found: String,
    },
    /// SQLite failed. Its error is not a source: it has its text twice, once with a number.
    #[error("the database failed: {0}")]
    Database(rusqlite::Error),
    /// The database holds no revision that can be read.
    #[error("the database says `{found}` where its revision should be")]
    Revision {
        /// What it says.
        found: String,
    },
    /// A row holds what this version can't read.
    #[error("the database holds {what} that cannot be read")]
    Row {
        /// What the row is.
        what: &'static str,
        /// Why it can't be read.
        #[source]
        source: serde_json::Error,
    },
}

impl StoreError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Directory { path, .. } => format!(
                "make `{}` writable for this user, or set `proxy.state_dir` to a directory that is",
                path.display()
            ),
            Self::InUse { .. } => {
                "stop the other server, or give this one a `proxy.state_dir` and \
                                   a `proxy.admin_socket` of its own"
                    .into()
            }
            Self::NewerSchema { .. } => {
                "run the newer version of vhost that wrote it; nothing was changed".into()
            }
            Self::Foreign { .. } => {
                "if it was one, restore it from a backup; else set `proxy.state_dir` to a directory \
                 of its own"
                    .into()
            }
            Self::Shared { .. } => "set `proxy.state_dir` to a directory of its own".into(),
            Self::HalfRestored { .. } => {
                "run `vhost state restore` again; what was there before stays beside it".into()
            }
            Self::Database(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) =>
            {
                RESTORE.into()
            }
            Self::Database(_) => "check the disk's space and health; nothing was changed".into(),
            Self::Damaged { .. } | Self::Row { .. } | Self::Revision { .. } => RESTORE.into(),
        }
    }
}

const RESTORE: &str = "restore the state directory from a backup (`vhost state restore FILE`), or move it away to \
                       start afresh";

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}
