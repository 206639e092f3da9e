//! Rollouts and guards as `vhost ctl` shows them.

use std::time::Duration;

use crate::cli::table::{Cell, Table, Tone, join};
use crate::cli::time::{elapsed, span};
use crate::model::{Finding, SideFigures, TrialEnd, TrialKind, TrialReport};
use crate::rpc::methods::rollout::TrialStanding;

/// How a trial stands, in a line.
pub(super) fn standing(report: &TrialReport) -> String {
    let place = match &report.rollout {
        Some(rollout) => {
            let steps = rollout.steps.get().len();
            let left = match (rollout.is_paused, rollout.left_ms) {
                (true, _) => "paused".to_owned(),
                (false, 0) => "waits for more requests".to_owned(),
                (false, left) => format!("{} left", seconds(left)),
            };
            format!("{} at {}, step {} of {steps}, {left}", report.to, rollout.share, rollout.step)
        }
        None => format!("{} live, {} left", report.to, seconds(report.left_ms.unwrap_or_default())),
    };
    match &report.evidence {
        None => format!("{place}; not judged"),
        Some(evidence) => format!(
            "{place}; {} {} | {} {}",
            report.to,
            figures(&evidence.new),
            report.from,
            figures(&evidence.old)
        ),
    }
}

/// How one stands, in a few words.
pub(super) fn brief(standing: &TrialStanding) -> Cell {
    let TrialStanding { from, to, share, step, is_paused, left_ms, finding, .. } = standing;
    let place = match step {
        Some([step, steps]) => format!("{from} → {to} at {share}, step {step} of {steps}"),
        None => format!("{to} live, {from} before"),
    };
    let left = match (is_paused, left_ms) {
        (true, _) => "paused".to_owned(),
        (false, 0) => "waits for more requests".to_owned(),
        (false, left) => format!("{} left", seconds(*left)),
    };
    let tone = if *is_paused { Tone::Unsure } else { tone(*finding) };
    Cell::toned(format!("{place}, {left}: {}", words(*finding)), tone)
}

/// What it means that the traffic says so.
pub(super) fn tone(finding: Option<Finding>) -> Tone {
    match finding {
        Some(Finding::Fail) => Tone::Bad,
        Some(Finding::Pass) => Tone::Good,
        Some(Finding::CannotTell) | None => Tone::Plain,
    }
}

/// The last line of one that ended well.
pub(super) fn conclusion(report: &TrialReport) -> String {
    let to = &report.to;
    let what = match report.end {
        Some(TrialEnd::Promoted) => format!("{to} is live alone"),
        _ => format!("{to} stays, {}", verdict(report)),
    };
    let figures = report.evidence.as_ref().map(|evidence| {
        format!(" ({to} {} | {} {})", figures(&evidence.new), report.from, figures(&evidence.old))
    });
    format!("{what}{}", figures.unwrap_or_default())
}

/// All trials.
pub(super) fn table(trials: &[TrialReport], now_ms: u64) -> Table {
    let row = |report: &TrialReport| {
        let evidence = report.evidence.as_ref();
        let side = |side: Option<&SideFigures>| side.map_or_else(|| "-".to_owned(), figures);
        vec![
            ("DOMAIN", domains(report).into()),
            ("WHAT", report.kind.as_str().into()),
            ("TAGS", format!("{} → {}", report.from, report.to).into()),
            ("STATE", state(report)),
            ("NEW", side(evidence.map(|evidence| &evidence.new)).into()),
            ("OLD", side(evidence.map(|evidence| &evidence.old)).into()),
            ("BEGAN", format!("{} ago", elapsed(now_ms, report.began_ms)).into()),
        ]
    };
    Table::of(trials, row).shortening(&[(0, 14), (4, 12), (5, 12)])
}

/// What is known of one.
pub(super) fn facts(report: &TrialReport, now_ms: u64) -> Table {
    let mut table = Table::facts();
    table.fact(report.kind.as_str(), format!("{} → {}", report.from, report.to));
    table.fact("domains", join(&report.domains));
    table.fact("state", state(report));
    if let Some(rollout) = &report.rollout {
        table.fact("steps", rollout.steps.to_string());
    }
    table.fact("began", format!("{} ago", elapsed(now_ms, report.began_ms)));
    if let Some(rules) = &report.rules {
        table.fact(
            "judged by",
            format!(
                "up to {} more failures and {} times the p95; {} requests at least, else {}",
                rules.max_error_delta, rules.max_p95_ratio, rules.min_requests, rules.inconclusive
            ),
        );
    }
    if let Some(evidence) = &report.evidence {
        table.fact(&format!("new, {}", report.to), figures(&evidence.new));
        table.fact(&format!("old, {}", report.from), figures(&evidence.old));
        if let Some(delta) = &evidence.error_delta_percent {
            let text = format!("from {:.2} to {:.2} points more", delta.low, delta.high);
            table.fact("failures", text);
        }
        let tone = tone(Some(evidence.finding));
        table.fact(
            "verdict",
            Cell::toned(format!("{}: {}", verdict(report), evidence.reason), tone),
        );
    }
    table.known("cause", report.cause.clone());
    table
}

fn domains(report: &TrialReport) -> String {
    match &report.domains[..] {
        [] => "-".to_owned(),
        [only] => only.shown(),
        [first, others @ ..] => format!("{} and {} more", first.shown(), others.len()),
    }
}

fn state(report: &TrialReport) -> Cell {
    if let Some(end) = report.end {
        let tone = match end {
            TrialEnd::Passed | TrialEnd::Promoted => Tone::Good,
            TrialEnd::RolledBack | TrialEnd::Alarm => Tone::Bad,
            _ => Tone::Plain,
        };
        return Cell::toned(end.as_str().replace('_', " "), tone);
    }
    match (&report.rollout, report.kind) {
        (Some(rollout), _) if rollout.is_paused => format!("paused at {}", rollout.share).into(),
        (Some(rollout), _) => format!("at {}", rollout.share).into(),
        (None, TrialKind::Guard | TrialKind::Rollout) => {
            format!("{} left", seconds(report.left_ms.unwrap_or_default())).into()
        }
    }
}

pub(super) fn verdict(report: &TrialReport) -> &'static str {
    words(report.evidence.as_ref().map(|evidence| evidence.finding))
}

fn words(finding: Option<Finding>) -> &'static str {
    match finding {
        Some(Finding::Fail) => "worse",
        Some(Finding::Pass) => "no worse",
        Some(Finding::CannotTell) => "can't tell",
        None => "not judged",
    }
}

/// Requests, failures and times of one of both tags.
fn figures(side: &SideFigures) -> String {
    let failed = side.failed_percent.map(|failed| format!(", {failed:.1}% failed"));
    let p95 = side.p95_ms.map(|ms| format!(", p95 {}", span(Duration::from_secs_f64(ms / 1000.0))));
    format!("{} req{}{}", side.requests, failed.unwrap_or_default(), p95.unwrap_or_default())
}

/// A time that is counted down.
pub(super) fn seconds(ms: u64) -> String {
    span(Duration::from_secs(ms.div_ceil(1000)))
}
