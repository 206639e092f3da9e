//! Modes and owners of the files of a state.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, chown, geteuid};

use super::StateDirs;
use super::dirs::{AUTHORITY, SMALL_FILES};
use crate::acme::Survey;
use crate::store::FILE;

/// Who owns the files of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(path)?;
        Ok(Self { uid: found.uid(), gid: found.gid() })
    }

    /// Gives a file or directory that this process has made to the owner, where it may.
    pub(super) fn gets(self, path: &Path) -> io::Result<()> {
        if !geteuid().is_root() {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        Ok(chown(path, Some(uid), Some(gid))?)
    }
}

/// Files that others may read, or that belong to somebody else than the directory.
pub(super) fn problems(dirs: &StateDirs) -> Vec<String> {
    let Ok(owner) = Owner::of(&dirs.state) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = vec![dirs.state.clone(), dirs.state.join(FILE)];
    paths.extend(SMALL_FILES.iter().map(|name| dirs.state.join(name)));
    let authority = dirs.state.join(AUTHORITY);
    paths.extend([authority.clone(), authority.join("root-with-key.pem"), dirs.cache.clone()]);
    let files = Survey::list(&dirs.cache).unwrap_or_default().files;
    paths.extend(files.iter().map(|file| dirs.cache.join(file)));
    let mut problems = Vec::new();
    for path in paths {
        let Ok(found) = std::fs::metadata(&path) else { continue };
        let shown = path.display();
        if found.permissions().mode() & 0o077 != 0 {
            let mode = found.permissions().mode() & 0o777;
            let right = if found.is_dir() { "0700" } else { "0600" };
            problems
                .push(format!("`{shown}` is open to others (mode {mode:04o}): make it {right}"));
        }
        if found.uid() != owner.uid {
            let uid = found.uid();
            problems.push(format!(
                "`{shown}` belongs to user {uid}, and the state directory to {}",
                owner.uid
            ));
        }
    }
    problems
}
