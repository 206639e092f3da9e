//! A tag: the operator's label that groups backends.

use std::sync::Arc;

use super::{ParseError, text};

text! {
    /// A label on backends, such as `a`, `b` or `shop-blue`. Case matters.
    #[derive(PartialOrd, Ord, Hash)]
    pub struct Tag(Arc<str>) "A label that groups backends: letters, digits, `-`, `_` and `.`.",
        by |text| check_label("tag", text, 64);
}

impl std::borrow::Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Names that people type and scripts quote: no spaces, nothing a shell would change.
pub(super) fn check_label(
    what: &'static str,
    text: &str,
    longest: usize,
) -> Result<(), ParseError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if text.len() > longest {
        Err(ParseError::new(what, text, format!("use at most {longest} characters")))
    } else if !starts_well || !text.chars().all(allowed) {
        Err(ParseError::new(
            what,
            text,
            "start with a letter or digit and use only letters, digits, `-`, `_` and `.`",
        ))
    } else {
        Ok(())
    }
}
