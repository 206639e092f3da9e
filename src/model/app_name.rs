//! The name of an app, and of a pool of its backends.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ParseError, Tag, text};

text! {
    /// The name of an app. It has no dot, so that it can't be mistaken for a domain.
    #[derive(PartialOrd, Ord, Hash)]
    pub struct AppName(Arc<str>) "The name of an app: lower-case letters, digits, `-` and `_`.",
        by check_name;
}

fn check_name(text: &str) -> Result<(), ParseError> {
    const MAX_CHARS: usize = 63;
    let fail = |reason: &str| Err(ParseError::new("app name", text, reason));
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (Some(first), Some(last)) = (text.bytes().next(), text.bytes().last()) else {
        return fail("it is empty; write a name such as `shop`");
    };
    if text.len() > MAX_CHARS {
        return fail("use at most 63 characters");
    }
    if !text.bytes().all(|byte| is_plain(byte) || matches!(byte, b'-' | b'_')) {
        return fail("use only lower-case letters, digits, `-` and `_`");
    }
    if !is_plain(first) || !is_plain(last) {
        return fail("start and end with a letter or a digit");
    }
    Ok(())
}

/// Which pool: a tag of an app, or a tag of what is in no app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PoolName {
    /// The app, if any.
    pub app: Option<AppName>,
    /// The tag that its backends carry.
    pub tag: Tag,
}

impl PoolName {
    /// The pool of `tag` in `app`.
    pub fn new(app: Option<&AppName>, tag: &Tag) -> Self {
        Self { app: app.cloned(), tag: tag.clone() }
    }
}

impl fmt::Display for PoolName {
    /// As people write it: `b`, or `shop/b`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.app {
            Some(app) => f.pad(&format!("{app}/{}", self.tag)),
            None => f.pad(self.tag.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_no_domain_with_a_dot() {
        for name in ["shop", "a", "my_app", "web-2", &"x".repeat(63)] {
            assert_eq!(name.parse::<AppName>().map(|name| name.to_string()).as_deref(), Ok(name));
        }
        for name in ["", "Shop", "shop.example", "-a", "a-", "_a", "a b", "ä", &"x".repeat(64)] {
            assert!(name.parse::<AppName>().is_err(), "{name:?}");
        }
    }
}
