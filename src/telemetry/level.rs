//! The level of the log, by target.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};

use crate::model::LogLevel;

/// Changes the level of a process that logs. Clones change the same.
#[derive(Debug, Clone)]
pub struct LevelHandle(Arc<ArcSwap<ActiveLevel>>);

/// The current level.
#[derive(Debug)]
struct ActiveLevel {
    level: LogLevel,
    /// The level in the config.
    declared: LogLevel,
    targets: Targets,
}

impl LevelHandle {
    /// The level that the config declares.
    pub(super) fn new(declared: LogLevel) -> Self {
        let active = ActiveLevel { level: declared, declared, targets: targets(declared) };
        Self(Arc::new(ArcSwap::from_pointee(active)))
    }

    /// The level now.
    pub fn level(&self) -> LogLevel {
        self.0.load().level
    }

    /// The level that the config says.
    pub fn declared(&self) -> LogLevel {
        self.0.load().declared
    }

    /// Logs from this level on, until the server ends or the config has another level.
    pub fn set(&self, level: LogLevel) {
        self.store(level, self.declared());
    }

    /// Notes the config's level, which takes effect only if it has changed.
    pub fn declare(&self, declared: LogLevel) {
        if declared != self.declared() {
            self.store(declared, declared);
        }
    }

    fn store(&self, level: LogLevel, declared: LogLevel) {
        self.0.store(Arc::new(ActiveLevel { level, declared, targets: targets(level) }));
        // Call sites cache whether they are enabled.
        tracing::callsite::rebuild_interest_cache();
        log::set_max_level(max_level_of_log());
    }
}

/// Logs nothing.
impl Default for LevelHandle {
    fn default() -> Self {
        Self::new(LogLevel::Off)
    }
}

/// Filters by the current level. Not `tracing_subscriber::reload`, which takes a lock for each
/// line.
impl<S: Subscriber> Layer<S> for LevelHandle {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let active = self.0.load();
        if active.targets.would_enable(metadata.target(), metadata.level()) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.0.load().targets.would_enable(metadata.target(), metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        <Targets as Layer<S>>::max_level_hint(&self.0.load().targets)
    }
}

/// The maximum level for the `log` crate.
fn max_level_of_log() -> log::LevelFilter {
    match LevelFilter::current().into_level() {
        None => log::LevelFilter::Off,
        Some(Level::ERROR) => log::LevelFilter::Error,
        Some(Level::WARN) => log::LevelFilter::Warn,
        Some(Level::INFO) => log::LevelFilter::Info,
        Some(Level::DEBUG) => log::LevelFilter::Debug,
        Some(Level::TRACE) => log::LevelFilter::Trace,
    }
}

/// Modules of Pingora that log whole heads below info: cookies, `Authorization`, and what
/// `request_headers` adds from the environment. Its other modules do so at trace, which is never
/// enabled for it.
const WITH_HEADS: [&str; 6] = [
    "pingora_core::protocols::http",
    "pingora_proxy::proxy_cache",
    "pingora_proxy::proxy_custom",
    "pingora_proxy::proxy_h1",
    "pingora_proxy::proxy_h2",
    "pingora_proxy::subrequest",
];

/// Our own lines from the configured level on; of dependencies only warnings and errors.
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
    let all = Targets::new().with_default(quiet).with_target("vhost", level);
    if level >= LevelFilter::DEBUG {
        let all = all
            .with_target("pingora_core", LevelFilter::DEBUG)
            .with_target("pingora_proxy", LevelFilter::DEBUG);
        let quiet = WITH_HEADS.map(|target| (target, LevelFilter::INFO));
        return all.with_targets(quiet);
    }
    // Pingora logs an error for every client that disconnects in the middle (#321, #383 there), and
    // vhost logs each failed request itself. Messages that are not about one client stay: failed
    // accepts and listeners. The protocol crates log as much about clients.
    let mut all = all;
    for wire in ["pingora_", "h2", "hyper", "rustls", "tokio_rustls"] {
        all = all.with_target(wire, LevelFilter::OFF);
    }
    all.with_target("vhost", level)
        .with_target("pingora_core::listeners", quiet)
        .with_target("pingora_core::services", quiet)
}
