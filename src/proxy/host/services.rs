//! What options of domains need that outlives a request.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::auth::{Passwords, SharedPasswords, fresh_key};
use super::pages::Pages;
use super::sticky::StickyKey;

/// What options of domains need that outlives a request. Clones share everything.
#[derive(Clone)]
pub(crate) struct HostServices {
    pub(crate) passwords: SharedPasswords,
    pub(crate) sticky: Arc<StickyKey>,
    /// The error pages.
    pub pages: Pages,
}

impl HostServices {
    /// Reads its key from the state directory, or makes one. Blocks.
    ///
    /// # Errors
    /// When there is no key to be had.
    pub(crate) fn open(state_dir: &Path) -> io::Result<Self> {
        let key = fresh_key().map_err(|_| io::Error::other("there is no randomness"))?;
        Ok(Self {
            passwords: Arc::new(Passwords::new(key)),
            sticky: Arc::new(StickyKey::open(state_dir)?),
            pages: Pages::default(),
        })
    }

    /// Whether the key in the state directory can be read, where there is one. Blocks, and changes nothing.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn check(state_dir: &Path) -> io::Result<()> {
        StickyKey::read_from(state_dir).map(drop)
    }
}
