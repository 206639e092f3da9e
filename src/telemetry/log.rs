//! The log of the process.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::TelemetryError;
use super::access_log::AccessLogSettings;
use super::fields::write_field;
use super::level::LevelHandle;
use super::sampling::{self, Sampling};
use super::sink::{Output, Sink};
use crate::atomic_file;
use crate::counters::DroppedLines;
use crate::model::printable_json;
use crate::model::{LogFormat, LogOutput, LoggingSettings};

/// Keeps the log writer alive. When it is dropped, what waits is written; so drop it last.
#[derive(Debug)]
#[must_use = "log lines are lost when the guard is dropped"]
pub struct TelemetryGuard {
    logs: LogHandle,
}

/// The log of this process. Clones are of the same.
#[derive(Debug, Clone)]
pub struct LogHandle {
    sink: Arc<Sink>,
    level: LevelHandle,
    sampling: Sampling,
    dropped: DroppedLines,
}

impl TelemetryGuard {
    pub fn handle(&self) -> LogHandle {
        self.logs.clone()
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        self.logs.sampling.log_suppressed();
        self.logs.sink.close();
    }
}

impl LogHandle {
    pub fn level(&self) -> &LevelHandle {
        &self.level
    }

    /// Lines that were dropped because an output was too slow.
    pub fn dropped(&self) -> &DroppedLines {
        &self.dropped
    }

    /// Logs every few seconds how many lines were left out of those that strangers cause.
    pub async fn log_suppressed(self) {
        loop {
            tokio::time::sleep(sampling::WINDOW).await;
            self.sampling.log_suppressed();
        }
    }

    /// Opens the log file again, which somebody has moved.
    pub fn reopen(&self) {
        self.sink.reopen();
    }
}

/// Sends this process's log lines, those of the `log` crate included, where the settings say.
///
/// # Errors
/// When the log file cannot be opened, or when it is called twice.
pub fn init(settings: &LoggingSettings) -> Result<TelemetryGuard, TelemetryError> {
    let dropped = DroppedLines::default();
    let sink = open(settings, Arc::clone(&dropped.log))?;
    let colour = settings.output == LogOutput::Console && wants_colour();
    let sink = Arc::new(sink);
    let level = LevelHandle::new(settings.level);
    let sampling = Sampling::default();
    let filters = (level.clone(), sampling.clone());
    subscriber(settings, filters, line_writer(settings.format, &sink), colour)
        .try_init()
        .map_err(|_| TelemetryError::SetUpBefore)?;
    Ok(TelemetryGuard { logs: LogHandle { sink, level, sampling, dropped } })
}

/// Whether the files of both logs could be opened. Changes nothing.
///
/// # Errors
/// As when they are opened, each with the key that names it.
pub fn check_files(
    logging: &LoggingSettings,
    access_log: &AccessLogSettings,
) -> Vec<(&'static str, TelemetryError)> {
    let access_log = access_log.enabled.then_some(&access_log.output);
    [
        ("logging", "logging.file_path", Some(&logging.output)),
        ("access_log", "access_log.file_path", access_log),
    ]
    .into_iter()
    .filter_map(|(section, key, output)| {
        let Some(LogOutput::File(file)) = output else { return None };
        let (source, path) = (atomic_file::check_file(&file.path).err()?, file.path.clone());
        Some((key, TelemetryError::OpenFile { section, path, source }))
    })
    .collect()
}

fn open(settings: &LoggingSettings, dropped: Arc<AtomicU64>) -> Result<Sink, TelemetryError> {
    let output = match &settings.output {
        LogOutput::Console => Output::Stderr,
        LogOutput::File(file) => Output::open(file, "logging")?,
    };
    Sink::start("vhost-log", output, Duration::ZERO, dropped).map_err(TelemetryError::Thread)
}

/// Puts each line of the log into the queue.
struct LineWriter {
    sink: Arc<Sink>,
    format: LogFormat,
}

fn line_writer(format: LogFormat, sink: &Arc<Sink>) -> LineWriter {
    LineWriter { sink: Arc::clone(sink), format }
}

impl<'w> MakeWriter<'w> for LineWriter {
    type Writer = &'w Self;

    fn make_writer(&'w self) -> &'w Self {
        self
    }
}

/// Each call is a whole line: the layer writes no other.
impl Write for &LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.sink.send(match self.format {
            // What is in its texts may come from strangers, and the line be read on a terminal.
            LogFormat::Json => match printable_json(&String::from_utf8_lossy(line)) {
                Cow::Borrowed(_) => line.to_vec(),
                Cow::Owned(escaped) => escaped.into_bytes(),
            },
            LogFormat::Text => line.to_vec(),
        });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As <https://no-color.org> says: any text in the variable turns colour off.
fn wants_colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn subscriber<W>(
    settings: &LoggingSettings,
    (level, sampling): (LevelHandle, Sampling),
    writer: W,
    colour: bool,
) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer).with_ansi(colour);
    let lines = match settings.format {
        LogFormat::Text => lines.fmt_fields(debug_fn(write_field).delimited(" ")).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(level).with(sampling).with(lines)
}

#[cfg(test)]
mod tests;
