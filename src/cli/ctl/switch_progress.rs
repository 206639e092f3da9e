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
        SwitchProgress::Smoke { passed, failed, total } => smoke(printer, *passed, *failed, *total),
        SwitchProgress::Switched { steps, revision, switch_ms } => {
            let took = switch_ms.map(|took| format!(" ({})", span(took.get())));
            let (moves, took) = (moves(steps), took.unwrap_or_default());
            printer.reached("switched", &format!("{moves} at revision {revision}{took}"));
        }
        SwitchProgress::Draining { remaining, web_sockets, ended_in_ms } => {
            printer.counting("draining", &left_behind(*remaining, *web_sockets, *ended_in_ms));
        }
    }
}

/// Prints how smoke requests go.
pub(super) fn smoke(printer: &mut Printer<'_>, passed: usize, failed: usize, total: usize) {
    let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    printer.passing("trying", &format!("{passed} of {} passed{failed}", count(total, "request")));
}

/// What is still running on the old tags.
pub(super) fn left_behind(
    remaining: usize,
    web_sockets: usize,
    ended_in_ms: Option<u64>,
) -> String {
    let left = format!("{} left", count(remaining, "request"));
    if web_sockets == 0 {
        return left;
    }
    let sockets = count(web_sockets, "WebSocket");
    match ended_in_ms.map(|ms| span(Duration::from_millis(ms))) {
        Some(time) => format!("{left}, of it {sockets}, closed in {time}"),
        None => format!("{left}, of it {sockets}"),
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
        None | Some(0) => join(shown(domains)),
        Some(more) => format!("{} and {more} more", join(shown(&domains[..MAX_LISTED]))),
    }
}

fn shown(domains: &[&DomainName]) -> impl Iterator<Item = String> {
    domains.iter().map(|domain| domain.shown())
}
