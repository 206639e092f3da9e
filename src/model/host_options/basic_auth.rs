//! Names and passwords (RFC 7617).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::reference::HIDDEN;
use crate::model::{ParseError, serde_as_text};

/// Who may come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// What browsers show; the domain when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// Each user with the hash of the password, as `vhost hash-password` makes it.
    pub users: BTreeMap<UserName, PasswordHash>,
}

impl BasicAuth {
    /// There is somebody, and the realm is one that a header can say.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.users.is_empty() {
            return Err("name at least one user, or nobody could come in".to_owned());
        }
        match &self.realm {
            Some(realm) if realm.contains(|c: char| !c.is_ascii_graphic() && c != ' ') => {
                Err("use ASCII characters that print in `realm`".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Leaves nothing of the hashes.
    pub(super) fn hide_hashes(&mut self) {
        for hash in self.users.values_mut() {
            *hash = PasswordHash(HIDDEN.to_owned());
        }
    }
}

/// The name of a user: no colon, which ends it on the wire, and nothing that does not print.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserName(String);

impl UserName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const LONGEST: usize = 128;
        if text.is_empty() || text.len() > LONGEST || text.contains([':']) {
            let reason = format!("use 1 to {LONGEST} characters and no colon");
            return Err(ParseError::new("user name", text, reason));
        }
        if text.chars().any(char::is_control) {
            return Err(ParseError::new("user name", text, "use characters that print"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

serde_as_text!(UserName, "The name of a user, without a colon.");

/// A password that nobody can read: a hash by argon2 or bcrypt.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The hash as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is by bcrypt; else it is by argon2.
    pub fn is_bcrypt(&self) -> bool {
        self.0.starts_with("$2")
    }
}

impl FromStr for PasswordHash {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = ["$argon2id$", "$argon2i$", "$argon2d$", "$2a$", "$2b$", "$2y$"];
        let plausible = known.iter().any(|prefix| text.starts_with(prefix))
            && (40..=512).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if plausible {
            return Ok(Self(text.to_owned()));
        }
        let reason =
            "use the hash that `vhost hash-password` prints, or another of argon2 or bcrypt";
        // What was given may be the password itself.
        Err(ParseError::new("password hash", "…", reason))
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

serde_as_text!(
    PasswordHash,
    "The hash of a password by argon2 or bcrypt, as `vhost hash-password` makes it."
);
