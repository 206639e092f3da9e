//! The archive: written file by file, and read so that each byte is checked before anything goes by it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use ring::digest::{Context, SHA256};
use tar::{Archive, Builder, EntryType, Header};

use super::BackupError;
use super::entry::{EntryName, MANIFEST, SUMS};
use super::error::at;
use super::manifest::Manifest;
use crate::plain_file::MAX_PEM_BYTES;

/// The longest list of sums: a million files.
const MAX_SUMS_BYTES: u64 = 512 << 20;

/// Archives hold keys.
const MODE: u32 = 0o600;

/// Writes an archive.
pub(super) struct Writer<'f> {
    builder: Builder<BufWriter<&'f mut File>>,
    sums: String,
    /// In seconds since the Unix epoch.
    made: u64,
}

impl<'f> Writer<'f> {
    pub(super) fn new(file: &'f mut File, manifest: &Manifest) -> Result<Self, BackupError> {
        let builder = Builder::new(BufWriter::new(file));
        let mut writer = Self { builder, sums: String::new(), made: manifest.made_ms / 1000 };
        let json = serde_json::to_vec_pretty(manifest).map_err(io::Error::from)?;
        writer.add_bytes(&name_of(MANIFEST), &json)?;
        Ok(writer)
    }

    pub(super) fn add_bytes(&mut self, name: &EntryName, bytes: &[u8]) -> Result<(), BackupError> {
        self.add(name, bytes.len() as u64, bytes)
    }

    /// Adds a file that nobody changes meanwhile.
    pub(super) fn add_file(&mut self, name: &EntryName, path: &Path) -> Result<(), BackupError> {
        let file = File::open(path).map_err(at(path))?;
        let size = file.metadata().map_err(at(path))?.len();
        self.add(name, size, file)
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> Result<(), BackupError> {
        let sums = std::mem::take(&mut self.sums);
        self.add_bytes(&name_of(SUMS), sums.as_bytes())?;
        self.builder.into_inner()?.flush()?;
        Ok(())
    }

    fn add(&mut self, name: &EntryName, size: u64, from: impl Read) -> Result<(), BackupError> {
        let mut header = Header::new_gnu();
        header.set_size(size);
        header.set_mode(MODE);
        header.set_mtime(self.made);
        header.set_uid(0);
        header.set_gid(0);
        let mut hashing = Hashing::new(from);
        self.builder.append_data(&mut header, name.as_str(), &mut hashing)?;
        if hashing.read != size {
            return Err(
                io::Error::other(format!("{} was cut while it was read", name.as_str())).into()
            );
        }
        self.sums.push_str(&line(&hashing.sum(), name));
        Ok(())
    }
}

/// Reads an archive to its end. `unpack` gets each file that is to be kept, and must read it whole; what it gets was not
/// checked yet, and is what was made only if this returns no error.
pub(super) fn read(
    path: &Path,
    mut unpack: impl FnMut(&EntryName, &mut dyn Read) -> Result<(), BackupError>,
) -> Result<Manifest, BackupError> {
    let file = File::open(path).map_err(at(path))?;
    if !file.metadata().map_err(at(path))?.is_file() {
        return Err(BackupError::Foreign { what: "it is no file".to_owned() });
    }
    let mut archive = Archive::new(BufReader::with_capacity(256 << 10, file));
    let mut manifest = None;
    let mut sums = BTreeMap::new();
    let mut list = None;
    for entry in archive.entries().map_err(unreadable(false))? {
        let mut entry = entry.map_err(unreadable(manifest.is_some()))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let unknown = || BackupError::Foreign { what: format!("it holds `{name}`") };
        if entry.header().entry_type() != EntryType::Regular {
            return Err(unknown());
        }
        let name = EntryName::parse(&name).ok_or_else(unknown)?;
        let size = entry.size();
        let most = match name.as_str() {
            SUMS => MAX_SUMS_BYTES,
            _ if name.is_database() => u64::MAX,
            _ => MAX_PEM_BYTES,
        };
        if size > most {
            let what = format!("{} has {size} bytes", name.as_str());
            return Err(BackupError::Damaged { what });
        }
        if list.is_some() {
            let what = format!("{} comes behind its end", name.as_str());
            return Err(BackupError::Damaged { what });
        }
        let mut hashing = Hashing::new(&mut entry);
        match name.as_str() {
            MANIFEST => manifest = Some(Manifest::read(&whole(&mut hashing)?)?),
            // It says first whether the rest can be understood.
            _ if manifest.is_none() => {
                return Err(BackupError::Foreign {
                    what: "it has no manifest in front".to_owned(),
                });
            }
            SUMS => {
                list = Some(whole(&mut hashing)?);
                if hashing.read != size {
                    return Err(truncated());
                }
                continue;
            }
            _ => unpack(&name, &mut hashing)?,
        }
        if hashing.read != size {
            return Err(truncated());
        }
        if sums.insert(name.clone(), hashing.sum()).is_some() {
            let what = format!("{} is in it twice", name.as_str());
            return Err(BackupError::Damaged { what });
        }
    }
    let manifest = manifest.ok_or(BackupError::Foreign { what: "it holds nothing".to_owned() })?;
    let list = list.ok_or_else(truncated)?;
    if let Some(name) = sums.iter().find_map(|(name, sum)| {
        let line = line(sum, name);
        let is_listed = list.split_inclusive(|byte| *byte == b'\n').any(|of| of == line.as_bytes());
        (!is_listed).then_some(name)
    }) {
        let what = format!("{} is not as it was made", name.as_str());
        return Err(BackupError::Damaged { what });
    }
    let listed = memchr::memchr_iter(b'\n', &list).count();
    if listed != sums.len() || manifest.files + 1 != sums.len() {
        return Err(BackupError::Damaged { what: "files are missing".to_owned() });
    }
    Ok(manifest)
}

fn whole(hashing: &mut Hashing<impl Read>) -> Result<Vec<u8>, BackupError> {
    let mut bytes = Vec::new();
    hashing.read_to_end(&mut bytes).map_err(unreadable(true))?;
    Ok(bytes)
}

/// What can't be read as an archive: damaged, if it has begun as one of ours.
pub(super) fn unreadable(is_ours: bool) -> impl FnOnce(io::Error) -> BackupError {
    move |error| {
        let what = error.to_string();
        if is_ours { BackupError::Damaged { what } } else { BackupError::Foreign { what } }
    }
}

fn truncated() -> BackupError {
    BackupError::Damaged { what: "its end is missing".to_owned() }
}

fn name_of(name: &str) -> EntryName {
    EntryName::parse(name).expect("the names of the archive's own entries are names of entries")
}

/// A line as `sha256sum --check` reads it.
fn line(sum: &str, name: &EntryName) -> String {
    format!("{sum}  {}\n", name.as_str())
}

/// Computes the sum of what is read.
struct Hashing<R> {
    from: R,
    context: Context,
    read: u64,
}

impl<R: Read> Hashing<R> {
    fn new(from: R) -> Self {
        Self { from, context: Context::new(&SHA256), read: 0 }
    }

    fn sum(self) -> String {
        use std::fmt::Write as _;
        let digest = self.context.finish();
        digest.as_ref().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.context.update(&buffer[..read]);
        self.read += read as u64;
        Ok(read)
    }
}
