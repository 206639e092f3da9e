//! `vhost state`: the server's state in one file, checked, and put back. Needs no server.

mod args;
mod backup;
mod check;
mod dirs;
mod restore;

pub(super) use args::StateArgs;

/// Runs a verb. Returns the exit status.
pub(super) fn run(args: &StateArgs) -> u8 {
    let exit = match &args.verb {
        args::StateVerb::Backup(args) => backup::run(args),
        args::StateVerb::Check(args) => check::run(args),
        args::StateVerb::Restore(args) => restore::run(args),
    };
    exit.into()
}
