//! Lists of tables, and tables that are values.

use std::cell::RefCell;

use serde_json::Value;

use super::{Listing, Section};
use crate::config::effective::Origin;
use crate::config::report::Span;

impl Section<'_, '_> {
    /// Reads the table that is a value of an entry; `name` is its path.
    pub(in crate::config) fn table<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        let key = last_of(name);
        let (table, span) = self.table_at(key)?;
        let mut section = Self::new(self.report, table, name, self.path_of(key), span);
        section.listing = Listing::Nowhere;
        Some(section.read(read))
    }

    /// Whether the key has a table.
    pub(in crate::config) fn has_table(&self, key: &str) -> bool {
        self.table
            .and_then(|table| table.get(key))
            .is_some_and(|value| value.get_ref().as_table().is_some())
    }

    /// Reads an array of tables; problems name an entry by what `name_key` says in it.
    pub(in crate::config) fn entries<T>(
        &mut self,
        name: &'static str,
        name_key: &str,
        mut read: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        self.entries_within(name, name_key, || Listing::Nowhere, |entry, _| read(entry))
    }

    /// As [`Self::entries`], of entries that are a setting together; `name` is their path.
    pub(in crate::config) fn listed_entries<T>(
        &mut self,
        name: &'static str,
        name_key: &str,
        mut read: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        let (mut listed, mut refers, mut first) = (Vec::new(), false, None);
        let entries = self.entries_within(
            name,
            name_key,
            || Listing::Entry(RefCell::default()),
            |entry, span| {
                let read = read(entry);
                if let Listing::Entry(said) = &entry.listing {
                    let (said, entry_refers) = said.take();
                    refers |= entry_refers;
                    listed.push(Value::Object(said));
                }
                first.get_or_insert(span);
                read
            },
        );
        let key = last_of(name);
        match &first {
            Some(span) => {
                let from = if refers { Err(Origin::Environment) } else { Ok(span) };
                self.add_setting(key, Some(listed.into()), from);
            }
            None => self.list_default(key, Some(listed.into()), Origin::Default),
        }
        entries
    }

    fn entries_within<T>(
        &mut self,
        name: &'static str,
        name_key: &str,
        listing: impl Fn() -> Listing,
        mut read: impl FnMut(&mut Self, Span) -> T,
    ) -> Vec<T> {
        let key = last_of(name);
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.problem(key, format!("write `[[{name}]]`, once for each entry"));
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (index, entry) in array.iter().enumerate() {
            let Some(table) = entry.get_ref().as_table() else {
                let path = format!("{name}[{index}]");
                let message = format!("write a table under `[[{name}]]`");
                self.report.add(&entry.span(), path, self.report.shown(entry), message);
                continue;
            };
            let own = table.get(name_key).filter(|value| value.get_ref().is_str());
            let path = match own.and_then(|value| self.report.shown(value)) {
                Some(own) if !own.is_empty() => format!("{name}[\"{own}\"]"),
                _ => format!("{name}[{index}]"),
            };
            let mut section = Self::new(self.report, Some(table), name, path, entry.span());
            section.listing = listing();
            entries.push(section.read(|section| read(section, entry.span())));
        }
        entries
    }
}

/// The key that a path ends with.
fn last_of(path: &'static str) -> &'static str {
    path.rsplit('.').next().unwrap_or(path)
}
