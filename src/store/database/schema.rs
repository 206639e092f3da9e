//! The file of the database: its mode, its tables, and which versions of them are understood.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::crash_point::crash_point;
use crate::store::StoreError;

/// The newest schema that this version reads and writes.
pub(crate) const SCHEMA: i64 = 3;

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

/// Plans that wait to be applied. A server that doesn't know the table works with it, so the schema's number is
/// the same.
const PLANS: &str = "
    CREATE TABLE IF NOT EXISTS plans (
        number     INTEGER PRIMARY KEY AUTOINCREMENT,
        check_text TEXT NOT NULL,
        made_ms    INTEGER NOT NULL,
        value      TEXT NOT NULL
    );
";

/// Until schema 2 the file was a row of `meta`. To find a key in a table without row ids, SQLite reads
/// the values that it passes: each commit read the whole file to write the revision beside it.
const FROM_1_TO_2: &str = "
    CREATE TABLE applied_file (id INTEGER PRIMARY KEY CHECK (id = 1), value TEXT NOT NULL);
    INSERT INTO applied_file SELECT 1, value FROM meta WHERE key = 'applied_file';
    DELETE FROM meta WHERE key = 'applied_file';
";

/// Schema 3 has apps, and operations that are under way.
const FROM_2_TO_3: &str = "
    CREATE TABLE apps (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE operations (
        id    INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        actor TEXT NOT NULL,
        value TEXT NOT NULL
    );
";

/// Makes the database file before SQLite does, so that it and the files SQLite puts beside it, which
/// take its mode, are the user's alone.
pub(in crate::store) fn private_file(path: &Path) -> std::io::Result<()> {
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// The number of the schema; 0 where nothing was written yet.
pub(in crate::store) fn schema_of(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Refuses, before anything is written, what this version doesn't understand.
pub(in crate::store) fn check_schema(
    connection: &Connection,
    path: &Path,
) -> Result<(), StoreError> {
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

pub(in crate::store) fn create_schema(connection: &mut Connection) -> Result<(), StoreError> {
    crash_point("schema");
    let transaction = connection.transaction()?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => {
            transaction.execute_batch(CREATE)?;
            transaction.execute_batch(FROM_2_TO_3)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        1 => {
            transaction.execute_batch(FROM_1_TO_2)?;
            transaction.execute_batch(FROM_2_TO_3)?;
        }
        2 => transaction.execute_batch(FROM_2_TO_3)?,
        _ => {
            transaction.execute_batch(INDEX)?;
            transaction.execute_batch(PLANS)?;
            return Ok(transaction.commit()?);
        }
    }
    transaction.execute_batch(INDEX)?;
    transaction.execute_batch(PLANS)?;
    crash_point("schema.tables");
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    crash_point("schema.version");
    transaction.commit()?;
    crash_point("schema.done");
    Ok(())
}
