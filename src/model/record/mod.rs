//! Options as records: one declaration of each key, from which everything else follows.
//!
//! A [`Record`] is a struct of options. Its fields are the keys of the config file, of the wire and of the
//! store; its docs are their documentation; its types and [`Record::problems`] are what they may be. The
//! functions here read, change, merge, compare and describe any record.

mod given;
mod held;
mod names;
mod options;
mod schema;
mod written;
mod wrong;

pub use given::{Edited, New, Shown, text};
pub use held::Held;
pub use names::{Canonical, as_written};
pub(super) use options::record;
pub use options::{
    Differing, Keys, Record, absolute, as_stored, defaults, differences, differing, from_stored,
    merged, optional_keys, patched, read, stored, typed, values, written,
};
pub use schema::{finite_values, member, members, schema};
pub use wrong::OptionError;
pub(super) use wrong::in_words;
