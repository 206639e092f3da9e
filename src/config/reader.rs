//! A typed reader of a TOML tree that notes every problem and goes on.

mod entries;

use std::cell::RefCell;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::effective::Origin;
use super::plain::Plain;
use super::problem::{Problem, shorten};
use super::report::{Near, Report, Span, Stray};
use super::value::Read;
use crate::model::escape_references;

/// A table that is being read.
pub(crate) struct Section<'r, 't> {
    report: &'r Report,
    table: Option<&'r DeTable<'t>>,
    name: &'static str,
    path: String,
    span: Span,
    known: Vec<&'static str>,
    missing: Vec<(&'static str, String)>,
    defaults: Vec<(&'static str, Value, Origin)>,
    listing: Listing,
}

/// Where it is listed what keys say.
enum Listing {
    /// As settings.
    Settings,
    /// In one setting that has all entries: here what this one says, and whether it refers to the
    /// environment.
    Entry(RefCell<(Map<String, Value>, bool)>),
    /// Nowhere: domains and backends are state.
    Nowhere,
}

/// An element of a list, with its place.
pub(super) type Located<T> = (T, Span);

impl<'r, 't> Section<'r, 't> {
    /// The whole document. Call [`Self::finish`] when all of it has been read.
    pub(super) fn root(report: &'r Report, table: &'r DeTable<'t>) -> Self {
        Self::new(report, Some(table), "", String::new(), 0..0)
    }

    fn new(
        report: &'r Report,
        table: Option<&'r DeTable<'t>>,
        name: &'static str,
        path: String,
        span: Span,
    ) -> Self {
        Self {
            report,
            table,
            name,
            path,
            span,
            known: Vec::new(),
            missing: Vec::new(),
            defaults: Vec::new(),
            listing: Listing::Settings,
        }
    }

    fn read<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let read = read(&mut self);
        self.finish();
        read
    }

    /// Reads a table that is treated as empty when it is missing.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let (table, span) = self.table_at(name).unwrap_or((None, self.span.clone()));
        Self::new(self.report, table, name, self.path_of(name), span).read(read)
    }

    /// Reads a table that may be missing.
    pub(super) fn optional_section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        let (table, span) = self.table_at(name)?;
        table?;
        Some(Self::new(self.report, table, name, self.path_of(name), span).read(read))
    }

    /// Reads a key that may be missing.
    pub(super) fn optional<T: Plain>(
        &mut self,
        key: &'static str,
        read: impl Read<T>,
    ) -> Option<T> {
        let value = self.take(key, &read);
        if value.is_none() {
            self.list_default(key, None, Origin::Default);
        }
        value
    }

    /// Says what is shown as the default of a key, and where that comes from.
    pub(super) fn default_is(&mut self, key: &'static str, value: Value, from: Origin) {
        self.defaults.push((key, value, from));
    }

    /// Reads a key that may be missing, and leaves its default to the caller.
    pub(super) fn take<T: Plain>(&mut self, key: &'static str, read: &impl Read<T>) -> Option<T> {
        let value = self.value(key)?;
        match self.report.references.read(value, read) {
            Ok(read) => {
                self.list(key, value, read.plain());
                Some(read)
            }
            Err(message) => {
                self.problem(key, message);
                None
            }
        }
    }

    /// Lists the default of a key that the file doesn't have.
    pub(super) fn list_default(&self, key: &str, value: Option<Value>, from: Origin) {
        if self.has(key) {
            return;
        }
        let (value, from) = match self.defaults.iter().find(|(other, ..)| *other == key) {
            Some((_, value, from)) => (Some(value.clone()), from.clone()),
            None => (value, from),
        };
        self.add_setting(key, value.filter(|value| !value.is_null()), Err(from));
    }

    /// Lists what holds for a key.
    fn add_setting(&self, key: &str, value: Option<Value>, from: Result<&Span, Origin>) {
        match &self.listing {
            Listing::Settings => self.report.add_setting(self.path_of(key), value, from),
            Listing::Entry(said) => {
                // The defaults of entries are not listed.
                if let Some(value) = value.filter(|_| from != Err(Origin::Default)) {
                    let (entry, refers) = &mut *said.borrow_mut();
                    entry.insert(key.to_owned(), value);
                    *refers |= from == Err(Origin::Environment);
                }
            }
            Listing::Nowhere => {}
        }
    }

    /// Lists a key that the file has.
    fn list(&self, key: &str, value: &Spanned<DeValue<'_>>, plain: Value) {
        let (plain, from) = match self.report.references.written(value) {
            Some(written) => (written.into(), Err(Origin::Environment)),
            None => (written(plain), Ok(&value.span())),
        };
        self.add_setting(key, Some(plain), from);
    }

    /// Reads a key that must be there; `example` shows how it is written.
    pub(super) fn required<T: Plain>(
        &mut self,
        key: &'static str,
        example: &'static str,
        read: impl Read<T>,
    ) -> Option<T> {
        self.require(key, example);
        self.take(key, &read)
    }

    /// Notes that a key must be there; `example` shows how it is written.
    pub(super) fn require(&mut self, key: &'static str, example: &str) {
        if self.value(key).is_none() {
            self.missing.push((key, example.to_owned()));
        }
    }

    /// Reads a list; `None` when it is missing or any of it is wrong.
    pub(super) fn elements<T: Plain>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl Read<T>,
    ) -> Option<Vec<Located<T>>> {
        let value = self.value(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.problem(key, format!("write a list: `{example}`"));
            return None;
        };
        let mut elements = Some(Vec::new());
        let (mut listed, mut refers) = (Vec::new(), false);
        for (index, element) in array.iter().enumerate() {
            if let Some(written) = self.report.references.written(element) {
                refers = true;
                listed.push(written.into());
            } else if let Ok(read) = read(element.get_ref()) {
                listed.push(written(read.plain()));
            }
            match (self.report.references.read(element, &read), &mut elements) {
                (Ok(read), Some(elements)) => elements.push((read, element.span())),
                (Ok(_), None) => {}
                (Err(message), _) => {
                    let path = format!("{}[{index}]", self.path_of(key));
                    self.report.add(&element.span(), path, self.report.shown(element), message);
                    elements = None;
                }
            }
        }
        let span = value.span();
        let from = if refers { Err(Origin::Environment) } else { Ok(&span) };
        self.add_setting(key, Some(listed.into()), from);
        elements
    }

    /// Reads a list that must be there.
    pub(super) fn required_elements<T: Plain>(
        &mut self,
        key: &'static str,
        example: &'static str,
        read: impl Read<T>,
    ) -> Option<Vec<Located<T>>> {
        self.require(key, example);
        self.elements(key, example, read)
    }

    /// Whether the key is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Whether there is nothing in the list.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        let list = self.table.and_then(|table| table.get(key));
        list.is_none_or(|list| list.get_ref().as_array().is_some_and(|list| list.is_empty()))
    }

    /// Where the key's value is, or the section when the key is missing.
    pub(super) fn span_of(&self, key: &str) -> Span {
        self.table.and_then(|table| table.get(key)).map_or(self.span.clone(), Spanned::span)
    }

    /// The key as it reads in a problem.
    pub(super) fn path_of(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            (path, "") => path.to_owned(),
            ("", key) => key.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    /// Notes a problem of a key.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) {
        self.report.problems.borrow_mut().push(self.problem_of(key, message));
    }

    /// Notes a problem of an element of a list.
    pub(super) fn element_problem(&self, key: &str, index: usize, message: impl Into<String>) {
        let (span, path) = self.element(key, index);
        self.report.add(&span, path, self.shown_element(key, index), message);
    }

    /// Notes that what a key says is dangerous.
    pub(super) fn warn(&self, key: &str, message: impl Into<String>) {
        self.report.warnings.borrow_mut().push(self.problem_of(key, message));
    }

    /// Notes that the file that a key names can't be used.
    pub(super) fn bad_file(&self, key: &str, message: impl Into<String>) {
        self.report.bad_files.borrow_mut().push(self.problem_of(key, message));
    }

    /// Notes a problem of a key whose value is not to be shown.
    pub(super) fn hiding_problem(&self, key: &str, message: impl Into<String>) {
        self.report.add(&self.span_of(key), self.path_of(key), None, message);
    }

    fn problem_of(&self, key: &str, message: impl Into<String>) -> Problem {
        let shown = self.table.and_then(|table| self.report.shown(table.get(key)?));
        self.report.problem(&self.span_of(key), self.path_of(key), shown, message.into())
    }

    /// Makes sure that of two keys both are there or none; each with an example.
    pub(super) fn both(&self, one: (&str, &str), other: (&str, &str)) {
        for ((key, example), (present, _)) in [(one, other), (other, one)] {
            if self.has(present) && !self.has(key) {
                let message = format!("missing, and `{present}` needs it; add `{key} = {example}`");
                self.problem(key, message);
            }
        }
    }

    /// What the key says, where it refers to the environment.
    pub(super) fn written(&self, key: &str) -> Option<&'r str> {
        self.report.references.written(self.table?.get(key)?)
    }

    /// Whether the key refers to the environment, also to a variable that is not set.
    pub(super) fn is_reference(&self, key: &str) -> bool {
        let value = self.table.and_then(|table| table.get(key));
        value.is_some_and(|value| self.report.references.is_reference(value))
    }

    /// What an element of a list says, where it refers to the environment.
    pub(super) fn shown_reference(&self, key: &str, index: usize) -> Option<String> {
        self.report.references.written(self.at(key, index)?).map(shorten)
    }

    /// Where an element of a list is, and its path.
    pub(super) fn element(&self, key: &str, index: usize) -> (Span, String) {
        let span = self.at(key, index).map_or_else(|| self.span_of(key), Spanned::span);
        (span, format!("{}[{index}]", self.path_of(key)))
    }

    fn at(&self, key: &str, index: usize) -> Option<&'r Spanned<DeValue<'t>>> {
        self.table?.get(key)?.get_ref().as_array()?.get(index)
    }

    /// Counts a key as known.
    pub(super) fn knows(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    /// An element of a list, as a problem shows it.
    pub(super) fn shown_element(&self, key: &str, index: usize) -> Option<String> {
        self.report.shown(self.at(key, index)?)
    }

    /// Where problems go that are found by comparing sections.
    pub(super) fn report(&self) -> &'r Report {
        self.report
    }

    fn value(&mut self, key: &'static str) -> Option<&'r Spanned<DeValue<'t>>> {
        self.knows(key);
        self.table?.get(key)
    }

    /// The table under `name`, with its place; no table when something else is there.
    fn table_at(&mut self, name: &'static str) -> Option<(Option<&'r DeTable<'t>>, Span)> {
        let value = self.value(name)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.problem(name, format!("write a section `[{name}]`, once"));
        }
        Some((table, value.span()))
    }

    /// Notes unknown keys, then missing ones. A missing key that an unknown one resembles is the
    /// same mistake and is not reported twice.
    pub(super) fn finish(mut self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let near = self.nearest(name);
            if let Some(near) = &near {
                self.missing.retain(|(missing, _)| *missing != near.key);
            }
            self.report.add_stray(Stray {
                section: self.name,
                key: name.to_owned(),
                path: self.path_of(&shorten(name)),
                span: key.span(),
                near,
            });
        }
        for (key, example) in &self.missing {
            let message = format!("missing; add `{key} = {example}`");
            self.report.add(&self.span, self.path_of(key), None, message);
        }
        self.report.add_known(self.name, &self.known);
    }

    /// The key that is known here, not given, and most like `name`.
    fn nearest(&self, name: &str) -> Option<Near> {
        // No key of ours is half as long, and comparing takes time.
        if name.len() > 64 {
            return None;
        }
        let (likeness, key) = self
            .known
            .iter()
            .filter(|key| !self.has(key))
            .map(|key| (strsim::jaro_winkler(name, key), *key))
            .max_by(|a, b| a.0.total_cmp(&b.0))?;
        let is_typo = strsim::damerau_levenshtein(name, key) <= 2;
        (is_typo || likeness > 0.85).then_some(Near { key, is_typo })
    }
}

/// A value as a file has to write it, so that nothing in it is taken for a reference.
fn written(value: Value) -> Value {
    match value {
        Value::String(text) => escape_references(&text).into(),
        other => other,
    }
}
