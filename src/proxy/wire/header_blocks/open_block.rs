//! A header block that is not whole yet.

use std::sync::Arc;
use std::time::Instant;

use crate::proxy::memory::{Budget, Charge};
use crate::proxy::wire::hpack::Seen;

#[derive(Debug, Default)]
pub(super) struct OpenBlock {
    pub(super) stream: u32,
    /// Whether it ends its stream.
    pub(super) is_last: bool,
    /// Whether it is not the first of its stream.
    pub(super) is_trailers: bool,
    pub(super) depends_on_itself: bool,
    /// What has come of it; `None` when h2 has that already.
    pub(super) fragments: Option<Vec<u8>>,
    pub(super) seen: Seen,
    /// Since when the client is waited for.
    pub(super) since: Option<Instant>,
    /// How much of it is counted as held, by us or by h2.
    charge: Option<Charge>,
    charged: usize,
}

impl OpenBlock {
    pub(super) fn new(stream: u32, is_last: bool, is_trailers: bool) -> Self {
        Self { stream, is_last, is_trailers, fragments: Some(Vec::new()), ..Self::default() }
    }

    /// Counts what is held until more of it comes; whether there is room for that. h2 holds `max_held` of
    /// one that it has got.
    pub(super) fn charge(&mut self, memory: &Arc<Budget>, max_held: usize) -> bool {
        let held = self.fragments.as_ref().map_or(max_held, Vec::capacity);
        if held != self.charged {
            self.charge = None;
            self.charge = memory.charge_block(held);
            self.charged = held;
        }
        self.charge.is_some() || held == 0
    }

    /// What is malformed in it, now that it is whole.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let seen = &self.seen;
        if self.depends_on_itself {
            return Some("the stream depends on itself");
        }
        if self.is_trailers && seen.pseudo() {
            return Some("there is a pseudo-header field in trailers");
        }
        if seen.fault.is_some() || self.is_trailers {
            return seen.fault;
        }
        if !seen.method {
            return Some("there is no method");
        }
        if !(seen.connect || seen.scheme && seen.path) {
            return Some("there is no scheme or no path");
        }
        // Beside an authority it shows.
        (seen.foreign_scheme && !seen.authority)
            .then_some("the scheme is neither `http` nor `https`")
    }
}
