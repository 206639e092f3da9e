//! Lists of tables, and tables that are values.

use std::cell::RefCell;

use serde_json::{Number, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::{Listing, Section, written};
use crate::config::effective::Origin;
use crate::config::report::Span;
use crate::model::TextSyntax;

impl Section<'_, '_> {
    /// The key's value as JSON has it, whatever is in it. Nothing where it can't be.
    pub(in crate::config) fn plain_value(&mut self, key: &'static str) -> Option<Value> {
        let value = self.value(key)?;
        let value = json_of(value, &|value| self.report.references.read(value, &scalar));
        value.map_err(|message| self.problem(key, message)).ok()
    }

    /// The texts of a list; a single text counts as a list of one. `None` for any other value, and where
    /// one refers to the environment.
    pub(in crate::config) fn plain_texts(&self, key: &str) -> Option<Vec<String>> {
        let text = |value: &Spanned<DeValue<'_>>| {
            let text = value.get_ref().as_str()?.to_owned();
            (!self.report.references.is_reference(value)).then_some(text)
        };
        let value = self.table?.get(key)?;
        match value.get_ref().as_array() {
            Some(list) => list.iter().map(text).collect(),
            None => text(value).map(|text| vec![text]),
        }
    }

    /// Whether the key's value is a list.
    pub(in crate::config) fn is_list(&self, key: &str) -> bool {
        let value = self.table.and_then(|table| table.get(key));
        value.is_some_and(|value| value.get_ref().as_array().is_some())
    }

    /// Whether anything in the key's value refers to the environment.
    pub(in crate::config) fn refers(&self, key: &str) -> bool {
        self.table.and_then(|table| table.get(key)).is_some_and(|value| self.value_refers(value))
    }

    fn value_refers(&self, value: &Spanned<DeValue<'_>>) -> bool {
        match value.get_ref() {
            DeValue::Array(array) => array.iter().any(|element| self.value_refers(element)),
            DeValue::Table(table) => table.values().any(|value| self.value_refers(value)),
            _ => self.report.references.written(value).is_some(),
        }
    }

    /// The same as the file writes it: with its references, and with what is none escaped.
    pub(in crate::config) fn plain_written(&self, key: &str, syntax: TextSyntax) -> Option<Value> {
        let scalar = |value: &Spanned<DeValue<'_>>| match self.report.references.written(value) {
            Some(text) => Ok(text.into()),
            // There is nothing to escape where nothing was taken off.
            None if syntax == TextSyntax::OfRequests => scalar(value.get_ref()),
            None => scalar(value.get_ref()).map(written),
        };
        json_of(self.table?.get(key)?, &scalar).ok()
    }

    /// Whether problems of a key show its value.
    pub(in crate::config) fn shows(&self, key: &str) -> bool {
        let value = self.table.and_then(|table| table.get(key));
        value.is_some_and(|value| self.report.shown(value).is_some())
    }

    /// Lists a key of a record that the file has.
    pub(in crate::config) fn list_plain(
        &self,
        key: &str,
        syntax: TextSyntax,
        plain: impl FnOnce() -> Option<Value>,
    ) {
        if matches!(self.listing, Listing::Nowhere) {
            return;
        }
        let span = self.span_of(key);
        let (plain, from) = if self.refers(key) {
            (self.plain_written(key, syntax), Err(Origin::Environment))
        } else {
            (plain(), Ok(&span))
        };
        self.add_setting(key, plain, from);
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

/// A value as JSON has it, where `scalar` says what each single one is.
fn json_of(
    value: &Spanned<DeValue<'_>>,
    scalar: &dyn Fn(&Spanned<DeValue<'_>>) -> Result<Value, String>,
) -> Result<Value, String> {
    match value.get_ref() {
        DeValue::Array(array) => array.iter().map(|element| json_of(element, scalar)).collect(),
        DeValue::Table(table) => {
            let fields = table.iter();
            let fields =
                fields.map(|(key, value)| Ok((key.get_ref().to_string(), json_of(value, scalar)?)));
            fields.collect::<Result<_, _>>().map(Value::Object)
        }
        _ => scalar(value),
    }
}

/// A single value.
fn scalar(value: &DeValue<'_>) -> Result<Value, String> {
    match value {
        DeValue::String(text) => Ok(Value::from(text.as_ref())),
        DeValue::Boolean(is) => Ok(Value::from(*is)),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Value::from)
            .map_err(|_| "use a smaller number".to_owned()),
        DeValue::Float(number) => {
            // `inf` and `nan` would become null, which takes an option away.
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or_else(|| "write a finite number".to_owned())
        }
        DeValue::Datetime(_) => Err("write a text in quotes, not a date".to_owned()),
        DeValue::Array(_) | DeValue::Table(_) => Err("write a single value".to_owned()),
    }
}
