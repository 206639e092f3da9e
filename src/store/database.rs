//! The database: its schema, loading, and the one way to commit.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::copy::DatabaseCopy;
use super::history::HistoryReader;
use super::lock::{self, DirectoryLock};
use super::retention::{HistorySize, Retention};
use crate::atomic_file;
use crate::crash_point::crash_point;
use crate::model::{Actor, Backend, CUT, Change, EventKind, HIDDEN, Outcome, VirtualHost};

/// What is escaped of a path in a URI.
const IN_URI: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');

/// The database, in the state directory.
const FILE: &str = "state.db";

/// The newest schema that this version reads and writes.
const SCHEMA: i64 = 2;

/// Marks the file as ours (SQLite's `application_id`): "vhst".
const APPLICATION_ID: i64 = 0x7668_7374;

const CREATE: &str = "
    CREATE TABLE domains  (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE backends (id   TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE meta     (key  TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE applied_file (id INTEGER PRIMARY KEY CHECK (id = 1), value TEXT NOT NULL);
    CREATE TABLE events (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        revision INTEGER NOT NULL,
        at_ms    INTEGER NOT NULL,
        actor    TEXT NOT NULL,
        value    TEXT NOT NULL
    );
    CREATE TABLE event_domains (
        domain TEXT NOT NULL,
        event  INTEGER NOT NULL REFERENCES events(id),
        PRIMARY KEY (domain, event)
    ) WITHOUT ROWID;
";

/// Finds what goes with an event that is removed. Without it, each removal would read the whole table; a
/// server that doesn't know it works with it, so the schema's number is the same.
const INDEX: &str =
    "CREATE INDEX IF NOT EXISTS event_domains_of_event ON event_domains (event, domain);";

/// Until schema 2 the file was a row of `meta`. To find a key in a table without row ids, SQLite reads
/// the values that it passes: each commit read the whole file to write the revision beside it.
const FROM_1_TO_2: &str = "
    CREATE TABLE applied_file (id INTEGER PRIMARY KEY CHECK (id = 1), value TEXT NOT NULL);
    INSERT INTO applied_file SELECT 1, value FROM meta WHERE key = 'applied_file';
    DELETE FROM meta WHERE key = 'applied_file';
";

/// The state directory, held for as long as this lives.
#[derive(Debug)]
pub struct Store {
    /// Closed first: who closes the database last puts the log of writes away.
    reader: HistoryReader,
    connection: Connection,
    /// Whether the next commit takes what must be forgotten out of the state, so that the log of writes
    /// must not keep the pages of before.
    forgets: bool,
    history: HistorySize,
    retention: Retention,
    _lock: DirectoryLock,
}

/// What was found at start.
#[derive(Debug, Default)]
pub struct Saved {
    /// The revision of the state.
    pub revision: u64,
    /// The virtual hosts.
    pub domains: Vec<VirtualHost>,
    /// The backends.
    pub backends: Vec<Backend>,
    /// What the config file declared when it was last applied, as its own room wrote it.
    pub applied_file: Option<String>,
}

/// What is made to last in one step.
#[derive(Debug)]
pub struct Commit<'a> {
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
}

impl Store {
    /// Opens the state in `directory`, making it when there is none.
    ///
    /// # Errors
    /// When the directory can't be used, another server uses it, or the database is not one that
    /// this version understands; then it has not been touched.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let lock = lock::acquire(directory)?;
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
        Ok(Self { reader, connection, forgets: false, history, retention, _lock: lock })
    }

    /// Reads the history, beside the changes.
    pub fn history(&self) -> HistoryReader {
        self.reader.clone()
    }

    /// Whether [`Self::open`] could open the state in `directory`, and [`Self::load`] read it. Whether
    /// another server uses it is not looked at. Changes nothing there: a copy is opened, with what only
    /// the log of writes has.
    ///
    /// # Errors
    /// As [`Self::open`] and [`Self::load`].
    pub fn check(directory: &Path) -> Result<(), StoreError> {
        lock::check(directory)?;
        let path = directory.join(FILE);
        if !path.exists() {
            return Ok(());
        }
        let unusable = |source| StoreError::Directory { path: directory.to_owned(), source };
        atomic_file::check_file(&path).map_err(unusable)?;
        // Before it is copied: it may be anything, of any size. Unless it is taken for one that nobody
        // changes, SQLite makes files beside it, if only to read.
        let uri = percent_encode(path.as_os_str().as_encoded_bytes(), IN_URI);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(format!("file:{uri}?immutable=1"), flags)?;
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
    pub fn load(&self) -> Result<Saved, StoreError> {
        load(&self.connection)
    }

    /// What the config file declared when it was last applied, as its own room wrote it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn applied_file(&self) -> Result<Option<String>, StoreError> {
        applied_file(&self.connection)
    }

    /// Writes a change and its event: all of it or nothing. Returns the event's number. The oldest events
    /// go where the history has become too large.
    ///
    /// # Errors
    /// When the database fails; then nothing was written.
    pub fn commit(&mut self, commit: &Commit<'_>) -> Result<u64, StoreError> {
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
    pub fn set_outcome(&mut self, event: u64, outcome: &Outcome) -> Result<(), StoreError> {
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
            if let EventKind::Switch { outcome: now, .. } = &mut kind {
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

    /// Marks the switches whose drain a stop of the server has cut short. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub fn mark_interrupted(&mut self) -> Result<usize, StoreError> {
        let open: Vec<u64> = self
            .connection
            .prepare(
                // One event that can't be read keeps no server from its start.
                "SELECT id FROM events WHERE CASE WHEN json_valid(value) THEN
                 json_extract(value, '$.outcome.state') = 'draining' END",
            )?
            .query_map([], |row| row.get::<_, i64>(0).map(i64::unsigned_abs))?
            .collect::<Result<_, _>>()?;
        for event in &open {
            self.set_outcome(*event, &Outcome::Interrupted)?;
        }
        Ok(open.len())
    }

    /// Takes values that should never have been kept out of what the history tells of changes: all of
    /// them or nothing.
    ///
    /// # Errors
    /// When the database fails or holds what can't be read.
    pub fn forget(&mut self, values: &[String]) -> Result<(), StoreError> {
        self.forgets = true;
        // As texts stand in the JSON that changes are told in.
        let quoted: Vec<String> = values.iter().map(write).collect();
        let transaction = self.connection.transaction()?;
        let mut history = self.history;
        let mut changed = Vec::new();
        {
            let mut statement = transaction.prepare(
                "SELECT id, value FROM events WHERE CASE WHEN json_valid(value) THEN
                 json_type(value, '$.changed') IS NOT NULL END",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let value: String = row.get(1)?;
                let mut kind: EventKind = read("an event", &value)?;
                if hide_in(&mut kind, &quoted) {
                    let hidden = write(&kind);
                    history.replace(&value, &hidden);
                    changed.push((row.get::<_, i64>(0)?, hidden));
                }
            }
        }
        for (id, value) in changed {
            transaction
                .execute("UPDATE events SET value = ?2 WHERE id = ?1", params![id, value])?;
        }
        transaction.commit()?;
        self.history = history;
        Ok(())
    }
}

fn load(connection: &Connection) -> Result<Saved, StoreError> {
    let revision = "SELECT value FROM meta WHERE key = 'revision'";
    let revision: Option<String> =
        connection.query_row(revision, [], |row| row.get(0)).optional()?;
    Ok(Saved {
        revision: match revision {
            None => 0,
            Some(found) => {
                found.parse().map_err(|_| StoreError::Revision { found: found.clone() })?
            }
        },
        domains: rows(connection, "SELECT value FROM domains ORDER BY name", "a domain")?,
        backends: rows(connection, "SELECT value FROM backends ORDER BY id", "a backend")?,
        applied_file: applied_file(connection)?,
    })
}

fn applied_file(connection: &Connection) -> Result<Option<String>, StoreError> {
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

/// Makes the database file before SQLite does, so that it and the files SQLite puts beside it, which
/// take its mode, are the user's alone.
fn private_file(path: &Path) -> std::io::Result<()> {
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Refuses, before anything is written, what this version doesn't understand.
fn check_schema(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let path = || PathBuf::from(path);
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let version = match number("user_version") {
        Err(rusqlite::Error::SqliteFailure(error, _))
            if error.code == rusqlite::ErrorCode::NotADatabase =>
        {
            return Err(StoreError::Foreign { path: path() });
        }
        version => version?,
    };
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && number("application_id")? != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path() });
    }
    if version > SCHEMA {
        return Err(StoreError::NewerSchema { path: path(), found: version, known: SCHEMA });
    }
    Ok(())
}

fn create_schema(connection: &mut Connection) -> Result<(), StoreError> {
    crash_point("schema");
    let transaction = connection.transaction()?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => {
            transaction.execute_batch(CREATE)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        1 => transaction.execute_batch(FROM_1_TO_2)?,
        _ => {
            transaction.execute_batch(INDEX)?;
            return Ok(transaction.commit()?);
        }
    }
    transaction.execute_batch(INDEX)?;
    crash_point("schema.tables");
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    crash_point("schema.version");
    transaction.commit()?;
    crash_point("schema.done");
    Ok(())
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
    };
    Ok(())
}

fn set_meta(transaction: &Transaction<'_>, key: &str, value: &str) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
        .execute(params![key, value])?;
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

pub(super) fn read<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Row { what, source })
}

fn write<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("values of the model have string keys and no custom errors")
}

/// Hides texts in what an event tells of changes, and says whether any was there.
fn hide_in(kind: &mut EventKind, quoted: &[String]) -> bool {
    let (EventKind::DomainSet { changed, .. }
    | EventKind::BackendSet { changed, .. }
    | EventKind::FileApplied { changed, .. }) = kind
    else {
        return false;
    };
    let hidden = write(&HIDDEN);
    let mut found = false;
    for phrase in changed {
        for quoted in quoted.iter().filter(|quoted| quoted.len() > 2) {
            if phrase.contains(quoted.as_str()) {
                *phrase = phrase.replace(quoted.as_str(), &hidden);
                found = true;
            }
            if let Some(at) = cut_within(phrase, quoted) {
                phrase.replace_range(at.., &format!("{hidden}{CUT}"));
                found = true;
            }
        }
    }
    found
}

/// Where a phrase that was cut within `quoted` has the beginning of it.
fn cut_within(phrase: &str, quoted: &str) -> Option<usize> {
    let body = phrase.strip_suffix(CUT)?;
    let begins = |at: &usize| quoted.starts_with(&body[*at..]);
    // The quote alone gives nothing away.
    body.rmatch_indices('"').map(|(at, _)| at).filter(|at| body.len() - at > 1).find(begins)
}

/// SQLite's integers are signed; counts and times fit.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
