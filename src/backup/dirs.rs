//! Where the state is.

use std::path::{Path, PathBuf};

use super::entry::{CERTS, STATE};
use crate::config::Config;
use crate::store::FILE;

/// The files of the state directory that are kept besides the database and the server's own CA.
pub(super) const SMALL_FILES: [&str; 2] = ["sticky.key", "tokens.json"];

/// The directory of the server's own CA, in the state directory.
pub(super) const AUTHORITY: &str = "ca";

/// The directories of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateDirs {
    pub state: PathBuf,
    /// Certificates, and the accounts at CAs.
    pub cache: PathBuf,
}

impl StateDirs {
    /// A state directory, with certificates where they are by default.
    pub(crate) fn at(state: PathBuf) -> Self {
        let cache = state.join(CERTS);
        Self { state, cache }
    }

    /// Where a config has them.
    pub(crate) fn of(config: &Config) -> Self {
        Self { state: config.proxy.state_dir.clone(), cache: config.cache_dir.clone() }
    }

    /// As they are in a directory that an archive was unpacked to.
    pub(super) fn unpacked(root: &Path) -> Self {
        Self { state: root.join(STATE), cache: root.join(CERTS) }
    }

    pub(super) fn database(&self) -> PathBuf {
        self.state.join(FILE)
    }
}
