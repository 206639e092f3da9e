//! Domains, backends and events, a line each.

use ratatui::style::Style;
use ratatui::text::Line;

use super::columns::{Column, Side, Value, column, fit, line, titles};
use super::section::Section;
use crate::cli::ctl::domain_view::tone;
use crate::cli::ctl::figures::{bars, millis, number, share};
use crate::cli::ctl::history::{what, who};
use crate::cli::ctl::stats::standing;
use crate::cli::ctl::top::look::Look;
use crate::cli::ctl::top::model::Model;
use crate::cli::time::timestamp;
use crate::model::{DomainMode, Event, Share};
use crate::rpc::methods::stats::{BackendStats, DomainStats, Figures, TagStats};

/// Ticks of the last minute.
pub(super) const BARS: usize = 12;

/// Wide enough for every figure.
const FIGURE_WIDTH: usize = 6;

/// Wide enough for `maintenance`.
const MODE_WIDTH: usize = 11;

/// A column of a figure.
fn figure<'a, T, V: Into<Value>>(
    name: &'static str,
    value: impl Fn(&T) -> V + 'a,
) -> Column<'a, T> {
    column(name, FIGURE_WIDTH, Side::Right, value)
}

/// The widest of some words, within bounds.
fn widest(words: impl Iterator<Item = usize>, least: usize, most: usize) -> usize {
    words.fold(least, usize::max).min(most)
}

pub(super) fn domains<'a>(model: &Model, width: usize, look: Look, whole: bool) -> Section<'a> {
    // Whether the cursor is there: colours on a line that is turned over can't be read.
    type Row<'r> = (bool, &'r DomainStats);
    let shown = model.domains();
    let live_width = widest(shown.iter().map(|of| live(of).chars().count()), 4, 16);
    let mut columns: Vec<Column<'_, Row<'_>>> = vec![
        column("LIVE", live_width, Side::Left, |(_, of): &Row<'_>| live(of)),
        figure("RATE/S", |(_, of): &Row<'_>| number(of.figures.rate)),
        figure("ERRORS", move |(chosen, of): &Row<'_>| {
            let errors = errors(&of.figures, look);
            if *chosen { errors.0.into() } else { errors }
        }),
        figure("P50", |(_, of): &Row<'_>| millis(of.figures.p50_ms)),
        figure("P99", |(_, of): &Row<'_>| millis(of.figures.p99_ms)),
        figure("FLIGHT", |(_, of): &Row<'_>| of.figures.in_flight.to_string()),
        column("LAST MINUTE", BARS, Side::Left, move |(chosen, of): &Row<'_>| {
            let style = if *chosen { Style::new() } else { look.bars() };
            Value(bars(&of.recent_rates, BARS), style)
        }),
    ];
    // All that is usual needs no column.
    if shown.iter().any(|of| of.mode != DomainMode::Serving) {
        let mode = column("MODE", MODE_WIDTH, Side::Left, move |(chosen, of): &Row<'_>| {
            let style = if *chosen { Style::new() } else { look.tone(tone(&of.mode)) };
            Value(of.mode.to_string(), style)
        });
        columns.insert(1, mode);
    }
    let drop_first = ["LAST MINUTE", "P50", "FLIGHT", "P99", "LIVE", "ERRORS", "MODE"];
    let name = fit(width, 16, &mut columns, &drop_first);
    columns.insert(0, column("DOMAIN", name, Side::Left, |(_, of): &Row<'_>| of.domain.shown()));
    let cursor = model.cursor().filter(|_| !whole);
    let mut lines: Vec<_> = shown
        .iter()
        .enumerate()
        .map(|(at, of)| {
            let chosen = cursor == Some(at);
            let line = line(&columns, &(chosen, *of));
            if chosen { line.style(Look::chosen()) } else { line }
        })
        .collect();
    let more = model.report().map_or(0, |report| report.more_domains);
    if more > 0 && model.search.is_empty() {
        let text = format!("and {more} more; search with `/`, or see `vhost ctl stats`");
        lines.push(Line::styled(text, look.dim()));
    }
    if lines.is_empty() {
        let search = &model.search;
        lines.push(Line::from(match model.report() {
            None => "asking the server".to_owned(),
            Some(_) if search.is_empty() => "there are no domains".to_owned(),
            Some(_) => format!("no domain or live tag contains `{search}`"),
        }));
    }
    let title = titles(&columns, look.dim());
    Section { title, lines, cursor: cursor.unwrap_or_default() }
}

/// The live tag, those that have a share beside it, and the one that is still draining.
fn live(of: &DomainStats) -> String {
    let has_share = |tag: &&TagStats| !tag.live && tag.share > Share::NONE;
    let shares = of.tags.iter().filter(has_share);
    let beside: Vec<_> = shares.map(|of| format!("+{} {}", of.tag, of.share)).collect();
    let beside = beside.concat();
    let mut left = of.tags.iter().filter(|tag| !tag.live && tag.share == Share::NONE);
    match left.find(|tag| tag.figures.in_flight > 0) {
        Some(old) => format!("{}→{}{beside}", old.tag, of.live),
        None => format!("{}{beside}", of.live),
    }
}

fn errors(figures: &Figures, look: Look) -> Value {
    Value(share(figures.error_share), look.errors(figures.error_share))
}

pub(super) fn backends<'a>(model: &Model, width: usize, look: Look) -> Section<'a> {
    let backends = model.report().map_or(&[][..], |report| &report.backends[..]);
    let ids = backends.iter().map(|of| of.id.as_str().chars().count());
    let tags_width = widest(backends.iter().map(|of| tags(of).chars().count()), 4, 10);
    let mut columns: Vec<Column<'_, BackendStats>> = vec![
        column("BACKEND", widest(ids, 7, 20), Side::Left, |of: &BackendStats| of.id.to_string()),
        column("TAGS", tags_width, Side::Left, tags),
        column("HEALTH", 9, Side::Left, move |of| {
            let (text, tone) = standing(of);
            Value(text, look.tone(tone))
        }),
        figure("RATE/S", |of: &BackendStats| number(of.figures.rate)),
        figure("ERRORS", move |of: &BackendStats| errors(&of.figures, look)),
        figure("P99", |of: &BackendStats| millis(of.figures.p99_ms)),
        figure("FLIGHT", |of: &BackendStats| of.figures.in_flight.to_string()),
    ];
    let drop_first = ["FLIGHT", "ERRORS", "P99", "TAGS", "RATE/S"];
    let is_any = backends.iter().any(|of| of.reason.is_some());
    let reason = fit(width, if is_any { 24 } else { 0 }, &mut columns, &drop_first);
    let name = if is_any { "REASON" } else { "" };
    columns.push(column(name, reason, Side::Sentence, move |of: &BackendStats| {
        of.reason.clone().filter(|_| is_any).unwrap_or_default()
    }));
    let lines = backends.iter().map(|of| line(&columns, of)).collect();
    Section { title: titles(&columns, look.dim()), lines, cursor: 0 }
}

fn tags(of: &BackendStats) -> String {
    of.tags.iter().map(crate::model::Tag::as_str).collect::<Vec<_>>().join(",")
}

pub(super) fn events<'a>(model: &Model, width: usize, look: Look) -> Section<'a> {
    let events: Vec<_> = model.events().collect();
    let who_width = widest(events.iter().map(|event| who(&event.actor).chars().count()), 3, 12);
    let mut columns: Vec<Column<'_, Event>> = vec![
        // The year is known, and a second is exact enough.
        column("TIME", 15, Side::Left, |event: &Event| {
            timestamp(event.at_ms).get(5..).unwrap_or_default().replace('T', " ")
        }),
        column("WHO", who_width, Side::Left, |event: &Event| who(&event.actor)),
    ];
    let rest = fit(width, 24, &mut columns, &["WHO"]);
    columns.push(column("WHAT", rest, Side::Sentence, |event: &Event| what(&event.kind)));
    let lines = events.iter().map(|event| line(&columns, event)).collect();
    Section { title: titles(&columns, look.dim()), lines, cursor: 0 }
}
