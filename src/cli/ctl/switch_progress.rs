//! The phases of a switch, and of a drain, as they are reached.

use std::time::Duration;

use crate::cli::output::Printer;
use crate::cli::table::{count, join};
use crate::cli::time::span;
use crate::model::{DomainName, SwitchProgress, SwitchStep, Tag};

/// Tells how far a switch to `tag` is, which only the server knows when it is not given.
pub(super) fn report(printer: &mut Printer<'_>, tag: Option<&Tag>, progress: &SwitchProgress) {
    match progress {
        SwitchProgress::Checking { healthy, needed, total } => {
            let of = tag.map_or_else(String::new, |tag| format!(" of `{tag}`"));
            let backends = count(*total, "backend");
            let enough = if needed == total { String::new() } else { format!(", {needed} needed") };
            printer.passing("checking", &format!("{healthy} of {backends}{of} healthy{enough}"));
        }
        SwitchProgress::Switched { steps, revision, switch_us } => {
            let took = span(Duration::from_micros(*switch_us));
            let moves = moves(steps);
            printer.reached("switched", &format!("{moves} at revision {revision} ({took})"));
        }
        SwitchProgress::Draining { remaining } => draining(printer, *remaining),
    }
}

/// Tells how many requests have not ended.
pub(super) fn draining(printer: &mut Printer<'_>, remaining: usize) {
    printer.counting("draining", &format!("{} left", count(remaining, "request")));
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
            .map(|(domains, step)| format!("{} {} → {}", some_of(domains), step.from, step.to)),
    )
}

/// As many as fit a line.
fn some_of(domains: &[&DomainName]) -> String {
    const MOST: usize = 3;
    match domains.len().checked_sub(MOST) {
        None | Some(0) => join(domains),
        Some(more) => format!("{} and {more} more", join(&domains[..MOST])),
    }
}
