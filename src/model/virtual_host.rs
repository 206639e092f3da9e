//! A domain with its options and its live tag.

use serde::{Deserialize, Serialize};

use super::record::{self, Differing, as_stored, stored};
use super::{AppName, DomainMode, DomainName, HostOptions, PoolName, Tag, TopOptions};

/// A virtual host as the operator declared it, and the tag that serves it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualHost {
    /// Its name.
    pub domain: DomainName,
    /// The tag of its app whose pool serves it.
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

    /// What becomes of its requests. Maintenance is what clients see of a domain that is paused too.
    pub fn mode(&self) -> DomainMode {
        let options = self.options.get();
        if options.maintenance.is_some() {
            DomainMode::Maintenance
        } else if options.pause.is_some() {
            DomainMode::Paused
        } else {
            DomainMode::Serving
        }
    }

    /// The domain and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &DomainName> {
        std::iter::once(&self.domain).chain(&self.top.aliases)
    }

    /// The app that it belongs to.
    pub fn app(&self) -> Option<&AppName> {
        self.top.app.as_ref()
    }

    /// The pool of a tag of its app.
    pub fn pool(&self, tag: &Tag) -> PoolName {
        PoolName::new(self.app(), tag)
    }

    /// The tags that serve it: the live one, and those of paths.
    pub fn serving(&self) -> impl Iterator<Item = &Tag> {
        std::iter::once(&self.live).chain(self.options.get().paths.iter().map(|path| &path.tag))
    }

    /// The pools that serve it: the live one, and those of paths.
    pub fn serving_pools(&self) -> impl Iterator<Item = PoolName> {
        self.serving().map(|tag| self.pool(tag))
    }
}
