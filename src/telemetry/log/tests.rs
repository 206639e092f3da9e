use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tracing::{debug, error, info, warn};

use super::*;
use crate::model::LogLevel;
use crate::model::{LogFileSettings, Rotation};

/// The end of this file.
fn file(path: impl Into<std::path::PathBuf>) -> LogOutput {
    LogOutput::File(LogFileSettings { path: path.into(), rotation: Rotation::Never, keep: 1 })
}

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
    let subscriber =
        subscriber(&settings, (level, Sampling::default()), move || writer.clone(), false);
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
    warn!(target: "h2::proto::streams", "client resets too much");
    warn!(target: "rustls::server", "client sent an alert");
    warn!(target: "sqlite", "others at warn");
    info!(target: "sqlite", "others at info");
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
        ("client resets too much", false),
        ("client sent an alert", false),
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
fn whole_heads_of_requests_are_not_told_at_any_level() {
    let log = || {
        debug!(target: "pingora_proxy::proxy_h1", "Sending header to upstream");
        debug!(target: "pingora_proxy::proxy_h2", "Request to h2");
        debug!(target: "pingora_core::protocols::http::v1::client", "Response header");
        tracing::trace!(target: "pingora_proxy", "Request header");
        tracing::trace!(target: "pingora_core::apps::http_app", "a header");
        error!(target: "pingora_proxy::proxy_h1", "what failed");
    };
    for level in [LogLevel::Debug, LogLevel::Trace] {
        let text = logged(level, LogFormat::Text, log);
        assert!(text.contains("what failed") && text.lines().count() == 1, "{text}");
    }
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
    assert_eq!(line["target"], "vhost::telemetry::log::tests");
    assert!(line["timestamp"].is_string(), "{text}");
}

#[test]
fn text_that_clients_sent_neither_ends_a_line_nor_colours_it() {
    let text = logged(LogLevel::Info, LogFormat::Text, || {
        let path = "/\u{1b}[31m\n\u{202e}\u{9b}\u{2028}";
        info!(status = 200, path, shown = %path, "request done {path}");
    });
    let shown = r"/\u{1b}[31m\n\u{202e}\u{9b}\u{2028}";
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
        output: file(path.clone()),
    };
    let guard = init(&settings).expect("nobody set up before");
    log::error!(target: "pingora_proxy", "client went away");
    log::error!(target: "pingora_core::services::listening", "Accept() failed {}", 24);
    info!(host = "a\u{202e}\u{9b}b", "ours");
    assert!(matches!(init(&settings), Err(TelemetryError::SetUpBefore)));
    let log = guard.handle();
    drop(guard);
    assert_eq!(log.dropped().log.load(Ordering::Relaxed), 0);
    let text = std::fs::read_to_string(&path).expect("it is there");
    assert!(text.starts_with("from before\n"), "{text}");
    assert!(text.contains("Accept() failed 24") && text.contains("ours"), "{text}");
    assert!(text.contains("pingora_core::services::listening"), "{text}");
    assert!(!text.contains("client went away"), "{text}");
    assert!(text.contains(r#""host":"a\u202e\u009bb""#), "{text}");
}

#[test]
fn a_log_file_that_cannot_be_opened_says_which_and_what_to_do() {
    let output = file("/no/such/directory/proxy.log");
    let error = init(&LoggingSettings { output, ..LoggingSettings::default() }).expect_err("no");
    assert!(error.to_string().contains("/no/such/directory/proxy.log"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("create its directory")));
}

#[test]
fn a_level_that_was_set_holds_until_the_config_says_another() {
    let level = LevelHandle::new(LogLevel::Info);
    level.set(LogLevel::Debug);
    assert_eq!((level.level(), level.declared()), (LogLevel::Debug, LogLevel::Info));
    level.declare(LogLevel::Info);
    assert_eq!(level.level(), LogLevel::Debug, "the config says what it said before");
    level.declare(LogLevel::Warn);
    assert_eq!((level.level(), level.declared()), (LogLevel::Warn, LogLevel::Warn));
}
