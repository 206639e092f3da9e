//! `[logging]` and `[access_log]`.

use serde_json::{Value as Json, json};

use crate::config::kind::{Bytes, Choice, File, Share, Whole, impl_word};
use crate::config::reader::Section;
use crate::config::table::{RESTART, settings};
use crate::model::{
    AccessFormat, AccessLogSettings, LogFileSettings, LogFormat, LogLevel, LogOutput,
    LoggingSettings, Rotation, worded,
};
use crate::reserved_paths::ReservedPaths;

settings! {
    /// What is logged, how and where.
    "logging" => pub(super) LoggingSection, rules: rules();

    /// The least important level that is logged.
    level: Choice<LogLevel>;
    /// `json` is one object a line, `text` is for people.
    format: Choice<LogFormat>, example: "text", restart: RESTART;
    ..to: LogTo, file_path: "/var/log/pingora-proxy/proxy.log", restart: RESTART;
}

settings! {
    /// A line for each request: who asked for what, who answered, and how it ended. A reload changes all
    /// of it.
    "access_log" => pub(super) AccessLogSection, rules: rules();

    /// Whether requests are logged. Where not, those that were refused or failed are in the log of
    /// `[logging]`.
    enabled: bool;
    /// `json` is one object a line, `text` is for people, `common` and `combined` are those of other
    /// web servers.
    format: Choice<AccessFormat>;
    /// The share of requests that are logged, of those that neither failed nor were answered with a
    /// 5xx; the others always are.
    sample: Share = 1.0;
    /// Whether the query is logged, and with `combined` that of the referer. It may hold secrets.
    query: bool;
    ..to: LogTo, file_path: "/var/log/pingora-proxy/access.log";
}

settings! {
    /// Where a log goes.
    "" => pub(super) LogTo;

    /// `console` is standard error for the log, and standard output for the access log. `file` is the end
    /// of `file_path`, which must be given then.
    output: Choice<Output>;
    /// The log's file, another one for each of the two logs. SIGUSR1 opens it again, for who moves it away,
    /// such as logrotate.
    file_path: Option<File>;
    /// When the file is moved away to `file_path` with `.1` behind it, and another one is begun:
    /// `never`, `daily` (at midnight UTC), or by `size`.
    rotation: Choice<RotationWord>;
    /// How large the file becomes with `rotation = "size"`, in MiB.
    max_size_mb: Bytes<u64, 1, 1_000_000, 1_048_576> = 100;
    /// How many files are kept that were moved away: `.1` is the newest.
    keep_files: Whole<u32, 1, 1000> = 7;
}

worded! {
    /// Where log lines go.
    #[derive(Default)]
    pub(super) enum Output {
        #[default]
        Console "console",
        File "file",
    }
}

worded! {
    /// When a log file makes room for the next.
    #[derive(Default)]
    pub(super) enum RotationWord {
        #[default]
        Never "never",
        Daily "daily",
        Size "size",
    }
}

impl_word!(AccessFormat, LogFormat, LogLevel, Output, RotationWord);

impl LogTo {
    fn log_output(&self) -> LogOutput {
        let rotation = match self.rotation {
            RotationWord::Never => Rotation::Never,
            RotationWord::Daily => Rotation::Daily,
            RotationWord::Size => Rotation::Size(self.max_size_mb << 20),
        };
        let file = self.file_path.clone().filter(|_| self.output == Output::File);
        file.map_or(LogOutput::Console, |path| {
            LogOutput::File(LogFileSettings { path, rotation, keep: self.keep_files })
        })
    }

    /// Says what is wrong with the file; `example` is another. It can't be one of the server's `own`, which
    /// lines would destroy.
    fn check(&self, section: &Section<'_, '_>, own: &ReservedPaths, example: &str) {
        if self.output != Output::File {
            return;
        }
        if !section.has("file_path") {
            section.problem(
                "file_path",
                format!(
                    "missing, and `output = \"file\"` needs it; add `file_path = \"{example}\"`"
                ),
            );
        }
        if self.file_path.as_ref().is_some_and(|path| own.holds(path)) {
            let message = format!(
                "this is in a place of the server's own, which the log would destroy; choose a file \
                 elsewhere, such as `{example}`"
            );
            section.problem("file_path", message);
        }
    }
}

pub(super) fn read_logging(section: &mut Section<'_, '_>, own: &ReservedPaths) -> LoggingSettings {
    let LoggingSection { level, format, to } =
        LoggingSection::read(section, LoggingSection::default());
    to.check(section, own, "/var/log/pingora-proxy/proxy.log");
    LoggingSettings { level, format, output: to.log_output() }
}

/// Reads the section; `other` is where the other log goes.
pub(super) fn read_access_log(
    section: &mut Section<'_, '_>,
    own: &ReservedPaths,
    other: &LogOutput,
) -> AccessLogSettings {
    let AccessLogSection { enabled, format, sample, query, to } =
        AccessLogSection::read(section, AccessLogSection::default());
    to.check(section, own, "/var/log/pingora-proxy/access.log");
    let output = to.log_output();
    if let (LogOutput::File(own), LogOutput::File(other)) = (&output, other)
        && own.path == other.path
    {
        section.problem("file_path", "`logging.file_path` is the same; choose another file");
    }
    AccessLogSettings { enabled, format, output, sample, query }
}

fn rules() -> Json {
    json!({
        "if": { "properties": { "output": { "const": "file" } }, "required": ["output"] },
        "then": { "required": ["file_path"] },
    })
}
