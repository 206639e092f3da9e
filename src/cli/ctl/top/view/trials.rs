//! Rollouts and guards: both tags side by side, and what the traffic says.

use ratatui::text::{Line, Span};

use super::columns::{Column, Side, column, line, titles};
use super::section::Section;
use crate::cli::ctl::figures::{count, millis, number};
use crate::cli::ctl::top::look::Look;
use crate::cli::ctl::top::model::Model;
use crate::cli::ctl::trial_view::{seconds, tone, verdict};
use crate::cli::table::{printable, shortened};
use crate::model::{Share, SideFigures, Tag, TrialReport};

/// Lines of one trial.
pub(super) const LINES: usize = 4;

/// One of both tags.
struct Row {
    tag: Tag,
    share: Share,
    rate: f64,
    figures: Option<SideFigures>,
}

pub(super) fn section<'a>(model: &Model, width: usize, look: Look) -> Section<'a> {
    let columns = columns();
    let lines = model.trials().flat_map(|trial| lines(model, trial, &columns, width, look));
    Section { title: titles(&columns, look.dim()), lines: lines.collect(), cursor: 0 }
}

fn columns<'a>() -> [Column<'a, Row>; 6] {
    let of = |figure: fn(&SideFigures) -> Option<String>| {
        move |row: &Row| row.figures.as_ref().and_then(figure).unwrap_or_else(|| "-".to_owned())
    };
    [
        column("ON TRIAL", 24, Side::Left, |row: &Row| format!("  {}", row.tag)),
        column("SHARE", 9, Side::Right, |row: &Row| row.share.to_string()),
        column("RATE/S", 6, Side::Right, |row: &Row| number(row.rate)),
        column("REQUESTS", 8, Side::Right, of(|side| Some(count(side.requests)))),
        column("FAILED", 7, Side::Right, of(|side| Some(format!("{:.1}%", side.failed_percent?)))),
        column("P95", 6, Side::Right, of(|side| Some(millis(Some(side.p95_ms?))))),
    ]
}

fn lines<'a>(
    model: &Model,
    trial: &TrialReport,
    columns: &[Column<'_, Row>],
    width: usize,
    look: Look,
) -> [Line<'a>; LINES] {
    let evidence = trial.evidence.as_ref();
    let share = trial.rollout.as_ref().map_or(Share::ALL, |rollout| rollout.share);
    let side = |tag: &Tag, share, figures| {
        line(columns, &Row { tag: tag.clone(), share, rate: rate(model, trial, tag), figures })
    };
    let reason = evidence.map_or_else(String::new, |evidence| format!(": {}", evidence.reason));
    let finding = evidence.map(|evidence| evidence.finding);
    let said = format!("  {}{reason}", verdict(trial));
    let cut = |text: &str| shortened(&printable(text), width, true);
    [
        Line::from(Span::styled(cut(&headline(trial)), look.title())),
        side(&trial.from, share.rest(), evidence.map(|evidence| evidence.old)),
        side(&trial.to, share, evidence.map(|evidence| evidence.new)),
        Line::styled(cut(&said), look.tone(tone(finding))),
    ]
}

/// What is tried where, and how far it is.
fn headline(trial: &TrialReport) -> String {
    let TrialReport { kind, from, to, .. } = trial;
    let place = match &trial.rollout {
        Some(rollout) => {
            let left = match (rollout.is_paused, rollout.left_ms) {
                (true, _) => "paused".to_owned(),
                (false, 0) => "waits for more requests".to_owned(),
                (false, left) => format!("{} left", seconds(left)),
            };
            format!(", step {} of {}, {left}", rollout.step, rollout.steps.get().len())
        }
        None => format!(", {} left", seconds(trial.left_ms.unwrap_or_default())),
    };
    format!("{}: {kind} {from} → {to}{place}", domains(trial))
}

/// Where.
pub(super) fn domains(trial: &TrialReport) -> String {
    match &trial.domains[..] {
        [] => "no domain".to_owned(),
        [only] => only.shown(),
        [first, others @ ..] => format!("{} and {} more", first.shown(), others.len()),
    }
}

/// Requests a second of a tag, of the domains that are known.
fn rate(model: &Model, trial: &TrialReport, tag: &Tag) -> f64 {
    let domains = model.report().into_iter().flat_map(|report| &report.domains);
    let tried = domains.filter(|of| trial.domains.contains(&of.domain));
    let of_tag = tried.flat_map(|of| &of.tags).filter(|of| of.tag == *tag);
    of_tag.map(|of| of.figures.rate).sum()
}
