//! What could not be translated.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::model::{on_one_line, shorten};

/// The most findings that are kept; a config that has more needs another look anyway.
const MAX_FINDINGS: usize = 1000;

/// How much it matters, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// It limits who may reach what, and is not translated.
    Error,
    /// It may limit who may reach what: a person has to compare it with the result.
    Check,
    /// Something is left out.
    Warning,
    /// It is as it was, or nearly so, in another way.
    Note,
}

impl Severity {
    /// As lines begin.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Check => "check",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    /// The number of the file.
    pub(super) file: usize,
    /// The line, from 1.
    pub(super) line: usize,
}

/// One thing that could not be translated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) file: PathBuf,
    /// The line, from 1.
    pub(crate) line: usize,
    /// What stands there, shortened.
    pub(crate) directive: String,
    /// Why, and what to do.
    pub(crate) message: String,
}

/// All of them, and the files in which they are.
#[derive(Debug, Default)]
pub(super) struct Findings {
    files: Vec<PathBuf>,
    found: BTreeSet<(Severity, Place, String, String)>,
    /// Whether one of them may concern any domain.
    closes_all: bool,
}

impl Findings {
    /// Adds a file. Returns its number.
    pub(super) fn add_file(&mut self, path: &Path) -> usize {
        self.files.push(path.to_owned());
        self.files.len() - 1
    }

    pub(super) fn file(&self, number: usize) -> PathBuf {
        self.files.get(number).cloned().unwrap_or_default()
    }

    pub(super) fn file_count(&self) -> usize {
        self.files.len()
    }

    /// It limits who may reach what; a domain is closed for it.
    pub(super) fn deny(
        &mut self,
        place: Place,
        directive: impl Into<String>,
        why: impl Into<String>,
    ) {
        self.add(Severity::Error, place, &directive.into(), why.into());
    }

    /// The same where it may concern any domain.
    pub(super) fn deny_all(
        &mut self,
        place: Place,
        directive: impl Into<String>,
        why: impl Into<String>,
    ) {
        self.closes_all = true;
        self.deny(place, directive, why);
    }

    pub(super) fn closes_all(&self) -> bool {
        self.closes_all
    }

    /// A line of a file may limit who may reach what. One that stands in the list already is not listed again.
    pub(super) fn check(&mut self, file: &Path, line: usize, text: &str) {
        let known = self.files.iter().position(|known| known == file);
        let number = known.unwrap_or_else(|| self.add_file(file));
        let place = Place { file: number, line };
        let is_error = |(severity, of, ..): &(Severity, Place, String, String)| {
            *severity == Severity::Error && *of == place
        };
        if !self.found.iter().any(is_error) {
            let message = "it may limit who may reach what: compare it with the result";
            self.add(Severity::Check, place, text, message.to_owned());
        }
    }

    /// Something that matters is left out.
    pub(super) fn warn(
        &mut self,
        place: Place,
        directive: impl Into<String>,
        why: impl Into<String>,
    ) {
        self.add(Severity::Warning, place, &directive.into(), why.into());
    }

    /// It is nearly as it was.
    pub(super) fn note(
        &mut self,
        place: Place,
        directive: impl Into<String>,
        why: impl Into<String>,
    ) {
        self.add(Severity::Note, place, &directive.into(), why.into());
    }

    fn add(&mut self, severity: Severity, place: Place, directive: &str, message: String) {
        // What limits access is never left out of the list.
        if self.found.len() < MAX_FINDINGS || severity <= Severity::Check {
            let directive = on_one_line(&shorten(directive, 80));
            self.found.insert((severity, place, directive, message));
        }
    }

    /// The worst first, and then as they stand in the files.
    pub(super) fn into_sorted(self) -> Vec<Finding> {
        let Self { files, found, closes_all: _ } = self;
        let found = found.into_iter().map(|(severity, place, directive, message)| Finding {
            severity,
            file: files.get(place.file).cloned().unwrap_or_default(),
            line: place.line,
            directive,
            message,
        });
        found.collect()
    }
}
