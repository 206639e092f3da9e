//! What can be translated, and what becomes of it.

use std::io;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::finding::{Finding, Findings, Place};

/// The most bytes of all files together.
pub(super) const MAX_BYTES: usize = 4 << 20;
/// The most files that one may include, in all.
pub(super) const MAX_FILES: usize = 500;

/// Whose config it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Caddy,
    Kamal,
    Nginx,
    Traefik,
}

impl Source {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Caddy => "Caddy",
            Self::Kamal => "Kamal",
            Self::Nginx => "nginx",
            Self::Traefik => "Traefik",
        }
    }

    /// The page that maps its directives.
    pub(super) fn page(self) -> &'static str {
        match self {
            Self::Caddy => "docs/from/caddy.md",
            Self::Kamal => "docs/from/kamal-proxy.md",
            Self::Nginx => "docs/from/nginx.md",
            Self::Traefik => "docs/from/traefik.md",
        }
    }
}

/// What the config itself does not say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hints {
    /// The e-mail address for `[lets_encrypt]`.
    pub email: Option<String>,
}

/// How files are read: those that match a pattern, in order.
pub(crate) trait Read {
    /// The files that match a pattern, which is a path where it has no `*`, `?` or `[`.
    ///
    /// # Errors
    /// When one can't be read.
    fn matching(&self, pattern: &Path) -> io::Result<Vec<(PathBuf, String)>>;
}

/// A config of ours, and what it lacks.
#[derive(Debug)]
pub(crate) struct Translation {
    /// The config, as TOML.
    pub config: String,
    /// What could not be translated, the worst first.
    pub findings: Vec<Finding>,
}

/// Why a config can't be translated at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceError {
    /// It is not what it should be.
    #[error("`{}`, line {line}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// It can't be read.
    #[error("cannot read `{}`: {message}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        message: String,
    },
    /// It is larger than any config is.
    #[error("it includes more than {MAX_FILES} files or {} MiB", MAX_BYTES >> 20)]
    TooLarge,
}

/// What a translator works on.
pub(super) struct Work<'r> {
    pub(super) source: Source,
    pub(super) draft: Draft,
    pub(super) findings: Findings,
    pub(super) hints: &'r Hints,
    pub(super) reader: &'r dyn Read,
}

impl Work<'_> {
    /// Says that a directive is not one that is known.
    pub(super) fn unknown(&mut self, place: Place, directive: String) {
        let message = format!("not in vhost; {} says what there is instead", self.source.page());
        self.findings.warn(place, directive, message);
    }
}
