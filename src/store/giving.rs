//! The state directory given to a successor, and taken back from one that failed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::database::private_file;
use super::lock;
use super::{SCHEMA, Store, StoreError};

/// A copy of the database as it was before it was given away, in the state directory.
pub(super) const COPY: &str = "state.db.before-upgrade";

/// What was given away, as long as it may have to be taken back.
#[derive(Debug)]
pub(crate) struct Given {
    /// What tells whether others have written.
    version: i64,
}

impl Store {
    /// Lets go of the state directory: until it is [taken back](Self::take_back), nothing may be written here. A
    /// copy of what is there is kept beside it.
    ///
    /// # Errors
    /// When it can't be copied; then it was not let go of.
    pub(crate) fn give_away(&mut self) -> Result<Given, StoreError> {
        let copy = self.copy_path();
        let unusable = |source| StoreError::Directory { path: self.directory.clone(), source };
        remove(&copy).map_err(unusable)?;
        private_file(&copy).map_err(unusable)?;
        if let Err(error) = self.connection.execute("VACUUM INTO ?1", [path_text(&copy)]) {
            self.forget_copy();
            return Err(error.into());
        }
        let version = self.data_version()?;
        self.lock = None;
        Ok(Given { version })
    }

    /// Takes the state directory back from a process that has ended, as it was when it was given away.
    ///
    /// # Errors
    /// When another process uses it, or the database fails.
    pub(crate) fn take_back(&mut self, given: &Given) -> Result<(), StoreError> {
        self.lock = Some(lock::acquire_from_ended(&self.directory)?);
        if self.data_version()? != given.version {
            let before = Connection::open(self.copy_path())?;
            Backup::new(&before, &mut self.connection)?.run_to_completion(
                i32::MAX,
                Duration::ZERO,
                None,
            )?;
        }
        self.recount()?;
        self.forget_copy();
        Ok(())
    }

    /// Removes the copy of what was given away.
    pub(crate) fn forget_copy(&self) {
        if let Err(error) = remove(&self.copy_path()) {
            tracing::warn!(%error, "a copy of the database stays in the state directory");
        }
    }

    /// Keeps the copy of what was given away, which a newer version has changed so that this one can't read it.
    pub(crate) fn keep_copy(&self) {
        let kept = self.directory.join(format!("state.db.schema-{SCHEMA}"));
        if let Err(error) = std::fs::rename(self.copy_path(), kept) {
            tracing::error!(%error, "the copy of the database can't be kept");
        }
    }

    fn copy_path(&self) -> PathBuf {
        self.directory.join(COPY)
    }

    /// Changes when another connection has written.
    fn data_version(&self) -> Result<i64, StoreError> {
        Ok(self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// SQLite takes texts: what is none of a path can't be said.
fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
