//! How far each target has come, in a file of the state directory.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::plain_file;

/// The file.
pub(super) const FILE: &str = "notify.json";

/// The largest file that is read: of far more targets than there may be.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

const VERSION: u32 = 1;

/// Where in the history a target goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// It has got all that it wanted up to this event.
    pub(super) after: u64,
    /// Of these events it has yet to get the end.
    #[serde(default)]
    pub(super) open: Vec<u64>,
}

/// The places by the names of targets.
pub(super) type Places = BTreeMap<String, Place>;

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    targets: Places,
}

/// The places that were saved; none where there is no file. Blocks.
pub(super) fn load(path: &Path) -> io::Result<Places> {
    let bytes = match plain_file::read(path, MAX_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Places::new()),
        Err(error) => return Err(error),
    };
    let content: Content = serde_json::from_slice(&bytes)?;
    if content.version == VERSION {
        Ok(content.targets)
    } else {
        Err(io::Error::other(format!("it is of version {}", content.version)))
    }
}

/// Saves the places. Blocks.
pub(super) fn save(path: &Path, places: Places) -> io::Result<()> {
    let content = Content { version: VERSION, targets: places };
    atomic_file::write(path, &serde_json::to_vec(&content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_and_what_cannot_be_read_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        assert_eq!(load(&path).unwrap(), Places::new());
        let places = Places::from([("chat".to_owned(), Place { after: 7, open: vec![5] })]);
        save(&path, places.clone()).unwrap();
        assert_eq!(load(&path).unwrap(), places);
        for text in ["", "{", r#"{"version":2,"targets":{}}"#] {
            std::fs::write(&path, text).unwrap();
            assert!(load(&path).is_err(), "{text}");
        }
    }
}
