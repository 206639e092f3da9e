//! The files that certificates and keys are read from, and written to.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::atomic_file;
use crate::cli::problem::{Problem, words};

/// A file's text. Errors never contain it, because it may be a key.
pub(super) fn read(path: &Path) -> Result<String, Unread<'_>> {
    fs::read_to_string(path).map_err(|error| {
        let cause = match error.kind() {
            ErrorKind::InvalidData => "it is not text; use PEM".to_owned(),
            _ => words(&error),
        };
        Unread { path, cause }
    })
}

/// A file that could not be read, and why.
pub(super) struct Unread<'p> {
    path: &'p Path,
    cause: String,
}

impl From<Unread<'_>> for Problem {
    fn from(Unread { path, cause }: Unread<'_>) -> Self {
        Self::usage(&format!("cannot read `{}`", path.display()), cause)
    }
}

/// Writes a text to a file.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    atomic_file::write(path, lines(text).as_bytes())?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// The problem to print then.
pub(super) fn unwritten(path: &Path, error: &std::io::Error) -> Problem {
    Problem::failed(format!("write `{}`", path.display()), words(error), None)
}

/// The text with a final newline.
pub(super) fn lines(text: &str) -> String {
    format!("{}\n", text.trim_end_matches('\n'))
}
