//! The files that certificates and keys are read from, and written to.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::atomic_file;
use crate::cli::problem::{Problem, words};

/// Why a file could not be read. Its text, which may be a key, is never in it.
pub(super) fn unread(path: &Path, error: &std::io::Error) -> Problem {
    let cause = match error.kind() {
        ErrorKind::InvalidData => "it is not text; use PEM".to_owned(),
        _ => words(error),
    };
    Problem::usage(&format!("cannot read `{}`", path.display()), cause)
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
