//! A tag: the operator's label that groups backends.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{ParseError, serde_as_text};

/// A label on backends, such as `a`, `b` or `shop-blue`. Case matters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        check_label("tag", text, 64)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::borrow::Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

serde_as_text!(Tag, "A label that groups backends: letters, digits, `-`, `_` and `.`.");

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
