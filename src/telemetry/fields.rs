//! The fields of text lines.

use std::fmt::Write as _;

use tracing::field::Field;
use tracing_subscriber::fmt::format::Writer;

use crate::model::is_obeyed;

/// Writes a field as text. It may contain input of clients, so it is escaped: it can't end the line
/// or move a terminal's cursor.
pub(super) fn write_field(
    writer: &mut Writer<'_>,
    field: &Field,
    value: &dyn std::fmt::Debug,
) -> std::fmt::Result {
    match field.name() {
        "message" => {}
        // The location fields of the `log` crate; the line already has the target.
        name if name.starts_with("log.") => return Ok(()),
        name => write!(writer, "{}=", name.trim_start_matches("r#"))?,
    }
    write!(Escaped(writer), "{value:?}")
}

/// Escapes control characters.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl std::fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for part in text.split_inclusive(is_obeyed) {
            match part.char_indices().next_back() {
                Some((end, last)) if is_obeyed(last) => {
                    self.0.write_str(&part[..end])?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}
