//! A domain with its options and its live tag.

use serde::{Deserialize, Serialize};

use super::record::{self, Differing, as_stored, stored};
use super::{DomainName, HostOptions, Tag, TopOptions};

/// A virtual host as the operator declared it, and the tag that serves it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualHost {
    /// Its name.
    pub domain: DomainName,
    /// The tag whose pool serves it.
    pub live: Tag,
    /// The tag that was live before the last switch; `undo` goes back to it.
    #[serde(default)]
    pub previous: Option<Tag>,
    #[serde(flatten, serialize_with = "as_stored", deserialize_with = "stored")]
    pub top: TopOptions,
    /// Its other options.
    #[serde(default, skip_serializing_if = "HostOptions::is_empty")]
    pub options: HostOptions,
}

impl VirtualHost {
    /// Each key that differs, with what both say of it, for people.
    pub fn differences(&self, other: &Self) -> Vec<Differing> {
        let mut differing = Vec::new();
        if self.live != other.live {
            differing.push(("live", self.live.to_string(), other.live.to_string()));
        }
        differing.extend(record::differences(&self.top, &other.top));
        differing.extend(self.options.differences(&other.options));
        differing
    }

    /// The domain and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &DomainName> {
        std::iter::once(&self.domain).chain(&self.top.aliases)
    }

    /// The tags that serve it: the live one, and those of paths.
    pub fn serving(&self) -> impl Iterator<Item = &Tag> {
        std::iter::once(&self.live).chain(self.options.get().paths.iter().map(|path| &path.tag))
    }
}
