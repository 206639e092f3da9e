//! `[logging]` and `[access_log]`.

use serde_json::{Value as Json, json};

use crate::config::kind::{Bytes, Choice, File, List, LogField, Share, Whole};
use crate::config::reader::Section;
use crate::config::table::{RESTART, settings};
use crate::model::{
    AccessFormat, LogFileSettings, LogFormat, LogLevel, LogOutput, LoggingSettings, Rotation,
    worded,
};
use crate::reserved_paths::ReservedPaths;
use crate::telemetry::{AccessField, AccessLogSettings};

settings! {
    /// The log: level, format and output.
    "logging" => pub(super) LoggingSection, rules: rules();

    /// The least severe level that is logged.
    level: Choice<LogLevel>;
    /// `json` is one object a line, `text` is easier to read.
    format: Choice<LogFormat>, example: "text", restart: RESTART;
    ..to: LogTo, file_path: "/var/log/pingora-proxy/proxy.log", restart: RESTART;
}

settings! {
    /// The access log: a line for each request. A reload changes all of it.
    "access_log" => pub(super) AccessLogSection, rules: access_log_rules();

    /// Whether it is on. If not, refused and failed requests are in the log of `[logging]`.
    enabled: bool;
    /// `json` is one object a line, `text` is easier to read, `common` and `combined` are the
    /// formats of other web servers.
    format: Choice<AccessFormat>;
    /// What a line has, in this order, with `json` and `text`: the fields of docs/logs.md, and headers
    /// as `request.header.NAME` and `response.header.NAME`. Without it, lines are as shown there.
    fields: Option<List<LogField, true>>, example: ["time", "client_ip", "method", "path", "status"];
    /// The share of requests that are logged. Requests that failed or were answered with a 5xx are
    /// always logged.
    sample: Share = 1.0;
    /// Whether to log the query, and with `combined` that of the referer. It may contain secrets.
    query: bool;
    ..to: LogTo, file_path: "/var/log/pingora-proxy/access.log";
}

settings! {
    /// Where a log goes.
    "" => pub(super) LogTo;

    /// `console` is standard error for the log, and standard output for the access log. `file` appends
    /// to `file_path`, which is then required.
    output: Choice<Output>;
    /// The log's file; the two logs need different ones. SIGUSR1 reopens it after it was moved,
    /// as logrotate does.
    file_path: Option<File>;
    /// When to rename the file to `file_path` with `.1` appended, and start a new one: `never`,
    /// `daily` (at midnight UTC), or by `size`.
    rotation: Choice<RotationWord>;
    /// The size at which it is rotated with `rotation = "size"`, in MiB.
    max_size_mb: Bytes<u64, 1, 1_000_000, 1_048_576> = 100;
    /// How many rotated files are kept; `.1` is the newest.
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
    let AccessLogSection { enabled, format, fields, sample, query, to } =
        AccessLogSection::read(section, AccessLogSection::default());
    if let Some(fields) = &fields {
        check_fields(section, fields, format, query);
    }
    to.check(section, own, "/var/log/pingora-proxy/access.log");
    let output = to.log_output();
    if let (LogOutput::File(own), LogOutput::File(other)) = (&output, other)
        && own.path == other.path
    {
        section.problem("file_path", "`logging.file_path` is the same; choose another file");
    }
    AccessLogSettings { enabled, format, fields, output, sample, query }
}

/// Says what is wrong with a choice of fields beside what each is.
fn check_fields(
    section: &Section<'_, '_>,
    fields: &[AccessField],
    format: AccessFormat,
    query: bool,
) {
    if matches!(format, AccessFormat::Common | AccessFormat::Combined) {
        let message = format!(
            "`format = \"{format}\"` has fields of its own; leave this out, or use `json` or `text`"
        );
        section.problem("fields", message);
    }
    let is_query = |field: &AccessField| field.to_string() == "query";
    if let Some(index) = fields.iter().position(is_query).filter(|_| !query) {
        let message = "queries are not logged; add `query = true`, or leave this out";
        section.element_problem("fields", index, message);
    }
    let of_headers = fields.iter().filter(|field| field.is_of_header()).count();
    if of_headers > AccessField::MAX_HEADERS {
        let most = AccessField::MAX_HEADERS;
        section.problem("fields", format!("it has {of_headers} headers; use at most {most}"));
    }
}

fn rules() -> Json {
    json!({
        "if": { "properties": { "output": { "const": "file" } }, "required": ["output"] },
        "then": { "required": ["file_path"] },
    })
}

fn access_log_rules() -> Json {
    let words = json!(["common", "combined"]);
    let fields = json!({
        "if": { "properties": { "format": { "enum": words } }, "required": ["format"] },
        "then": { "not": { "required": ["fields"] } },
    });
    let mut rules = rules();
    rules["allOf"] = json!([fields]);
    rules
}
