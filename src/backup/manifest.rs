//! What an archive says about itself.

use serde::{Deserialize, Serialize};

use super::BackupError;
use crate::store::SCHEMA;

/// The newest form of archives that this version reads.
pub(super) const FORMAT: u32 = 1;

/// What is in a backup. Fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The form of the archive.
    pub format: u32,
    /// The version that made it.
    pub version: String,
    /// The schema of the database.
    pub schema: i64,
    /// The revision of the state.
    pub revision: u64,
    /// When it was made, in milliseconds since the Unix epoch.
    pub made_ms: u64,
    /// How many files it holds, without this one.
    pub files: usize,
}

impl Manifest {
    pub(super) fn read(json: &[u8]) -> Result<Self, BackupError> {
        let manifest: Self = serde_json::from_slice(json)
            .map_err(|error| BackupError::Damaged { what: format!("its manifest: {error}") })?;
        let Self { format, version, schema, .. } = &manifest;
        if *format > FORMAT || *schema > SCHEMA {
            return Err(BackupError::Newer { version: version.clone(), schema: *schema });
        }
        Ok(manifest)
    }
}
