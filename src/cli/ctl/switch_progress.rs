//! The phases of a switch, one plain line each, as they are reached.

use std::time::{Duration, Instant};

use crate::cli::output::Printer;
use crate::cli::table::{count, join};
use crate::cli::time::span;
use crate::model::{DomainName, SwitchProgress, SwitchStep, Tag};

/// Tells the phases of one switch.
#[derive(Debug)]
pub(super) struct Phases {
    tag: Option<Tag>,
    last_line: String,
    draining: Draining,
}

impl Phases {
    /// For a switch to `tag`, which only the server knows when it is not given.
    pub(super) fn new(tag: Option<Tag>) -> Self {
        Self { tag, last_line: String::new(), draining: Draining::default() }
    }

    /// The tag that was asked for.
    pub(super) fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// Tells how far it is.
    pub(super) fn report(&mut self, printer: &mut Printer<'_>, progress: &SwitchProgress) {
        let tag = self.tag.as_ref();
        let line = match progress {
            SwitchProgress::Checking { healthy, needed, total } => {
                let of = tag.map_or_else(String::new, |tag| format!(" of `{tag}`"));
                let backends = count(*total, "backend");
                let enough =
                    if needed == total { String::new() } else { format!(", {needed} needed") };
                format!("checking  {healthy} of {backends}{of} healthy{enough}")
            }
            SwitchProgress::Switched { steps, revision, switch_us } => {
                let took = span(Duration::from_micros(*switch_us));
                format!("switched  {} at revision {revision} ({took})", moves(steps))
            }
            SwitchProgress::Draining { remaining } => {
                return self.draining.report(printer, *remaining);
            }
        };
        if line != self.last_line {
            printer.note(&line);
            self.last_line = line;
        }
    }
}

/// Tells how far a drain is: at once, then at most every second, so that thousands of requests
/// that end don't become thousands of lines.
#[derive(Debug, Default)]
pub(super) struct Draining {
    last: Option<(usize, Instant)>,
}

impl Draining {
    /// Tells how many requests have not ended.
    pub(super) fn report(&mut self, printer: &mut Printer<'_>, remaining: usize) {
        let news = self.last.is_none_or(|(told, at)| told != remaining && at.elapsed() >= PAUSE);
        if news {
            self.last = Some((remaining, Instant::now()));
            printer.note(&format!("draining  {} left", count(remaining, "request")));
        }
    }
}

/// Each domain's move; domains that move alike share one.
pub(super) fn moves(steps: &[SwitchStep]) -> String {
    let mut alike: Vec<(Vec<&DomainName>, &SwitchStep)> = Vec::new();
    for step in steps {
        let same = |(_, of): &&mut (_, &SwitchStep)| of.from == step.from && of.to == step.to;
        match alike.iter_mut().find(same) {
            Some((domains, _)) => domains.push(&step.domain),
            None => alike.push((vec![&step.domain], step)),
        }
    }
    join(
        alike
            .iter()
            .map(|(domains, step)| format!("{} {} → {}", join(domains), step.from, step.to)),
    )
}

const PAUSE: Duration = Duration::from_secs(1);
