//! Follows the header blocks of a connection (RFC 7541) for what is malformed in them.
//!
//! It keeps the shape of fields and not their text: of each entry of the dynamic table what its name is,
//! how large it is and whether it is malformed.

use std::collections::VecDeque;

use super::huffman::STEPS;
use super::strict::is_token_byte;

/// The size of the dynamic table that a client may use: the default, which we don't change.
const MAX_TABLE: usize = 4096;

/// How much may stand in for malformed fields that a block keeps.
const MAX_STAND_INS: usize = 4 * MAX_TABLE;

/// What each entry of the table costs beside its text (RFC 7541 §4.1).
const ENTRY_OVERHEAD: usize = 32;

/// The longest text that is compared with others: `transfer-encoding`.
const LONGEST_TEXT: usize = 17;

/// A block that can't be decoded, or that the h2 crate would decode otherwise.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BrokenBlock;

/// What was seen in a block.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) method: bool,
    pub(super) scheme: bool,
    pub(super) authority: bool,
    pub(super) path: bool,
    protocol: bool,
    /// A method to which neither path nor scheme belongs.
    pub(super) connect: bool,
    /// A `:scheme` that is neither `http` nor `https`.
    pub(super) foreign_scheme: bool,
    /// A field that is no pseudo-header field.
    regular: bool,
    /// What is wrong with the first field that is malformed.
    pub(super) fault: Option<&'static str>,
}

/// What a field's name is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    /// A pseudo-header field of responses, or one that nobody knows.
    Foreign,
    /// A field of the connection (RFC 9113 §8.2.2).
    Hop,
    Te,
    #[default]
    Regular,
}

/// What a value means beyond its text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Connect,
    ForeignScheme,
    #[default]
    None,
}

/// An entry of a table, without its text.
#[derive(Debug, Clone, Copy)]
struct Entry {
    name: Name,
    name_len: usize,
    /// What is wrong with its name.
    name_fault: Option<&'static str>,
    /// Its size in the dynamic table.
    size: usize,
    meaning: Meaning,
    /// What is wrong with it.
    fault: Option<&'static str>,
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
    name_fault: Option<&'static str>,
    fault: Option<&'static str>,
    /// The text that is being read, as far as it is compared, and its length.
    text: [u8; LONGEST_TEXT],
    length: usize,
    /// Where in the tree of the Huffman code it stands.
    node: u8,
    /// A character beyond ASCII that is being read, and how many bytes of it are there.
    character: [u8; 4],
    have: usize,
}

/// The header blocks of one connection.
#[derive(Debug)]
pub(super) struct Fields {
    table: Table,
    state: State,
    field: Field,
    /// Whether a change of the table's size may come (RFC 7541 §4.2).
    may_resize: bool,
    /// Where in the block the field that is being read has begun.
    start: usize,
    /// What the block does to the table and nothing else, each field of it well-formed; `None` when
    /// nobody asks for it.
    effect: Option<Vec<u8>>,
    /// How much of that stands in for malformed fields.
    stand_ins: usize,
}

impl Default for Fields {
    fn default() -> Self {
        let table = Table { entries: VecDeque::new(), size: 0, max: MAX_TABLE };
        let (state, field) = (State::Field, Field::default());
        Self { table, state, field, may_resize: true, start: 0, effect: None, stand_ins: 0 }
    }
}

impl Fields {
    /// A block begins.
    pub(super) fn begin(&mut self) {
        (self.may_resize, self.start) = (true, 0);
        (self.effect, self.stand_ins) = (Some(Vec::new()), 0);
    }

    /// Follows the block, of which all was followed but what is behind `from`, and notes what is in it.
    /// Of a block whose effect nobody asks for, the beginning may be missing.
    pub(super) fn follow(
        &mut self,
        block: &[u8],
        from: usize,
        seen: &mut Seen,
    ) -> Result<(), BrokenBlock> {
        let mut at = from;
        while at < block.len() {
            match self.state {
                State::Text { of_name, is_coded, left } => {
                    let length = left.min(block.len() - at);
                    self.field.take(&block[at..at + length], of_name, is_coded);
                    at += length;
                    if length == left {
                        self.end_text(of_name, &block[..at], seen)?;
                    } else {
                        self.state = State::Text { of_name, is_coded, left: left - length };
                    }
                }
                state => {
                    if matches!(state, State::Field) {
                        self.start = at;
                    }
                    self.take_byte(state, &block[..=at], seen)?;
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

    /// A block that does to the table what the one that has ended does, without its malformed fields.
    pub(super) fn take_effect(&mut self) -> Vec<u8> {
        self.effect.take().unwrap_or_default()
    }

    /// Nobody asks for the effect of the block.
    pub(super) fn drop_effect(&mut self) {
        self.effect = None;
    }

    fn add_effect(&mut self, block: &[u8]) {
        if let Some(effect) = &mut self.effect {
            effect.extend_from_slice(&block[self.start..]);
        }
    }

    /// Has a well-formed field kept that is as large as a malformed one.
    fn add_stand_in(&mut self, name_len: usize, value_len: usize) -> Result<(), BrokenBlock> {
        // No well-formed field has a name of this length.
        if name_len == 0 {
            return Err(BrokenBlock);
        }
        let Some(effect) = &mut self.effect else { return Ok(()) };
        // One that is larger than the table empties it, however large it is.
        let lengths = [name_len, value_len].map(|length| length.min(MAX_TABLE));
        // An index of a byte or two may name a long name again and again.
        self.stand_ins += lengths[0] + lengths[1];
        if self.stand_ins > MAX_STAND_INS {
            return Err(BrokenBlock);
        }
        effect.push(0x40);
        for length in lengths {
            push_length(effect, length);
            effect.resize(effect.len() + length, b'x');
        }
        Ok(())
    }

    /// Takes the last byte of `block`.
    fn take_byte(
        &mut self,
        state: State,
        block: &[u8],
        seen: &mut Seen,
    ) -> Result<(), BrokenBlock> {
        let byte = *block.last().ok_or(BrokenBlock)?;
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
                    return self.take_number(of, value, block, seen);
                }
                self.state = State::Number { of, value, shift: shift + 7 };
                return Ok(());
            }
            State::Text { .. } => return Err(BrokenBlock),
        };
        let value = byte & prefix;
        if value < prefix {
            return self.take_number(of, value.into(), block, seen);
        }
        self.state = State::Number { of, value: value.into(), shift: 0 };
        Ok(())
    }

    fn take_number(
        &mut self,
        of: Number,
        value: usize,
        block: &[u8],
        seen: &mut Seen,
    ) -> Result<(), BrokenBlock> {
        self.state = State::Field;
        self.may_resize &= matches!(of, Number::TableSize);
        match of {
            Number::Indexed => {
                let entry = self.table.get(value).ok_or(BrokenBlock)?;
                seen.note(entry.name, entry.meaning, entry.fault);
            }
            Number::NameOf { is_kept } => {
                self.field = Field { is_kept, ..Field::default() };
                if value > 0 {
                    let entry = self.table.get(value).ok_or(BrokenBlock)?;
                    (self.field.name, self.field.name_len) = (entry.name, entry.name_len);
                    self.field.name_fault = entry.name_fault;
                }
                self.state = State::Length { of_name: value == 0 };
            }
            Number::TableSize if value > MAX_TABLE || !self.may_resize => return Err(BrokenBlock),
            Number::TableSize => {
                self.table.max = value;
                self.table.shrink_to(value);
                self.add_effect(block);
            }
            Number::LengthOf { of_name, is_coded } => {
                self.field.begin_text();
                self.state = State::Text { of_name, is_coded, left: value };
                if value == 0 {
                    self.end_text(of_name, block, seen)?;
                }
            }
        }
        Ok(())
    }

    /// A text ends where `block` does.
    fn end_text(
        &mut self,
        of_name: bool,
        block: &[u8],
        seen: &mut Seen,
    ) -> Result<(), BrokenBlock> {
        let field = &mut self.field;
        if of_name {
            field.end_name();
            self.state = State::Length { of_name: false };
            return Ok(());
        }
        let meaning = field.end_value();
        let &mut Field { name, name_len, name_fault, length, is_kept, .. } = field;
        let fault = name_fault.or(field.fault);
        seen.note(name, meaning, fault);
        if is_kept {
            if fault.is_none() {
                self.add_effect(block);
            } else {
                self.add_stand_in(name_len, length)?;
            }
            let size = name_len + length + ENTRY_OVERHEAD;
            self.table.insert(Entry { name, name_len, name_fault, size, meaning, fault });
        }
        self.state = State::Field;
        Ok(())
    }
}

/// The length of a text that is not coded.
fn push_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut left) = length.checked_sub(0x7f) else {
        block.extend(u8::try_from(length));
        return;
    };
    block.push(0x7f);
    while left >= 0x80 {
        block.push(0x80 | left.to_le_bytes()[0] & 0x7f);
        left >>= 7;
    }
    block.push(left.to_le_bytes()[0]);
}

impl Seen {
    /// Whether there is a pseudo-header field.
    pub(super) fn pseudo(&self) -> bool {
        self.method || self.scheme || self.authority || self.path || self.protocol
    }

    fn note(&mut self, name: Name, meaning: Meaning, fault: Option<&'static str>) {
        let seen = match name {
            Name::Method => Some(&mut self.method),
            Name::Scheme => Some(&mut self.scheme),
            Name::Authority => Some(&mut self.authority),
            Name::Path => Some(&mut self.path),
            Name::Protocol => Some(&mut self.protocol),
            Name::Foreign => None,
            Name::Hop | Name::Te | Name::Regular => {
                self.regular = true;
                None
            }
        };
        let is_twice = seen.is_some_and(|seen| std::mem::replace(seen, true));
        let is_late = name.is_pseudo() && self.regular;
        self.connect |= meaning == Meaning::Connect;
        self.foreign_scheme |= meaning == Meaning::ForeignScheme;
        let of_block = match (is_twice, is_late) {
            (true, _) => Some("a pseudo-header field is there twice"),
            (_, true) => Some("a pseudo-header field is behind another field"),
            _ => None,
        };
        self.fault = self.fault.or(fault).or(of_block);
    }
}

impl Field {
    fn begin_text(&mut self) {
        (self.length, self.node, self.have) = (0, 0, 0);
    }

    /// Takes a piece of its name or value.
    fn take(&mut self, bytes: &[u8], of_name: bool, is_coded: bool) {
        for byte in bytes {
            if !is_coded {
                self.take_text(*byte, of_name);
                continue;
            }
            for half in [4, 0] {
                let step = STEPS[usize::from(self.node)][usize::from(*byte >> half & 15)];
                self.node = step.next;
                if step.ends > 0 {
                    self.take_text(step.byte, of_name);
                }
            }
        }
    }

    fn take_text(&mut self, byte: u8, of_name: bool) {
        if let Some(place) = self.text.get_mut(self.length) {
            *place = byte;
        }
        if of_name {
            let may_begin = self.length == 0 && byte == b':';
            if !may_begin && (!is_token_byte(byte) || byte.is_ascii_uppercase()) {
                self.name_fault = Some("the name of a field is not a lower-case token");
            }
        } else {
            self.take_value(byte);
        }
        self.length += 1;
    }

    fn take_value(&mut self, byte: u8) {
        match self.name {
            Name::Regular | Name::Te | Name::Hop => {
                if byte < b' ' && byte != b'\t' || byte == 0x7f {
                    self.fault = Some("the value of a field has a control character");
                }
            }
            Name::Method if !is_token_byte(byte) => {
                self.fault = Some("the method is not a token");
            }
            Name::Path if byte == b'#' => {
                self.fault = Some("there is a fragment in the target");
            }
            _ if byte <= b' ' || byte == 0x7f => {
                self.fault = Some("a pseudo-header field has a space or a control character");
            }
            _ => self.take_character(byte),
        }
    }

    /// The h2 crate takes pseudo-header fields for UTF-8.
    fn take_character(&mut self, byte: u8) {
        if byte < 0x80 && self.have == 0 {
            return;
        }
        let Some(place) = self.character.get_mut(self.have) else { return };
        *place = byte;
        self.have += 1;
        let is_whole = std::str::from_utf8(&self.character[..self.have]).is_ok();
        if is_whole {
            self.have = 0;
        } else if self.have == self.character.len() {
            self.fault = Some("a pseudo-header field is not UTF-8");
        }
    }

    fn end_name(&mut self) {
        self.name_len = self.length;
        let text = &self.text[..self.length.min(LONGEST_TEXT)];
        self.name = match text {
            [b':', ..] if self.length > LONGEST_TEXT => Name::Foreign,
            _ if self.length > LONGEST_TEXT => Name::Regular,
            _ => Name::of(text),
        };
        let empty = (self.length == 0).then_some("a field has no name");
        self.name_fault = self.name_fault.or(self.name.fault()).or(empty);
    }

    fn end_value(&mut self) -> Meaning {
        let text = &self.text[..self.length.min(LONGEST_TEXT)];
        let is = |scheme: &str| text.eq_ignore_ascii_case(scheme.as_bytes());
        let fault = match self.name {
            Name::Te if text != b"trailers" => Some("TE is not `trailers`"),
            Name::Method | Name::Path if self.length == 0 => {
                Some("the method or the path is empty")
            }
            _ if self.have > 0 => Some("a pseudo-header field is not UTF-8"),
            _ => None,
        };
        self.fault = self.fault.or(fault);
        match self.name {
            Name::Method if text == b"CONNECT" => Meaning::Connect,
            Name::Scheme if !is("http") && !is("https") => Meaning::ForeignScheme,
            _ => Meaning::None,
        }
    }
}

impl Name {
    fn of(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            [b':', ..] => Self::Foreign,
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding"
            | b"upgrade" => Self::Hop,
            b"te" => Self::Te,
            _ => Self::Regular,
        }
    }

    /// Why no request may have it.
    fn fault(self) -> Option<&'static str> {
        match self {
            Self::Foreign => Some("there is a pseudo-header field that requests don't have"),
            Self::Hop => Some("there is a field of the connection"),
            _ => None,
        }
    }

    fn is_pseudo(self) -> bool {
        !matches!(self, Self::Hop | Self::Te | Self::Regular)
    }
}

impl Table {
    /// The entry of an index: the static ones first, from 1 on.
    fn get(&self, index: usize) -> Option<Entry> {
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
