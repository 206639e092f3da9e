//! The fields of a block, byte by byte.

use super::effect::{BrokenBlock, Effect};
use super::field::{Field, Meaning, Name};
use super::table::{ENTRY_OVERHEAD, Entry, MAX_TABLE, Table};

/// What was seen in a block.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: bool,
    pub(crate) scheme: bool,
    pub(crate) authority: bool,
    pub(crate) path: bool,
    protocol: bool,
    /// A method to which neither path nor scheme belongs.
    pub(crate) connect: bool,
    /// A `:scheme` that is neither `http` nor `https`.
    pub(crate) foreign_scheme: bool,
    /// A field that is no pseudo-header field.
    regular: bool,
    /// What is wrong with the first field that is malformed.
    pub(crate) fault: Option<&'static str>,
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

/// The header blocks of one connection.
#[derive(Debug)]
pub(crate) struct Fields {
    table: Table,
    state: State,
    field: Field,
    /// Whether a change of the table's size may come (RFC 7541 §4.2).
    may_resize: bool,
    /// The table as it was when the block began, once that has changed it.
    before: Option<Table>,
    /// What the block does to the table, when that is asked for: then the block is followed in one piece.
    effect: Option<Effect>,
    /// Where the field that is being read has begun in that, and where its value has.
    start: usize,
    value_start: usize,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            table: Table::new(),
            state: State::Field,
            field: Field::default(),
            may_resize: true,
            before: None,
            effect: None,
            start: 0,
            value_start: 0,
        }
    }
}

impl Fields {
    /// A block begins.
    pub(crate) fn begin(&mut self) {
        (self.may_resize, self.before) = (true, None);
    }

    /// A block has ended. Its effect can't be asked for any more.
    pub(crate) fn end(&mut self) {
        self.before = None;
    }

    /// Follows the next piece of a block, and notes what is in it.
    pub(crate) fn follow(&mut self, block: &[u8], seen: &mut Seen) -> Result<(), BrokenBlock> {
        let mut at = 0;
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
    pub(crate) fn is_between_fields(&self) -> bool {
        matches!(self.state, State::Field)
    }

    /// A block that does to the table what `block`, which has just been followed, has done, and whose
    /// fields are well-formed each. The table has the same names, and a malformed value is another one of its
    /// length. An entry whose name is malformed has another name there, and is malformed here for as long
    /// as it stays.
    pub(crate) fn effect_of(&mut self, block: &[u8]) -> Result<Vec<u8>, BrokenBlock> {
        let Some(table) = self.before.take() else { return Ok(Vec::new()) };
        let mut again = Self { table, effect: Some(Effect::default()), ..Self::default() };
        again.follow(block, &mut Seen::default())?;
        Ok(again.effect.unwrap_or_default().block)
    }

    /// The table is about to change.
    fn keep_table(&mut self) {
        if self.effect.is_none() && self.before.is_none() {
            self.before = Some(self.table.clone());
        }
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
                if !of_name {
                    self.value_start = block.len() - 1;
                }
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
                self.field = Field::new(is_kept);
                if value > 0 {
                    let entry = self.table.get(value).ok_or(BrokenBlock)?;
                    (self.field.name, self.field.name_len) = (entry.name, entry.name_len);
                    self.field.name_fault = entry.name_fault;
                }
                self.state = State::Length { of_name: value == 0 };
            }
            Number::TableSize if value > MAX_TABLE || !self.may_resize => return Err(BrokenBlock),
            Number::TableSize => {
                self.keep_table();
                self.table.max = value;
                self.table.shrink_to(value);
                if let Some(effect) = &mut self.effect {
                    effect.add_resize(&block[self.start..]);
                }
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
        self.state = State::Field;
        if !is_kept {
            return Ok(());
        }
        self.keep_table();
        // h2 keeps no method that is empty: it must be an entry whose name is malformed.
        let has_no_stand_in = name == Name::Method && length == 0;
        let name_fault = name_fault.or(fault.filter(|_| has_no_stand_in));
        if let Some(effect) = &mut self.effect {
            let name_bytes = &block[self.start..self.value_start];
            match (name_fault, fault) {
                (Some(_), _) => effect.add_other_field(name_len, length)?,
                (None, Some(_)) => effect.add_other_value(name_bytes, length),
                (None, None) => effect.add_field(&block[self.start..]),
            }
        }
        let size = name_len + length + ENTRY_OVERHEAD;
        self.table.insert(Entry { name, name_len, name_fault, size, meaning, fault });
        Ok(())
    }
}

impl Seen {
    /// Whether there is a pseudo-header field.
    pub(crate) fn pseudo(&self) -> bool {
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

#[cfg(test)]
mod tests;
