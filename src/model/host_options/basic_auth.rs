//! Names and passwords (RFC 7617).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::HIDDEN;
use crate::model::{ParseError, serde_as_text, text};

/// The memory of one check by argon2: 256 MiB. `vhost hash-password` takes far less.
const MAX_ARGON2_KIB: u32 = 256 * 1024;

/// Passes of one check by argon2 over its memory.
const MAX_ARGON2_PASSES: u32 = 20;

/// Lanes of one check by argon2.
const MAX_ARGON2_LANES: u32 = 16;

/// The cost of one check by bcrypt, which doubles with each step: some seconds.
const MAX_BCRYPT_COST: u32 = 16;

/// The users who may enter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The realm, which browsers show. The default is the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// Each user with the hash of the password, as `vhost hash-password` makes it.
    pub users: BTreeMap<UserName, PasswordHash>,
}

impl BasicAuth {
    /// There is somebody, and the realm is one that a header can say.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.users.is_empty() {
            return Err("name at least one user; otherwise nobody can log in".to_owned());
        }
        for (user, hash) in &self.users {
            hash.check_cost().map_err(|reason| format!("the password of `{user}`: {reason}"))?;
        }
        match &self.realm {
            Some(realm) if realm.contains(|c: char| !c.is_ascii_graphic() && c != ' ') => {
                Err("use printable ASCII characters in `realm`".to_owned())
            }
            _ => Ok(()),
        }
    }
}

text! {
    /// The name of a user: no colon, which ends it on the wire, and nothing that does not print.
    #[derive(PartialOrd, Ord)]
    pub struct UserName(String) "The name of a user, without a colon.";
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

    /// Refuses a hash that is too dear: whoever guesses at a password has the server work it out each time.
    fn check_cost(&self) -> Result<(), String> {
        let hash = self.as_str();
        let bound = |what: &str, value: &str, max: u32| match value.parse::<u32>() {
            Ok(value) if value <= max => Ok(()),
            _ => Err(format!(
                "{what} {value} is not a number of at most {max}, so that a wrong password stays cheap to \
                 refuse; make another hash with `vhost hash-password`"
            )),
        };
        let mut fields = hash.split('$').skip(1);
        if hash.starts_with("$2") {
            return bound("the bcrypt cost", fields.nth(1).unwrap_or_default(), MAX_BCRYPT_COST);
        }
        for (name, value) in
            fields.flat_map(|field| field.split(',')).filter_map(|it| it.split_once('='))
        {
            match name {
                "m" => bound("the argon2 memory `m` (KiB)", value, MAX_ARGON2_KIB)?,
                "t" => bound("the argon2 passes `t`", value, MAX_ARGON2_PASSES)?,
                "p" => bound("the argon2 lanes `p`", value, MAX_ARGON2_LANES)?,
                _ => {}
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_as_dear_as_a_check_may_be_and_no_dearer() {
        const REST: &str = "c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo";
        for (params, refused) in [
            ("v=19$m=262144,t=20,p=16", None),
            ("v=19$m=4194304,t=3,p=4", Some("`m` (KiB) 4194304")),
            ("m=262145,t=3,p=4", Some("`m` (KiB) 262145")),
            ("v=19$m=65536,t=4294967295,p=4", Some("`t` 4294967295")),
            ("v=19$m=65536,t=99999999999,p=4", Some("`t` 99999999999")),
            ("v=19$m=65536,t=3,p=17", Some("`p` 17")),
        ] {
            for kind in ["argon2id", "argon2i", "argon2d"] {
                check(&format!("${kind}${params}${REST}"), refused);
            }
        }
        for (cost, refused) in [("16", None), ("17", Some("cost 17")), ("31", Some("cost 31"))] {
            let hash = format!("$2b${cost}$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234");
            check(&hash, refused);
        }
    }

    #[track_caller]
    fn check(hash: &str, refused: Option<&str>) {
        let told = hash.parse::<PasswordHash>().expect("it is one").check_cost().err();
        match refused {
            None => assert_eq!(told, None, "{hash}"),
            Some(words) => {
                let told = told.expect("it is refused");
                assert!(told.contains(words) && told.contains("vhost hash-password"), "{told}");
            }
        }
    }
}
