//! One domain: its tags side by side.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::columns::{Side, Value, cells};
use super::lists::BARS;
use super::section::Section;
use crate::cli::ctl::domain_view::tone;
use crate::cli::ctl::figures::{bars, bytes, count, millis, number, share};
use crate::cli::ctl::top::look::Look;
use crate::model::{DomainMode, Share};
use crate::rpc::methods::stats::{DomainStats, Figures, TagStats};

/// Columns of one tag, of a figure's name.
const TAG_WIDTH: usize = 16;
const NAME_WIDTH: usize = 10;

pub(super) fn domain<'a>(of: &DomainStats, width: usize, look: Look) -> Section<'a> {
    let fits = (width.saturating_sub(NAME_WIDTH) / (TAG_WIDTH + 1)).max(1);
    let tags = &of.tags[..of.tags.len().min(fits)];
    let row = |name: &str, value: &dyn Fn(&TagStats) -> Value| {
        let name = (NAME_WIDTH, Side::Left, Value(name.to_owned(), look.dim()));
        let values = tags.iter().map(|tag| (TAG_WIDTH, Side::Right, value(tag)));
        cells([name].into_iter().chain(values))
    };
    let figure = |name: &str, value: &dyn Fn(&Figures) -> String| {
        row(name, &|tag| value(&tag.figures).into())
    };
    let lines = vec![
        row("", &|tag| head(tag, look)),
        figure("rate/s", &|of| number(of.rate)),
        row("errors", &|tag| errors(&tag.figures, look)),
        figure("p50", &|of| millis(of.p50_ms)),
        figure("p90", &|of| millis(of.p90_ms)),
        figure("p99", &|of| millis(of.p99_ms)),
        figure("in flight", &|of| of.in_flight.to_string()),
        figure("requests", &|of| count(of.requests)),
        figure("received", &|of| bytes(of.received_bytes)),
        figure("sent", &|of| bytes(of.sent_bytes)),
        figure("retries", &|of| of.retries.to_string()),
    ];
    Section { title: title(of, look), lines, cursor: 0 }
}

fn title<'a>(of: &DomainStats, look: Look) -> Line<'a> {
    let before = of.previous.as_ref().map(|tag| format!(", before it {tag}")).unwrap_or_default();
    let mode = match of.mode.known() {
        Some(DomainMode::Serving) => String::new(),
        Some(DomainMode::Paused | DomainMode::Maintenance) | None => format!("{}  ", of.mode),
    };
    Line::from(vec![
        Span::styled(of.domain.shown(), look.title()),
        Span::raw(format!("  live {}{before}  ", of.live)),
        Span::styled(mode, look.tone(tone(&of.mode))),
        Span::styled(bars(&of.recent_rates, BARS), look.bars()),
    ])
}

fn head(tag: &TagStats, look: Look) -> Value {
    let is_part = tag.share > Share::NONE && tag.share < Share::ALL;
    match (tag.live, tag.figures.in_flight) {
        (true, _) if is_part => Value(format!("{} (live {})", tag.tag, tag.share), look.title()),
        (false, _) if is_part => Value(format!("{} ({})", tag.tag, tag.share), look.title()),
        (true, _) => Value(format!("{} (live)", tag.tag), look.title()),
        (false, 0) => Value(tag.tag.to_string(), Style::new()),
        (false, _) => Value(format!("{} (draining)", tag.tag), Style::new()),
    }
}

fn errors(of: &Figures, look: Look) -> Value {
    let text = match of.errors {
        0 => "0%".to_owned(),
        errors => format!("{} ({})", share(of.error_share), count(errors)),
    };
    Value(text, look.errors(of.error_share))
}
