//! Which versions of `vhost` understand each other over the socket.
//!
//! A client sends its version with each request, in the member `client`, and then gets the server's
//! in the member `server` of the answer. Both are the product's own: whoever leaves `client` out
//! speaks plain JSON-RPC 2.0, and is taken to know the methods of the server that it talks to.

use std::fmt;
use std::str::FromStr;

use crate::model::serde_as_text;

/// The version of a client or a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

/// The text is not a version.
#[derive(Debug, thiserror::Error)]
#[error("a version is three numbers, such as `{}`", PeerVersion::OWN)]
pub struct NoVersion;

impl PeerVersion {
    /// The version of this program.
    pub const OWN: Self = Self {
        major: number(env!("CARGO_PKG_VERSION_MAJOR")),
        minor: number(env!("CARGO_PKG_VERSION_MINOR")),
        patch: number(env!("CARGO_PKG_VERSION_PATCH")),
    };

    /// Whether a client and a server of these versions understand each other: they are of one major
    /// version, and at most one minor version apart.
    pub fn understands(self, other: Self) -> bool {
        self.major == other.major && self.minor.abs_diff(other.minor) <= 1
    }

    /// The oldest and the newest minor version that this one understands, as people write them.
    pub fn neighbours(self) -> String {
        let Self { major, minor, .. } = self;
        let oldest = minor.saturating_sub(1);
        format!("{major}.{oldest} to {major}.{}", minor.saturating_add(1))
    }
}

impl fmt::Display for PeerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch } = self;
        f.pad(&format!("{major}.{minor}.{patch}"))
    }
}

impl FromStr for PeerVersion {
    type Err = NoVersion;

    /// Reads `1.2.3`; what a pre-release or a build adds to it is ignored.
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = core.split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if digits { part.parse().map_err(|_| NoVersion) } else { Err(NoVersion) }
        });
        let mut next = || numbers.next().unwrap_or(Err(NoVersion));
        let version = Self { major: next()?, minor: next()?, patch: next()? };
        if numbers.next().is_some() { Err(NoVersion) } else { Ok(version) }
    }
}

serde_as_text!(PeerVersion, "A version of vhost.");

/// Reads a part of the crate's own version, which cargo has checked.
const fn number(text: &str) -> u32 {
    let mut number = 0;
    let mut rest = text.as_bytes();
    while let [digit, tail @ ..] = rest {
        number = number * 10 + (*digit - b'0') as u32;
        rest = tail;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> PeerVersion {
        text.parse().unwrap()
    }

    #[test]
    fn the_own_version_is_the_crates() {
        assert_eq!(PeerVersion::OWN.to_string(), env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn one_minor_version_apart_is_near_enough() {
        for (one, other, near) in [
            ("0.1.0", "0.1.9", true),
            ("0.1.0", "0.2.0", true),
            ("0.1.0", "0.0.7", true),
            ("0.1.0", "0.3.0", false),
            ("1.4.0", "1.2.0", false),
            ("0.9.0", "1.0.0", false),
            ("2.0.0", "1.0.0", false),
        ] {
            assert_eq!(version(one).understands(version(other)), near, "{one} and {other}");
            assert_eq!(version(other).understands(version(one)), near, "{other} and {one}");
        }
        assert_eq!(version("0.1.3").neighbours(), "0.0 to 0.2");
        assert_eq!(version("1.0.3").neighbours(), "1.0 to 1.1");
    }

    #[test]
    fn a_version_is_three_numbers_and_what_a_build_adds() {
        assert_eq!(version("1.2.3-rc.1+abc"), version("1.2.3"));
        for text in
            ["", "1", "1.2", "1.2.3.4", "1.2.x", "1..3", "+1.2.3", "1.2.99999999999", "v1.2.3"]
        {
            assert!(text.parse::<PeerVersion>().is_err(), "{text}");
        }
    }
}
