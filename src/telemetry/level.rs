//! From which level on lines are told, and of whom.

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
pub struct LevelHandle(Arc<ArcSwap<Told>>);

/// What is told now.
#[derive(Debug)]
struct Told {
    level: LogLevel,
    /// What the config says.
    declared: LogLevel,
    targets: Targets,
}

impl LevelHandle {
    /// The level that the config declares.
    pub(super) fn new(declared: LogLevel) -> Self {
        let told = Told { level: declared, declared, targets: targets(declared) };
        Self(Arc::new(ArcSwap::from_pointee(told)))
    }

    /// The level now.
    pub fn level(&self) -> LogLevel {
        self.0.load().level
    }

    /// The level that the config says.
    pub fn declared(&self) -> LogLevel {
        self.0.load().declared
    }

    /// Logs from this level on, until the server ends or the config says another.
    pub fn set(&self, level: LogLevel) {
        self.store(level, self.declared());
    }

    /// Notes what the config says. Only where it says something new is that the level.
    pub fn declare(&self, declared: LogLevel) {
        if declared != self.declared() {
            self.store(declared, declared);
        }
    }

    fn store(&self, level: LogLevel, declared: LogLevel) {
        self.0.store(Arc::new(Told { level, declared, targets: targets(level) }));
        // Each place that logs has noted whether it is heard.
        tracing::callsite::rebuild_interest_cache();
        log::set_max_level(most_of_log());
    }
}

/// Of a server that logs nothing.
impl Default for LevelHandle {
    fn default() -> Self {
        Self::new(LogLevel::Off)
    }
}

/// What is told, by the level of now. Not `tracing_subscriber::reload`, which takes a lock for each
/// line.
impl<S: Subscriber> Layer<S> for LevelHandle {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let told = self.0.load();
        if told.targets.would_enable(metadata.target(), metadata.level()) {
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
    // and listeners that do not come up. The crates that speak the protocols say as much of clients.
    let mut all = all;
    for wire in ["pingora_", "h2", "hyper", "rustls", "tokio_rustls"] {
        all = all.with_target(wire, LevelFilter::OFF);
    }
    all.with_target("pingora_vhost", level)
        .with_target("pingora_core::listeners", quiet)
        .with_target("pingora_core::services", quiet)
}
