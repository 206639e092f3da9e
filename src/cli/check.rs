//! `vhost check FILE`: reports every problem of a config file, and starts nothing.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{ValueEnum, ValueHint};
use serde::Serialize;
use serde_json::Value;

use super::exit_code::ExitCode;
use super::problem::complaint;
use crate::config::{self, Config, ConfigError, Inspection, Origin, Problem};
use crate::model::{Followed, counted, follow_references, printable_json, printable_lines};
use crate::server::{Missing, preflight};

/// Check a config file without starting anything.
///
/// Prints every problem of the file, and of the files that it includes, with its line, its key and
/// a fix. The exit status is 0 if the file is valid and 2 if it is not. `vhost serve` and a reload
/// do the same checks. It also checks what would make a start fail on this machine and as this
/// user, such as a state directory that it can't write to; if that is the only problem, the exit
/// status is 1. What may change before the start, such as a port in use, is a warning. Nothing is
/// changed. Environment variables that the file refers to must be set.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  vhost check /etc/vhost/config.toml\n  \
                        vhost check --format json /etc/vhost/config.toml")]
pub(super) struct CheckArgs {
    /// The config file (TOML)
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// How to print problems: text on stderr, or json on stdout for editors
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: CheckFormat,
}

/// How `vhost check` prints problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckFormat {
    /// A line for each problem.
    Text,
    /// One JSON object.
    Json,
}

/// Checks the file and prints the result. Returns the exit status.
pub(super) fn run(args: &CheckArgs) -> u8 {
    let exit_code = match args.format {
        CheckFormat::Text => check(&args.file, &mut io::stderr().lock()),
        CheckFormat::Json => check_as_json(&args.file, &mut io::stdout().lock()),
    };
    exit_code.into()
}

fn check(file: &Path, talk: &mut impl Write) -> ExitCode {
    let (exit_code, text) = match inspect(file) {
        Ok((exit_code, found)) => {
            let warnings = found.warnings.iter().filter(|_| exit_code != ExitCode::Usage);
            let mut text = String::new();
            for warning in warnings {
                // Writing to a text never fails.
                let (file, line) = (warning.file.display(), warning.line);
                let _ = writeln!(text, "{file}:{line}: warning: {warning}");
            }
            let end = if exit_code == ExitCode::Done {
                let domains = counted(found.domains, "domain");
                let backends = counted(found.backends, "backend");
                format!("{}: ok: {domains}, {backends}", file.display())
            } else {
                let (path, problems) = (file.to_owned(), found.problems);
                ConfigError::Invalid { path, problems }.to_string()
            };
            (exit_code, text + &end)
        }
        Err(error) => (ExitCode::Usage, complaint(&error, error.hint())),
    };
    // A closed stream does not change the exit status.
    let _ = writeln!(talk, "{}", printable_lines(&text));
    exit_code
}

/// Everything that is wrong with a file, and on this machine.
fn inspect(file: &Path) -> Result<(ExitCode, Inspection), ConfigError> {
    let mut found = config::inspect(file)?;
    let Some(config) = &found.config else { return Ok((ExitCode::Usage, found)) };
    let (problems, warnings) = missing(config);
    let exit_code = if problems.is_empty() { ExitCode::Done } else { ExitCode::Failed };
    found.problems.extend(problems);
    found.warnings.extend(warnings);
    Ok((exit_code, found))
}

/// What would make a start fail on this machine, and what would be missing, with their lines.
fn missing(config: &Config) -> (Vec<Problem>, Vec<Problem>) {
    let setting = |key: &str| config.effective.iter().find(|setting| setting.key == key);
    let place = |key: &str| match setting(key).map(|setting| &setting.from) {
        Some(Origin::File { path, line }) => (path.clone(), *line),
        _ => (config.files.first().cloned().unwrap_or_default(), 1),
    };
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for Missing { key, message, stops_start } in preflight(config) {
        let (file, line) = place(key);
        let written = setting(key).and_then(|setting| setting.value.as_ref());
        let message = written.map_or(message.clone(), |written| with_references(message, written));
        let of_its_kind = if stops_start { &mut problems } else { &mut warnings };
        of_its_kind.push(Problem::at_line(file, line, key, message));
    }
    (problems, warnings)
}

/// A message about a value, with the file's references instead of their values.
fn with_references(message: String, written: &Value) -> String {
    match written {
        Value::String(written) => match follow_references(written, &config::variable) {
            Ok(Followed { meant, held }) if !held.is_empty() => {
                let message = message.replace(&meant, written);
                // A path may be written in another form.
                let held = held.iter().filter(|held| held.len() > 1);
                held.fold(message, |message, held| message.replace(held.as_str(), "…"))
            }
            _ => message,
        },
        Value::Array(values) => values.iter().fold(message, with_references),
        Value::Object(members) => members.values().fold(message, with_references),
        Value::Null | Value::Bool(_) | Value::Number(_) => message,
    }
}

/// The answer for editors. Fields may be added, never removed.
#[derive(Debug, Serialize)]
struct Answer {
    valid: bool,
    /// The files that were read, the main one first.
    files: Vec<String>,
    problems: Vec<Problem>,
    /// Warnings.
    warnings: Vec<Problem>,
    /// How many domains and backends could be read.
    domains: usize,
    backends: usize,
}

fn check_as_json(file: &Path, data: &mut impl Write) -> ExitCode {
    let (exit_code, found) = inspect(file).unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        let message = format!("{error}{}", cause.unwrap_or_default());
        let problems = vec![Problem::at_line(file.to_owned(), 1, "", message)];
        (ExitCode::Usage, Inspection { problems, ..Inspection::default() })
    });
    let Inspection { files, problems, warnings, domains, backends, .. } = found;
    let files = files.iter().map(|file| file.display().to_string()).collect();
    let valid = problems.is_empty();
    let answer = Answer { valid, files, problems, warnings, domains, backends };
    let text = serde_json::to_string_pretty(&answer).map_err(io::Error::from);
    // A reader that closes the pipe has read enough.
    let _ = text.and_then(|text| writeln!(data, "{}", printable_json(&text)));
    exit_code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str) -> (ExitCode, String) {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let file = directory.path().join("vhost.toml");
        std::fs::write(&file, text).expect("it can be written to");
        let mut talk = Vec::new();
        let exit_code = check(&file, &mut talk);
        let talk = String::from_utf8(talk).expect("UTF-8");
        (exit_code, talk.replace(&format!("{}/", directory.path().display()), ""))
    }

    #[test]
    fn a_valid_file_is_told_in_one_line() {
        let text = "proxy = { listen_addr_http = \"127.0.0.1:0\", state_dir = \"state\", admin_socket = \"a\" }\n\
                    [[backends]]\nid = \"x\"\naddress = \"[::1]:1\"\ntags = []";
        let expected = "vhost.toml: ok: 0 domains, 1 backend\n";
        assert_eq!(check_text(text), (ExitCode::Done, expected.to_owned()));
    }

    #[test]
    fn an_invalid_file_is_told_by_its_problems() {
        let (exit_code, talk) = check_text("[proxy]\nlisten_addr = 1\nstate_dir = \"/state\"\n");
        assert_eq!(exit_code, ExitCode::Usage);
        assert!(talk.starts_with("vhost.toml:2: proxy.listen_addr: `1`: write"), "{talk}");
        assert!(talk.ends_with("\n1 problem in vhost.toml\n"), "{talk}");
    }

    #[test]
    fn what_a_start_would_fail_for_is_a_problem_of_another_exit_status() {
        let text = "[proxy]\nlisten_addr_http = \"127.0.0.1:0\"\nadmin_socket = \"a\"\n\
                    state_dir = \"vhost.toml\"\n";
        let (exit_code, talk) = check_text(text);
        assert_eq!(exit_code, ExitCode::Failed);
        let expected = "vhost.toml:4: proxy.state_dir: cannot use the state: cannot use the state \
                        directory `vhost.toml`: File exists";
        assert!(talk.starts_with(expected), "{talk}");
        assert!(talk.ends_with("\n1 problem in vhost.toml\n"), "{talk}");
    }

    #[test]
    fn a_missing_file_is_told_with_cause_and_hint() {
        let mut talk = Vec::new();
        assert_eq!(check(Path::new("/no/such/file"), &mut talk), ExitCode::Usage);
        let talk = String::from_utf8(talk).expect("UTF-8");
        let starts: Vec<_> = talk.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(starts, ["error:", "cause:", "hint:"], "{talk}");
    }

    #[test]
    fn editors_get_one_object_with_every_place() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("vhost.toml");
        let answer = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let mut data = Vec::new();
            let exit_code = check_as_json(&file, &mut data);
            let answer: serde_json::Value = serde_json::from_slice(&data).expect("one object");
            assert_eq!(answer["valid"], exit_code == ExitCode::Done);
            answer
        };
        let path = file.display().to_string();
        let bad = answer("[proxy]\nlisten_addr = 1\nstate_dir = \"/state\"\n");
        let message = bad["problems"][0]["message"].clone();
        assert_eq!(
            bad,
            serde_json::json!({
                "valid": false, "files": [path], "domains": 0, "backends": 0,
                "problems": [{
                    "file": path, "line": 2, "column": 15, "end_line": 2, "end_column": 16,
                    "key": "proxy.listen_addr", "value": "1", "message": message,
                }],
                "warnings": [],
            })
        );
        let good = answer(
            "proxy = { listen_addr_http = \"127.0.0.1:0\", state_dir = \"state\", admin_socket = \"a\" }\n\
             [[backends]]\nid = \"x\"\naddress = \"[::1]:1\"\ntags = []",
        );
        let expected = serde_json::json!({
            "valid": true, "files": [path], "problems": [], "warnings": [], "domains": 0, "backends": 1,
        });
        assert_eq!(good, expected);
        let broken = answer("[proxy\n");
        assert_eq!((&broken["problems"][0]["line"], &broken["valid"]), (&1.into(), &false.into()));
        let mut data = Vec::new();
        assert_eq!(check_as_json(Path::new("/no/such/file"), &mut data), ExitCode::Usage);
        let answer: serde_json::Value = serde_json::from_slice(&data).expect("one object");
        let message = answer["problems"][0]["message"].as_str().expect("a text");
        assert!(message.contains("`/no/such/file`: No such file"), "{message}");
    }
}
