//! Prints the phases of a switch and of a drain.

use std::time::Duration;

use crate::cli::output::Printer;
use crate::cli::table::{count, join};
use crate::cli::time::span;
use crate::model::{DomainName, SwitchProgress, SwitchStep, Tag};

/// Prints the progress of a switch to `tag`; without a tag only the server knows it.
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

/// Prints how many requests have not ended.
pub(super) fn draining(printer: &mut Printer<'_>, remaining: usize) {
    printer.counting("draining", &format!("{} left", count(remaining, "request")));
}

/// The moves; domains with the same move are joined.
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

/// The first domains, and the number of the others.
fn some_of(domains: &[&DomainName]) -> String {
    const MAX_LISTED: usize = 3;
    match domains.len().checked_sub(MAX_LISTED) {
        None | Some(0) => join(domains),
        Some(more) => format!("{} and {more} more", join(&domains[..MAX_LISTED])),
    }
}
