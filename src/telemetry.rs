//! Log lines: which are written, how they look and where they go. Metrics are elsewhere.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogLevel, LogOutput, LoggingSettings};

/// Lines that wait for a slow disk or terminal; above that they are dropped and counted, because a
/// request never waits for a log.
const LINES_WAITING: usize = 32 * 1024;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log file could not be opened.
    #[error("cannot open the log file `{}`", path.display())]
    OpenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// This process logs already.
    #[error("logging was set up before in this process")]
    SetUpBefore,
}

impl TelemetryError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::OpenFile { source, .. } => Some(match source.kind() {
                io::ErrorKind::NotFound => {
                    "create its directory, or set `logging.output = \"console\"`"
                }
                io::ErrorKind::PermissionDenied => {
                    "let the user that runs vhost write there, or set `logging.output = \"console\"`"
                }
                _ => "change `logging.file_path`, or set `logging.output = \"console\"`",
            }),
            Self::SetUpBefore => None,
        }
    }
}

/// Keeps the log writer alive. When it is dropped, what waits is written; so drop it last.
#[derive(Debug)]
#[must_use = "log lines are lost when the guard is dropped"]
pub struct TelemetryGuard {
    _worker: WorkerGuard,
    dropped: ErrorCounter,
    level: LevelHandle,
}

impl TelemetryGuard {
    /// Lines that were dropped because the output was too slow.
    pub fn dropped_lines(&self) -> usize {
        self.dropped.dropped_lines()
    }

    /// A handle that changes the level.
    pub fn level(&self) -> LevelHandle {
        self.level.clone()
    }
}

/// Changes the level of a process that logs. Clones change the same.
#[derive(Debug, Clone, Default)]
pub struct LevelHandle(Arc<ArcSwap<Targets>>);

impl LevelHandle {
    fn new(level: LogLevel) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(targets(level))))
    }

    /// Logs from this level on.
    pub fn set(&self, level: LogLevel) {
        self.0.store(Arc::new(targets(level)));
        // Each place that logs has noted whether it is heard.
        tracing::callsite::rebuild_interest_cache();
        log::set_max_level(most_of_log());
    }
}

/// What is told, by the level of now. Not `tracing_subscriber::reload`, which takes a lock for each
/// line.
impl<S: Subscriber> Layer<S> for LevelHandle {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let targets = self.0.load();
        if targets.would_enable(metadata.target(), metadata.level()) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.0.load().would_enable(metadata.target(), metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        <Targets as Layer<S>>::max_level_hint(&self.0.load())
    }
}

/// The most that the `log` crate's users need to tell.
fn most_of_log() -> log::LevelFilter {
    match LevelFilter::current().into_level() {
        None => log::LevelFilter::Off,
        Some(Level::ERROR) => log::LevelFilter::Error,
        Some(Level::WARN) => log::LevelFilter::Warn,
        Some(Level::INFO) => log::LevelFilter::Info,
        Some(Level::DEBUG) => log::LevelFilter::Debug,
        Some(Level::TRACE) => log::LevelFilter::Trace,
    }
}

/// Sends this process's log lines, those of the `log` crate included, where the settings say.
///
/// # Errors
/// When the log file cannot be opened, or when it is called twice.
pub fn init(settings: &LoggingSettings) -> Result<TelemetryGuard, TelemetryError> {
    let (sink, colour): (Box<dyn Write + Send>, bool) = match &settings.output {
        LogOutput::Console => (Box::new(io::stderr()), wants_colour()),
        LogOutput::File(path) => (Box::new(open(path)?), false),
    };
    let (writer, worker) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING)
        .lossy(true)
        .thread_name("vhost-log")
        .finish(sink);
    let dropped = writer.error_counter();
    let level = LevelHandle::new(settings.level);
    subscriber(settings, level.clone(), writer, colour)
        .try_init()
        .map_err(|_| TelemetryError::SetUpBefore)?;
    Ok(TelemetryGuard { _worker: worker, dropped, level })
}

/// Appends, so that several processes and a rotation by copy and truncate do no harm.
fn open(path: &Path) -> Result<std::fs::File, TelemetryError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
        .map_err(|source| TelemetryError::OpenFile { path: path.to_owned(), source })
}

/// As <https://no-color.org> says: any text in the variable turns colour off.
fn wants_colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn subscriber<W>(
    settings: &LoggingSettings,
    level: LevelHandle,
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
    tracing_subscriber::registry().with(level).with(lines)
}

/// Writes a field as text. What clients sent may be in it, so nothing in it ends the line or moves a
/// terminal's cursor.
fn write_field(
    writer: &mut Writer<'_>,
    field: &Field,
    value: &dyn std::fmt::Debug,
) -> std::fmt::Result {
    match field.name() {
        "message" => {}
        // What the `log` crate knows of a record's place; the line has its target already.
        name if name.starts_with("log.") => return Ok(()),
        name => write!(writer, "{}=", name.trim_start_matches("r#"))?,
    }
    write!(Escaped(writer), "{value:?}")
}

/// Passes text on with its control characters escaped.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl std::fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            match part.char_indices().next_back() {
                Some((end, last)) if last.is_control() => {
                    self.0.write_str(&part[..end])?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// Our own lines from the configured level on; of the crates below only what a person must know.
fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Off => LevelFilter::OFF,
    };
    let quiet = level.min(LevelFilter::WARN);
    let all = Targets::new().with_default(quiet).with_target("pingora_vhost", level);
    if level >= LevelFilter::DEBUG {
        return all.with_target("pingora_core", level).with_target("pingora_proxy", level);
    }
    // Pingora logs an error for every client that goes away in the middle (#321, #383 there), and
    // vhost logs each failed request itself. What concerns no single client stays: failed accepts,
    // and listeners that do not come up.
    all.with_target("pingora_core", LevelFilter::OFF)
        .with_target("pingora_proxy", LevelFilter::OFF)
        .with_target("pingora_core::listeners", quiet)
        .with_target("pingora_core::services", quiet)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{debug, error, info, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no test panics with it").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LogLevel, format: LogFormat, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let settings = LoggingSettings { level, format, output: LogOutput::Console };
        let writer = lines.clone();
        let level = LevelHandle::new(level);
        let subscriber = subscriber(&settings, level, move || writer.clone(), false);
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(lines.0.lock().unwrap().clone()).expect("UTF-8")
    }

    /// One line from each kind of source, by a word that is in it.
    fn one_of_each() {
        info!("ours at info");
        debug!("ours at debug");
        error!(target: "pingora_proxy", "client went away");
        error!(target: "pingora_core::apps", "client sent rubbish");
        error!(target: "pingora_core::services::listening", "Accept() failed");
        info!(target: "pingora_core::services::listening", "service starts");
        warn!(target: "hyper", "others at warn");
        info!(target: "hyper", "others at info");
    }

    #[test]
    fn clients_that_go_away_are_not_told_but_failed_accepts_are() {
        let text = logged(LogLevel::Info, LogFormat::Text, one_of_each);
        for (word, told) in [
            ("ours at info", true),
            ("ours at debug", false),
            ("client went away", false),
            ("client sent rubbish", false),
            ("Accept() failed", true),
            ("service starts", false),
            ("others at warn", true),
            ("others at info", false),
        ] {
            assert_eq!(text.contains(word), told, "{word} in\n{text}");
        }
    }

    #[test]
    fn debug_shows_what_pingora_says_and_off_shows_nothing() {
        let text = logged(LogLevel::Debug, LogFormat::Text, one_of_each);
        for word in ["ours at debug", "client went away", "client sent rubbish"] {
            assert!(text.contains(word), "{word} in\n{text}");
        }
        assert!(!text.contains("others at info"), "{text}");
        assert_eq!(logged(LogLevel::Off, LogFormat::Text, one_of_each), "");
        let text = logged(LogLevel::Error, LogFormat::Text, one_of_each);
        assert!(text.contains("Accept() failed") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn json_is_one_object_a_line_with_the_fields_at_its_top() {
        let text = logged(LogLevel::Info, LogFormat::Json, || {
            info!(domain = "example.com", status = 200, "request done\n\u{1b}[31m");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).expect(&text);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["domain"], "example.com");
        assert_eq!(line["status"], 200);
        assert_eq!(line["target"], "pingora_vhost::telemetry::tests");
        assert!(line["timestamp"].is_string(), "{text}");
    }

    #[test]
    fn text_that_clients_sent_neither_ends_a_line_nor_colours_it() {
        let text = logged(LogLevel::Info, LogFormat::Text, || {
            let path = "/\u{1b}[31m\n";
            info!(status = 200, path, shown = %path, "request done {path}");
        });
        let shown = r"/\u{1b}[31m\n";
        let end = format!("request done {shown} status=200 path=\"{shown}\" shown={shown}\n");
        assert!(text.ends_with(&end), "{text:?}");
        assert_eq!(text.lines().count(), 1, "{text:?}");
    }

    // The one test that sets up this process for good: later calls and other tests only notice that
    // somebody did.
    #[test]
    fn a_file_is_appended_to_with_records_of_the_log_crate_too() {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let path = directory.path().join("proxy.log");
        std::fs::write(&path, "from before\n").expect("it can be written to");
        let settings = LoggingSettings {
            level: LogLevel::Info,
            format: LogFormat::Json,
            output: LogOutput::File(path.clone()),
        };
        let guard = init(&settings).expect("nobody set up before");
        log::error!(target: "pingora_proxy", "client went away");
        log::error!(target: "pingora_core::services::listening", "Accept() failed {}", 24);
        info!("ours");
        assert!(matches!(init(&settings), Err(TelemetryError::SetUpBefore)));
        assert_eq!(guard.dropped_lines(), 0);
        drop(guard);
        let text = std::fs::read_to_string(&path).expect("it is there");
        assert!(text.starts_with("from before\n"), "{text}");
        assert!(text.contains("Accept() failed 24") && text.contains("ours"), "{text}");
        assert!(text.contains("pingora_core::services::listening"), "{text}");
        assert!(!text.contains("client went away"), "{text}");
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_says_which_and_what_to_do() {
        let output = LogOutput::File("/no/such/directory/proxy.log".into());
        let error =
            init(&LoggingSettings { output, ..LoggingSettings::default() }).expect_err("no");
        assert!(error.to_string().contains("/no/such/directory/proxy.log"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("create its directory")));
    }
}
