//! The sections `[logging]` and `[access_log]`.

use std::path::Path;

use super::reader::Section;
use super::value::{boolean, choice, integer, path, share};
use crate::model::LogLevel;
use crate::model::{
    AccessFormat, AccessLogSettings, LogFileSettings, LogFormat, LogOutput, LoggingSettings,
    Rotation,
};
use crate::reserved_paths::ReservedPaths;

/// How large a file becomes, and how many are kept, where nobody says.
const MAX_SIZE_MB: u32 = 100;
const KEEP_FILES: u32 = 7;

pub(super) fn read_logging(
    section: &mut Section<'_, '_>,
    base: &Path,
    own: &ReservedPaths,
) -> LoggingSettings {
    let levels = LogLevel::ALL.map(|level| (level.as_str(), level));
    let formats = LogFormat::ALL.map(|format| (format.as_str(), format));
    LoggingSettings {
        output: read_output(section, base, own, "/var/log/pingora-proxy/proxy.log"),
        level: section.or("level", LogLevel::default(), choice(&levels)),
        format: section.or("format", LogFormat::default(), choice(&formats)),
    }
}

/// Reads the section; `other` is where the other log goes.
pub(super) fn read_access_log(
    section: &mut Section<'_, '_>,
    base: &Path,
    own: &ReservedPaths,
    other: &LogOutput,
) -> AccessLogSettings {
    let formats = AccessFormat::ALL.map(|format| (format.as_str(), format));
    let d = AccessLogSettings::default();
    let settings = AccessLogSettings {
        enabled: section.or("enabled", d.enabled, boolean),
        format: section.or("format", d.format, choice(&formats)),
        output: read_output(section, base, own, "/var/log/pingora-proxy/access.log"),
        sample: section.or("sample", d.sample, share),
        query: section.or("query", d.query, boolean),
    };
    if let (LogOutput::File(own), LogOutput::File(other)) = (&settings.output, other)
        && own.path == other.path
    {
        section.problem("file_path", "`logging.file_path` is the same; choose another file");
    }
    settings
}

/// Where a log goes; `example` is a file. It can't be one of the server's `own`, which lines would destroy.
fn read_output(
    section: &mut Section<'_, '_>,
    base: &Path,
    own: &ReservedPaths,
    example: &str,
) -> LogOutput {
    let outputs = ["console", "file"];
    let rotations = ["never", "daily", "size"];
    let output = section.or("output", outputs[0], choice(&outputs.map(|output| (output, output))));
    let to_file = output == "file";
    let file_path = section.optional("file_path", path(base));
    if to_file && !section.has("file_path") {
        let message =
            format!("missing, and `output = \"file\"` needs it; add `file_path = \"{example}\"`");
        section.problem("file_path", message);
    }
    if to_file && file_path.as_ref().is_some_and(|path| own.holds(path)) {
        let message = format!(
            "this is in a place of the server's own, which the log would destroy; choose a file \
             elsewhere, such as `{example}`"
        );
        section.problem("file_path", message);
    }
    let rotation =
        section.or("rotation", rotations[0], choice(&rotations.map(|word| (word, word))));
    let max_size_mb = section.or("max_size_mb", MAX_SIZE_MB, integer(1..=1_000_000));
    let keep = section.or("keep_files", KEEP_FILES, integer(1..=1000));
    let rotation = match rotation {
        "daily" => Rotation::Daily,
        "size" => Rotation::Size(u64::from(max_size_mb) << 20),
        _ => Rotation::Never,
    };
    file_path.filter(|_| to_file).map_or(LogOutput::Console, |path| {
        LogOutput::File(LogFileSettings { path, rotation, keep })
    })
}
