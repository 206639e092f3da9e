//! Prepares the directory before anything is read from it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tracing::warn;

use super::layout::IMPORTED;
use crate::atomic_file;

const DIRECTORY: u32 = 0o700;
const FILE: u32 = 0o600;

pub(super) fn prepare(root: &Path) -> io::Result<()> {
    atomic_file::private_directory(root)?;
    tempfile::tempfile_in(root)?;
    warn_if_it_does_not_last(root);
    let mut repaired = 0;
    set_mode(root, DIRECTORY, &mut repaired);
    for entry in fs::read_dir(root)?.flatten() {
        let path = entry.path();
        // Files of other users are left alone.
        if is_directory(&path)
            && (path.ends_with(IMPORTED)
                || ["account.json", "certs", "orders"].iter().any(|ours| path.join(ours).exists()))
        {
            tidy(&path, &mut repaired);
        }
    }
    if repaired > 0 {
        warn!(
            path = %root.display(),
            count = repaired,
            "files with private keys were open to others; their modes were corrected"
        );
    }
    Ok(())
}

/// Sets modes, and removes what was being written, in a directory and those below it.
fn tidy(directory: &Path, repaired: &mut u32) {
    set_mode(directory, DIRECTORY, repaired);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let unfinished = entry.file_name().to_str().is_some_and(atomic_file::is_unfinished);
        if is_directory(&path) {
            tidy(&path, repaired);
        } else if unfinished {
            if let Err(error) = atomic_file::remove(&path) {
                warn!(path = %path.display(), %error, "an unfinished file cannot be removed");
            }
        } else {
            set_mode(&path, FILE, repaired);
        }
    }
}

/// Not a symbolic link: its target may belong to anybody.
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

fn set_mode(path: &Path, mode: u32, repaired: &mut u32) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if metadata.is_symlink() || metadata.permissions().mode() & 0o777 == mode {
        return;
    }
    match fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => *repaired += 1,
        // Never an error: it may be how a volume is mounted.
        Err(error) => {
            warn!(path = %path.display(), %error, "a file's mode cannot be made private");
        }
    }
}

/// If certificates are lost at each restart, the CA's limits are soon reached.
fn warn_if_it_does_not_last(root: &Path) {
    use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, statfs};
    let Ok(found) = statfs(root) else { return };
    let kind = found.filesystem_type();
    if kind == TMPFS_MAGIC || kind == OVERLAYFS_SUPER_MAGIC {
        warn!(
            path = %root.display(),
            "certificates are stored where a restart may delete them: mount a volume there"
        );
    }
}
