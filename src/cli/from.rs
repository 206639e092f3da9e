//! `vhost from`: the config of another proxy as one of ours.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{ValueEnum, ValueHint};

use super::exit_code::ExitCode;
use super::new_file;
use super::problem::complaint;
use super::words::{say, written};
use crate::config;
use crate::model::{counted, printable_lines};
use crate::plain_file;
use crate::translate::{Finding, Hints, Read, Severity, Source, Translation};

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Translate the config of another proxy
///
/// Reads the config of another proxy and the files that it includes, and prints one for vhost that
/// sends requests to the same backends. Standard error has a list of what could not be translated,
/// with its line, why, and what to do about it. An item at the top of it that begins with `error`
/// limited who may reach something: its domain is closed in the result until you have replaced
/// that rule. The exit status is 0 if all was translated, 1 if something that matters was left out,
/// and 2 if the file can't be read. Nothing is changed, but for the file of `--write`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  vhost from nginx /etc/nginx/nginx.conf --email admin@example.com > vhost.toml\n  \
                        vhost from caddy /etc/caddy/Caddyfile --write vhost.toml"
)]
pub(super) struct FromArgs {
    /// Whose config it is
    #[arg(value_name = "PROXY")]
    pub source: SourceName,
    /// The file: nginx.conf or a site of it, Caddyfile, traefik.yml or compose.yaml, deploy.yml
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Write the config to this file, which must not exist, instead of standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub write: Option<PathBuf>,
    /// Replace the file of `--write` if it exists
    #[arg(long, requires = "write")]
    pub force: bool,
    /// The e-mail address for Let's Encrypt, if the file names none
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// How to print what could not be translated, on standard error: text, or json for scripts
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ListFormat,
}

/// Proxies whose config can be translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SourceName {
    /// A Caddyfile.
    Caddy,
    /// Kamal's config/deploy.yml.
    Kamal,
    /// nginx.conf, or a file of sites-enabled.
    Nginx,
    /// The static or the dynamic file, or a Compose file with labels.
    Traefik,
}

impl From<SourceName> for Source {
    fn from(name: SourceName) -> Self {
        match name {
            SourceName::Caddy => Self::Caddy,
            SourceName::Kamal => Self::Kamal,
            SourceName::Nginx => Self::Nginx,
            SourceName::Traefik => Self::Traefik,
        }
    }
}

/// How the list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    /// A line for each item.
    Text,
    /// One JSON object.
    Json,
}

/// Translates a config and prints it. Returns the exit status.
pub(super) fn run(args: &FromArgs) -> u8 {
    let hints = Hints { email: args.email.clone() };
    let source = Source::from(args.source);
    let Translation { config, findings } = match source.translate(&args.file, &Files, &hints) {
        Ok(translation) => translation,
        Err(error) => {
            say(complaint(&error, None));
            return ExitCode::Usage.into();
        }
    };
    let written = match &args.write {
        Some(path) => match new_file::write(path, &config, args.force) {
            Ok(()) => ExitCode::Done,
            Err(error) => {
                say(complaint(&error, error.hint()));
                return ExitCode::Failed.into();
            }
        },
        None => written("config", write!(io::stdout().lock(), "{config}")),
    };
    let place = args.write.clone().unwrap_or_else(|| PathBuf::from("vhost.toml"));
    let problems = check(&place, &config);
    list(args.format, &findings, &problems);
    let is_left_out = findings.iter().any(|finding| finding.severity < Severity::Note);
    if is_left_out || !problems.is_empty() { ExitCode::Failed } else { written }.into()
}

/// What `vhost check` would say of the result, such as files that are not there.
fn check(place: &Path, config: &str) -> Vec<String> {
    let found = config::inspect_text(place, config);
    let line = |problem: &config::Problem| {
        format!("{}:{}: {problem}", problem.file.display(), problem.line)
    };
    found.problems.iter().map(line).collect()
}

fn list(format: ListFormat, findings: &[Finding], problems: &[String]) {
    if format == ListFormat::Json {
        let answer = serde_json::json!({ "findings": findings, "problems": problems });
        say(format_args!("{answer:#}"));
        return;
    }
    let mut text = String::new();
    for Finding { severity, file, line, directive, message } in findings {
        let severity = severity.as_str();
        // Writing to a text never fails.
        let _ = writeln!(text, "{}:{line}: {severity}: `{directive}`: {message}", file.display());
    }
    for problem in problems {
        let _ = writeln!(text, "in the result: {problem}");
    }
    let count = |severity| findings.iter().filter(|it| it.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let checks = count(Severity::Check);
    if checks > 0 {
        let lines = counted(checks, "line");
        let _ = writeln!(
            text,
            "{lines} to compare with the result before it is served: rules of access depend on their order, and may \
             have become others"
        );
    }
    let _ = match (errors, warnings + problems.len()) {
        (0, 0) if checks > 0 => write!(text, "everything else was translated"),
        (0, 0) => write!(text, "everything was translated"),
        (0, others) => write!(text, "{} not translated", counted(others, "item")),
        (errors, others) => write!(
            text,
            "{} that limited who may reach what not translated, and {}; their domains are closed",
            counted(errors, "item"),
            counted(others, "other")
        ),
    };
    say(printable_lines(&text));
}

/// The files of this machine.
struct Files;

impl Read for Files {
    fn matching(&self, pattern: &Path) -> io::Result<Vec<(PathBuf, String)>> {
        let text = pattern.to_string_lossy();
        let mut paths = vec![pattern.to_owned()];
        if text.contains(['*', '?', '[']) && !pattern.exists() {
            let found = glob::glob(&text).map_err(io::Error::other)?;
            // A folder that can't be read may hold the rules of who may reach what.
            let found: Vec<_> = found.collect::<Result<_, _>>().map_err(io::Error::other)?;
            paths = found.into_iter().filter(|path| path.is_file()).take(1000).collect();
        }
        let read = |path: PathBuf| {
            let text = plain_file::read_text(&path, MAX_FILE_BYTES)?;
            Ok((path, text))
        };
        paths.into_iter().map(read).collect()
    }
}
