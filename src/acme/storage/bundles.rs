//! The bundles of one CA, or those that were imported: a file for each, and its metadata beside it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Loaded, Meta, Stored, layout, write};
use crate::atomic_file;
use crate::model::DomainName;
use crate::plain_file::{self, MAX_PEM_BYTES, read_text};

/// The directory of the bundles.
pub struct Bundles(pub(super) PathBuf);

impl Bundles {
    /// Keeps a bundle with its metadata.
    ///
    /// # Errors
    /// When the bundle can't be written; what there was is still there then. When only the rest
    /// fails, the bundle is the new one.
    pub fn save(&self, name: &DomainName, bundle: &str, meta: &Meta) -> io::Result<()> {
        write(&self.file(name, "pem"), bundle.as_bytes())?;
        self.save_meta(name, meta)
    }

    /// Keeps metadata, of a name that may have no bundle.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn save_meta(&self, name: &DomainName, meta: &Meta) -> io::Result<()> {
        write(&self.file(name, "json"), &serde_json::to_vec_pretty(meta)?)
    }

    /// Puts a bundle that can't be used out of the way: it becomes `….pem.bad`.
    ///
    /// # Errors
    /// When it can't be renamed.
    pub fn set_aside(&self, name: &DomainName) -> io::Result<()> {
        fs::rename(self.file(name, "pem"), self.file(name, "pem.bad"))?;
        fs::File::open(&self.0)?.sync_all()
    }

    /// Removes a bundle and its metadata. It may be gone already.
    ///
    /// # Errors
    /// When a file can't be removed.
    pub fn remove(&self, name: &DomainName) -> io::Result<()> {
        atomic_file::remove(&self.file(name, "pem"))?;
        atomic_file::remove(&self.file(name, "json"))
    }

    /// What is kept of one name; `None` when there is nothing that can be read.
    pub fn load_one(&self, name: &DomainName) -> Option<Stored> {
        let bundle = read_text(&self.file(name, "pem"), MAX_PEM_BYTES).ok()?;
        let meta = plain_file::read(&self.file(name, "json"), MAX_PEM_BYTES).ok();
        let meta = meta.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        Some(Stored { name: name.clone(), bundle, meta })
    }

    /// Every bundle.
    pub fn load(&self) -> Loaded {
        let mut loaded = Loaded::default();
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return loaded,
            Err(error) => {
                loaded.problems.push((self.0.clone(), error.to_string()));
                return loaded;
            }
        };
        let mut bundles = BTreeMap::new();
        let mut metas = BTreeMap::new();
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    loaded.problems.push((self.0.clone(), error.to_string()));
                    continue;
                }
            };
            let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if atomic_file::is_unfinished(file) {
                continue;
            }
            let read = match file.rsplit_once('.') {
                Some((stem, "pem")) => read_bundle(stem, &path).map(|(name, bundle)| {
                    bundles.insert(name, bundle);
                }),
                Some((stem, "json")) => read_meta(stem, &path).map(|(name, meta)| {
                    metas.insert(name, meta);
                }),
                // Set aside, which was logged then.
                Some((_, "bad")) => Ok(()),
                _ => Err("it is not a file of ours".to_owned()),
            };
            if let Err(why) = read {
                loaded.problems.push((path, why));
            }
        }
        let stored = bundles.into_iter().map(|(name, bundle)| {
            let meta = metas.remove(&name).unwrap_or_default();
            Stored { name, bundle, meta }
        });
        loaded.stored = stored.collect();
        loaded.tried = metas.into_iter().collect();
        loaded
    }

    fn file(&self, name: &DomainName, kind: &str) -> PathBuf {
        self.0.join(layout::file(name, kind))
    }
}

fn read_bundle(stem: &str, path: &Path) -> Result<(DomainName, String), String> {
    let name = layout::name_of(stem).ok_or("it is not called after a name")?;
    let bundle = read_text(path, MAX_PEM_BYTES).map_err(|error| error.to_string())?;
    Ok((name, bundle))
}

fn read_meta(stem: &str, path: &Path) -> Result<(DomainName, Meta), String> {
    let name = layout::name_of(stem).ok_or("it is not called after a name")?;
    let json = plain_file::read(path, MAX_PEM_BYTES).map_err(|error| error.to_string())?;
    let meta = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    Ok((name, meta))
}
