//! A part of the screen.

use ratatui::text::Line;

/// A title, and lines of which some may be left out.
pub(super) struct Section<'a> {
    pub(super) title: Line<'a>,
    pub(super) lines: Vec<Line<'a>>,
    /// The line that must be seen.
    pub(super) cursor: usize,
}

impl<'a> Section<'a> {
    pub(super) fn wanted(&self) -> usize {
        if self.lines.is_empty() { 0 } else { 1 + self.lines.len() }
    }

    /// As much as fits, with the cursor in the middle where there is more.
    pub(super) fn within(self, height: usize) -> impl Iterator<Item = Line<'a>> {
        let room = height.saturating_sub(1);
        let most = self.lines.len().saturating_sub(room);
        let skipped = self.cursor.saturating_sub(room / 2).min(most);
        let title = Some(self.title).filter(|_| height > 0);
        title.into_iter().chain(self.lines.into_iter().skip(skipped).take(room))
    }
}
