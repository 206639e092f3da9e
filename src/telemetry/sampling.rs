//! Samples lines that strangers can cause any number of: a few of each kind are written, the rest
//! is counted and summarised every few seconds.
//!
//! These are the lines with a `reason`: about refused requests, connections and names. Lines with
//! the same message and reason are of one kind. Metrics count all of them.

use std::collections::HashMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The interval of summaries.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// The most lines of one kind in a window.
const MAX_LINES: u64 = 50;

/// The most kinds in a window; the others are counted as one.
const MAX_KINDS: usize = 256;

/// Reasons are short words of ours; longer ones are compared by this many bytes.
const MAX_REASON_BYTES: usize = 64;

/// Decides which lines are written. Clones share the state.
#[derive(Debug, Clone, Default)]
pub(super) struct Sampling(Arc<Mutex<Window>>);

/// The lines since the last summary.
#[derive(Debug)]
struct Window {
    began: Instant,
    kinds: HashMap<Identifier, HashMap<String, Kind>>,
    count: usize,
    /// Suppressed lines of earlier windows that were not logged yet.
    left_out: Vec<SuppressedLines>,
}

#[derive(Debug)]
struct Kind {
    level: Level,
    message: String,
    lines: u64,
}

/// Suppressed lines of one kind.
#[derive(Debug, PartialEq, Eq)]
struct SuppressedLines {
    level: Level,
    message: String,
    reason: String,
    suppressed: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { began: Instant::now(), kinds: HashMap::new(), count: 0, left_out: Vec::new() }
    }
}

impl Sampling {
    /// Logs how many lines were suppressed since the last call.
    pub(super) fn log_suppressed(&self) {
        // Not under the lock: these are lines, too.
        for SuppressedLines { level, message, reason, suppressed } in self.0.lock().take() {
            if level == Level::WARN {
                tracing::warn!(of = message, reason, suppressed, "further lines are suppressed");
            } else {
                tracing::info!(of = message, reason, suppressed, "further lines are suppressed");
            }
        }
    }
}

impl Window {
    /// Counts a line, and returns whether to write it.
    fn admit(&mut self, metadata: &Metadata<'_>, line: Line, now: Instant) -> bool {
        if now.duration_since(self.began) >= WINDOW {
            self.roll(now);
        }
        let Line { message, mut reason } = line;
        let kinds = self.kinds.entry(metadata.callsite()).or_default();
        if !kinds.contains_key(&reason) {
            if self.count >= MAX_KINDS {
                "others".clone_into(&mut reason);
            }
            self.count += 1;
        }
        let kind = kinds.entry(reason);
        let kind = kind.or_insert_with(|| Kind { level: *metadata.level(), message, lines: 0 });
        kind.lines += 1;
        kind.lines <= MAX_LINES
    }

    fn roll(&mut self, now: Instant) {
        self.began = now;
        self.count = 0;
        for (reason, kind) in std::mem::take(&mut self.kinds).into_values().flatten() {
            let Some(suppressed) = kind.lines.checked_sub(MAX_LINES).filter(|more| *more > 0)
            else {
                continue;
            };
            let Kind { level, message, .. } = kind;
            let same = |of: &&mut SuppressedLines| of.message == message && of.reason == reason;
            if let Some(before) = self.left_out.iter_mut().find(same) {
                before.suppressed += suppressed;
            } else if self.left_out.len() <= MAX_KINDS {
                self.left_out.push(SuppressedLines { level, message, reason, suppressed });
            }
        }
    }

    fn take(&mut self) -> Vec<SuppressedLines> {
        self.roll(Instant::now());
        std::mem::take(&mut self.left_out)
    }
}

impl<S: Subscriber> Layer<S> for Sampling {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let fields = metadata.fields();
        let is_sampled = matches!(*metadata.level(), Level::INFO | Level::WARN)
            && fields.field("reason").is_some()
            // A summary has a reason too.
            && fields.field("suppressed").is_none()
            // The reason of an operator's command: no stranger causes those.
            && fields.field("event").is_none();
        if !is_sampled {
            return true;
        }
        let mut line = Line::default();
        event.record(&mut line);
        self.0.lock().admit(metadata, line, Instant::now())
    }
}

/// The fields that make the kind of a line.
#[derive(Debug, Default)]
struct Line {
    message: String,
    reason: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = match field.name() {
            "message" => &mut self.message,
            "reason" => &mut self.reason,
            _ => return,
        };
        // Writing to a String never fails.
        let _ = write!(text, "{value:?}");
        if text.len() > MAX_REASON_BYTES {
            text.truncate(text.floor_char_boundary(MAX_REASON_BYTES));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn lines_of_one_reason_are_sampled_and_the_rest_is_summed_up() {
        let (sampling, lines) = (Sampling::default(), Lines::default());
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone()).with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(sampling.clone()).with(layer);
        let refused = |reason: &str| tracing::info!(%reason, n = 1, "request refused");
        tracing::subscriber::with_default(subscriber, || {
            (0..1000).for_each(|_| refused("flood"));
            refused("rare");
            for _ in 0..70 {
                tracing::warn!(reason = "flood", "request failed");
                tracing::info!(event = "switched", reason = "release", "state changed");
            }
            sampling.log_suppressed();
            refused("flood");
            sampling.log_suppressed();
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        assert_eq!(count("request refused reason=flood"), 51);
        assert_eq!((count("reason=rare"), count("state changed")), (1, 70));
        assert_eq!(count("of=\"request refused\" reason=\"flood\" suppressed=950"), 1);
        assert_eq!(count("of=\"request failed\" reason=\"flood\" suppressed=20"), 1);
        assert_eq!(count("suppressed="), 2, "{text}");
    }

    #[test]
    fn made_up_reasons_do_not_take_memory_without_end() {
        let (sampling, lines) = (Sampling::default(), Lines::default());
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone()).with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(sampling.clone()).with(layer);
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..10_000 {
                tracing::info!(reason = format!("{n}-{}", "x".repeat(500)), "refused");
            }
        });
        let mut window = sampling.0.lock();
        let kinds = window.kinds.values().flat_map(HashMap::iter);
        let (count, bytes) =
            kinds.fold((0, 0), |(n, bytes), (reason, _)| (n + 1, bytes + reason.len()));
        assert!(count <= MAX_KINDS + 1 && bytes <= count * MAX_REASON_BYTES, "{count}, {bytes}");
        let left_out = window.take();
        assert_eq!(left_out.iter().map(|of| of.suppressed).sum::<u64>(), 10_000 - 256 - 50);
    }
}
