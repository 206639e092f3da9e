//! What is checked.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::model::{DomainName, PoolName, SwitchOptions, SwitchStep, Tag};
use crate::state::Snapshot;

/// What is checked.
pub(in crate::control) struct Checks<'a> {
    /// The current state.
    pub(in crate::control) live: &'a Snapshot,
    /// The state with the new backends.
    pub(in crate::control) after: &'a Snapshot,
    /// The moves that are to be made.
    pub(in crate::control) steps: &'a [SwitchStep],
    /// Domains that are live for the first time, each with its tag.
    pub(in crate::control) new: &'a [(DomainName, Tag)],
    /// The pools that are to be proven.
    pub(in crate::control) pools: &'a [PoolName],
    /// Whether the new tags must be able to carry what the old ones do. What goes back has carried it.
    pub(in crate::control) looks_at_capacity: bool,
    pub(in crate::control) options: &'a SwitchOptions,
    /// When the gate closes.
    pub(in crate::control) deadline: Instant,
}

impl Checks<'_> {
    /// Each domain that moves or is live for the first time, with its new tag. One that leaves several tags has a step
    /// for each of them.
    pub(super) fn joining(&self) -> BTreeMap<&DomainName, &Tag> {
        let moved = self.steps.iter().map(|step| (&step.domain, &step.to));
        moved.chain(self.new.iter().map(|(domain, tag)| (domain, tag))).collect()
    }
}
