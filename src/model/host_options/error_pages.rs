//! Files in the place of error answers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ParseError, serde_as_text};

/// The file for each status, such as `{ "404" = "/srv/404.html", "5xx" = "/srv/sorry.html" }`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ErrorPages(BTreeMap<PageFor, PathBuf>);

impl ErrorPages {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The file for a status: its own, else that of its class.
    pub fn page_for(&self, status: u16) -> Option<&Path> {
        let class = PageFor::Class(u8::try_from(status / 100).ok()?);
        let page = self.0.get(&PageFor::Status(status)).or_else(|| self.0.get(&class));
        page.map(PathBuf::as_path)
    }

    /// Each with what it is for.
    pub fn iter(&self) -> impl Iterator<Item = (PageFor, &Path)> {
        self.0.iter().map(|(status, path)| (*status, path.as_path()))
    }

    /// Relative paths start at `base`.
    pub fn start_at(&mut self, base: &Path) {
        for path in self.0.values_mut() {
            let joined = base.join(&*path);
            *path = std::path::absolute(&joined).unwrap_or(joined);
        }
    }
}

/// What an error page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageFor {
    /// One status.
    Status(u16),
    /// A whole class, by its first digit.
    Class(u8),
}

impl FromStr for PageFor {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "4xx" => return Ok(Self::Class(4)),
            "5xx" => return Ok(Self::Class(5)),
            _ => {}
        }
        let status = text.parse().ok().filter(|status| (400..600).contains(status));
        status.map(Self::Status).ok_or_else(|| {
            ParseError::new("status of an error", text, "use 400 to 599, `4xx` or `5xx`")
        })
    }
}

impl fmt::Display for PageFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

serde_as_text!(PageFor, "A status from 400 to 599, `4xx` or `5xx`.");
