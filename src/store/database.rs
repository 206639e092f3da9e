//! The database: loading, and the one way to commit.

mod forget;
mod operations;
mod plans;
mod schema;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::de::DeserializeOwned;

use super::StoreError;
use super::copy::{DatabaseCopy, open_still};
use super::history::HistoryReader;
use super::lock::{self, DirectoryLock, refuse_unfinished};
use super::retention::{HistorySize, Retention};
use super::value::{read, signed, write};
use crate::atomic_file;
use crate::crash_point::crash_point;
use crate::model::{Actor, App, Backend, Change, EventKind, Outcome, VirtualHost};
pub(crate) use schema::SCHEMA;
pub(super) use schema::{check_schema, create_schema, private_file, schema_of};

/// The database, in the state directory.
pub(crate) const FILE: &str = "state.db";

/// The state directory, held for as long as this lives.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) directory: PathBuf,
    /// Closed first: who closes the database last puts the log of writes away.
    reader: HistoryReader,
    pub(super) connection: Connection,
    /// Whether the next commit takes what must be forgotten out of the state, so that the log of writes
    /// must not keep the pages of before.
    forgets: bool,
    history: HistorySize,
    retention: Retention,
    /// None while the directory is given away.
    pub(super) lock: Option<DirectoryLock>,
}

/// What was found at start.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// The revision of the state.
    pub revision: u64,
    /// The apps.
    pub apps: Vec<App>,
    /// The virtual hosts.
    pub domains: Vec<VirtualHost>,
    /// The backends.
    pub backends: Vec<Backend>,
    /// What the config file declared when it was last applied, as its own room wrote it.
    pub applied_file: Option<String>,
}

/// What is made to last in one step.
#[derive(Debug)]
pub(crate) struct Commit<'a> {
    /// The edits of the desired state.
    pub changes: &'a [Change],
    /// The revision they lead to.
    pub revision: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who.
    pub actor: &'a Actor,
    /// What.
    pub event: &'a EventKind,
    /// The config file's declarations, when it was they that were applied.
    pub applied_file: Option<&'a str>,
    /// The operation that ends with it.
    pub ends_operation: Option<u64>,
}

impl Store {
    /// Opens the state in `directory`, making it when there is none.
    ///
    /// # Errors
    /// When the directory can't be used, another server uses it, or the database is not one that
    /// this version understands; then it has not been touched.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::open_with(lock::acquire(directory)?, directory)
    }

    /// The same, where another process has just given it away or has ended.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_given(directory: &Path) -> Result<Self, StoreError> {
        Self::open_with(lock::acquire_from_ended(directory)?, directory)
    }

    fn open_with(lock: DirectoryLock, directory: &Path) -> Result<Self, StoreError> {
        refuse_unfinished(directory)?;
        let path = directory.join(FILE);
        private_file(&path)
            .map_err(|source| StoreError::Directory { path: directory.to_owned(), source })?;
        let mut connection = Connection::open(&path)?;
        check_schema(&connection, &path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // What is taken out of the state is not to be found in the file either.
        connection.pragma_update(None, "secure_delete", true)?;
        create_schema(&mut connection)?;
        let history = HistorySize::count(&connection)?;
        let retention = Retention::default();
        let reader = HistoryReader::open(&path)?;
        let (directory, lock) = (directory.to_owned(), Some(lock));
        Ok(Self { directory, reader, connection, forgets: false, history, retention, lock })
    }

    /// Finds out anew how much history there is.
    pub(super) fn recount(&mut self) -> Result<(), StoreError> {
        self.history = HistorySize::count(&self.connection)?;
        Ok(())
    }

    /// Reads the history, beside the changes.
    pub(crate) fn history(&self) -> HistoryReader {
        self.reader.clone()
    }

    /// Whether [`Self::open`] could open the state in `directory`, and [`Self::load`] read it. Whether
    /// another server uses it is not looked at. Changes nothing there: a copy is opened, with what only
    /// the log of writes has.
    ///
    /// # Errors
    /// As [`Self::open`] and [`Self::load`].
    pub(crate) fn check(directory: &Path) -> Result<(), StoreError> {
        lock::check(directory)?;
        refuse_unfinished(directory)?;
        let path = directory.join(FILE);
        if !path.exists() {
            return Ok(());
        }
        let unusable = |source| StoreError::Directory { path: directory.to_owned(), source };
        atomic_file::check_file(&path).map_err(unusable)?;
        // Before it is copied: it may be anything, of any size. Unless it is taken for one that nobody
        // changes, SQLite makes files beside it, if only to read.
        let connection = open_still(&path)?;
        check_schema(&connection, &path)?;
        drop(connection);

        let copy = DatabaseCopy::of(&path).map_err(unusable)?;
        let mut connection = Connection::open(copy.file())?;
        check_schema(&connection, &path)?;
        create_schema(&mut connection)?;
        HistorySize::count(&connection)?;
        load(&connection).map(drop)
    }

    /// Reads the desired state.
    ///
    /// # Errors
    /// When the database fails or holds what can't be read.
    pub(crate) fn load(&self) -> Result<Saved, StoreError> {
        load(&self.connection)
    }

    /// What the config file declared when it was last applied, as its own room wrote it.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn applied_file(&self) -> Result<Option<String>, StoreError> {
        applied_file(&self.connection)
    }

    /// Writes a change and its event: all of it or nothing. Returns the event's number. The oldest events
    /// go where the history has become too large.
    ///
    /// # Errors
    /// When the database fails; then nothing was written.
    pub(crate) fn commit(&mut self, commit: &Commit<'_>) -> Result<u64, StoreError> {
        crash_point("commit");
        let transaction = self.connection.transaction()?;
        for change in commit.changes {
            apply(&transaction, change)?;
            crash_point("commit.change");
        }
        set_meta(&transaction, "revision", &commit.revision.to_string())?;
        crash_point("commit.revision");
        if let Some(file) = commit.applied_file {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO applied_file (id, value) VALUES (1, ?1)")?
                .execute(params![file])?;
            crash_point("commit.applied_file");
        }
        if let Some(operation) = commit.ends_operation {
            forget_operation(&transaction, operation)?;
            crash_point("commit.operation");
        }
        let mut history = self.history;
        let event = insert_event(&transaction, commit, &mut history)?;
        history.trim(&transaction, self.retention)?;
        crash_point("commit.event");
        transaction.commit()?;
        self.history = history;
        crash_point("commit.done");
        if self.forgets {
            // What was committed stays committed if a page of before can't be taken away yet: somebody
            // reads it.
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            let blocked = self.connection.query_row(checkpoint, [], |row| row.get::<_, i64>(0));
            self.forgets = blocked != Ok(0);
        }
        Ok(event)
    }

    /// Writes how a switch that is in the history went on.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn set_outcome(&mut self, event: u64, outcome: &Outcome) -> Result<(), StoreError> {
        crash_point("outcome");
        let transaction = self.connection.transaction()?;
        let value: Option<String> = transaction
            .query_row("SELECT value FROM events WHERE id = ?1", params![signed(event)], |row| {
                row.get(0)
            })
            .optional()?;
        let mut history = self.history;
        // One that is no longer kept has no outcome either.
        if let Some(value) = value {
            let mut kind: EventKind = read("an event", &value)?;
            if let EventKind::Switch { outcome: now, .. } | EventKind::Deploy { outcome: now, .. } =
                &mut kind
            {
                *now = outcome.clone();
            }
            let after = write(&kind);
            transaction.execute(
                "UPDATE events SET value = ?2 WHERE id = ?1",
                params![signed(event), after],
            )?;
            history.replace(&value, &after);
        }
        crash_point("outcome.event");
        transaction.commit()?;
        self.history = history;
        crash_point("outcome.done");
        Ok(())
    }

    /// Marks the switches and deploys whose drain a stop of the server has cut short, of the events up to number
    /// `last`. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn mark_interrupted(&mut self, last: u64) -> Result<usize, StoreError> {
        let open: Vec<u64> = self
            .connection
            .prepare(
                // One event that can't be read keeps no server from its start.
                "SELECT id FROM events WHERE CASE WHEN json_valid(value) THEN
                 json_extract(value, '$.outcome.state') = 'draining' END AND id <= ?1",
            )?
            .query_map(params![signed(last)], |row| row.get::<_, i64>(0).map(i64::unsigned_abs))?
            .collect::<Result<_, _>>()?;
        for event in &open {
            self.set_outcome(*event, &Outcome::Interrupted)?;
        }
        Ok(open.len())
    }
}

/// The revision of the state.
pub(super) fn load_revision(connection: &Connection) -> Result<u64, StoreError> {
    let revision = "SELECT value FROM meta WHERE key = 'revision'";
    let revision: Option<String> =
        connection.query_row(revision, [], |row| row.get(0)).optional()?;
    let Some(found) = revision else { return Ok(0) };
    found.parse().map_err(|_| StoreError::Revision { found })
}

fn load(connection: &Connection) -> Result<Saved, StoreError> {
    Ok(Saved {
        revision: load_revision(connection)?,
        apps: rows(connection, "SELECT value FROM apps ORDER BY name", "an app")?,
        domains: rows(connection, "SELECT value FROM domains ORDER BY name", "a domain")?,
        backends: rows(connection, "SELECT value FROM backends ORDER BY id", "a backend")?,
        applied_file: applied_file(connection)?,
    })
}

pub(super) fn applied_file(connection: &Connection) -> Result<Option<String>, StoreError> {
    let query = "SELECT value FROM applied_file";
    Ok(connection.query_row(query, [], |row| row.get(0)).optional()?)
}

fn rows<T: DeserializeOwned>(
    connection: &Connection,
    query: &str,
    what: &'static str,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        values.push(read(what, &row.get::<_, String>(0)?)?);
    }
    Ok(values)
}

fn apply(transaction: &Transaction<'_>, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::PutDomain(virtual_host) => transaction
            .prepare_cached("INSERT OR REPLACE INTO domains (name, value) VALUES (?1, ?2)")?
            .execute(params![virtual_host.domain.to_string(), write(virtual_host)])?,
        Change::DropDomain(domain) => transaction
            .prepare_cached("DELETE FROM domains WHERE name = ?1")?
            .execute(params![domain.to_string()])?,
        Change::PutBackend(backend) => transaction
            .prepare_cached("INSERT OR REPLACE INTO backends (id, value) VALUES (?1, ?2)")?
            .execute(params![backend.id.as_str(), write(backend)])?,
        Change::DropBackend(id) => transaction
            .prepare_cached("DELETE FROM backends WHERE id = ?1")?
            .execute(params![id.as_str()])?,
        Change::PutApp(app) => transaction
            .prepare_cached("INSERT OR REPLACE INTO apps (name, value) VALUES (?1, ?2)")?
            .execute(params![app.name.as_str(), write(app)])?,
        Change::DropApp(name) => transaction
            .prepare_cached("DELETE FROM apps WHERE name = ?1")?
            .execute(params![name.as_str()])?,
    };
    Ok(())
}

fn set_meta(transaction: &Transaction<'_>, key: &str, value: &str) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
        .execute(params![key, value])?;
    Ok(())
}

fn forget_operation(transaction: &Transaction<'_>, operation: u64) -> Result<(), StoreError> {
    transaction
        .prepare_cached("DELETE FROM operations WHERE id = ?1")?
        .execute(params![signed(operation)])?;
    Ok(())
}

fn insert_event(
    transaction: &Transaction<'_>,
    commit: &Commit<'_>,
    history: &mut HistorySize,
) -> Result<u64, StoreError> {
    let (actor, value) = (write(commit.actor), write(commit.event));
    transaction
        .prepare_cached(
            "INSERT INTO events (revision, at_ms, actor, value) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![signed(commit.revision), signed(commit.at_ms), actor, value])?;
    history.add(&actor, &value);
    let event = transaction.last_insert_rowid();
    for domain in commit.event.domains() {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO event_domains (domain, event) VALUES (?1, ?2)")?
            .execute(params![domain.to_string(), event])?;
    }
    Ok(event.unsigned_abs())
}

#[cfg(test)]
mod tests;
