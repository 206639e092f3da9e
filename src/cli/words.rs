//! Words for people on standard error. `eprintln!` panics when nobody reads them any more, which would
//! end the process with another status than it earned; the crate's lints keep it out.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line, if anybody reads it.
pub(in crate::cli) fn say(line: impl Display) {
    // There is nowhere left to complain to.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
