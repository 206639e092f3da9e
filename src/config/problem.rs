//! What can be wrong with a config file, and how it reads.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::model::{self, on_one_line, printable};

/// One thing that is wrong in a config file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// The file.
    #[serde(serialize_with = "as_shown")]
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line that what is wrong ends in.
    pub end_line: usize,
    /// The column after its end.
    pub end_column: usize,
    /// The key as a path, such as `proxy.threads` or `backends["web-v1"].address`; entries without a
    /// name are counted from 0 (`backends[1].id`). Empty when the text is not TOML.
    pub key: String,
    /// What is written there, shortened; nothing when the key is missing or its name is the problem.
    pub value: Option<String>,
    /// What is wrong, and what would be right.
    pub message: String,
}

fn as_shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl Problem {
    /// A problem of a whole line, of which it is not known where in it the value is.
    pub(crate) fn at_line(file: PathBuf, line: usize, key: &str, message: String) -> Self {
        let (column, end_line, end_column, key) = (1, line, 1, key.to_owned());
        Self { file, line, column, end_line, end_column, key, value: None, message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "column {}: ", self.column)?;
        } else {
            write!(f, "{}: ", self.key)?;
        }
        if let Some(value) = &self.value {
            write!(f, "`{value}`: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Why a config file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It could not be read.
    #[error("cannot read the config file `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It says something that is wrong.
    #[error("{}", Listing { path, problems })]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong, in it and in the files that it includes; by file and line.
        problems: Vec<Problem>,
    },
    /// Arguments of the command line that each are right don't fit together.
    #[error("the arguments do not fit together: {}", .problems.join("; "))]
    Arguments {
        /// Everything that is wrong.
        problems: Vec<String>,
    },
}

impl ConfigError {
    /// What to do about it, where the error's text does not say.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => {
                    Some("check the path; `config.example.toml` is a file to start from")
                }
                io::ErrorKind::PermissionDenied => Some("let the user that runs vhost read it"),
                _ => None,
            },
            Self::Invalid { .. } => None,
            Self::Arguments { .. } => Some("`vhost serve --help` shows examples"),
        }
    }
}

/// One line for each problem, as compilers write them, and their number.
struct Listing<'a> {
    path: &'a Path,
    problems: &'a [Problem],
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.problems {
            let line = format!("{}:{}: {problem}", problem.file.display(), problem.line);
            writeln!(f, "{}", printable(&line))?;
        }
        match self.problems.len() {
            1 => f.write_str("1 problem in ")?,
            count => write!(f, "{count} problems in ")?,
        }
        let files: BTreeSet<_> = self.problems.iter().map(|problem| &problem.file).collect();
        match files.first() {
            Some(only) if files.len() == 1 => only.display().fmt(f),
            Some(_) => write!(f, "{} files", files.len()),
            None => self.path.display().fmt(f),
        }
    }
}

/// A value of the file as a message quotes it: on one line, and not too long.
pub(super) fn shorten(value: &str) -> String {
    const MAX_QUOTED: usize = 60;
    on_one_line(&model::shorten(value, MAX_QUOTED))
}
