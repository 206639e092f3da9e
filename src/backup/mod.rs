//! What a machine needs to come back, in one file: made beside a running server, checked, and put back.
//!
//! The file is a tar archive with a manifest in front and `SHA256SUMS` at its end.

mod archive;
mod check;
mod dirs;
mod entry;
mod error;
mod make;
mod manifest;
mod owner;
mod restore;

pub(crate) use check::{Checked, check_archive, check_in_place};
pub(crate) use dirs::StateDirs;
pub(crate) use error::BackupError;
pub(crate) use make::{Made, make};
pub(crate) use manifest::Manifest;
pub(crate) use restore::{Restored, restore};
