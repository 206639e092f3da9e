//! Tables for people: two spaces between columns, no lines. On a narrow terminal, lists shorten
//! their least important columns, and sentences wrap within their column; in a pipe neither
//! happens.

use std::borrow::Cow;

use comfy_table::{Attribute, Color, ColumnConstraint, ContentArrangement, presets};
use unicode_width::UnicodeWidthStr as _;

use crate::model::HealthStatus;

/// A list with a header, or facts about one thing without.
#[derive(Debug)]
pub(super) struct Table {
    header: Vec<Cow<'static, str>>,
    rows: Vec<Vec<Cell>>,
    shorten: &'static [(usize, usize)],
}

impl Table {
    /// A list of things, one a row.
    pub(super) fn list(header: &[&'static str]) -> Self {
        let header = header.iter().map(|name| Cow::Borrowed(*name)).collect();
        Self { header, rows: Vec::new(), shorten: &[] }
    }

    /// A list of things, one a row: its values, each with the name of its column.
    pub(super) fn of<T, R>(things: impl IntoIterator<Item = T>, row: impl Fn(T) -> R) -> Self
    where
        R: IntoIterator<Item = (&'static str, Cell)>,
    {
        let mut table = Self::list(&[]);
        for thing in things {
            let (header, cells): (Vec<_>, _) = row(thing).into_iter().unzip();
            table.header = header.into_iter().map(Cow::Borrowed).collect();
            table.rows.push(cells);
        }
        table
    }

    /// Figures, one a row: of two things that are beside each other under their names, and how they differ.
    pub(super) fn beside([first, second]: [String; 2]) -> Self {
        let header = ["FIGURE".into(), first.into(), second.into(), "DIFFERENCE".into()];
        Self { header: header.into(), rows: Vec::new(), shorten: &[] }
    }

    /// If there is too little room, shortens these columns, one after the other, each to at least
    /// the given width. A column with width 0 is left out.
    pub(super) fn shortening(self, shorten: &'static [(usize, usize)]) -> Self {
        Self { shorten, ..self }
    }

    /// One thing, one of its facts a row.
    pub(super) fn facts() -> Self {
        Self::list(&[])
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Adds a fact.
    pub(super) fn fact(&mut self, name: &str, value: impl Into<Cell>) {
        self.row([name.into(), value.into()]);
    }

    /// Adds a fact where there is one.
    pub(super) fn known(&mut self, name: &str, value: Option<impl Into<Cell>>) {
        if let Some(value) = value {
            self.fact(name, value);
        }
    }

    /// Whether there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As [`Self::render`], for a paged list: the first page sets `columns`, the later ones use
    /// them.
    pub(super) fn render_part(
        mut self,
        columns: &mut Option<Columns>,
        header: bool,
        color: bool,
        width: Option<u16>,
    ) -> String {
        let is_first = columns.is_none();
        let columns = columns.get_or_insert_with(|| {
            Columns(self.widths_within(width.map_or(usize::MAX, usize::from)))
        });
        if width.is_some() {
            self.cut(&columns.0);
        }
        let kept: Vec<usize> = columns.0.iter().copied().filter(|width| *width > 0).collect();
        for row in &mut self.rows {
            row.iter_mut().zip(&kept).for_each(|(cell, width)| cell.pad(*width));
        }
        self.render(header && is_first, color, None)
    }

    /// The text, a newline after each row; within `width` columns if given.
    pub(super) fn render(mut self, header: bool, color: bool, width: Option<u16>) -> String {
        let width = width.filter(|width| self.shorten_to(usize::from(*width)));
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        match width {
            Some(width) => {
                table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic)
            }
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        if color {
            table.enforce_styling().style_text_only();
        } else {
            table.force_no_tty();
        }
        if header && !self.header.is_empty() {
            let cell = |name: Cow<'static, str>| {
                let cell = comfy_table::Cell::new(name);
                if color { cell.add_attribute(Attribute::Dim) } else { cell }
            };
            table.set_header(self.header.into_iter().map(cell));
        }
        table.add_rows(self.rows.into_iter().map(|row| row.into_iter().map(Cell::styled)));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        if let Some(first) = table.column_mut(0) {
            first.set_constraint(ColumnConstraint::ContentWidth);
        }
        let mut text = table.trim_fmt();
        text.push('\n');
        text
    }
}

impl Table {
    /// Shortens columns until the table fits. Returns whether the rest may wrap: not in lists,
    /// where a wrapped row looks like several rows.
    fn shorten_to(&mut self, width: usize) -> bool {
        self.cut(&self.widths_within(width));
        self.shorten.is_empty()
    }

    /// The widths for which the table fits, as far as columns may be shortened.
    fn widths_within(&self, width: usize) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let mut widths: Vec<usize> = (0..columns).map(|column| self.width_of(column)).collect();
        for (column, least) in self.shorten {
            let total =
                widths.iter().filter(|width| **width > 0).map(|width| width + 2).sum::<usize>();
            let excess = total.saturating_sub(width.saturating_add(2));
            let Some(now) = widths.get_mut(*column).filter(|_| excess > 0) else { continue };
            let left = now.saturating_sub(excess);
            // A column of a few letters is useless.
            *now = if *least == 0 && left < 8 { 0 } else { left.max((*least).min(*now)) };
        }
        widths
    }

    /// Shortens columns to these widths, and leaves out those with width 0.
    fn cut(&mut self, widths: &[usize]) {
        for (column, _) in self.shorten {
            let Some(width) = widths.get(*column) else { continue };
            self.rows.iter_mut().for_each(|row| row[*column].shorten(*width));
        }
        for column in (0..widths.len()).rev().filter(|column| widths[*column] == 0) {
            self.rows.iter_mut().for_each(|row| drop(row.remove(column)));
            self.header.remove(column);
        }
    }

    fn width_of(&self, column: usize) -> usize {
        let header = self.header.get(column).map_or(0, |name| name.len());
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.text.width()).fold(header, usize::max)
    }
}

/// The widths of a list's columns, so that its pages line up.
#[derive(Debug)]
pub(super) struct Columns(Vec<usize>);

/// One value of a row, and what it means to the reader.
#[derive(Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
    /// The important part comes first, as in a sentence.
    reads_on: bool,
}

/// The meaning of a value. Colour only repeats what the text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Neutral.
    Plain,
    Good,
    /// Unknown, or partly good.
    Unsure,
    /// Needs attention.
    Bad,
}

impl Tone {
    /// How a pool stands, of whose backends that should serve so many are healthy.
    pub(super) fn of_pool(healthy: usize, ready: usize) -> Self {
        match healthy {
            0 => Self::Bad,
            some if some < ready => Self::Unsure,
            _ => Self::Good,
        }
    }

    /// What it means that such a share of requests failed, 0 to 1.
    pub(super) fn of_errors(share: f64) -> Self {
        match share {
            0.0 => Self::Plain,
            ..0.01 => Self::Unsure,
            _ => Self::Bad,
        }
    }

    /// What the health of a backend means.
    pub(super) fn of_health(status: HealthStatus) -> Self {
        match status {
            HealthStatus::Healthy => Self::Good,
            HealthStatus::Unknown => Self::Unsure,
            HealthStatus::Unhealthy => Self::Bad,
        }
    }
}

impl Cell {
    /// A value with a meaning.
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { tone, ..text.into().into() }
    }

    /// A value that is shortened at its end.
    pub(super) fn sentence(text: impl Into<String>) -> Self {
        Self { reads_on: true, ..text.into().into() }
    }

    fn shorten(&mut self, width: usize) {
        self.text = shortened(&self.text, width, self.reads_on);
    }

    fn pad(&mut self, width: usize) {
        self.text = padded(std::mem::take(&mut self.text), width);
    }

    fn styled(self) -> comfy_table::Cell {
        let cell = comfy_table::Cell::new(self.text);
        match self.tone {
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::DarkGreen),
            Tone::Unsure => cell.fg(Color::DarkYellow),
            Tone::Bad => cell.fg(Color::DarkRed),
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        // An empty cell would shift the columns for scripts that split at spaces.
        let text = if text.is_empty() { "-".to_owned() } else { printable(&text) };
        Self { text, tone: Tone::Plain, reads_on: false }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// The text within `width` columns: a sentence is cut at its end, other values in their middle,
/// because names differ at their ends, and addresses by their ports.
pub(super) fn shortened(text: &str, width: usize, reads_on: bool) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let head = if reads_on { room } else { room / 2 };
    format!("{}…{}", start_of(text, head), end_of(text, room - head))
}

/// As much of the text as fits within `width` columns, from its start.
fn start_of(text: &str, width: usize) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let fits = ends.take_while(|end| text[..*end].width() <= width).last();
    &text[..fits.unwrap_or_default()]
}

/// The same from its end.
fn end_of(text: &str, width: usize) -> &str {
    let starts = text.char_indices().rev().map(|(at, _)| at);
    let fits = starts.take_while(|start| text[*start..].width() <= width).last();
    &text[fits.unwrap_or(text.len())..]
}

/// The text, filled up to `width` columns: a character may take two, or none.
pub(super) fn padded(mut text: String, width: usize) -> String {
    text.extend(std::iter::repeat_n(' ', width.saturating_sub(text.width())));
    text
}

/// The values, with commas between them.
pub(super) fn join<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
}

pub(super) use crate::model::counted as count;

/// Prevents a text of a backend or another user from moving the cursor or breaking the line.
pub(super) fn printable(text: &str) -> String {
    crate::model::printable(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::list(&["ID", "HEALTH", "TAGS"]);
        table.row(["web-v1".into(), Cell::toned("healthy", Tone::Good), "a".into()]);
        table.row(["x".into(), Cell::toned("unhealthy", Tone::Bad), "".into()]);
        table
    }

    #[test]
    fn columns_are_two_spaces_apart_and_lines_end_without_any() {
        assert_eq!(
            table().render(true, false, None),
            "ID      HEALTH     TAGS\nweb-v1  healthy    a\nx       unhealthy  -\n"
        );
        assert_eq!(
            table().render(false, false, None),
            "web-v1  healthy    a\nx       unhealthy  -\n"
        );
    }

    #[test]
    fn colour_changes_no_column() {
        let colored = table().render(true, true, None);
        assert!(colored.contains("\u{1b}["), "{colored:?}");
        let mut plain = String::new();
        let mut rest = colored.as_str();
        while let Some((text, escape)) = rest.split_once("\u{1b}[") {
            plain.push_str(text);
            rest = escape.split_once('m').expect("the end of the escape").1;
        }
        plain.push_str(rest);
        assert_eq!(plain, table().render(true, false, None));
    }

    #[test]
    fn long_values_stay_on_their_line_in_a_pipe() {
        let mut table = Table::list(&["A", "B"]);
        table.row(["x".repeat(300).into(), "two words\nand \u{1b}[31ma break".into()]);
        let text = table.render(false, false, None);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    fn assert_fits(text: &str) {
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn on_a_terminal_a_list_shortens_what_it_can_best_do_without() {
        let list = |domain: &str, aliases: &str| {
            let mut table =
                Table::list(&["DOMAIN", "LIVE", "ALIASES"]).shortening(&[(2, 0), (0, 24)]);
            table.row([domain.into(), "shop-blue".into(), aliases.into()]);
            table.row(["example.com".into(), "b".into(), "".into()]);
            table.render(true, false, Some(80))
        };
        let (domain, aliases) = ("d".repeat(40), "a".repeat(60));
        let text = list(&domain, &aliases);
        assert_fits(&text);
        assert_eq!(text.lines().count(), 3, "{text}");
        let cut = format!("{domain}  shop-blue  {}…{}\n", "a".repeat(13), "a".repeat(13));
        assert!(text.contains(&cut), "{text}");
        let text = list(&"d".repeat(90), &aliases);
        assert_fits(&text);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.contains("d…d") && text.contains("d  shop-blue\n") && !text.contains("ALIASES"),
            "{text}"
        );
        assert!(!list("short.test", "www.short.test").contains('…'));
    }

    #[test]
    fn wide_letters_take_two_columns() {
        let mut table = Table::list(&["NAME", "LIVE"]).shortening(&[(0, 6)]);
        table.row(["日本語.example".into(), "a".into()]);
        table.row(["ab.example".into(), "b".into()]);
        assert_eq!(
            table.render(true, false, Some(16)),
            "NAME        LIVE\n日本…ample  a\nab.example  b\n"
        );
        assert_eq!(shortened("日本語", 5, true), "日本…");
        assert_eq!(shortened("日本語", 4, true), "日…");
        assert_eq!(shortened("日本語", 6, true), "日本語");
        assert_eq!(shortened("日本語", 1, false), "…");
        assert_eq!(padded("日".to_owned(), 4), "日  ");
    }

    #[test]
    fn a_sentence_is_shortened_at_its_end() {
        let mut table = Table::list(&["NAME", "NEXT"]).shortening(&[(1, 12)]);
        table.row(["example.com".into(), Cell::sentence("retry 10:05Z: it is not there")]);
        assert_eq!(table.render(false, false, Some(25)), "example.com  retry 10:05…\n");
    }

    #[test]
    fn parts_of_a_list_stand_below_each_other() {
        let part = |columns: &mut Option<Columns>, domain: &str, width| {
            let mut table =
                Table::list(&["DOMAIN", "LIVE", "ALIASES"]).shortening(&[(2, 0), (0, 24)]);
            table.row([domain.into(), "a".into(), "www".into()]);
            table.render_part(columns, true, false, width)
        };
        let mut columns = None;
        let first = part(&mut columns, "shop.example.com", None);
        assert_eq!(first, "DOMAIN            LIVE  ALIASES\nshop.example.com  a     www\n");
        assert_eq!(part(&mut columns, "x.test", None), "x.test            a     www\n");
        let long = "d".repeat(90);
        assert_eq!(part(&mut columns, &long, None), format!("{long}  a     www\n"));

        let mut columns = None;
        assert!(!part(&mut columns, &long, Some(80)).contains("ALIASES"));
        let later = part(&mut columns, "x.test", Some(80));
        assert_eq!(later.split_whitespace().collect::<Vec<_>>(), ["x.test", "a"]);
        assert_fits(&part(&mut columns, &long, Some(80)));
    }

    #[test]
    fn on_a_terminal_sentences_wrap_in_their_column() {
        let mut table = Table::facts();
        table.fact("last answer", "it did not answer in time ".repeat(5));
        table.fact("serves", "");
        let text = table.render(true, false, Some(80));
        assert_fits(&text);
        assert!(
            text.lines().nth(1).is_some_and(|line| line.starts_with(&" ".repeat(13))),
            "{text}"
        );
    }
}
