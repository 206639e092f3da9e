//! Whether a state, or a backup of one, is sound.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::archive;
use super::dirs::{AUTHORITY, SMALL_FILES};
use super::entry::EntryName;
use super::error::at;
use super::make::{gather, private_beside};
use super::owner;
use super::{BackupError, Manifest, StateDirs};
use crate::acme::{Stored, Survey};
use crate::atomic_file;
use crate::config::Declared;
use crate::model::Pattern;
use crate::proxy::HostServices;
use crate::store::{FILE, Store};
use crate::tls::Certificate;
use crate::tokens::Tokens;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// The revision of the state.
    pub revision: u64,
    /// The schema of its database.
    pub schema: i64,
    pub domains: usize,
    pub backends: usize,
    pub certificates: usize,
    /// What a backup says about itself.
    pub manifest: Option<Manifest>,
    /// What is wrong, each with its place.
    pub problems: Vec<String>,
}

/// Checks the state of a server, which may run. Changes nothing.
///
/// # Errors
/// When there is none, it can't be read, or its database is damaged.
pub(crate) fn check_in_place(dirs: &StateDirs) -> Result<Checked, BackupError> {
    let copy = private_beside(&std::env::temp_dir())?;
    let unpacked = StateDirs::unpacked(copy.path());
    private_directory(&unpacked.state)?;
    Store::copy_to(&dirs.state, &unpacked.database())?;
    for (name, bytes) in gather(dirs)?.files {
        put(&name, copy.path(), &mut &bytes[..])?;
    }
    let mut checked = look(&unpacked, |path| in_place(path, &unpacked, dirs))?;
    checked.problems.extend(owner::problems(dirs));
    Ok(checked)
}

/// Checks a backup: that it is as it was made, and what is in it. Changes nothing.
///
/// # Errors
/// When it can't be read, is damaged, none, or of a newer version.
pub(crate) fn check_archive(path: &Path) -> Result<Checked, BackupError> {
    let unpacked = private_beside(&std::env::temp_dir())?;
    unpack(path, unpacked.path())
}

/// Unpacks a backup into an empty directory, and checks what is in it.
pub(super) fn unpack(path: &Path, root: &Path) -> Result<Checked, BackupError> {
    let dirs = StateDirs::unpacked(root);
    private_directory(&dirs.state)?;
    let manifest = archive::read(path, |name, from| put(name, root, from))?;
    if !dirs.database().is_file() {
        return Err(BackupError::Damaged { what: format!("{FILE} is missing") });
    }
    let mut checked =
        look(&dirs, |path| path.strip_prefix(root).unwrap_or(path).display().to_string())?;
    if (checked.schema, checked.revision) != (manifest.schema, manifest.revision) {
        checked.problems.push("its manifest is about another state".to_owned());
    }
    checked.manifest = Some(manifest);
    Ok(checked)
}

/// Reads each thing of a state, which nobody changes meanwhile.
fn look(dirs: &StateDirs, shown: impl Fn(&Path) -> String) -> Result<Checked, BackupError> {
    let audit = Store::audit(&dirs.database())?;
    let mut problems = audit.problems;
    if let Some(text) = &audit.applied_file
        && let Err(error) = Declared::from_json(text)
    {
        problems.push(format!("{FILE}: the config file as last applied: {error}"));
    }
    let [sticky, tokens] = SMALL_FILES.map(|name| shown(&dirs.state.join(name)));
    if let Err(error) = HostServices::check(&dirs.state) {
        problems.push(format!("{sticky}: {error}"));
    }
    if let Err(error) = Tokens::open(&dirs.state) {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        problems.push(format!("{tokens}: {}", cause.unwrap_or_else(|| error.to_string())));
    }
    let root = dirs.state.join(AUTHORITY).join("root-with-key.pem");
    if root.exists() {
        let bundle = std::fs::read_to_string(&root).map_err(|error| error.to_string());
        let found = bundle.and_then(|bundle| {
            Certificate::from_bundle(&bundle).map(drop).map_err(|error| error.to_string())
        });
        problems.extend(found.err().map(|why| format!("{}: {why}", shown(&root))));
    }
    let survey = Survey::read(&dirs.cache, usable).map_err(at(&dirs.cache))?;
    problems.extend(survey.problems.iter().map(|(path, why)| format!("{}: {why}", shown(path))));
    Ok(Checked {
        revision: audit.revision,
        schema: audit.schema,
        domains: audit.domains,
        backends: audit.backends,
        certificates: survey.certificates,
        manifest: None,
        problems,
    })
}

/// Whether the certificate of a bundle is one for its name, with its own key.
fn usable(stored: &Stored) -> Result<(), String> {
    let certificate =
        Certificate::from_bundle(&stored.bundle).map_err(|error| error.to_string())?;
    if certificate.covers(&stored.name) || stored.name.pattern() == Pattern::Default {
        return Ok(());
    }
    Err(format!("the certificate in it is not for `{}`", stored.name))
}

/// The path of a file that was copied.
fn in_place(path: &Path, copied: &StateDirs, dirs: &StateDirs) -> String {
    let of = |from: &Path, to: &Path| path.strip_prefix(from).ok().map(|rest| to.join(rest));
    let found: Option<PathBuf> =
        of(&copied.cache, &dirs.cache).or_else(|| of(&copied.state, &dirs.state));
    found.as_deref().unwrap_or(path).display().to_string()
}

/// Writes a file below `root`, with the directories that it needs.
fn put(name: &EntryName, root: &Path, from: &mut dyn Read) -> Result<(), BackupError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = name.below(root);
    if let Some(parent) = path.parent() {
        private_directory(parent)?;
    }
    let mut options = File::options();
    let file = options.write(true).create_new(true).mode(0o600).open(&path);
    let mut file = file.map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => {
            BackupError::Damaged { what: format!("{} is in it twice", name.as_str()) }
        }
        _ => BackupError::File { path: path.clone(), source },
    })?;
    copy(from, &mut file, &path)?;
    file.sync_all().map_err(at(&path))
}

/// Copies so that a damaged archive and a full disk are different errors.
fn copy(from: &mut dyn Read, to: &mut File, path: &Path) -> Result<(), BackupError> {
    use std::io::Write as _;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match from.read(&mut buffer).map_err(archive::unreadable(true))? {
            0 => return Ok(()),
            read => to.write_all(&buffer[..read]).map_err(at(path))?,
        }
    }
}

fn private_directory(path: &Path) -> Result<(), BackupError> {
    atomic_file::private_directory(path).map_err(at(path))
}
