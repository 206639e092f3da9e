//! All that a state directory says, without what differs from one try to the next.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::Value as Cell;
use serde_json::Value;

/// All that is in a state directory, in words.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// The rows of each table of the database.
    tables: BTreeMap<String, Vec<String>>,
    /// The files beside it, those that are secret by what can be said of them.
    files: BTreeMap<String, String>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (table, rows) in &self.tables {
            for row in rows {
                writeln!(f, "{table}: {row}")?;
            }
        }
        for (file, what) in &self.files {
            writeln!(f, "{file}: {what}")?;
        }
        Ok(())
    }
}

impl Image {
    /// Reads a copy: to open a database is to recover it.
    pub(super) fn of(directory: &Path) -> Self {
        let copy = tempfile::tempdir().expect("temporary directory");
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
            let name = entry.file_name().into_string().expect("names are text");
            if name.starts_with("state.db") {
                std::fs::copy(entry.path(), copy.path().join(name)).expect("it is copied");
            } else if name == "tokens.json" {
                let tokens = std::fs::read(entry.path()).expect("a file");
                let tokens: Value = serde_json::from_slice(&tokens).expect("it is whole");
                let names = tokens["tokens"].as_array().expect("a list").iter();
                let names: Vec<_> = names.map(|token| token["name"].to_string()).collect();
                let is_admin = tokens["admin"].is_object();
                files.insert(name, format!("admin: {is_admin}, tokens: {names:?}"));
            } else if name.starts_with(".unfinished-") {
                // The next start removes it.
            } else {
                files.insert(name, "is there".to_owned());
            }
        }
        let database = rusqlite::Connection::open(copy.path().join("state.db")).expect("opens");
        let mut names = database
            .prepare(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence'",
            )
            .expect("a query");
        let names = names.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        let names: Vec<String> = names.map(|name| name.expect("text")).collect();
        let tables = names.into_iter().map(|table| {
            let rows = rows(&database, &table);
            (table, rows)
        });
        Self { tables: tables.collect(), files }
    }

    /// The same, had the newest switch not been drained yet.
    pub(super) fn while_it_drains(&self) -> Self {
        self.with_outcome("done", "draining")
    }

    /// What a restart makes of it: a drain is not gone on with.
    pub(super) fn after_a_restart(&self) -> Self {
        self.with_outcome("draining", "interrupted")
    }

    fn with_outcome(&self, from: &str, to: &str) -> Self {
        let mut other = self.clone();
        let events = other.tables.get_mut("events").expect("a table");
        if let Some(newest) = events.last_mut() {
            let state = |state: &str| format!("\"outcome\":{{\"state\":\"{state}\"}}");
            *newest = newest.replace(&state(from), &state(to));
        }
        other
    }
}

/// The rows of a table as text, without times and ports of processes.
fn rows(database: &rusqlite::Connection, table: &str) -> Vec<String> {
    let mut statement =
        database.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).expect("a query");
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let rows = statement.query_map([], |row| {
        let cell = |(place, column): (usize, &String)| {
            let cell = match row.get::<_, Cell>(place)? {
                _ if column == "at_ms" => "a time".to_owned(),
                Cell::Integer(number) => number.to_string(),
                Cell::Text(text) => text,
                other => format!("{other:?}"),
            };
            Ok(format!("{column}={cell}"))
        };
        columns.iter().enumerate().map(cell).collect::<rusqlite::Result<Vec<_>>>()
    });
    rows.expect("rows").map(|row| row.expect("a row").join(" ")).collect()
}
