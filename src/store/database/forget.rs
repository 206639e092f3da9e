//! Removes from the history what should never have been stored.

use rusqlite::params;

use super::{Store, read, write};
use crate::model::{CUT, EventKind, HIDDEN};
use crate::store::StoreError;

impl Store {
    /// Removes values that should never have been stored from the phrases of the history: all of
    /// them or nothing.
    ///
    /// # Errors
    /// When the database fails or holds what can't be read.
    pub fn forget(&mut self, values: &[String]) -> Result<(), StoreError> {
        self.forgets = true;
        // As texts are written in the JSON of the phrases of earlier versions.
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

/// Hides texts in the phrases of an event, and returns whether any was there.
pub(super) fn hide_in(kind: &mut EventKind, quoted: &[String]) -> bool {
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
