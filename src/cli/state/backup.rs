//! `vhost state backup`.

use std::io::{self, Write as _};
use std::path::PathBuf;

use super::args::BackupArgs;
use super::dirs::{failed, find};
use crate::backup::{self, Made};
use crate::cli::exit_code::ExitCode;
use crate::cli::words::{say, written};
use crate::clock::now_ms;
use crate::model::{counted, printable_lines};

pub(super) fn run(args: &BackupArgs) -> ExitCode {
    let found = match find(&args.dirs) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let path = args.output.clone().unwrap_or_else(default_name);
    let Made { manifest, domains, backends, bytes, warnings } =
        match backup::make(&found.dirs, &path, args.force) {
            Ok(made) => made,
            Err(error) => return failed(&error),
        };
    for warning in warnings {
        say(printable_lines(&format!("warning: {warning}")));
    }
    let (domains, backends) = (counted(domains, "domain"), counted(backends, "backend"));
    let files = counted(manifest.files, "file");
    say(format_args!(
        "backed up: revision {}, {domains}, {backends}, {files}, {bytes} bytes",
        manifest.revision
    ));
    written("file's name", writeln!(io::stdout().lock(), "{}", path.display()))
}

fn default_name() -> PathBuf {
    let now = humantime::format_rfc3339_seconds(crate::clock::time(now_ms())).to_string();
    let now: String = now.chars().filter(|c| !matches!(c, ':' | '-')).collect();
    PathBuf::from(format!("vhost-state-{now}.tar"))
}
