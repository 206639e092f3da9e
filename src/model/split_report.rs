//! What a change of shares is asked to do, and what it reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DomainName, Outcome, Share, Tag};

/// A share that a tag is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagShare {
    /// The tag.
    pub tag: Tag,
    /// Its share; 0 for none.
    pub share: Share,
}

/// How the share of one tag of one domain changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SplitMove {
    /// The domain.
    pub domain: DomainName,
    /// The tag.
    pub tag: Tag,
    /// Its share before.
    pub before: Share,
    /// Its share after.
    pub after: Share,
}

/// What came of a change of shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SplitReport {
    /// What changed; empty if every share was so already.
    pub moves: Vec<SplitMove>,
    /// The revision that it led to.
    pub revision: u64,
    /// How the drain of tags that have no share any more ended; `done` if there was none.
    pub outcome: Outcome,
    /// How long the gate took, in milliseconds.
    pub gate_ms: u64,
    /// How long the drain took, in milliseconds.
    pub drain_ms: u64,
}
