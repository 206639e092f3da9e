//! Domains, backends and events, a line each.

use ratatui::text::Line;

use super::columns::{Column, Side, Value, fitted, line, titles};
use super::{Section, errors_style};
use crate::cli::ctl::figures::{bars, millis, number, share};
use crate::cli::ctl::history::{what, who};
use crate::cli::ctl::stats::standing;
use crate::cli::ctl::top::look::Look;
use crate::cli::ctl::top::model::Model;
use crate::cli::time::timestamp;
use crate::model::Event;
use crate::rpc::methods::stats::{BackendStats, DomainStats, Figures};

/// Ticks of the last minute.
pub(super) const BARS: usize = 12;

/// Wide enough for every figure.
const FIGURE_WIDTH: usize = 6;

fn figure(name: &'static str) -> Column {
    Column { name, width: FIGURE_WIDTH, side: Side::Right }
}

/// The widest of some words, within bounds.
fn widest(words: impl Iterator<Item = usize>, least: usize, most: usize) -> usize {
    words.fold(least, usize::max).min(most)
}

pub(super) fn domains<'a>(model: &Model, width: usize, look: Look, whole: bool) -> Section<'a> {
    let shown = model.domains();
    let live_width = widest(shown.iter().map(|of| live(of).chars().count()), 4, 16);
    let columns = vec![
        Column { name: "LIVE", width: live_width, side: Side::Left },
        figure("RATE/S"),
        figure("ERRORS"),
        figure("P50"),
        figure("P99"),
        figure("FLIGHT"),
        Column { name: "LAST MINUTE", width: BARS, side: Side::Left },
    ];
    let drop_first = ["LAST MINUTE", "P50", "FLIGHT", "P99", "LIVE", "ERRORS"];
    let (name, mut columns) = fitted(width, 16, columns, &drop_first);
    columns.insert(0, Column { name: "DOMAIN", width: name, side: Side::Left });
    let cursor = model.cursor().filter(|_| !whole);
    let mut lines: Vec<_> = shown
        .iter()
        .enumerate()
        .map(|(at, of)| {
            let chosen = cursor == Some(at);
            let value = |column: &Column| domain_value(of, column.name, chosen, look);
            let line = line(&columns, columns.iter().map(value));
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

fn domain_value(of: &DomainStats, column: &str, chosen: bool, look: Look) -> Value {
    let figures = &of.figures;
    match column {
        "DOMAIN" => of.domain.to_string().into(),
        "LIVE" => live(of).into(),
        "LAST MINUTE" if !chosen => Value(bars(&of.recent_rates, BARS), look.bars()),
        "LAST MINUTE" => bars(&of.recent_rates, BARS).into(),
        // Colours on a line that is turned over can't be read.
        "ERRORS" if chosen => share(figures.error_share).into(),
        name => figure_value(figures, name, look),
    }
}

/// The live tag, and the one that is still draining.
fn live(of: &DomainStats) -> String {
    let draining = of.tags.iter().find(|tag| !tag.live && tag.figures.in_flight > 0);
    match draining {
        Some(old) => format!("{}→{}", old.tag, of.live),
        None => of.live.to_string(),
    }
}

fn figure_value(figures: &Figures, name: &str, look: Look) -> Value {
    match name {
        "RATE/S" => number(figures.rate).into(),
        "ERRORS" => Value(share(figures.error_share), errors_style(figures.error_share, look)),
        "P50" => millis(figures.p50_ms).into(),
        "P99" => millis(figures.p99_ms).into(),
        "FLIGHT" => figures.in_flight.to_string().into(),
        _ => String::new().into(),
    }
}

pub(super) fn backends<'a>(model: &Model, width: usize, look: Look) -> Section<'a> {
    let backends = model.report().map_or(&[][..], |report| &report.backends[..]);
    let ids = backends.iter().map(|of| of.id.as_str().chars().count());
    let tags = backends.iter().map(|of| tags(of).chars().count());
    let columns = vec![
        Column { name: "BACKEND", width: widest(ids, 7, 20), side: Side::Left },
        Column { name: "TAGS", width: widest(tags, 4, 10), side: Side::Left },
        Column { name: "HEALTH", width: 9, side: Side::Left },
        figure("RATE/S"),
        figure("ERRORS"),
        figure("P99"),
        figure("FLIGHT"),
    ];
    let drop_first = ["FLIGHT", "ERRORS", "P99", "TAGS", "RATE/S"];
    let is_any = backends.iter().any(|of| of.reason.is_some());
    let (reason, mut columns) = fitted(width, if is_any { 24 } else { 0 }, columns, &drop_first);
    columns.push(Column {
        name: if is_any { "REASON" } else { "" },
        width: reason,
        side: Side::Sentence,
    });
    let lines = backends.iter().map(|of| {
        line(&columns, columns.iter().map(|column| backend_value(of, column.name, look)))
    });
    let lines = lines.collect();
    Section { title: titles(&columns, look.dim()), lines, cursor: 0 }
}

fn backend_value(of: &BackendStats, column: &str, look: Look) -> Value {
    match column {
        "BACKEND" => of.id.to_string().into(),
        "TAGS" => tags(of).into(),
        "HEALTH" => {
            let (text, tone) = standing(of);
            Value(text, look.tone(tone))
        }
        "REASON" => of.reason.clone().unwrap_or_default().into(),
        name => figure_value(&of.figures, name, look),
    }
}

fn tags(of: &BackendStats) -> String {
    of.tags.iter().map(crate::model::Tag::as_str).collect::<Vec<_>>().join(",")
}

pub(super) fn events<'a>(model: &Model, width: usize, look: Look) -> Section<'a> {
    let events: Vec<_> = model.events().collect();
    let who_width = widest(events.iter().map(|event| who(&event.actor).chars().count()), 3, 12);
    let columns = vec![
        Column { name: "TIME", width: 15, side: Side::Left },
        Column { name: "WHO", width: who_width, side: Side::Left },
    ];
    let (rest, mut columns) = fitted(width, 24, columns, &["WHO"]);
    columns.push(Column { name: "WHAT", width: rest, side: Side::Sentence });
    let value = |event: &Event, column: &str| -> Value {
        match column {
            // The year is known, and a second is exact enough.
            "TIME" => timestamp(event.at_ms).get(5..).unwrap_or_default().replace('T', " ").into(),
            "WHO" => who(&event.actor).into(),
            _ => what(&event.kind).into(),
        }
    };
    let line = |event: &&Event| line(&columns, columns.iter().map(|of| value(event, of.name)));
    let lines = events.iter().map(line).collect();
    Section { title: titles(&columns, look.dim()), lines, cursor: 0 }
}
