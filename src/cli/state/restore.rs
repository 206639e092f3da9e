//! `vhost state restore`.

use super::args::RestoreArgs;
use super::dirs::{failed, find};
use crate::backup::{self, BackupError, Restored};
use crate::cli::exit_code::ExitCode;
use crate::cli::words::say;
use crate::model::{counted, printable_lines};

pub(super) fn run(args: &RestoreArgs) -> ExitCode {
    let found = match find(&args.dirs) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let restored = backup::restore(&args.file, &found.dirs, found.socket.as_deref());
    let Restored { checked, aside } = match restored {
        Ok(restored) => restored,
        Err(error) => {
            if let BackupError::Unsound { problems } = &error {
                say(printable_lines(&problems.join("\n")));
            }
            return failed(&error);
        }
    };
    let domains = counted(checked.domains, "domain");
    let backends = counted(checked.backends, "backend");
    let certificates = counted(checked.certificates, "certificate");
    let revision = checked.revision;
    say(format_args!("restored: revision {revision}, {domains}, {backends}, {certificates}"));
    for aside in aside {
        say(printable_lines(&format!("what was there is in {}", aside.display())));
    }
    ExitCode::Done
}
