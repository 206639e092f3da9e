//! Reads the history, on a connection of its own: SQLite's log of writes lets it read what was while a change
//! is written, so neither waits for the other.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};

use super::StoreError;
use super::value::{read, signed};
use crate::model::{DomainName, EntryKind, Event};

pub(super) const COLUMNS: &str = "SELECT id, revision, at_ms, actor, value FROM events";

/// The events of a domain after one of them. The list of its events is read from that number on, and no
/// further than is asked for.
pub(super) const AFTER_OF_DOMAIN: &str = "
    WHERE id IN (SELECT event FROM event_domains WHERE domain = ?2 AND event > ?1 ORDER BY event LIMIT ?3)
    ORDER BY id LIMIT ?3";

/// How much is read of the history at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadLimit {
    /// At most so many events.
    pub events: usize,
    /// When their texts have come to so many bytes, no more are read.
    pub bytes: usize,
}

impl ReadLimit {
    const NONE: Self = Self { events: usize::MAX, bytes: usize::MAX };

    fn rows(self) -> i64 {
        i64::try_from(self.events).unwrap_or(i64::MAX)
    }
}

/// Reads the history. Cloned handles share the connection; one reads at a time.
#[derive(Debug, Clone)]
pub(crate) struct HistoryReader {
    connection: Arc<Mutex<Connection>>,
}

impl HistoryReader {
    /// Opens the database once more, when the store has made it what it should be.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// The newest events first, those that concern `domain` or all.
    ///
    /// # Errors
    /// When the database fails or holds what can't be read.
    pub(crate) fn events(
        &self,
        domain: Option<&DomainName>,
        most: ReadLimit,
    ) -> Result<Vec<Event>, StoreError> {
        match domain {
            None => self.events_where("ORDER BY id DESC LIMIT ?1", params![most.rows()], most),
            Some(domain) => self.events_where(
                "WHERE id IN (SELECT event FROM event_domains WHERE domain = ?1
                 ORDER BY event DESC LIMIT ?2) ORDER BY id DESC LIMIT ?2",
                params![domain.to_string(), most.rows()],
                most,
            ),
        }
    }

    /// The number of the event behind which the newest `limit` events are, those that concern `domain` or
    /// all.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn before_newest(
        &self,
        domain: Option<&DomainName>,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let connection = self.lock();
        let first: Option<i64> = match domain {
            None => connection.query_row(
                "SELECT min(id) FROM (SELECT id FROM events ORDER BY id DESC LIMIT ?1)",
                params![limit],
                |row| row.get(0),
            ),
            Some(domain) => connection.query_row(
                "SELECT min(event) FROM (SELECT event FROM event_domains WHERE domain = ?1
                 ORDER BY event DESC LIMIT ?2)",
                params![domain.to_string(), limit],
                |row| row.get(0),
            ),
        }?;
        drop(connection);
        first.map_or_else(|| self.newest(), |first| Ok(first.unsigned_abs().saturating_sub(1)))
    }

    /// The number of the newest event; 0 when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn newest(&self) -> Result<u64, StoreError> {
        let newest = "SELECT coalesce(max(id), 0) FROM events";
        let newest = self.lock().query_row(newest, [], |row| row.get::<_, i64>(0))?;
        Ok(newest.unsigned_abs())
    }

    /// The newest event that is about the domain or the backend alone.
    ///
    /// # Errors
    /// When the database fails or holds what can't be read.
    pub(crate) fn newest_of(
        &self,
        kind: EntryKind,
        name: &str,
    ) -> Result<Option<Event>, StoreError> {
        let newest = match kind {
            EntryKind::Domain => self.events_where(
                "WHERE id IN (SELECT event FROM event_domains WHERE domain = ?1)
                 AND CASE WHEN json_valid(value) THEN json_extract(value, '$.kind') <> 'file_applied' END
                 ORDER BY id DESC LIMIT 1",
                params![name],
                ReadLimit::NONE,
            ),
            EntryKind::Backend => self.events_where(
                "WHERE CASE WHEN json_valid(value) THEN json_extract(value, '$.backend') = ?1 END
                 ORDER BY id DESC LIMIT 1",
                params![name],
                ReadLimit::NONE,
            ),
            EntryKind::App => self.events_where(
                "WHERE CASE WHEN json_valid(value) THEN json_extract(value, '$.app') = ?1 END
                 ORDER BY id DESC LIMIT 1",
                params![name],
                ReadLimit::NONE,
            ),
            EntryKind::Setting => Ok(Vec::new()),
        };
        Ok(newest?.pop())
    }

    /// Events that are older than `before`, or all, the newest first.
    ///
    /// # Errors
    /// When the database fails or holds what can't be read.
    pub(crate) fn events_before(
        &self,
        before: Option<u64>,
        most: ReadLimit,
    ) -> Result<Vec<Event>, StoreError> {
        let before = signed(before.unwrap_or(u64::MAX));
        let page = "WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
        self.events_where(page, params![before, most.rows()], most)
    }

    /// The events after the one of that number, the oldest first, those that concern `domain` or all.
    ///
    /// # Errors
    /// When the database fails or holds what can't be read.
    pub(crate) fn events_after(
        &self,
        event: u64,
        domain: Option<&DomainName>,
        most: ReadLimit,
    ) -> Result<Vec<Event>, StoreError> {
        let event = signed(event);
        match domain {
            None => self.events_where(
                "WHERE id > ?1 ORDER BY id LIMIT ?2",
                params![event, most.rows()],
                most,
            ),
            Some(domain) => self.events_where(
                AFTER_OF_DOMAIN,
                params![event, domain.to_string(), most.rows()],
                most,
            ),
        }
    }

    /// The event of that number.
    ///
    /// # Errors
    /// When the database fails or holds what can't be read.
    pub(crate) fn event(&self, event: u64) -> Result<Option<Event>, StoreError> {
        let one = self.events_where("WHERE id = ?1", params![signed(event)], ReadLimit::NONE);
        Ok(one?.pop())
    }

    fn events_where(
        &self,
        clause: &str,
        parameters: impl rusqlite::Params,
        most: ReadLimit,
    ) -> Result<Vec<Event>, StoreError> {
        let query = format!("{COLUMNS} {clause}");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&query)?;
        let mut rows = statement.query(parameters)?;
        let (mut events, mut bytes) = (Vec::new(), 0);
        while bytes < most.bytes
            && let Some(row) = rows.next()?
        {
            let value = row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?;
            bytes += value.len();
            events.push(Event {
                id: row.get::<_, i64>(0)?.unsigned_abs(),
                revision: row.get::<_, i64>(1)?.unsigned_abs(),
                at_ms: row.get::<_, i64>(2)?.unsigned_abs(),
                actor: read("an actor", &row.get::<_, String>(3)?)?,
                kind: read("an event", value)?,
            });
        }
        Ok(events)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        // It only reads: there is no half state to fear.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
