//! Options as records: one declaration of each key, from which everything else follows.
//!
//! A [`Record`] is a struct of options. Its fields are the keys of the config file, of the wire and of the
//! store; its docs are their documentation; its types and [`Record::problems`] are what they may be. The
//! functions here read, change, merge, compare and describe any record.

mod error;
mod given;
mod held;
mod keys;
mod names;
mod options;
mod schema;
mod written;
mod wrong;

pub use error::OptionError;
pub use given::{Edited, New, Shown};
pub use held::Held;
pub(super) use keys::record;
pub use keys::{Canonical, Keys, Record, defaults, optional_keys, syntax_of, text, values};
pub use names::as_written;
pub use options::{
    Differing, absolute, as_stored, differences, differing, from_stored, merged, patched, read,
    stored, typed, written,
};
pub use schema::{finite_values, member, members, schema};
pub(super) use wrong::in_words;
