//! Operations that are under way: what the history will have of each if the server stops before it ends.

use rusqlite::params;

use super::{Commit, Store, forget_operation, insert_event, load};
use crate::clock::now_ms;
use crate::crash_point::crash_point;
use crate::model::{Actor, EventKind};
use crate::store::StoreError;
use crate::store::value::{read, signed, write};

impl Store {
    /// Writes that an operation has begun, and returns its number.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn begin_operation(
        &mut self,
        actor: &Actor,
        event: &EventKind,
    ) -> Result<u64, StoreError> {
        crash_point("operation");
        let transaction = self.connection.transaction()?;
        transaction
            .prepare_cached("INSERT INTO operations (at_ms, actor, value) VALUES (?1, ?2, ?3)")?
            .execute(params![signed(now_ms()), write(actor), write(event)])?;
        let operation = transaction.last_insert_rowid();
        transaction.commit()?;
        crash_point("operation.done");
        Ok(operation.unsigned_abs())
    }

    /// Adds to the history the operations that a stop of the server has cut off before they changed anything.
    /// Returns how many there were.
    ///
    /// # Errors
    /// When the database fails or holds what can't be read.
    pub(crate) fn end_operations(&mut self) -> Result<usize, StoreError> {
        let revision = load(&self.connection)?.revision;
        let open: Vec<(i64, i64, String, String)> = self
            .connection
            .prepare("SELECT id, at_ms, actor, value FROM operations ORDER BY id")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<Result<_, _>>()?;
        let transaction = self.connection.transaction()?;
        let mut history = self.history;
        for (id, at_ms, actor, value) in &open {
            let (actor, event) = (read("an actor", actor)?, read("an operation", value)?);
            let commit = Commit {
                changes: &[],
                revision,
                at_ms: at_ms.unsigned_abs(),
                actor: &actor,
                event: &event,
                applied_file: None,
                ends_operation: None,
            };
            insert_event(&transaction, &commit, &mut history)?;
            forget_operation(&transaction, id.unsigned_abs())?;
        }
        transaction.commit()?;
        self.history = history;
        Ok(open.len())
    }
}
