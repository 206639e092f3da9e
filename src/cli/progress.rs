//! How a long operation shows how far it is: one line that changes on a terminal, a line for each
//! phase elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::time::timestamp;
use crate::clock::now_ms;

/// Between two lines of a count that goes down by thousands.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two looks at the clock that the line shows.
const TICK: Duration = Duration::from_millis(250);

/// Shows phases, in one of the two ways.
#[derive(Debug)]
pub(super) enum Progress {
    /// On a terminal.
    Line(Option<ProgressBar>),
    /// Anywhere else, such as the log of a deploy.
    Lines(Option<Told>),
}

/// The last line that was printed.
#[derive(Debug)]
pub(super) struct Told {
    phase: String,
    text: String,
    at: Instant,
}

impl Progress {
    /// For a terminal or not.
    pub(super) fn new(terminal: bool) -> Self {
        if terminal { Self::Line(None) } else { Self::Lines(None) }
    }

    /// Shows how far a phase is. Answers with what is to be printed for it, a line for good.
    pub(super) fn passing(&mut self, phase: &str, text: &str) -> Option<String> {
        self.shown(phase, text, Duration::ZERO)
    }

    /// The same for a count that may change by thousands in no time.
    pub(super) fn counting(&mut self, phase: &str, text: &str) -> Option<String> {
        self.shown(phase, text, PAUSE)
    }

    fn shown(&mut self, phase: &str, text: &str, pause: Duration) -> Option<String> {
        let line = line(phase, text);
        match self {
            Self::Line(bar) => {
                bar.get_or_insert_with(bar_on_stderr).set_message(line);
                None
            }
            Self::Lines(last) => {
                let of_this = last.as_ref().filter(|told| told.phase == phase);
                if of_this.is_some_and(|told| told.text == text || told.at.elapsed() < pause) {
                    return None;
                }
                let (phase, text) = (phase.to_owned(), text.to_owned());
                *last = Some(Told { phase, text, at: Instant::now() });
                Some(stamped(&line))
            }
        }
    }

    /// What is to be printed of a phase that has been reached.
    pub(super) fn reached(&mut self, phase: &str, text: &str) -> String {
        let line = line(phase, text);
        match self {
            Self::Line(_) => line,
            Self::Lines(_) => stamped(&line),
        }
    }

    /// Lets `print` print, with the line out of its way.
    pub(super) fn around(&self, print: impl FnOnce()) {
        match self {
            Self::Line(Some(bar)) => bar.suspend(print),
            Self::Line(None) | Self::Lines(_) => print(),
        }
    }

    /// Takes the line away.
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
    bar.enable_steady_tick(TICK);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_a_terminal_each_line_says_when_and_a_count_is_told_at_most_every_second() {
        let mut progress = Progress::new(false);
        let first = progress.counting("draining", "300 requests left").expect("told at once");
        assert!(first.ends_with("Z draining  300 requests left"), "{first}");
        assert_eq!(progress.counting("draining", "299 requests left"), None);
        assert!(progress.passing("checking", "1 of 2").is_some(), "another phase");
        assert_eq!(progress.passing("checking", "1 of 2"), None, "nothing new");
        assert!(progress.passing("checking", "2 of 2").is_some());
        assert!(progress.reached("done", "x").ends_with("Z done      x"));
    }
}
