//! What is logged, how, and where to.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::worded;

/// `[logging]`: what is logged, how and where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoggingSettings {
    /// From which level on.
    pub level: LogLevel,
    /// For whom.
    pub format: LogFormat,
    /// Where to.
    pub output: LogOutput,
}

worded! {
    /// The least severe level that is logged.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum LogLevel read as "log level" {
        /// Everything.
        Trace "trace",
        /// Each probe and each decision.
        Debug "debug",
        /// Transitions, operator actions and refused requests.
        #[default]
        Info "info",
        /// Degraded, but serving.
        Warn "warn",
        /// Somebody must act.
        Error "error",
        /// Nothing.
        Off "off",
    }
}

worded! {
    /// What a log line looks like.
    #[derive(Default)]
    pub enum LogFormat {
        /// For people.
        Text "text",
        /// One JSON object a line.
        #[default]
        Json "json",
    }
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LogOutput {
    /// The process's own stream: standard error for the log, standard output for the access log.
    #[default]
    Console,
    /// A file.
    File(LogFileSettings),
}

/// A log file, and how it is rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFileSettings {
    /// The file that is written to.
    pub path: PathBuf,
    /// When another one is begun.
    pub rotation: Rotation,
    /// How many of the files before it are kept.
    pub keep: u32,
}

/// When a log file makes room for the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rotation {
    /// Never, unless somebody else does it.
    #[default]
    Never,
    /// With the first line of each day of UTC.
    Daily,
    /// Before it would have more bytes than this.
    Size(u64),
}

worded! {
    /// What a line of the access log looks like.
    #[derive(Default)]
    pub enum AccessFormat {
        /// One JSON object a line.
        #[default]
        Json "json",
        /// For people.
        Text "text",
        /// The Common Log Format, as of Apache.
        Common "common",
        /// The same with referer and user agent.
        Combined "combined",
    }
}
