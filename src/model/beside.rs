//! What serves beside the live tag of a domain.

use serde::{Deserialize, Serialize};

use super::{Preview, Share, Split, Tag, Trial};

/// What serves beside the live tag of a domain, and what is tried there. All of it is the socket's: the config file
/// names the main tag only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Beside {
    /// The shares of other tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// The new tag that is on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// The tags that some browsers get.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub previews: Vec<Preview>,
}

impl Beside {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The tags that have a share.
    pub fn tags(&self) -> Vec<&Tag> {
        self.split.iter().flat_map(Split::tags).collect()
    }

    /// What share a tag has beside the live one.
    pub fn share_of(&self, tag: &Tag) -> Share {
        self.split.as_ref().map_or(Share::NONE, |split| split.share_of(tag))
    }

    /// What stays when the domain is moved: shares and trials are about the tags that it leaves.
    #[must_use]
    pub fn moved(&self) -> Self {
        Self { split: None, trial: None, previews: self.previews.clone() }
    }
}
