//! Messages on standard error. `eprintln!` panics if the stream is closed, which would change the
//! exit status; the crate's lints forbid it.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line; errors are ignored.
pub(in crate::cli) fn say(line: impl Display) {
    // There is nowhere left to print an error.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
