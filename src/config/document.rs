//! One file as a TOML tree, with what is wrong with it as TOML.

use std::collections::BTreeSet;
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use super::paths::Environment;
use super::problem::{Problem, shorten};
use super::references::References;
use super::report::Report;

/// A file that was parsed, as far as it is TOML.
pub(super) struct Document<'t> {
    /// What is wrong with it.
    pub(super) report: Report,
    /// What it says.
    pub(super) table: Spanned<DeTable<'t>>,
    /// Whether it says what it seems to. After a bracket left open the parser can only guess.
    pub(super) is_readable: bool,
    broken_lines: BTreeSet<usize>,
}

impl<'t> Document<'t> {
    /// Parses a text and follows its references to the environment.
    pub(super) fn parse(path: &Path, text: &'t str, environment: &Environment<'_>) -> Self {
        let mut report = Report::new(path, text);
        let (mut table, errors) = DeTable::parse_recoverable(text);
        let mut is_readable = true;
        let mut broken_lines = BTreeSet::new();
        for error in &errors {
            let (message, leaves_rest) = explain(error.message());
            is_readable &= leaves_rest;
            let span = error.span().unwrap_or(0..0);
            let line = report.line(&span);
            // What follows on the same line is mostly the first mistake's echo.
            if broken_lines.insert(line) {
                let written = text.lines().nth(line - 1).map(|line| shorten(line.trim()));
                report.add(&span, String::new(), written, message);
            }
        }
        if is_readable {
            report.references = References::follow(table.get_mut(), environment);
        }
        Self { report, table, is_readable, broken_lines }
    }

    /// Leaves out what a line that is no TOML led to.
    pub(super) fn without_echoes(broken_lines: &BTreeSet<usize>, problems: &mut Vec<Problem>) {
        problems.retain(|problem| problem.key.is_empty() || !broken_lines.contains(&problem.line));
    }

    /// The report, and the lines that are no TOML.
    pub(super) fn into_report(self) -> (Report, BTreeSet<usize>) {
        (self.report, self.broken_lines)
    }
}

/// The text of a file, or where it stops being text.
pub(super) fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, Box<Problem>> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        let report = Report::new(path, &String::from_utf8_lossy(&bytes[..valid]));
        let message = "not UTF-8 from here on".to_owned();
        Box::new(report.problem(&(valid..valid), String::new(), None, message))
    })
}

/// What the parser's message means for people, and whether the rest of the file still means what it
/// says.
fn explain(message: &str) -> (String, bool) {
    let is_about_a_value = [
        "string values must be quoted",
        "missing opening quote",
        "invalid float",
        "invalid integer",
        "unexpected leading zero",
    ]
    .iter()
    .any(|start| message.starts_with(start));
    if is_about_a_value {
        (format!("no valid value; a text needs quotes ({message})"), true)
    } else if message.starts_with("duplicate key") {
        ("this key was there before; keep one of the two".to_owned(), true)
    } else {
        (message.to_owned(), false)
    }
}
