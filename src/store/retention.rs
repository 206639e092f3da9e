//! How much is kept: of the history the newest events, by number and by bytes; plans for a day.

use std::time::Duration;

use rusqlite::{Connection, Transaction, params};

use super::StoreError;

/// How long a plan is kept.
pub(crate) const MAX_PLAN_AGE: Duration = Duration::from_hours(24);

/// The most plans; the oldest go.
pub(crate) const MAX_PLANS: u8 = 100;

/// Events that one commit removes at most, so that a history that a version before has let grow costs no
/// commit much: each removes more than it adds, until the limits hold.
const MAX_REMOVED_AT_ONCE: i64 = 1000;

/// What is kept of the history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    /// Events.
    pub(super) events: u64,
    /// Bytes of their texts.
    pub(super) bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { events: 100_000, bytes: 64 * 1024 * 1024 }
    }
}

/// How much there is of the history. Kept beside the database, so that no commit has to count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HistorySize {
    events: u64,
    bytes: u64,
}

impl HistorySize {
    /// Counts what is in the database. The lengths of texts are known without reading them.
    pub(super) fn count(connection: &Connection) -> Result<Self, StoreError> {
        let query = "SELECT count(*), coalesce(sum(octet_length(actor) + octet_length(value)), 0) FROM events";
        Ok(connection.query_row(query, [], |row| {
            let number = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
            Ok(Self { events: number(0)?, bytes: number(1)? })
        })?)
    }

    /// One event more.
    pub(super) fn add(&mut self, actor: &str, value: &str) {
        self.events += 1;
        self.bytes += text_bytes(actor) + text_bytes(value);
    }

    /// The text of an event is another one now.
    pub(super) fn replace(&mut self, before: &str, after: &str) {
        self.bytes = (self.bytes + text_bytes(after)).saturating_sub(text_bytes(before));
    }

    /// Removes the oldest events beyond what is kept; the newest one stays, whatever its size.
    pub(super) fn trim(
        &mut self,
        transaction: &Transaction<'_>,
        kept: Retention,
    ) -> Result<(), StoreError> {
        let Some(last) = self.beyond(transaction, kept)? else { return Ok(()) };
        for table in
            ["DELETE FROM event_domains WHERE event <= ?1", "DELETE FROM events WHERE id <= ?1"]
        {
            transaction.prepare_cached(table)?.execute(params![last])?;
        }
        Ok(())
    }

    /// Takes off what is beyond, and gives the number of the last event of it.
    fn beyond(
        &mut self,
        transaction: &Transaction<'_>,
        kept: Retention,
    ) -> Result<Option<i64>, StoreError> {
        if !self.is_beyond(kept) {
            return Ok(None);
        }
        let mut oldest = transaction.prepare_cached(
            "SELECT id, octet_length(actor) + octet_length(value) FROM events ORDER BY id LIMIT ?1",
        )?;
        let mut rows = oldest.query(params![MAX_REMOVED_AT_ONCE])?;
        let mut last = None;
        while self.is_beyond(kept)
            && let Some(row) = rows.next()?
        {
            last = Some(row.get(0)?);
            self.events -= 1;
            self.bytes = self.bytes.saturating_sub(row.get::<_, i64>(1)?.unsigned_abs());
        }
        Ok(last)
    }

    fn is_beyond(&self, kept: Retention) -> bool {
        self.events > 1 && (self.events > kept.events || self.bytes > kept.bytes)
    }
}

fn text_bytes(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
