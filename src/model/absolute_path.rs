//! Paths that mean the same wherever a process is started.

use std::path::{Path, PathBuf};

/// The path from `/` on, so that it means the same to a process that is started elsewhere.
pub fn absolute(path: impl AsRef<Path>) -> PathBuf {
    std::path::absolute(&path).unwrap_or_else(|_| path.as_ref().to_owned())
}
