//! The command: questions, checks, the file.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::answers::{self, Answers, Asked};
use super::args::{InitArgs, InitOutput};
use super::checks::{self, Check};
use super::listeners::Listeners;
use super::report;
use super::text;
use crate::cli::exit_code::ExitCode;
use crate::cli::new_file;
use crate::cli::problem::complaint;
use crate::cli::words::say;
use crate::config;

/// Writes a first config. Returns the exit status.
pub(in crate::cli) fn run(args: &InitArgs) -> u8 {
    let path = args.config.clone().unwrap_or_else(default_path);
    // Before anybody answers questions for nothing.
    if path.exists() && !args.force {
        let error = new_file::NewFileError::Exists { path };
        say(complaint(&error, error.hint()));
        return ExitCode::Failed.into();
    }
    let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let answers = match answers::gather(args, is_terminal) {
        Asked::Answered(answers) => answers,
        Asked::Missing(problem) => {
            say(problem);
            return ExitCode::Usage.into();
        }
        Asked::GivenUp => {
            say("nothing was written");
            return ExitCode::Failed.into();
        }
    };
    write(args, &path, &answers, is_terminal).into()
}

fn write(args: &InitArgs, path: &Path, answers: &Answers, is_terminal: bool) -> ExitCode {
    let listeners = Listeners::of(args, answers);
    let config = text::config(answers, &listeners);
    let found = config::inspect_text(path, &config);
    if let Some(problem) = found.problems.first() {
        say(format_args!("error: the answers make no valid config\ncause: {problem}"));
        return ExitCode::Usage;
    }
    let checks = checks::run(answers, &listeners, found.config.as_deref());
    if args.output == InitOutput::Text {
        report::say_checks(&checks);
    }
    let is_amiss = checks.iter().any(|check: &Check| !check.ok);
    if is_terminal && !args.yes && !answers::confirm(path, is_amiss) {
        say("nothing was written");
        return ExitCode::Failed;
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty())
        && let Err(source) = std::fs::create_dir_all(parent)
    {
        let error = new_file::NewFileError::Write { path: path.to_owned(), source };
        say(complaint(&error, error.hint()));
        return ExitCode::Failed;
    }
    if let Err(error) = new_file::write(path, &config, args.force) {
        say(complaint(&error, error.hint()));
        return ExitCode::Failed;
    }
    report::done(args.output, path, &checks, &text::next_commands(path, answers))
}

fn default_path() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        PathBuf::from("/etc/vhost/config.toml")
    } else {
        PathBuf::from("vhost.toml")
    }
}
