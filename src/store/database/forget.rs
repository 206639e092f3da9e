//! Removes from the history what should never have been stored.

use rusqlite::params;

use super::Store;
use crate::model::{CUT, EventKind, HIDDEN, on_one_line};
use crate::store::StoreError;
use crate::store::value::{read, write};

impl Store {
    /// Removes values that should never have been stored from the phrases of the history: all of
    /// them or nothing.
    ///
    /// # Errors
    /// When the database fails or holds what can't be read.
    pub(crate) fn forget(&mut self, values: &[String]) -> Result<(), StoreError> {
        self.forgets = true;
        // Versions before wrote them into phrases as JSON, this one writes them in words.
        let quoted = values.iter().map(write);
        let texts: Vec<String> =
            quoted.chain(values.iter().map(|value| on_one_line(value))).collect();
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
                if hide_in(&mut kind, &texts) {
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
pub(super) fn hide_in(kind: &mut EventKind, texts: &[String]) -> bool {
    let (EventKind::DomainSet { changed, .. }
    | EventKind::BackendSet { changed, .. }
    | EventKind::AppSet { changed, .. }
    | EventKind::FileApplied { changed, .. }) = kind
    else {
        return false;
    };
    let mut found = false;
    for phrase in changed {
        for text in texts.iter().filter(|text| !matches!(text.as_str(), "" | "\"\"")) {
            found |= hide(phrase, text);
        }
    }
    found
}

/// Hides a quoted text wherever it is in the phrase, and one without quotes where it stands whole.
fn hide(phrase: &mut String, text: &str) -> bool {
    let is_quoted = text.starts_with('"');
    let hidden = if is_quoted { write(&HIDDEN) } else { HIDDEN.to_owned() };
    let begins = |at: usize| is_quoted || at == 0 || phrase[..at].ends_with([' ', '(']);
    let ends =
        |at: usize| is_quoted || at == phrase.len() || phrase[at..].starts_with([',', ')', ' ']);
    let whole = phrase.match_indices(text).map(|(at, _)| at);
    let whole: Vec<_> = whole.filter(|at| begins(*at) && ends(at + text.len())).collect();
    // Where the phrase was cut within the text; the first character alone gives nothing away.
    let cut = phrase.strip_suffix(CUT).and_then(|body| {
        let mut places = body.char_indices().map(|(at, _)| at);
        places.find(|at| body.len() - at > 1 && begins(*at) && text.starts_with(&body[*at..]))
    });
    if let Some(at) = cut {
        phrase.replace_range(at.., &format!("{hidden}{CUT}"));
    }
    for at in whole.iter().rev().filter(|at| cut.is_none_or(|cut| **at < cut)) {
        phrase.replace_range(*at..at + text.len(), &hidden);
    }
    cut.is_some() || !whole.is_empty()
}
