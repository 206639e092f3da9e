//! Shows the progress of a long operation: one changing line on a terminal, a line for each phase
//! elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::time::timestamp;
use crate::clock::now_ms;

/// The interval of lines of a fast count.
pub(super) const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// The interval at which the line's clock is updated.
const REDRAW_INTERVAL: Duration = Duration::from_millis(250);

/// Shows phases in one of the two ways.
#[derive(Debug)]
pub(super) enum Progress {
    /// On a terminal.
    Line(Option<ProgressBar>),
    /// Anywhere else, such as the log of a deploy.
    Lines(Option<LastLine>),
}

/// The last line that was printed.
#[derive(Debug)]
pub(super) struct LastLine {
    phase: String,
    text: String,
    at: Instant,
}

impl Progress {
    /// For a terminal or not.
    pub(super) fn new(terminal: bool) -> Self {
        if terminal { Self::Line(None) } else { Self::Lines(None) }
    }

    /// Shows the progress of a phase, at most once in `pause`. Returns the line to print, if any.
    pub(super) fn under_way(&mut self, phase: &str, text: &str, pause: Duration) -> Option<String> {
        let line = line(phase, text);
        match self {
            Self::Line(bar) => {
                bar.get_or_insert_with(bar_on_stderr).set_message(line);
                None
            }
            Self::Lines(last) => {
                let of_this = last.as_ref().filter(|last_line| last_line.phase == phase);
                if of_this.is_some_and(|last_line| {
                    last_line.text == text || last_line.at.elapsed() < pause
                }) {
                    return None;
                }
                let (phase, text) = (phase.to_owned(), text.to_owned());
                *last = Some(LastLine { phase, text, at: Instant::now() });
                Some(stamped(&line))
            }
        }
    }

    /// The line to print for a phase that was reached.
    pub(super) fn reached(&mut self, phase: &str, text: &str) -> String {
        let line = line(phase, text);
        match self {
            Self::Line(_) => line,
            Self::Lines(_) => stamped(&line),
        }
    }

    /// Runs `print` with the line hidden.
    pub(super) fn around(&self, print: impl FnOnce()) {
        match self {
            Self::Line(Some(bar)) => bar.suspend(print),
            Self::Line(None) | Self::Lines(_) => print(),
        }
    }

    /// Removes the line.
    pub(super) fn end(&mut self) {
        if let Self::Line(bar) = self
            && let Some(bar) = bar.take()
        {
            bar.finish_and_clear();
        }
    }
}

fn line(phase: &str, text: &str) -> String {
    format!("{phase:<9} {text}")
}

fn stamped(line: &str) -> String {
    format!("{} {line}", timestamp(now_ms()))
}

fn bar_on_stderr() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{wide_msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(REDRAW_INTERVAL);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_a_terminal_each_line_says_when_and_a_count_is_told_at_most_every_second() {
        let mut progress = Progress::new(false);
        let first = progress
            .under_way("draining", "300 requests left", COUNT_INTERVAL)
            .expect("last_line at once");
        assert!(first.ends_with("Z draining  300 requests left"), "{first}");
        assert_eq!(progress.under_way("draining", "299 requests left", COUNT_INTERVAL), None);
        assert!(
            progress.under_way("checking", "1 of 2", Duration::ZERO).is_some(),
            "another phase"
        );
        assert_eq!(progress.under_way("checking", "1 of 2", Duration::ZERO), None, "nothing new");
        assert!(progress.under_way("checking", "2 of 2", Duration::ZERO).is_some());
        assert!(progress.reached("done", "x").ends_with("Z done      x"));
    }
}
