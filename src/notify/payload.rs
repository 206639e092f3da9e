//! What a call hands over, and what may come of it.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::model::{printable, shorten};

/// The characters of an answer that are shown at most.
const MAX_SHOWN_CHARS: usize = 500;

/// What a call hands over.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    /// What it is about, in `Vhost-Event` and `VHOST_EVENT`.
    pub(super) event: &'static str,
    /// JSON.
    pub(super) body: Bytes,
}

impl Payload {
    pub(super) fn new(event: &'static str, body: &Value) -> Self {
        Self { event, body: body.to_string().into() }
    }
}

/// Why a call did not succeed.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What happened, in words.
    pub(super) what: String,
    /// What it said itself, as it came.
    pub(super) said: String,
    /// Whether another try may succeed, and the time until then that it asks for.
    pub(super) again: Again,
}

/// Whether a call is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It is not.
    Never,
    /// It is, after so long where that is given.
    After(Option<Duration>),
}

impl Refusal {
    /// Nobody answered.
    pub(super) fn unreachable(what: impl Into<String>) -> Self {
        Self { what: what.into(), said: String::new(), again: Again::After(None) }
    }

    /// What it said, for people.
    pub(super) fn words(&self) -> Option<String> {
        let said = self.said.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = shorten(&printable(&said), MAX_SHOWN_CHARS);
        (!words.is_empty()).then_some(words)
    }

    /// All that it said, where that is more than people are shown.
    pub(super) fn output(&self) -> Option<String> {
        let is_long = self.said.chars().nth(MAX_SHOWN_CHARS).is_some();
        is_long.then(|| printable(self.said.trim()).into_owned())
    }

    /// What happened, with what it said, for people.
    pub(super) fn in_full(&self) -> String {
        match self.words() {
            Some(words) => format!("{}: {words}", self.what),
            None => self.what.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_says_is_shown_on_one_line_and_not_obeyed() {
        let mut refusal = Refusal::unreachable("it answered 403 Forbidden");
        assert_eq!(refusal.in_full(), "it answered 403 Forbidden");
        refusal.said = " not on\r\n Friday \u{1b}[2J".to_owned();
        assert_eq!(refusal.in_full(), "it answered 403 Forbidden: not on Friday \u{fffd}[2J");
        refusal.said = "x".repeat(4096);
        assert_eq!(refusal.words().unwrap().chars().count(), MAX_SHOWN_CHARS + 1);
    }
}
