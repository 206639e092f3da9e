//! `vhost state check`.

use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

use super::args::StateCheckArgs;
use super::dirs::find;
use crate::backup::{self, BackupError, Checked, Manifest};
use crate::cli::check::CheckFormat;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::complaint;
use crate::cli::words::{say, written};
use crate::model::{counted, printable_json, printable_lines, with_causes};

/// The answer for scripts. Fields may be added, never removed.
#[derive(Debug, Serialize)]
struct Answer {
    valid: bool,
    /// What was checked.
    path: String,
    problems: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<i64>,
    domains: usize,
    backends: usize,
    certificates: usize,
    /// What a backup says about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<Manifest>,
}

pub(super) fn run(args: &StateCheckArgs) -> ExitCode {
    if let Some(file) = &args.file {
        return report(args.format, file, backup::check_archive(file));
    }
    match find(&args.dirs) {
        Ok(found) => report(args.format, &found.dirs.state, backup::check_in_place(&found.dirs)),
        Err(exit) => exit,
    }
}

fn report(format: CheckFormat, path: &Path, checked: Result<Checked, BackupError>) -> ExitCode {
    let is_valid = checked.as_ref().is_ok_and(|checked| checked.problems.is_empty());
    let exit = if is_valid { ExitCode::Done } else { ExitCode::Failed };
    match format {
        CheckFormat::Text => say(printable_lines(&in_words(path, &checked))),
        CheckFormat::Json => {
            let text = serde_json::to_string_pretty(&answer(path, checked));
            let text = text.map_err(io::Error::from);
            let print = |text: String| writeln!(io::stdout().lock(), "{}", printable_json(&text));
            if written("result", text.and_then(print)) != ExitCode::Done {
                return ExitCode::Failed;
            }
        }
    }
    exit
}

fn in_words(path: &Path, checked: &Result<Checked, BackupError>) -> String {
    let path = path.display();
    match checked {
        Err(error) => complaint(error, error.hint().as_deref()),
        Ok(checked) if checked.problems.is_empty() => {
            let domains = counted(checked.domains, "domain");
            let backends = counted(checked.backends, "backend");
            let certificates = counted(checked.certificates, "certificate");
            let revision = checked.revision;
            let made = checked.manifest.as_ref().map_or_else(String::new, |manifest| {
                format!(", made by version {}", manifest.version)
            });
            format!("{path}: ok: revision {revision}, {domains}, {backends}, {certificates}{made}")
        }
        Ok(checked) => {
            let mut lines = checked.problems.clone();
            lines.push(format!("{} in {path}", counted(checked.problems.len(), "problem")));
            lines.join("\n")
        }
    }
}

fn answer(path: &Path, checked: Result<Checked, BackupError>) -> Answer {
    let is_read = checked.is_ok();
    let Checked { revision, schema, domains, backends, certificates, manifest, problems } = checked
        .unwrap_or_else(|error| Checked {
            problems: vec![with_causes(&error)],
            ..Checked::default()
        });
    Answer {
        valid: problems.is_empty(),
        path: path.display().to_string(),
        problems,
        revision: is_read.then_some(revision),
        schema: is_read.then_some(schema),
        domains,
        backends,
        certificates,
        backup: manifest,
    }
}
