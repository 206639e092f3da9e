//! How fields look in lines for people.

use std::fmt::Write as _;

use tracing::field::Field;
use tracing_subscriber::fmt::format::Writer;

use crate::model::is_obeyed;

/// Writes a field as text. What clients sent may be in it, so nothing in it ends the line or moves a
/// terminal's cursor.
pub(super) fn write_field(
    writer: &mut Writer<'_>,
    field: &Field,
    value: &dyn std::fmt::Debug,
) -> std::fmt::Result {
    match field.name() {
        "message" => {}
        // What the `log` crate knows of a record's place; the line has its target already.
        name if name.starts_with("log.") => return Ok(()),
        name => write!(writer, "{}=", name.trim_start_matches("r#"))?,
    }
    write!(Escaped(writer), "{value:?}")
}

/// Passes text on with its control characters escaped.
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
