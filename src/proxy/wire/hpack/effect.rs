//! A block that does to the table what a malformed one has done.

use super::table::MAX_TABLE;
use crate::proxy::wire::frame::MAX_FRAME;

/// A block that can't be decoded, or that the h2 crate would decode otherwise.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BrokenBlock;

/// How much may stand in for the malformed names that a block keeps, with their values.
const MAX_STAND_INS: usize = 4 * MAX_TABLE;

/// Fields that do nothing to the table.
const FILLERS: [&[u8]; 2] = [b"\x00\x01x\x00", b"\x00\x01x\x01x"];

#[derive(Debug, Default)]
pub(super) struct Effect {
    pub(super) block: Vec<u8>,
    /// How much of it stands in for fields whose names are malformed.
    stand_ins: usize,
}

impl Effect {
    /// A change of the table's size.
    pub(super) fn add_resize(&mut self, resize: &[u8]) {
        self.block.extend_from_slice(resize);
    }

    /// A field that is kept.
    ///
    /// None ends where a frame of the block does: by then h2 may have found the block malformed, and would
    /// end the connection for the frame that comes after that.
    pub(super) fn add_field(&mut self, field: &[u8]) {
        let ends_frame = |more: usize| (self.block.len() + more).is_multiple_of(MAX_FRAME);
        if ends_frame(field.len()) {
            let filler = FILLERS.into_iter().find(|filler| !ends_frame(filler.len()));
            self.block.extend_from_slice(filler.unwrap_or_default());
        }
        self.block.extend_from_slice(field);
    }

    /// A field that has its name and another value of its length.
    pub(super) fn add_other_value(&mut self, name: &[u8], value_len: usize) {
        let mut field = name.to_vec();
        push_stand_in(&mut field, value_len);
        self.add_field(&field);
    }

    /// A field that has another name and another value of its lengths.
    pub(super) fn add_other_field(
        &mut self,
        name_len: usize,
        value_len: usize,
    ) -> Result<(), BrokenBlock> {
        // No well-formed field has a name of this length.
        if name_len == 0 {
            return Err(BrokenBlock);
        }
        // An index of a byte or two may name a long name again and again.
        self.stand_ins += name_len.min(MAX_TABLE) + value_len.min(MAX_TABLE);
        if self.stand_ins > MAX_STAND_INS {
            return Err(BrokenBlock);
        }
        let mut field = vec![0x40];
        push_stand_in(&mut field, name_len);
        push_stand_in(&mut field, value_len);
        self.add_field(&field);
        Ok(())
    }
}

/// A text of this length, which is not coded. One that is larger than the table empties it, however large
/// it is.
fn push_stand_in(field: &mut Vec<u8>, length: usize) {
    let length = length.min(MAX_TABLE);
    push_length(field, length);
    field.resize(field.len() + length, b'x');
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
