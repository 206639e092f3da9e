//! What is seen of a new tag: its traffic and the old one's, and what they say.

use std::sync::Arc;
use std::time::Duration;

use verdict::{
    Counts, Evidence, Limits, Network, Pair, Traffic, Verdict, capped, judge, measure,
    streak_to_trip,
};

use crate::counters::{CELLS, LatencyCells, Observed};
use crate::model::{
    Between, Course, Finding, GuardRules, HealthStatus, SideFigures, Trial, TrialEvidence,
    time_in_words,
};
use crate::state::{DomainNode, OnTrial, Snapshot};

/// The probability that equal versions trip the guard by failures in a row.
const TRIP_RISK: f64 = 0.000_5;

/// What is seen of a new tag.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    /// For people.
    pub(super) evidence: TrialEvidence,
    /// Why the new tag is worse; nothing where that isn't proven.
    pub(super) worse: Option<String>,
    /// Whether there was enough traffic to say that it is no worse.
    pub(super) is_enough: bool,
}

/// Looks at the domains of a trial.
pub(super) fn look(
    snapshot: &Snapshot,
    trial: &Trial,
    rules: GuardRules,
    nodes: &[Arc<DomainNode>],
) -> Sight {
    let on_trial: Vec<&Arc<OnTrial>> = nodes.iter().filter_map(|node| node.on_trial()).collect();
    let seen = Seen::of(trial, nodes, &on_trial);
    let traffic = Traffic { networks: &seen.networks, rest: seen.rest, counts_slow: seen.has_slow };
    let limits = Limits {
        max_error_delta: rules.max_error_delta.fraction(),
        min_requests: u64::from(rules.min_requests.get()),
        ..Limits::default()
    };
    let (evidence, finding) = (capped(&traffic), judge(&traffic, &limits));
    let worse = dead(snapshot, trial, nodes)
        .or_else(|| tripped(&seen, &on_trial))
        .or_else(|| (finding.at_end() == Verdict::Fail).then(|| worse_by(finding, &seen, rules)));
    let is_enough = finding.at_end() != Verdict::CantTell;
    let reason = match &worse {
        Some(worse) => worse.clone(),
        None if is_enough => "no worse so far".to_owned(),
        None => scarce(&evidence, rules),
    };
    let verdict = match (&worse, is_enough) {
        (Some(_), _) => Finding::Fail,
        (None, true) => Finding::Pass,
        (None, false) => Finding::CannotTell,
    };
    let interval = measure(&evidence, &limits).errors.interval;
    let has_both = seen.all.old.requests > 0 && seen.all.new.requests > 0;
    let error_delta_percent = has_both.then(|| Between {
        low: rounded(interval.low * 100.0),
        high: rounded(interval.high * 100.0),
    });
    let evidence = TrialEvidence {
        new: figures(seen.all.new, seen.p95.new),
        old: figures(seen.all.old, seen.p95.old),
        error_delta_percent,
        finding: verdict,
        reason,
    };
    Sight { evidence, worse, is_enough }
}

/// What was observed of both tags.
struct Seen {
    networks: Vec<Network>,
    rest: Network,
    all: Pair<Counts>,
    p95: Pair<Option<Duration>>,
    has_slow: bool,
}

impl Seen {
    fn of(trial: &Trial, nodes: &[Arc<DomainNode>], on_trial: &[&Arc<OnTrial>]) -> Self {
        let mut networks = vec![Network::default(); CELLS];
        let mut rest = Network::default();
        let mut first_byte = Pair { old: LatencyCells::default(), new: LatencyCells::default() };
        for of in on_trial {
            add(&mut networks, &of.new, |network| &mut network.new);
            add(&mut networks, &of.old, |network| &mut network.old);
            first_byte.new.add(&of.new.first_byte().cells());
            first_byte.old.add(&of.old.first_byte().cells());
        }
        let mut p95 = first_byte.map(|cells| cells.quantile(0.95));
        if matches!(trial.course, Course::Guard { .. }) {
            // The old tag serves no more: it is compared as it was before.
            for (node, of) in nodes.iter().zip(on_trial) {
                let trial = node.virtual_host.beside.trial.as_ref();
                let Some(before) = trial.and_then(|trial| trial.baseline) else { continue };
                let counts = Counts {
                    requests: before.requests,
                    failures: before.failures,
                    slow: before.slow,
                };
                let place = match before.sole_network {
                    Some(network) => &mut networks[of.new.cell_of(network)].old,
                    None => &mut rest.old,
                };
                sum_up(place, counts);
                p95.old = p95.old.max(before.p95_micros.map(Duration::from_micros));
            }
        }
        let mut all = rest;
        for network in &networks {
            sum_up(&mut all.old, network.old);
            sum_up(&mut all.new, network.new);
        }
        networks.retain(|network| network.old.requests + network.new.requests > 0);
        let has_slow = !on_trial.is_empty() && on_trial.iter().all(|of| of.new.slow().is_some());
        Self { networks, rest, all, p95, has_slow }
    }
}

fn add(networks: &mut [Network], observed: &Observed, side: fn(&mut Network) -> &mut Counts) {
    for (network, cell) in networks.iter_mut().zip(observed.cells()) {
        let counts = Counts { requests: cell.requests, failures: cell.failures, slow: cell.slow };
        sum_up(side(network), counts);
    }
}

fn sum_up(sum: &mut Counts, more: Counts) {
    sum.requests += more.requests;
    sum.failures += more.failures;
    sum.slow += more.slow;
}

/// Whether no backend of the new tag is healthy, in words.
fn dead(snapshot: &Snapshot, trial: &Trial, nodes: &[Arc<DomainNode>]) -> Option<String> {
    let is_dead = |node: &Arc<DomainNode>| {
        let pool = snapshot.pool(&node.virtual_host.pool(&trial.to));
        let mut ready = pool.into_iter().flat_map(|pool| pool.ready());
        !ready.any(|node| node.live.health() != HealthStatus::Unhealthy)
    };
    nodes.iter().any(is_dead).then(|| format!("no backend of `{}` is healthy", trial.to))
}

/// Whether so many requests of different clients have failed in a row that nothing else is to be expected, in words.
fn tripped(seen: &Seen, on_trial: &[&Arc<OnTrial>]) -> Option<String> {
    let old = seen.all.old;
    let share = verdict::Share::of_counts(old.failures, old.requests).estimate();
    let needed = streak_to_trip(share, seen.all.new.requests, TRIP_RISK)?;
    let row = on_trial.iter().map(|of| of.new.failed_in_a_row()).max()?;
    (usize::try_from(row).ok()? >= needed)
        .then(|| format!("requests of at least {row} clients have failed in a row"))
}

/// By what the new tag is worse, in words.
fn worse_by(finding: verdict::Finding, seen: &Seen, rules: GuardRules) -> String {
    let Pair { old, new } = seen.all;
    if finding.more_errors {
        return format!(
            "{} of {} requests failed, and {} with the old tag; up to {} more is allowed",
            percent(new.failures, new.requests),
            new.requests,
            percent(old.failures, old.requests),
            rules.max_error_delta,
        );
    }
    let time = |time: Option<Duration>| time.map_or_else(|| "unknown".to_owned(), time_in_words);
    format!(
        "too slow: the 95th percentile to the first byte is {}, and {} with the old tag; up to {} \
         times that is allowed",
        time(seen.p95.new),
        time(seen.p95.old),
        rules.max_p95_ratio,
    )
}

/// Why nothing can be said, in words.
fn scarce(evidence: &Evidence, rules: GuardRules) -> String {
    let least = f64::from(rules.min_requests.get());
    let counted = |requests: f64| format!("{}", requests.floor());
    if evidence.requests.new < least {
        return format!(
            "{} requests of the new tag count, and it takes {}",
            counted(evidence.requests.new),
            rules.min_requests
        );
    }
    format!(
        "{} requests of the old tag count, and it takes {}",
        counted(evidence.requests.old),
        rules.min_requests
    )
}

fn figures(counts: Counts, p95: Option<Duration>) -> SideFigures {
    let share = verdict::Share::of_counts(counts.failures, counts.requests).estimate();
    SideFigures {
        requests: counts.requests,
        failures: counts.failures,
        failed_percent: (counts.requests > 0).then(|| rounded(share * 100.0)),
        p95_ms: p95.map(|time| rounded(time.as_secs_f64() * 1000.0)),
    }
}

/// A share of a number, in percent with one decimal.
fn percent(part: u64, all: u64) -> String {
    format!("{:.1}%", verdict::Share::of_counts(part, all).estimate() * 100.0)
}

/// To the thousandth.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
