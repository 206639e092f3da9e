//! The files below `cache_dir`. Everything here blocks.
//!
//! ```text
//! <ca>/account.json             <ca>: the host and path of the CA's directory URL
//! <ca>/certs/example.com.pem    key, leaf and chain in one file, so that they can't come apart
//! <ca>/certs/example.com.json   what can be found out again: attempts, times, the CA's wishes
//! <ca>/orders/example.com.json  an order under way: its URL, the new key, the answers to challenges
//! imported/example.com.pem
//! ```
//!
//! A wildcard's files are called `_wildcard.example.com`. Directories are of mode 0700 and files of
//! 0600; a file is replaced whole or not at all.

mod bundles;
mod layout;
mod prepare;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::order_file::OrderFile;
use crate::atomic_file;
use crate::model::{Attempt, ChallengeKind, DomainName};
use crate::plain_file::{self, MAX_PEM_BYTES};
pub(crate) use bundles::Bundles;
pub(super) use layout::IMPORTED;

/// The files below `cache_dir`. A clone means the same ones.
#[derive(Debug, Clone)]
pub struct Storage {
    root: Arc<Path>,
}

/// A bundle that was found.
#[derive(Clone)]
pub struct Stored {
    /// The name it is for, as its file is called.
    pub name: DomainName,
    /// The key, the certificate and its chain, PEM. Nobody has looked into it yet.
    pub bundle: String,
    /// What is known of it.
    pub meta: Meta,
}

impl fmt::Debug for Stored {
    /// The key stays out of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("name", &self.name)
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

/// All that was found of one CA.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The bundles, by name.
    pub stored: Vec<Stored>,
    /// The names that were tried, but have no bundle.
    pub tried: Vec<(DomainName, Meta)>,
    /// Files that can't be used, and why. They were left alone.
    pub problems: Vec<(PathBuf, String)>,
}

/// What is known of a certificate, besides itself. None of it is needed to serve.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// The account of the order.
    pub account: Option<String>,
    /// The challenge that worked.
    pub challenge: Option<ChallengeKind>,
    /// When certificates for the name were issued, in milliseconds since the Unix epoch.
    pub issued_ms: Vec<u64>,
    /// Attempts since the last success.
    pub attempts: u32,
    /// When something is to be done next, in milliseconds since the Unix epoch.
    pub next_ms: Option<u64>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When the CA wants it to be renewed, in milliseconds since the Unix epoch.
    pub window_ms: Option<(u64, u64)>,
    /// The time in that window that was chosen.
    pub renew_ms: Option<u64>,
    /// The CA's page about the window.
    pub explanation_url: Option<String>,
    /// The last attempts, the newest first.
    pub log: Vec<Attempt>,
}

impl Storage {
    /// The files below a directory, which is not looked at yet.
    pub fn new(cache_dir: PathBuf) -> Self {
        Self { root: cache_dir.into() }
    }

    /// Makes the directory, checks that it can be written to, gives it and its files their modes back
    /// and removes what a crash left half-written.
    ///
    /// # Errors
    /// When it can't be made or written to. A mode that can't be set is only warned of.
    pub fn prepare(&self) -> io::Result<()> {
        prepare::prepare(&self.root)
    }

    /// Whether [`Self::prepare`] could do so. Changes nothing.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn check(&self) -> io::Result<()> {
        atomic_file::check_directory(&self.root)
    }

    /// Where the bundles of a CA are.
    pub fn of_ca(&self, directory_url: &str) -> Bundles {
        Bundles(self.certs(directory_url))
    }

    /// Where imported bundles are.
    pub fn imported(&self) -> Bundles {
        Bundles(self.root.join(layout::IMPORTED))
    }

    /// Keeps a bundle with its metadata, and forgets the order that it came from.
    ///
    /// # Errors
    /// When the bundle can't be written; what there was is still there then. When only the rest
    /// fails, the bundle is the new one.
    pub fn save(
        &self,
        directory_url: &str,
        name: &DomainName,
        bundle: &str,
        meta: &Meta,
    ) -> io::Result<()> {
        self.of_ca(directory_url).save(name, bundle, meta)?;
        // Kept until now, so that a crash or a full disk does not lose a key that has been signed.
        match self.load_order(directory_url, name) {
            Ok(Some(order)) if order.is_for(bundle) => self.remove_order(directory_url, name),
            _ => Ok(()),
        }
    }

    /// Every bundle of a CA that is not among these: of one that was configured before.
    pub fn load_others(&self, directory_urls: &[&str]) -> Loaded {
        let known: Vec<_> = directory_urls.iter().map(|url| self.ca(url)).collect();
        let directories = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let others = directories
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && *path != self.imported().0 && !known.contains(path));
        let mut all = Loaded::default();
        for other in others {
            // Whatever else is wrong there is not ours to tell of.
            all.stored.extend(Bundles(other.join("certs")).load().stored);
        }
        all
    }

    /// The account at a CA, and the lock beside it.
    pub(super) fn account(&self, directory_url: &str) -> PathBuf {
        self.ca(directory_url).join("account.json")
    }

    /// The order that is under way for a name.
    pub(super) fn load_order(
        &self,
        directory_url: &str,
        name: &DomainName,
    ) -> io::Result<Option<OrderFile>> {
        match plain_file::read(&self.order(directory_url, name), MAX_PEM_BYTES) {
            Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| {
                // Its own text could quote the key.
                io::Error::other(format!("line {} is not as it was written", error.line()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn save_order(&self, directory_url: &str, order: &OrderFile) -> io::Result<()> {
        let path = self.order(directory_url, &order.name);
        write(&path, &serde_json::to_vec(order)?)
    }

    pub(super) fn remove_order(&self, directory_url: &str, name: &DomainName) -> io::Result<()> {
        atomic_file::remove(&self.order(directory_url, name))
    }

    /// Every order that is under way at a CA; files that can't be read are passed over.
    pub(super) fn orders(&self, directory_url: &str) -> Vec<OrderFile> {
        let files = fs::read_dir(self.ca(directory_url).join("orders"));
        let names = files.into_iter().flatten().flatten().filter_map(|file| {
            let file = file.file_name();
            layout::name_of(file.to_str()?.strip_suffix(".json")?)
        });
        names.filter_map(|name| self.load_order(directory_url, &name).ok().flatten()).collect()
    }

    /// Whether the certificate of an order is kept, and so nothing is left to do for it.
    pub(super) fn is_fulfilled(&self, directory_url: &str, order: &OrderFile) -> bool {
        let kept = self.of_ca(directory_url).load_one(&order.name);
        kept.is_some_and(|kept| order.is_for(&kept.bundle))
    }

    fn ca(&self, directory_url: &str) -> PathBuf {
        self.root.join(layout::ca(directory_url))
    }

    fn certs(&self, directory_url: &str) -> PathBuf {
        self.ca(directory_url).join("certs")
    }

    fn order(&self, directory_url: &str, name: &DomainName) -> PathBuf {
        self.ca(directory_url).join("orders").join(layout::file(name, "json"))
    }
}

/// The bundles in a directory.
pub(super) fn bundles_of(directory: PathBuf) -> Bundles {
    Bundles(directory)
}

/// Writes a file into a directory that is made when it is missing.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        atomic_file::private_directory(directory)?;
    }
    atomic_file::write(path, content)
}
