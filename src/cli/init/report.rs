//! What is printed.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::args::InitOutput;
use super::checks::Check;
use crate::cli::exit_code::ExitCode;
use crate::cli::words::{say, written};
use crate::model::printable;

/// Says what was found, a line each.
pub(super) fn say_checks(checks: &[Check]) {
    for Check { what, ok, message } in checks {
        let prefix = if *ok { "ok" } else { "warning" };
        say(printable(&format!("{prefix}: {what}: {message}")));
    }
}

/// Prints what comes next.
pub(super) fn done(
    output: InitOutput,
    path: &Path,
    checks: &[Check],
    next: &[String; 2],
) -> ExitCode {
    let mut stdout = io::stdout().lock();
    let result = match output {
        InitOutput::Json => {
            let answer =
                json!({ "config": path.display().to_string(), "checks": checks, "next": next });
            writeln!(stdout, "{answer:#}")
        }
        InitOutput::Text => {
            say(printable(&format!(
                "wrote {}; start it, and deploy from another terminal:",
                path.display()
            )));
            writeln!(stdout, "{}\n{}", next[0], next[1])
        }
    };
    written("commands", result)
}
