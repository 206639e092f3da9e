//! Every key with its value and where it came from.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

/// A key of the file's sections, with what holds for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// Section and key, such as `proxy.threads`.
    pub key: String,
    /// The value as a file would say it; nothing where there is neither value nor default. A text
    /// that refers to the environment stands here as it is written.
    pub value: Option<Value>,
    /// Where the value came from.
    pub from: Origin,
}

impl Setting {
    /// Whether somebody said so: it is no default.
    pub(crate) fn is_set(&self) -> bool {
        self.from != Origin::Default
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody said anything.
    Default,
    /// A config file says so.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment: one that the file refers to, or one that decides a default.
    Environment,
    /// An argument of `vhost serve`.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.pad("default"),
            Self::File { path, line } => f.pad(&format!("{}:{line}", path.display())),
            Self::Environment => f.pad("environment"),
            Self::CommandLine => f.pad("command line"),
        }
    }
}

#[cfg(test)]
mod tests;
