//! Paths that other tags serve.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ParseError, Tag, text};

/// The most that one domain may have: each request looks at them.
const MOST: usize = 100;

/// A part of a domain's paths that another tag serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathRoute {
    /// The start of the path: `/api` matches `/api` and everything below `/api/`, but not `/apis`.
    pub prefix: PathPrefix,
    /// The tag that serves it. A switch of the domain doesn't change it.
    pub tag: Tag,
    /// Whether backends get the path without the prefix.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strip: bool,
}

text! {
    /// The beginning of a path, such as `/api`; without a slash at its end.
    #[derive(PartialOrd, Ord)]
    pub struct PathPrefix(String) "The beginning of a path, such as `/api`.";
}

impl PathPrefix {
    /// Whether `path` is it or below it.
    pub fn fits(&self, path: &str) -> bool {
        path.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for PathPrefix {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const LONGEST: usize = 1024;
        let refuse = |reason: &str| Err(ParseError::new("path prefix", text, reason));
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        if !text.starts_with('/') || trimmed.is_empty() {
            return refuse("begin with a slash and a name, as in `/api`");
        }
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '\\');
        if text.len() > LONGEST || !text.chars().all(plain) {
            return refuse("use a path as it goes over the wire, without `?` and `#`");
        }
        if text.split('/').any(|part| part == "." || part == "..") || text.contains("//") {
            return refuse("leave out `.`, `..` and doubled slashes");
        }
        Ok(Self(trimmed.to_owned()))
    }
}

/// None is listed twice, and there are not too many.
pub(super) fn check(routes: &[PathRoute]) -> Result<(), String> {
    if routes.len() > MOST {
        return Err(format!("use at most {MOST}"));
    }
    let twice = routes
        .iter()
        .enumerate()
        .find(|(n, route)| routes[..*n].iter().any(|other| other.prefix == route.prefix));
    twice.map_or(Ok(()), |(_, route)| Err(format!("`{}` is listed twice", route.prefix)))
}
