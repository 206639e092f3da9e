//! The logs of a server: the process's own, and that of its requests.

use crate::config::Config;
use crate::counters::DroppedLines;
use crate::telemetry::{AccessLog, LevelHandle, LogHandle, TelemetryError};

/// The logs of a server. Clones are of the same.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    /// Nothing where the process doesn't log.
    log: Option<LogHandle>,
    access_log: AccessLog,
    dropped: DroppedLines,
}

impl Logs {
    pub(super) fn open(config: &Config, log: Option<LogHandle>) -> Result<Self, TelemetryError> {
        let dropped = log.as_ref().map(|log| log.dropped().clone()).unwrap_or_default();
        let access_log = AccessLog::open(&config.access_log, &dropped.access_log)?;
        Ok(Self { log, access_log, dropped })
    }

    /// Opens the files again, which somebody has moved.
    pub(crate) fn reopen(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
        self.access_log.reopen();
        tracing::info!("log files opened again");
    }

    /// Sums up what is left out of the log, for as long as this is polled.
    pub(super) async fn log_suppressed(self) {
        if let Some(log) = self.log {
            log.log_suppressed().await;
        }
    }

    /// Goes on as the config says.
    pub(super) fn set(&self, config: &Config) {
        self.level().declare(config.logging.level);
        if let Err(error) = self.access_log.set(&config.access_log) {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, hint = error.hint(), "the access log stays as it was");
        }
    }

    pub(super) fn level(&self) -> LevelHandle {
        self.log.as_ref().map(|log| log.level().clone()).unwrap_or_default()
    }

    pub(super) fn access_log(&self) -> AccessLog {
        self.access_log.clone()
    }

    pub(super) fn dropped(&self) -> DroppedLines {
        self.dropped.clone()
    }

    /// Writes what waits to be written of the access log, and ends it.
    pub(super) fn close(&self) {
        self.access_log.close();
    }
}

/// Says what is dangerous in a config or will be missed, and which files can't be used.
pub(super) fn log_doubts(config: &Config) {
    for warning in &config.warnings {
        let (file, line) = (warning.file.display(), warning.line);
        tracing::warn!(%file, line, %warning, "the config has a doubtful value");
    }
    for problem in &config.bad_files {
        let (file, line) = (problem.file.display(), problem.line);
        tracing::warn!(%file, line, %problem, "a file of certificates or keys cannot be used");
    }
}
