//! The program that upgrades go to where none is named.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The program of upgrades that name none: the one that the server was first started with, by its path. Where that is a
/// link, it may lead elsewhere by now.
pub(super) struct DefaultProgram {
    pub(super) path: PathBuf,
    /// What stood there when this process began.
    began_with: Option<(u64, u64)>,
}

impl DefaultProgram {
    /// The one that the server before has said, or this process's own.
    pub(super) fn of(said: Option<PathBuf>) -> Self {
        let own = own();
        match said.filter(|said| *said != own) {
            // This process was started with another one, on purpose: what stands there is not new.
            Some(path) => Self { began_with: identity(&path), path },
            None => Self { began_with: identity(Path::new("/proc/self/exe")), path: own },
        }
    }

    /// Whether another program stands there by now.
    pub(super) fn is_new(&self) -> bool {
        let there = identity(&self.path);
        there.is_some() && there != self.began_with
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// The program of this process, by the path by which it was started.
fn own() -> PathBuf {
    let given = std::env::args_os().next().map(PathBuf::from);
    let given = given.filter(|path| path.components().count() > 1);
    let given = given.and_then(|path| std::path::absolute(path).ok());
    given.or_else(|| std::env::current_exe().ok()).unwrap_or_else(|| PathBuf::from("vhost"))
}
