//! Follows the header blocks of a connection (RFC 7541) for what is malformed in them.
//!
//! It keeps the shape of fields and not their text: of each entry of the dynamic table what its name is,
//! how large it is and whether it is malformed.

mod effect;
mod field;
mod fields;
mod table;

pub(super) use fields::{Fields, Seen};
