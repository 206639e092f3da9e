//! Whether there is an access log, and where its lines go.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::headers::LoggedHeader;
use super::layout::LineLayout;
use super::line::AccessLine;
use super::settings::AccessLogSettings;
use crate::model::{AccessLogRule, LogOutput, SampleRate};
use crate::telemetry::TelemetryError;
use crate::telemetry::sink::{Output, Sink};

/// How long the writer gathers lines after the first one. On a busy server it is woken this seldom.
const BATCH_DELAY: Duration = Duration::from_millis(5);

/// The access log, on or off. Clones are of the same.
#[derive(Debug, Clone, Default)]
pub struct AccessLog {
    active: Arc<ArcSwapOption<Active>>,
    dropped: Arc<AtomicU64>,
}

/// An access log that is on.
#[derive(Debug)]
pub struct Active {
    settings: AccessLogSettings,
    layout: LineLayout,
    sink: Arc<Sink>,
}

impl AccessLog {
    /// The access log that the settings say; lines that it drops are counted in `dropped`.
    ///
    /// # Errors
    /// When its file can't be opened.
    pub fn open(
        settings: &AccessLogSettings,
        dropped: &Arc<AtomicU64>,
    ) -> Result<Self, TelemetryError> {
        let log = Self { active: Arc::default(), dropped: Arc::clone(dropped) };
        log.set(settings)?;
        Ok(log)
    }

    /// Goes on as the settings say.
    ///
    /// # Errors
    /// When its file can't be opened; then it goes on as before.
    pub fn set(&self, settings: &AccessLogSettings) -> Result<(), TelemetryError> {
        if !settings.enabled {
            self.active.store(None);
            return Ok(());
        }
        let sink = match &*self.active.load() {
            Some(now) if now.settings.output == settings.output => Arc::clone(&now.sink),
            _ => Arc::new(self.start(&settings.output)?),
        };
        let (settings, layout) = (settings.clone(), LineLayout::of(settings));
        self.active.store(Some(Arc::new(Active { settings, layout, sink })));
        Ok(())
    }

    fn start(&self, output: &LogOutput) -> Result<Sink, TelemetryError> {
        let output = match output {
            LogOutput::Console => Output::Stdout,
            LogOutput::File(file) => Output::open(file, "access_log")?,
        };
        let dropped = Arc::clone(&self.dropped);
        Sink::start("vhost-access-log", output, BATCH_DELAY, dropped)
            .map_err(TelemetryError::Thread)
    }

    /// The log that requests are written to, where there is one.
    pub fn active(&self) -> arc_swap::Guard<Option<Arc<Active>>> {
        self.active.load()
    }

    /// Opens its file again, which somebody has moved.
    pub fn reopen(&self) {
        if let Some(active) = &*self.active.load() {
            active.sink.reopen();
        }
    }

    /// Ends it, once what waits is written or it has been long enough.
    pub fn close(&self) {
        if let Some(active) = self.active.swap(None) {
            active.sink.close();
        }
    }
}

impl Active {
    /// Whether a request that ended with this status gets a line, where `rule` is what its domain says.
    pub fn takes(&self, rule: AccessLogRule, status: Option<u16>, failed: bool) -> bool {
        let share = rule.sample.map_or(self.settings.sample, SampleRate::get);
        share >= 1.0
            || failed
            || status.is_none_or(|status| status >= 500)
            || fastrand::f64() < share
    }

    /// Whether queries are logged.
    pub fn logs_queries(&self) -> bool {
        self.settings.query
    }

    /// The headers of requests that lines have.
    pub(crate) fn request_headers(&self) -> &Arc<[LoggedHeader]> {
        &self.layout.of_requests
    }

    /// The headers of answers that lines have.
    pub(crate) fn response_headers(&self) -> &Arc<[LoggedHeader]> {
        &self.layout.of_answers
    }

    /// Logs a request.
    pub fn write(&self, line: &AccessLine<'_>) {
        self.sink.send(self.layout.written(line));
    }
}

#[cfg(test)]
mod tests;
