//! The tables of fields (RFC 7541 §2.3), without their text.

use std::collections::VecDeque;

use super::field::{Meaning, Name};

/// The size of the dynamic table that a client may use: the default, which we don't change.
pub(super) const MAX_TABLE: usize = 4096;

/// What each entry of the table costs beside its text (RFC 7541 §4.1).
pub(super) const ENTRY_OVERHEAD: usize = 32;

/// An entry of a table, without its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) name_len: usize,
    /// What is wrong with its name.
    pub(super) name_fault: Option<&'static str>,
    /// Its size in the dynamic table.
    pub(super) size: usize,
    pub(super) meaning: Meaning,
    /// What is wrong with it.
    pub(super) fault: Option<&'static str>,
}

/// The dynamic table, the newest entry first.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) entries: VecDeque<Entry>,
    pub(super) size: usize,
    pub(super) max: usize,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), size: 0, max: MAX_TABLE }
    }

    /// The entry of an index: the static ones first, from 1 on.
    pub(super) fn get(&self, index: usize) -> Option<Entry> {
        let index = index.checked_sub(1)?;
        match STATIC_NAMES.get(index) {
            Some(name) => {
                let (name, name_len) = (Name::of(name.as_bytes()), name.len());
                let (name_fault, meaning) = (name.fault(), Meaning::None);
                Some(Entry { name, name_len, name_fault, size: 0, meaning, fault: name_fault })
            }
            None => self.entries.get(index - STATIC_NAMES.len()).copied(),
        }
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        self.shrink_to(self.max.saturating_sub(entry.size));
        // One that is larger than the table empties it and is not kept (RFC 7541 §4.4).
        if entry.size <= self.max {
            self.size += entry.size;
            self.entries.push_front(entry);
        }
    }

    pub(super) fn shrink_to(&mut self, size: usize) {
        while self.size > size {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.size;
        }
    }
}

/// The names of the static table (RFC 7541 Appendix A).
#[rustfmt::skip]
const STATIC_NAMES: [&str; 61] = [
    ":authority", ":method", ":method", ":path", ":path", ":scheme", ":scheme", ":status", ":status",
    ":status", ":status", ":status", ":status", ":status", "accept-charset", "accept-encoding",
    "accept-language", "accept-ranges", "accept", "access-control-allow-origin", "age", "allow",
    "authorization", "cache-control", "content-disposition", "content-encoding", "content-language",
    "content-length", "content-location", "content-range", "content-type", "cookie", "date", "etag",
    "expect", "expires", "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "last-modified", "link", "location", "max-forwards", "proxy-authenticate",
    "proxy-authorization", "range", "referer", "refresh", "retry-after", "server", "set-cookie",
    "strict-transport-security", "transfer-encoding", "user-agent", "vary", "via", "www-authenticate",
];
