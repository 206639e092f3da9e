//! Cells of one line below those of another.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cli::table::{padded, printable, shortened};

/// A column of things: its header, its width, on which side its values stand, and which they are.
pub(super) struct Column<'a, T> {
    pub(super) name: &'static str,
    pub(super) width: usize,
    pub(super) side: Side,
    pub(super) value: Box<dyn Fn(&T) -> Value + 'a>,
}

/// How a value that is shorter or longer than its column stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Numbers.
    Right,
    /// Names, shortened in their middle.
    Left,
    /// Sentences, shortened at their end.
    Sentence,
}

/// A value, and how it looks.
#[derive(Debug)]
pub(super) struct Value(pub(super) String, pub(super) Style);

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text, Style::new())
    }
}

pub(super) fn column<'a, T, V: Into<Value>>(
    name: &'static str,
    width: usize,
    side: Side,
    value: impl Fn(&T) -> V + 'a,
) -> Column<'a, T> {
    Column { name, width, side, value: Box::new(move |of| value(of).into()) }
}

/// Drops columns, the last first by `drop_first`, until there is room for another one of the width `least`.
/// Returns its width, which fills the line.
pub(super) fn fit<T>(
    width: usize,
    least: usize,
    columns: &mut Vec<Column<'_, T>>,
    drop_first: &[&'static str],
) -> usize {
    let room = |columns: &[Column<'_, T>]| {
        width.saturating_sub(columns.iter().map(|column| column.width + 1).sum())
    };
    for name in drop_first {
        if room(columns) >= least {
            break;
        }
        columns.retain(|column| column.name != *name);
    }
    room(columns)
}

/// The names of the columns.
pub(super) fn titles<'l, T>(columns: &[Column<'_, T>], style: Style) -> Line<'l> {
    cells(columns.iter().map(|of| (of.width, of.side, Value(of.name.to_owned(), style))))
}

/// One line of values.
pub(super) fn line<'l, T>(columns: &[Column<'_, T>], thing: &T) -> Line<'l> {
    cells(columns.iter().map(|of| (of.width, of.side, (of.value)(thing))))
}

/// Values in their widths and at their sides, a space between them.
pub(super) fn cells<'l>(cells: impl IntoIterator<Item = (usize, Side, Value)>) -> Line<'l> {
    let mut spans = Vec::new();
    for (width, side, Value(text, style)) in cells {
        let text = shortened(&printable(&text), width, side == Side::Sentence);
        let text = match side {
            Side::Right => format!("{text:>width$}"),
            Side::Left | Side::Sentence => padded(text, width),
        };
        if !spans.is_empty() {
            spans.push(Span::raw(" "));
        }
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}
