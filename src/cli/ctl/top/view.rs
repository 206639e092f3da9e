//! Draws a frame from the model. Pure.

mod columns;
mod lists;
mod opened;
mod section;
mod trials;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use self::section::Section;
use super::look::Look;
use super::model::{Doing, Mode, Model, Planned};
use crate::cli::ctl::figures::{millis, number, share};
use crate::cli::table::{Tone, count, join, printable, shortened};
use crate::model::{TrialReport, with_unicode_names};

/// Draws everything. A `whole` frame is printed as text: without a cursor and keys.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, look: Look, whole: bool) {
    let area = frame.area();
    let sections = sections(model, area.width, look, whole);
    let footer = if whole { Vec::new() } else { footer(model, area, look) };
    let mut lines = vec![header(model, usize::from(area.width), look)];
    let room = usize::from(area.height).saturating_sub(lines.len() + footer.len());
    if matches!(model.mode, Mode::Help) {
        lines.extend(help(look).into_iter().take(room));
    } else {
        let wanted = sections.each_ref().map(Section::wanted);
        // Empty lines between them, if there is room.
        let air = gaps(&wanted) + wanted.iter().sum::<usize>() <= room;
        let heights = heights(room, wanted);
        for (section, height) in sections.into_iter().zip(heights) {
            if air && height > 0 && lines.len() > 1 {
                lines.push(Line::default());
            }
            lines.extend(section.within(height));
        }
    }
    lines.resize(usize::from(area.height).saturating_sub(footer.len()), Line::default());
    for (row, line) in (area.y..area.bottom()).zip(lines.iter().chain(&footer)) {
        let line = shown(line);
        frame.buffer_mut().set_line(area.x, row, &line, area.width);
    }
}

/// The line without control characters.
fn shown<'a>(line: &'a Line<'a>) -> Line<'a> {
    let spans = line.spans.iter();
    let spans = spans.map(|span| Span::styled(crate::model::printable(&span.content), span.style));
    Line { spans: spans.collect(), ..*line }
}

/// The lines that a whole frame takes.
pub(super) fn lines_wanted(model: &Model, columns: u16) -> u16 {
    let sections = sections(model, columns, Look { color: false }, true);
    let wanted = sections.each_ref().map(Section::wanted);
    let lines = 1 + gaps(&wanted) + wanted.iter().sum::<usize>();
    u16::try_from(lines).unwrap_or(u16::MAX)
}

/// Empty lines between sections that have something to show.
fn gaps(wanted: &[usize]) -> usize {
    wanted.iter().filter(|wanted| **wanted > 0).count().saturating_sub(1)
}

fn sections(model: &Model, width: u16, look: Look, whole: bool) -> [Section<'_>; 4] {
    let width = usize::from(width);
    let main = match (&model.open, model.opened()) {
        (Some(_), Some(domain)) => opened::domain(domain, width, look),
        (Some(domain), None) => waiting(format!("{}: asking the server", domain.shown())),
        (None, _) => lists::domains(model, width, look, whole),
    };
    [
        trials::section(model, width, look),
        main,
        lists::backends(model, width, look),
        lists::events(model, width, look),
    ]
}

fn waiting<'a>(text: String) -> Section<'a> {
    Section { title: Line::default(), lines: vec![Line::from(text)], cursor: 0 }
}

/// Shares out the room: something to each, the rest to the first that want it. What is last goes first
/// where there is too little.
fn heights(room: usize, wanted: [usize; 4]) -> [usize; 4] {
    let least = [1 + trials::LINES, 4, 1 + (room / 5).max(2), 1 + (room / 6).max(2)];
    let mut heights = [0; 4];
    let mut left = room;
    for (height, (wanted, least)) in heights.iter_mut().zip(wanted.into_iter().zip(least)) {
        let part = wanted.min(least);
        if part <= left {
            *height = part;
            left -= part;
        }
    }
    // A screen of a few lines is the first one's.
    for (height, wanted) in heights.iter_mut().zip(wanted) {
        if *height > 0 || left == room {
            let more = (wanted - *height).min(left);
            *height += more;
            left -= more;
        }
    }
    heights
}

fn header<'a>(model: &Model, width: usize, look: Look) -> Line<'a> {
    if let Some(why) = &model.lost {
        let text = format!("vhost: {}; trying again", printable(why));
        return Line::styled(text, look.tone(Tone::Bad));
    }
    let Some(report) = model.report() else { return Line::from("vhost: asking the server") };
    let total = &report.total;
    let window = match report.window_ms {
        Some(ms) => format!("last {} s", ms / 1000),
        None => "since start".to_owned(),
    };
    let errors = look.errors(total.error_share);
    let mut parts = vec![
        ("vhost".to_owned(), look.title()),
        (format!("{}/s", number(total.rate)), Style::new()),
        (format!("{} errors", share(total.error_share)), errors),
        (format!("p50 {}", millis(total.p50_ms)), Style::new()),
        (format!("p99 {}", millis(total.p99_ms)), Style::new()),
        (format!("{} in flight", total.in_flight), Style::new()),
        (format!("{window}, by {}", model.sort.as_str().replace('_', " ")), look.dim()),
    ];
    // What can best be done without goes first: the median, then what is last.
    let taken = |parts: &[(String, Style)]| -> usize {
        parts.iter().map(|(text, _)| text.chars().count() + 2).sum::<usize>() - 2
    };
    if taken(&parts) > width {
        parts.remove(3);
    }
    while taken(&parts) > width && parts.len() > 1 {
        parts.pop();
    }
    let spans = parts.into_iter().enumerate().flat_map(|(at, (text, style))| {
        [Span::raw(if at == 0 { "" } else { "  " }), Span::styled(text, style)]
    });
    spans.collect()
}

/// What is asked or done, and the keys; one line where there are few.
fn footer<'a>(model: &Model, area: Rect, look: Look) -> Vec<Line<'a>> {
    let width = usize::from(area.width);
    let said = said(model, width, look);
    let keys = match &model.mode {
        Mode::Confirm(planned) => match planned.plan.warnings.first() {
            Some(warning) => {
                let warning = with_unicode_names(warning);
                format!("y yes  n no  warning: {}", printable(&warning))
            }
            None => "y yes  n no".to_owned(),
        },
        Mode::End { .. } => "y yes  n no".to_owned(),
        Mode::Search => "Enter keep  Esc clear".to_owned(),
        Mode::Tag { .. } => "Enter plan  Esc cancel".to_owned(),
        Mode::Help => "any key: back".to_owned(),
        Mode::Browse if model.trial().is_some() && model.open.is_some() => {
            "q quit  ? help  Esc back  S switch  u undo  a abort  p promote".to_owned()
        }
        Mode::Browse if model.trial().is_some() => {
            "q quit  ? help  ↑↓ choose  Enter open  S switch  u undo  a abort  p promote".to_owned()
        }
        Mode::Browse if model.open.is_some() => {
            "q quit  ? help  Esc back  w window  S switch  u undo".to_owned()
        }
        Mode::Browse => {
            "q quit  ? help  ↑↓ choose  Enter open  s sort  / search  S switch  u undo".to_owned()
        }
    };
    let keys = Line::styled(shortened(&keys, width, true), look.dim());
    match said {
        None if area.height < 12 => vec![keys],
        None => vec![Line::default(), keys],
        // Without the keys nobody could answer.
        Some(said) if area.height < 12 && matches!(model.mode, Mode::Browse) => vec![said],
        Some(said) => vec![said, keys],
    }
}

fn said<'a>(model: &Model, width: usize, look: Look) -> Option<Line<'a>> {
    let line = |text: &str, tone| {
        let text = shortened(&printable(text), width, true);
        Some(Line::styled(text, look.tone(tone)))
    };
    match (&model.mode, &model.doing) {
        (Mode::Confirm(planned), _) => line(&question(planned), Tone::Unsure),
        (Mode::End { trial, promote }, _) => line(&end_question(trial, *promote), Tone::Unsure),
        (Mode::Tag { domain, typed }, _) => {
            let tags = join(model.tags_beside_live(domain));
            let domain = domain.shown();
            line(&format!("switch {domain} to which tag ({tags})? {typed}▏"), Tone::Unsure)
        }
        (Mode::Search, _) => line(&format!("/{}▏", model.search), Tone::Plain),
        (_, Doing::Busy(how)) => line(how, Tone::Unsure),
        (_, Doing::Ended(how, true)) => line(how, Tone::Good),
        (_, Doing::Ended(how, false)) => line(how, Tone::Bad),
        (_, Doing::Nothing) => None,
    }
}

/// The plan in a line.
fn question(planned: &Planned) -> String {
    let verb = if planned.undo { "undo" } else { "switch" };
    let steps = planned.plan.steps.iter().map(|step| {
        let ready = planned.plan.capacity.iter().find(|of| of.tag == step.to);
        let healthy = ready.map_or_else(String::new, |of| {
            format!(", {} of {} healthy", of.healthy, count(of.ready, "backend"))
        });
        let drain = match step.requests {
            0 => "nothing to drain".to_owned(),
            requests => format!("{} to drain", count(requests, "request")),
        };
        format!("{} {} → {}{healthy}, {drain}", step.domain.shown(), step.from, step.to)
    });
    format!("{verb} {}?", steps.collect::<Vec<_>>().join("; "))
}

/// What the end of a trial means, in a line.
fn end_question(trial: &TrialReport, promote: bool) -> String {
    let TrialReport { kind, from, to, .. } = trial;
    let domains = trials::domains(trial);
    if promote {
        format!("promote {to} at {domains}? It becomes live alone, whatever its {kind} says")
    } else {
        format!("abort the {kind} of {to} at {domains}? Every client gets {from} again")
    }
}

fn help<'a>(look: Look) -> Vec<Line<'a>> {
    let keys = [
        ("↑ ↓  k j", "choose a domain; Page Up, Page Down, Home, End"),
        ("Enter", "open the domain and show its tags"),
        ("Esc", "back; clear the search"),
        ("/", "search domains and tags"),
        ("s", "sort by rate, errors, p99, in flight, name"),
        ("w", "figures of the last 10 s, 60 s, or since the start"),
        ("S", "switch the domain to its other tag, after a confirmation"),
        ("u", "undo: back to the previous tag, after a confirmation"),
        ("a", "abort the rollout or the guard, after a confirmation"),
        ("p", "promote: make the tag that is rolled out live alone"),
        ("q  Ctrl-C", "quit; running operations go on at the server"),
    ];
    let line = |(key, what): (&'static str, &'static str)| {
        Line::from(vec![Span::styled(format!("  {key:<11}"), look.title()), Span::raw(what)])
    };
    let about = [
        "",
        "  Errors are answers with status 500 or above, and answers that broke off.",
        "  A backend's time is the time until its answer begins.",
        "  a→b: after a switch to b, requests on a are still running.",
    ];
    let title = Line::styled("KEYS", look.dim());
    [title].into_iter().chain(keys.map(line)).chain(about.map(Line::from)).collect()
}
