//! The state directory as backups see it: a copy of the database beside a running server, and the directory held
//! while what is in it is replaced.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::copy::{DatabaseCopy, log_of};
use super::database::{FILE, check_schema};
use super::lock::{self, DirectoryLock, refuse_unfinished};
use super::{Store, StoreError};

/// The files of the database, and what a server leaves beside it.
pub(crate) const DATABASE_FILES: [&str; 4] =
    [FILE, "state.db-wal", "state.db-shm", super::giving::COPY];

/// The state directory, held as a server holds it: none runs there as long as this lives.
#[derive(Debug)]
pub(crate) struct HeldDirectory {
    _lock: DirectoryLock,
}

impl Store {
    /// Writes the state of `directory` to a new database at `copy`, as it is at one moment, whatever a server writes
    /// meanwhile. What is there is checked page by page before.
    ///
    /// # Errors
    /// When there is none, it can't be read, or is damaged.
    pub(crate) fn copy_to(directory: &Path, copy: &Path) -> Result<(), StoreError> {
        let path = directory.join(FILE);
        let unusable = |source| StoreError::Directory { path: directory.to_owned(), source };
        std::fs::metadata(&path).map_err(unusable)?;
        refuse_unfinished(directory)?;
        if log_of(&path).exists() {
            let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            return vacuum(&connection, &path, copy);
        }
        // Nobody has it open, and SQLite would make files beside it, if only to read.
        let still = DatabaseCopy::of(&path).map_err(unusable)?;
        vacuum(&Connection::open(still.file())?, &path, copy)
    }

    /// Holds `directory`, which is made when it is missing.
    ///
    /// # Errors
    /// When a server uses it, or it can't be made.
    pub(crate) fn hold(directory: &Path) -> Result<HeldDirectory, StoreError> {
        Ok(HeldDirectory { _lock: lock::acquire(directory)? })
    }
}

fn vacuum(connection: &Connection, path: &Path, copy: &Path) -> Result<(), StoreError> {
    check_schema(connection, path)?;
    super::audit::check_pages(connection)?;
    // SQLite takes texts: what is none of a path can't be said.
    connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    Ok(())
}
