//! Follows the header blocks of a connection (RFC 7541) for what the h2 crate forgets of them.
//!
//! It keeps the shape of fields and not their text, in constant memory: of each entry of the dynamic
//! table what its name is and how large it is. The text of what a client does not want kept, and of
//! what nobody asks for, is skipped.

use std::collections::VecDeque;

use super::huffman::STEPS;

/// The size of the dynamic table that a client may use: the default, which we don't change.
const MAX_TABLE: usize = 4096;

/// What each entry of the table costs beside its text (RFC 7541 §4.1).
const ENTRY_OVERHEAD: usize = 32;

/// The longest text that is looked at: `:authority`.
const LONGEST_TEXT: usize = 10;

/// A block that is none. The h2 crate ends the connection for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BrokenBlock;

/// What was seen in a block.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Any pseudo-header field.
    pub(super) pseudo: bool,
    pub(super) authority: bool,
    /// A `:scheme` that is neither `http` nor `https`.
    pub(super) foreign_scheme: bool,
    /// A `:path` with a fragment.
    pub(super) fragment: bool,
}

/// What a field's name is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Name {
    Path,
    Scheme,
    Authority,
    /// Another pseudo-header field.
    Pseudo,
    #[default]
    Regular,
}

/// An entry of a table, without its text.
#[derive(Debug, Clone, Copy)]
struct Entry {
    name: Name,
    name_len: usize,
    /// Its size in the dynamic table.
    size: usize,
    /// A path with a fragment, or a foreign scheme.
    is_bad: bool,
}

/// The dynamic table, the newest entry first.
#[derive(Debug)]
struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy)]
enum State {
    /// A field begins, or a change of the table's size.
    Field,
    /// The rest of a number.
    Number {
        of: Number,
        value: usize,
        shift: u32,
    },
    /// A string begins: of a name, or of a value.
    Length {
        of_name: bool,
    },
    Text {
        of_name: bool,
        is_coded: bool,
        left: usize,
    },
}

/// What a number says.
#[derive(Debug, Clone, Copy)]
enum Number {
    Indexed,
    /// The name of a literal field.
    NameOf {
        is_kept: bool,
    },
    TableSize,
    LengthOf {
        of_name: bool,
        is_coded: bool,
    },
}

/// The field that is being read.
#[derive(Debug, Default)]
struct Field {
    name: Name,
    name_len: usize,
    is_kept: bool,
    is_bad: bool,
    /// The text that is being read, as far as it is looked at, and its length.
    text: [u8; LONGEST_TEXT],
    length: usize,
    /// Where in the tree of the Huffman code it stands.
    node: u8,
}

/// The header blocks of one connection.
#[derive(Debug)]
pub(super) struct Fields {
    table: Table,
    state: State,
    field: Field,
}

impl Default for Fields {
    fn default() -> Self {
        let table = Table { entries: VecDeque::new(), size: 0, max: MAX_TABLE };
        Self { table, state: State::Field, field: Field::default() }
    }
}

impl Fields {
    /// Follows a piece of a block and notes what is in it. A `#` in a `:path` becomes a `>`, which the h2
    /// crate does not take: it would cut the fragment off and forget it.
    pub(super) fn follow(&mut self, bytes: &mut [u8], seen: &mut Seen) -> Result<(), BrokenBlock> {
        let mut at = 0;
        while at < bytes.len() {
            match self.state {
                State::Text { of_name, is_coded, left } => {
                    let length = left.min(bytes.len() - at);
                    self.field.take(&mut bytes[at..at + length], of_name, is_coded);
                    at += length;
                    if length == left {
                        self.end_text(of_name, seen);
                    } else {
                        self.state = State::Text { of_name, is_coded, left: left - length };
                    }
                }
                state => {
                    self.take_byte(state, bytes[at], seen)?;
                    at += 1;
                }
            }
        }
        Ok(())
    }

    /// Whether a block may end here.
    pub(super) fn is_between_fields(&self) -> bool {
        matches!(self.state, State::Field)
    }

    fn take_byte(&mut self, state: State, byte: u8, seen: &mut Seen) -> Result<(), BrokenBlock> {
        let (of, prefix) = match state {
            State::Field => match byte {
                0x80.. => (Number::Indexed, 0x7f),
                0x40.. => (Number::NameOf { is_kept: true }, 0x3f),
                0x20.. => (Number::TableSize, 0x1f),
                _ => (Number::NameOf { is_kept: false }, 0x0f),
            },
            State::Length { of_name } => {
                (Number::LengthOf { of_name, is_coded: byte & 0x80 != 0 }, 0x7f)
            }
            State::Number { of, value, shift } => {
                if shift > 21 {
                    return Err(BrokenBlock);
                }
                let value = value + (usize::from(byte & 0x7f) << shift);
                if byte & 0x80 == 0 {
                    return self.take_number(of, value, seen);
                }
                self.state = State::Number { of, value, shift: shift + 7 };
                return Ok(());
            }
            State::Text { .. } => return Err(BrokenBlock),
        };
        let value = byte & prefix;
        if value < prefix {
            return self.take_number(of, value.into(), seen);
        }
        self.state = State::Number { of, value: value.into(), shift: 0 };
        Ok(())
    }

    fn take_number(
        &mut self,
        of: Number,
        value: usize,
        seen: &mut Seen,
    ) -> Result<(), BrokenBlock> {
        self.state = State::Field;
        match of {
            Number::Indexed => {
                let Entry { name, is_bad, .. } = self.table.get(value).ok_or(BrokenBlock)?;
                seen.note(name, is_bad);
            }
            Number::NameOf { is_kept } => {
                self.field = Field { is_kept, ..Field::default() };
                if value > 0 {
                    let entry = self.table.get(value).ok_or(BrokenBlock)?;
                    (self.field.name, self.field.name_len) = (entry.name, entry.name_len);
                }
                self.state = State::Length { of_name: value == 0 };
            }
            Number::TableSize if value > MAX_TABLE => return Err(BrokenBlock),
            Number::TableSize => {
                self.table.max = value;
                self.table.shrink_to(value);
            }
            Number::LengthOf { of_name, is_coded } => {
                (self.field.length, self.field.node) = (0, 0);
                self.state = State::Text { of_name, is_coded, left: value };
                if value == 0 {
                    self.end_text(of_name, seen);
                }
            }
        }
        Ok(())
    }

    fn end_text(&mut self, of_name: bool, seen: &mut Seen) {
        let field = &mut self.field;
        let text = &field.text[..field.length.min(LONGEST_TEXT)];
        if of_name {
            field.name = if field.length > LONGEST_TEXT && text[0] == b':' {
                Name::Pseudo
            } else {
                Name::of(text)
            };
            field.name_len = field.length;
            self.state = State::Length { of_name: false };
            return;
        }
        if field.name == Name::Scheme {
            let is = |scheme: &str| text.eq_ignore_ascii_case(scheme.as_bytes());
            field.is_bad = !is("http") && !is("https");
        }
        let &mut Field { name, name_len, is_bad, .. } = field;
        seen.note(name, is_bad);
        if field.is_kept {
            let size = name_len + field.length + ENTRY_OVERHEAD;
            self.table.insert(Entry { name, name_len, size, is_bad });
        }
        self.state = State::Field;
    }
}

impl Seen {
    fn note(&mut self, name: Name, is_bad: bool) {
        self.pseudo |= name != Name::Regular;
        match name {
            Name::Path => self.fragment |= is_bad,
            Name::Scheme => self.foreign_scheme |= is_bad,
            Name::Authority => self.authority = true,
            Name::Pseudo | Name::Regular => {}
        }
    }
}

impl Field {
    /// Takes a piece of its name or value.
    fn take(&mut self, bytes: &mut [u8], of_name: bool, is_coded: bool) {
        if !of_name && self.name == Name::Regular && !self.is_kept {
            return;
        }
        if !is_coded && !of_name && self.name == Name::Regular {
            self.length += bytes.len();
            return;
        }
        for byte in bytes {
            if is_coded {
                for half in [4, 0] {
                    let step = STEPS[usize::from(self.node)][usize::from(*byte >> half & 15)];
                    self.node = step.next;
                    if step.ends > 0 && self.takes_fragment(step.byte, of_name) {
                        // Their codes differ in the last bit.
                        *byte ^= 1 << (half + 4 - step.ends);
                    }
                }
            } else if self.takes_fragment(*byte, of_name) {
                *byte = b'>';
            }
        }
    }

    /// Takes a byte of text; whether it is the `#` of a fragment in a path.
    fn takes_fragment(&mut self, byte: u8, of_name: bool) -> bool {
        if let Some(place) = self.text.get_mut(self.length) {
            *place = byte;
        }
        self.length += 1;
        let is_fragment = byte == b'#' && !of_name && self.name == Name::Path;
        self.is_bad |= is_fragment;
        is_fragment
    }
}

impl Name {
    fn of(name: &[u8]) -> Self {
        match name {
            b":path" => Self::Path,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            [b':', ..] => Self::Pseudo,
            _ => Self::Regular,
        }
    }
}

impl Table {
    /// The entry of an index: the static ones first, from 1 on.
    fn get(&self, index: usize) -> Option<Entry> {
        let index = index.checked_sub(1)?;
        match STATIC_NAMES.get(index) {
            Some(name) => {
                let (name, name_len) = (Name::of(name.as_bytes()), name.len());
                Some(Entry { name, name_len, size: 0, is_bad: false })
            }
            None => self.entries.get(index - STATIC_NAMES.len()).copied(),
        }
    }

    fn insert(&mut self, entry: Entry) {
        self.shrink_to(self.max.saturating_sub(entry.size));
        // One that is larger than the table empties it and is not kept (RFC 7541 §4.4).
        if entry.size <= self.max {
            self.size += entry.size;
            self.entries.push_front(entry);
        }
    }

    fn shrink_to(&mut self, size: usize) {
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

#[cfg(test)]
mod tests;
