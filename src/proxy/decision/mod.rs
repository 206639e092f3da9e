//! What becomes of a request: decided by its head and the published state alone, for those that are
//! served and those that are only explained.

mod decide;
pub(crate) mod explain;
mod facts;
mod standing;
mod verdict;
mod way;

pub(super) use decide::{Progress, Site, World, decide};
pub(super) use facts::{Facts, Kind, is_secure};
pub(super) use verdict::{Answer, Forward, Step, Verdict};
pub(super) use way::way_of;
