//! What survives the process: desired state, history, and the last applied config file, in SQLite.
//!
//! Says how to load and commit, not when. A commit that returned is on the disk.

mod audit;
mod backup;
mod copy;
mod database;
mod error;
mod giving;
mod history;
mod lock;
mod retention;
mod value;

pub(crate) use backup::DATABASE_FILES;
pub(crate) use database::{Commit, FILE, SCHEMA, Saved, Store};
pub(crate) use error::StoreError;
pub(crate) use history::{HistoryReader, ReadLimit};
pub(crate) use lock::UNFINISHED_RESTORE;
pub(crate) use retention::{MAX_PLAN_AGE, MAX_PLANS};
