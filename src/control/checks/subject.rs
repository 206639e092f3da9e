//! What is checked.

use std::time::Instant;

use crate::model::{PoolName, SwitchOptions, SwitchStep};
use crate::state::Snapshot;

/// What is checked.
pub(in crate::control) struct Checks<'a> {
    /// The state of now.
    pub(in crate::control) live: &'a Snapshot,
    /// The state with the new backends.
    pub(in crate::control) after: &'a Snapshot,
    /// The moves that are to be made.
    pub(in crate::control) steps: &'a [SwitchStep],
    /// The pools that are to be proven.
    pub(in crate::control) pools: &'a [PoolName],
    /// Whether the new tags must be able to carry what the old ones do. What goes back has carried it.
    pub(in crate::control) looks_at_capacity: bool,
    pub(in crate::control) options: &'a SwitchOptions,
    /// When the gate closes.
    pub(in crate::control) deadline: Instant,
}
