//! Cells of one line below those of another.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cli::table::{printable, shortened};

/// A column: its header, its width, and on which side its values stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) width: usize,
    pub(super) side: Side,
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

/// The columns between, so that `first` and they fill `width`; columns are dropped, the last first by
/// `drop_first`, until `first` has room for `least`.
pub(super) fn fitted(
    width: usize,
    least: usize,
    mut columns: Vec<Column>,
    drop_first: &[&'static str],
) -> (usize, Vec<Column>) {
    let taken = |columns: &[Column]| columns.iter().map(|column| column.width + 1).sum::<usize>();
    for name in drop_first {
        if width.saturating_sub(taken(&columns)) >= least {
            break;
        }
        columns.retain(|column| column.name != *name);
    }
    (width.saturating_sub(taken(&columns)), columns)
}

/// The names of the columns.
pub(super) fn titles<'a>(columns: &[Column], style: Style) -> Line<'a> {
    line(columns, columns.iter().map(|column| Value(column.name.to_owned(), style)))
}

/// One line of values, a space between them.
pub(super) fn line<'a>(columns: &[Column], values: impl IntoIterator<Item = Value>) -> Line<'a> {
    let mut spans = Vec::new();
    for (column, Value(text, style)) in columns.iter().zip(values) {
        let width = column.width;
        let text = shortened(&printable(&text), width, column.side == Side::Sentence);
        let text = match column.side {
            Side::Right => format!("{text:>width$}"),
            Side::Left | Side::Sentence => format!("{text:<width$}"),
        };
        if !spans.is_empty() {
            spans.push(Span::raw(" "));
        }
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}
