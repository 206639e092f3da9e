//! Styles. Without colour, important parts are bold; the text always says it, too.

use ratatui::style::{Color, Modifier, Style};

use crate::cli::table::Tone;

/// Whether there is colour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) color: bool,
}

impl Look {
    pub(super) fn tone(self, tone: Tone) -> Style {
        match (self.color, tone) {
            (_, Tone::Plain) | (false, Tone::Good) => Style::new(),
            (true, Tone::Good) => Style::new().fg(Color::Green),
            (true, Tone::Unsure) => Style::new().fg(Color::Yellow),
            (true, Tone::Bad) => Style::new().fg(Color::Red),
            (false, Tone::Unsure | Tone::Bad) => Style::new().add_modifier(Modifier::BOLD),
        }
    }

    /// That of a share of errors.
    pub(super) fn errors(self, share: f64) -> Style {
        self.tone(Tone::of_errors(share))
    }

    pub(super) fn title(self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.color { style.fg(Color::Cyan) } else { style }
    }

    pub(super) fn dim(self) -> Style {
        if self.color { Style::new().fg(Color::DarkGray) } else { Style::new() }
    }

    pub(super) fn bars(self) -> Style {
        if self.color { Style::new().fg(Color::Blue) } else { Style::new() }
    }

    /// The line under the cursor.
    pub(super) fn chosen() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}
