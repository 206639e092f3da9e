//! A domain with its options and its live tag.

use serde::{Deserialize, Serialize};

use super::record::{self, Differing, as_stored, stored};
use super::{
    AppName, Beside, DomainMode, DomainName, HostOptions, PoolName, Share, Tag, TagShare,
    TopOptions, Trial,
};

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
    /// What serves beside the live tag.
    #[serde(default, skip_serializing_if = "Beside::is_empty")]
    pub beside: Beside,
    #[serde(flatten, serialize_with = "as_stored", deserialize_with = "stored")]
    pub top: TopOptions,
    /// Its other options.
    #[serde(default, skip_serializing_if = "HostOptions::is_empty")]
    pub options: HostOptions,
}

impl VirtualHost {
    /// What share of its clients a tag has.
    pub fn share_of(&self, tag: &Tag) -> Share {
        match &self.beside.split {
            Some(split) if *tag == self.live => split.rest(),
            None if *tag == self.live => Share::ALL,
            _ => self.beside.share_of(tag),
        }
    }

    /// The tags that share its clients, the live one first; empty while that has all of them.
    pub fn shares(&self) -> Vec<TagShare> {
        let beside = self.beside.tags();
        let live = (!beside.is_empty()).then_some(&self.live);
        let tags = live.into_iter().chain(beside);
        tags.map(|tag| TagShare { tag: tag.clone(), share: self.share_of(tag) }).collect()
    }

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

    /// The tags that serve what no path takes: the live one, and those that have a share beside it.
    pub fn live_tags(&self) -> impl Iterator<Item = &Tag> {
        std::iter::once(&self.live).chain(self.beside.tags())
    }

    /// The tags that serve it: the live one, those with a share, and those of paths.
    pub fn serving(&self) -> impl Iterator<Item = &Tag> {
        self.live_tags().chain(self.options.get().paths.iter().map(|path| &path.tag))
    }

    /// Whether a tag serves it, or is the one to which a rollback of what is on trial goes.
    pub fn needs(&self, tag: &Tag) -> bool {
        let goes_back = |trial: &Trial| trial.from == *tag;
        self.serving().any(|of| of == tag) || self.beside.trial.as_ref().is_some_and(goes_back)
    }

    /// The same, moved to another tag: all of it.
    #[must_use]
    pub fn moved_to(&self, tag: &Tag) -> Self {
        let mut moved = Self { beside: self.beside.moved(), ..self.clone() };
        if moved.live != *tag {
            moved.previous = Some(std::mem::replace(&mut moved.live, tag.clone()));
        }
        moved
    }

    /// The pools that serve it: of the live tag, those with a share, and those of paths.
    pub fn serving_pools(&self) -> impl Iterator<Item = PoolName> {
        self.serving().map(|tag| self.pool(tag))
    }
}
