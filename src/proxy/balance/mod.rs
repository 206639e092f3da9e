//! Which backend of a pool a request goes to.

mod choose;
mod hash;
mod terms;

pub(super) use choose::{choose, stay};
pub(super) use terms::{Choice, Chosen, Terms};
