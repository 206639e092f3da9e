//! Messages on standard error. `eprintln!` panics if the stream is closed, which would change the
//! exit status; the crate's lints forbid it.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use super::exit_code::ExitCode;

/// Writes a line; errors are ignored.
pub(in crate::cli) fn say(line: impl Display) {
    // There is nowhere left to print an error.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// How a command ended that has written `what`; a reader that closes the pipe has read enough.
pub(in crate::cli) fn written(what: &str, result: io::Result<()>) -> ExitCode {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            say(format_args!("error: cannot write the {what}\ncause: {error}"));
            ExitCode::Failed
        }
        _ => ExitCode::Done,
    }
}
