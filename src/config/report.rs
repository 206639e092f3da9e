//! Everything that is wrong with one text, while it is being read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::problem::Problem;

/// A place in the text, in bytes.
pub(super) type Span = Range<usize>;

/// The keys that each section knows, by the section's name.
pub(super) type KnownKeys = BTreeMap<&'static str, Vec<&'static str>>;

/// Gathers what is wrong with one text.
pub(super) struct Report {
    line_starts: Vec<usize>,
    text: String,
    problems: RefCell<Vec<Problem>>,
    strays: RefCell<Vec<Stray>>,
    known: RefCell<KnownKeys>,
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
    pub(super) fn new(text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            line_starts: std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect(),
            text: text.to_owned(),
            problems: RefCell::default(),
            strays: RefCell::default(),
            known: RefCell::default(),
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
        let line = self.line(span);
        let start = self.line_starts[line - 1];
        let column = self.text.get(start..span.start).map_or(0, |before| before.chars().count());
        let problem = Problem { line, column: column + 1, key, value, message: message.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// The line of `span`, from 1.
    pub(super) fn line(&self, span: &Span) -> usize {
        self.line_starts.partition_point(|start| *start <= span.start).max(1)
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

    /// All problems by line, with the keys that are known.
    pub(super) fn finish(self) -> (Vec<Problem>, KnownKeys) {
        let known = self.known.take();
        for stray in self.strays.take() {
            let message = stray.message(&known);
            self.add(&stray.span, stray.path, None, message);
        }
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        (problems, known)
    }
}

impl Stray {
    fn message(&self, known: &KnownKeys) -> String {
        let elsewhere: Vec<_> = known
            .iter()
            .filter(|(_, keys)| keys.contains(&self.key.as_str()))
            .map(|(section, _)| format!("`[{section}]`"))
            .collect();
        match &self.near {
            Some(near) if near.is_typo || elsewhere.is_empty() => {
                format!("unknown key; did you mean `{}`?", near.key)
            }
            _ if !elsewhere.is_empty() => {
                format!("unknown key here; it belongs in {}", elsewhere.join(" or "))
            }
            _ => {
                let keys = known.get(self.section).map(|keys| keys.join(", ")).unwrap_or_default();
                format!("unknown key; the keys here are {keys}")
            }
        }
    }
}
