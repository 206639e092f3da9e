//! Whether all that a database holds can be read, row by row.

use std::path::Path;

use rusqlite::Connection;
use serde::de::DeserializeOwned;

use super::copy::{DatabaseCopy, open_still};
use super::database::{SCHEMA, check_schema, create_schema, load_revision, schema_of};
use super::{Store, StoreError};
use crate::model::{Actor, App, Backend, EventKind, VirtualHost};

/// No more problems than these are listed.
const MAX_PROBLEMS: usize = 100;

/// What a database holds.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// The number of its schema.
    pub schema: i64,
    /// The revision of the state.
    pub revision: u64,
    pub domains: usize,
    pub backends: usize,
    pub events: usize,
    /// What the config file declared when it was last applied, which nobody has looked into yet.
    pub applied_file: Option<String>,
    /// What can't be read, each with its place.
    pub problems: Vec<String>,
}

impl Store {
    /// Reads all of a database that nobody changes meanwhile.
    ///
    /// # Errors
    /// When it is damaged, none of ours, or of a newer version.
    pub(crate) fn audit(path: &Path) -> Result<Audit, StoreError> {
        let connection = open_still(path)?;
        check_schema(&connection, path)?;
        check_pages(&connection)?;
        let schema = schema_of(&connection)?;
        if schema == SCHEMA {
            return audit(&connection, schema);
        }
        // One of before is read as a start reads it.
        let unusable = |source| StoreError::Directory { path: path.to_owned(), source };
        let copy = DatabaseCopy::of(path).map_err(unusable)?;
        let mut connection = Connection::open(copy.file())?;
        create_schema(&mut connection)?;
        audit(&connection, schema)
    }
}

/// Whether SQLite finds each page as it should be, and each reference.
pub(super) fn check_pages(connection: &Connection) -> Result<(), StoreError> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(StoreError::Damaged { found });
    }
    let broken: Option<String> = {
        let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query([])?;
        rows.next()?.map(|row| row.get(0)).transpose()?
    };
    match broken {
        Some(table) => Err(StoreError::Damaged { found: format!("a broken reference in {table}") }),
        None => Ok(()),
    }
}

fn audit(connection: &Connection, schema: i64) -> Result<Audit, StoreError> {
    let mut audit = Audit { schema, ..Audit::default() };
    match load_revision(connection) {
        Ok(revision) => audit.revision = revision,
        Err(error @ StoreError::Revision { .. }) => audit.problems.push(error.to_string()),
        Err(error) => return Err(error),
    }
    let problems = &mut audit.problems;
    audit.domains = each(connection, "domains", "name, value", problems, |key, value| {
        let found: VirtualHost = parsed(value)?;
        is_called(&found.domain.to_string(), key)
    })?;
    audit.backends = each(connection, "backends", "id, value", problems, |key, value| {
        let found: Backend = parsed(value)?;
        is_called(found.id.as_str(), key)
    })?;
    each(connection, "apps", "name, value", problems, |key, value| {
        let found: App = parsed(value)?;
        is_called(found.name.as_str(), key)
    })?;
    audit.events = each(connection, "events", "id, value", problems, |_, value| {
        parsed::<EventKind>(value).map(drop)
    })?;
    each(connection, "operations", "id, value", problems, |_, value| {
        parsed::<EventKind>(value).map(drop)
    })?;
    for table in ["events", "operations"] {
        each(connection, table, "id, actor", problems, |_, value| {
            parsed::<Actor>(value).map(drop)
        })?;
    }
    audit.applied_file = super::database::applied_file(connection)?;
    audit.problems.truncate(MAX_PROBLEMS);
    Ok(audit)
}

/// Looks at each row of a table, and returns how many there are.
fn each(
    connection: &Connection,
    table: &str,
    columns: &str,
    problems: &mut Vec<String>,
    look: impl Fn(&str, &str) -> Result<(), String>,
) -> Result<usize, StoreError> {
    let mut statement = connection.prepare(&format!("SELECT {columns} FROM {table}"))?;
    let mut rows = statement.query([])?;
    let mut number = 0;
    while let Some(row) = rows.next()? {
        number += 1;
        let key = match row.get_ref(0)? {
            rusqlite::types::ValueRef::Integer(id) => id.to_string(),
            other => String::from_utf8_lossy(other.as_bytes().unwrap_or_default()).into_owned(),
        };
        let looked = match row.get_ref(1)?.as_str() {
            Ok(value) => look(&key, value),
            Err(_) => Err("it is no text".to_owned()),
        };
        if let Err(why) = looked
            && problems.len() < MAX_PROBLEMS
        {
            problems.push(format!("state.db: {table} `{key}`: {why}"));
        }
    }
    Ok(number)
}

fn parsed<T: DeserializeOwned>(value: &str) -> Result<T, String> {
    serde_json::from_str(value).map_err(|error| error.to_string())
}

fn is_called(found: &str, key: &str) -> Result<(), String> {
    if found == key { Ok(()) } else { Err(format!("it is about `{found}`")) }
}
