//! Everything that is wrong with one text, while it is being read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::effective::{Origin, Setting};
use super::problem::{Problem, shorten};
use super::references::References;
use crate::model::HealthCheckOptions;
use crate::model::record::Keys as _;
use crate::tls::PeerFiles;

/// A place in the text, in bytes.
pub(super) type Span = Range<usize>;

/// The keys that each section knows, by the section's name.
pub(super) type KnownKeys = BTreeMap<&'static str, Vec<&'static str>>;

/// Gathers what is wrong with one text, and what its settings are.
pub(super) struct Report {
    file: Arc<Path>,
    line_starts: Vec<usize>,
    text: String,
    /// What the texts of the file refer to.
    pub(super) references: References,
    /// The files of backends.
    pub(super) peer_files: RefCell<PeerFiles>,
    pub(super) problems: RefCell<Vec<Problem>>,
    /// What is dangerous.
    pub(super) warnings: RefCell<Vec<Problem>>,
    /// The files that are named and can't be used.
    pub(super) bad_files: RefCell<Vec<Problem>>,
    strays: RefCell<Vec<Stray>>,
    known: RefCell<KnownKeys>,
    settings: RefCell<Vec<Setting>>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    file: Arc<Path>,
    line: usize,
}

/// A key that its section does not know. Judged at the end, when all sections' keys are known.
pub(super) struct Stray {
    pub(super) section: &'static str,
    pub(super) key: String,
    pub(super) path: String,
    pub(super) span: Span,
    pub(super) near: Option<Near>,
}

/// A known key that resembles an unknown one.
pub(super) struct Near {
    pub(super) key: &'static str,
    pub(super) is_typo: bool,
}

impl Report {
    pub(super) fn new(file: &Path, text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            file: file.into(),
            line_starts: std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect(),
            text: text.to_owned(),
            references: References::default(),
            peer_files: RefCell::default(),
            problems: RefCell::default(),
            warnings: RefCell::default(),
            bad_files: RefCell::default(),
            strays: RefCell::default(),
            known: RefCell::default(),
            settings: RefCell::default(),
        }
    }

    /// Notes a problem at `span`.
    pub(super) fn add(
        &self,
        span: &Span,
        key: String,
        value: Option<String>,
        message: impl Into<String>,
    ) {
        self.problems.borrow_mut().push(self.problem(span, key, value, message.into()));
    }

    /// A problem at `span`.
    pub(super) fn problem(
        &self,
        span: &Span,
        key: String,
        value: Option<String>,
        message: String,
    ) -> Problem {
        let (line, column) = self.position(span.start);
        let (end_line, end_column) = self.position(span.end.max(span.start));
        let file = self.file.to_path_buf();
        Problem { file, line, column, end_line, end_column, key, value, message }
    }

    /// Line and column of a byte, both from 1; the column in characters.
    fn position(&self, byte: usize) -> (usize, usize) {
        let line = self.line(&(byte..byte));
        let start = self.line_starts[line - 1];
        let before = self.text.get(start..byte).map_or(0, |before| before.chars().count());
        (line, before + 1)
    }

    /// The line of `span`, from 1.
    pub(super) fn line(&self, span: &Span) -> usize {
        self.line_starts.partition_point(|start| *start <= span.start).max(1)
    }

    /// Where relative paths start: the directory of the file.
    pub(super) fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// The place of `span`, for problems of other files.
    pub(super) fn place(&self, span: &Span) -> Place {
        Place { file: Arc::clone(&self.file), line: self.line(span) }
    }

    /// How a place reads in a problem of this file.
    pub(super) fn tell(&self, place: &Place) -> String {
        if place.file == self.file {
            format!("line {}", place.line)
        } else {
            format!("line {} of `{}`", place.line, place.file.display())
        }
    }

    /// A value as a problem shows it: as it is written where it refers to the environment. Tables and
    /// lists speak for themselves.
    pub(super) fn shown(&self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        if let Some(written) = self.references.written(value) {
            return Some(shorten(written));
        }
        match value.get_ref() {
            DeValue::String(text) => Some(shorten(text)),
            DeValue::Integer(number) => Some(shorten(&number.to_string())),
            DeValue::Float(number) => Some(shorten(number.as_str())),
            DeValue::Boolean(truth) => Some(truth.to_string()),
            DeValue::Datetime(time) => Some(time.to_string()),
            DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }

    /// Notes a key that its section does not know.
    pub(super) fn add_stray(&self, stray: Stray) {
        self.strays.borrow_mut().push(stray);
    }

    /// Notes which keys a section knows.
    pub(super) fn add_known(&self, section: &'static str, keys: &[&'static str]) {
        let mut known = self.known.borrow_mut();
        let all = known.entry(section).or_default();
        for key in keys {
            if !all.contains(key) {
                all.push(key);
            }
        }
    }

    /// Notes what holds for a key; `span` is where the file says so.
    pub(super) fn add_setting(
        &self,
        key: String,
        value: Option<serde_json::Value>,
        from: Result<&Span, Origin>,
    ) {
        let from = from.map_or_else(
            |origin| origin,
            |span| Origin::File { path: self.file.to_path_buf(), line: self.line(span) },
        );
        self.settings.borrow_mut().push(Setting { key, value, from });
    }

    /// The keys that this text's sections know.
    pub(super) fn known(&self) -> KnownKeys {
        self.known.borrow().clone()
    }

    /// All problems by line, and all settings; `known` is what the sections of all files know.
    pub(super) fn finish(self, known: &KnownKeys) -> (Vec<Problem>, Vec<Setting>) {
        let own = self.known.take();
        for stray in self.strays.take() {
            let message = stray.message(known, own.get(stray.section));
            self.add(&stray.span, stray.path, None, message);
        }
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        (problems, self.settings.into_inner())
    }
}

impl Stray {
    fn message(&self, known: &KnownKeys, here: Option<&Vec<&'static str>>) -> String {
        let header = |section: &str| match section {
            "virtual_hosts" | "backends" => format!("`[[{section}]]`"),
            section => format!("`[{section}]`"),
        };
        let elsewhere: Vec<_> = known
            .iter()
            // Tables within sections have no header that would help.
            .filter(|(section, _)| !section.is_empty() && !section.contains('.'))
            .filter(|(_, keys)| keys.contains(&self.key.as_str()))
            .map(|(section, _)| header(section))
            .collect();
        let is_of_root = known.get("").is_some_and(|keys| keys.contains(&self.key.as_str()));
        let key = &self.key;
        match &self.near {
            Some(near) if near.is_typo || elsewhere.is_empty() => {
                format!("unknown key; did you mean `{}`?", near.key)
            }
            _ if self.section == "backends" && HealthCheckOptions::KEYS.contains(&key.as_str()) => {
                format!(
                    "unknown key here; write it in the entry's `health_check = {{ {key} = … }}`"
                )
            }
            _ if !elsewhere.is_empty() => {
                format!("unknown key here; it belongs in {}", elsewhere.join(" or "))
            }
            _ if !self.section.is_empty() && is_of_root && key == "include" => {
                "unknown key here; it belongs in no section: move it to the top of the file"
                    .to_owned()
            }
            _ if !self.section.is_empty() && is_of_root => {
                format!("unknown key here; write it with a header of its own, {}", header(key))
            }
            _ => {
                let keys = here.map(|keys| keys.join(", ")).unwrap_or_default();
                format!("unknown key; the keys here are {keys}")
            }
        }
    }
}
