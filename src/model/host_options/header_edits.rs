//! Changes to headers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use http::{HeaderName, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HeaderText;
use crate::model::{OptionError, ParseError, RequestVariable, serde_as_text};

/// Edits of headers: first the headers in `remove` are removed, then those in `set` replace existing ones,
/// then those in `add` are added.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderEdits {
    /// Headers to set; each replaces all headers of its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<HeaderField, HeaderText>,
    /// Headers to add to those of the same name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<HeaderField, HeaderText>,
    /// Headers to remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<HeaderField>,
}

impl HeaderEdits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    /// Whether a value has this variable in it.
    pub fn uses(&self, variable: RequestVariable) -> bool {
        self.set.values().chain(self.add.values()).any(|text| text.uses(variable))
    }

    /// What frames a message is nobody's to edit.
    pub(super) fn check(&self) -> Result<(), String> {
        const OURS: [HeaderName; 8] = [
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::EXPECT,
            header::TE,
            header::TRAILER,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
            header::HOST,
        ];
        let named = self.set.keys().chain(self.add.keys()).chain(&self.remove);
        match named.into_iter().find(|field| OURS.contains(&field.0)) {
            // A backend that wants another host can have it; a request without one is none.
            Some(field) if field.0 == header::HOST && !self.touches_but_by_set(field) => Ok(()),
            Some(field) => Err(format!("`{field}` is the proxy's own to write; leave it out")),
            None => Ok(()),
        }
    }

    /// Values in which another program's variables stand; `path` is where these edits do.
    pub(super) fn doubts(&self, path: &str) -> Vec<OptionError> {
        let of = |kind: &'static str, texts: &BTreeMap<HeaderField, HeaderText>| {
            let doubts = texts.iter().filter_map(|(field, text)| {
                Some(OptionError::new(format!("{path}.{kind}.{field}"), text.doubt()?))
            });
            doubts.collect::<Vec<_>>()
        };
        [of("set", &self.set), of("add", &self.add)].concat()
    }

    fn touches_but_by_set(&self, field: &HeaderField) -> bool {
        self.add.contains_key(field) || self.remove.contains(field)
    }
}

/// The name of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderField(HeaderName);

impl HeaderField {
    /// The name as it goes over the wire.
    pub fn name(&self) -> &HeaderName {
        &self.0
    }
}

impl PartialOrd for HeaderField {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HeaderField {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

impl FromStr for HeaderField {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        HeaderName::try_from(text).map(Self).map_err(|_| {
            ParseError::new("header name", text, "use letters, digits and `-`, as in `X-Real-IP`")
        })
    }
}

impl fmt::Display for HeaderField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.as_str())
    }
}

serde_as_text!(HeaderField, "The name of a header.");
