//! The file of the tokens.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::TokenError;
use super::secret::sha256;
use crate::atomic_file;
use crate::clock::now_ms;
use crate::model::{Access, TokenName};
use crate::plain_file;

/// The largest file of tokens: some ten thousand of them.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenFacts {
    pub name: TokenName,
    /// What it allows.
    pub access: Access,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: u64,
}

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// The server's own token.
    pub(super) admin: Option<KeptAdmin>,
    /// Those that were added.
    pub(super) tokens: Vec<KeptToken>,
}

/// The server's own token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptAdmin {
    pub(super) token: KeptToken,
    /// In plain text, to be shown.
    pub(super) secret: String,
}

/// A token as a hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptToken {
    pub(super) name: TokenName,
    pub(super) access: Access,
    /// Of its secret.
    pub(super) sha256: String,
    pub(super) created_ms: u64,
}

impl KeptToken {
    pub(super) fn new(name: TokenName, access: Access, secret: &str) -> Self {
        Self { name, access, sha256: sha256(secret), created_ms: now_ms() }
    }

    pub(super) fn facts(&self) -> TokenFacts {
        let Self { name, access, created_ms, .. } = self;
        TokenFacts { name: name.clone(), access: *access, created_ms: *created_ms }
    }
}

impl Kept {
    pub(super) fn all(&self) -> impl Iterator<Item = &KeptToken> {
        self.admin.iter().map(|admin| &admin.token).chain(&self.tokens)
    }
}

pub(super) fn read(path: &Path) -> Result<Kept, TokenError> {
    let unreadable = |source| TokenError::Unreadable { path: path.to_owned(), source };
    match plain_file::read(path, MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
        Err(error) => Err(unreadable(error)),
        Ok(text) => serde_json::from_slice(&text).map_err(|error| unreadable(error.into())),
    }
}

pub(super) fn write(path: &Path, kept: &Kept) -> Result<(), TokenError> {
    let saved = serde_json::to_vec_pretty(kept).map_err(io::Error::from);
    saved
        .and_then(|text| atomic_file::write(path, &text))
        .map_err(|source| TokenError::Unsaved { path: path.to_owned(), source })
}
