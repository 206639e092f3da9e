//! A copy of a database, to look into without changing anything beside the database.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::StoreError;

/// What is escaped of a path in a URI.
const IN_URI: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');

/// How often a copy is made anew because a server wrote meanwhile.
const MAX_ATTEMPTS: u32 = 10;

/// A copy in a directory of its own that nobody else may read; dropping it removes it.
pub(super) struct DatabaseCopy {
    directory: TempDir,
}

impl DatabaseCopy {
    /// Copies the database and its log of writes.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("vhost-check-").permissions(Permissions::from_mode(0o700));
        let copy = Self { directory: builder.tempdir()? };
        let log = log_of(path);
        for _ in 0..MAX_ATTEMPTS {
            let before = (state_of(path)?, state_of(&log)?);
            std::fs::copy(path, copy.file())?;
            let copied = log_of(&copy.file());
            match std::fs::copy(&log, &copied) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let _ = std::fs::remove_file(&copied);
                }
                result => drop(result?),
            }
            // Halves of two states would look like damage.
            if before == (state_of(path)?, state_of(&log)?) {
                return Ok(copy);
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "it is written to all the time"))
    }

    pub(super) fn file(&self) -> PathBuf {
        self.directory.path().join("copy.db")
    }
}

/// Opens a database that nobody changes, so that SQLite makes no files beside it.
pub(super) fn open_still(path: &Path) -> Result<Connection, StoreError> {
    let uri = percent_encode(path.as_os_str().as_encoded_bytes(), IN_URI);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Ok(Connection::open_with_flags(format!("file:{uri}?immutable=1"), flags)?)
}

/// The log of writes that SQLite keeps beside a database.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// What changes with each write; none where there is no such file.
fn state_of(path: &Path) -> io::Result<Option<(u64, SystemTime)>> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some((found.len(), found.modified()?))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
