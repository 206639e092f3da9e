//! The names of what is in an archive. Nothing else is ever written below a directory.

use std::path::{Path, PathBuf};

/// What stands in front of all names of the state directory, and of the directory of certificates.
pub(super) const STATE: &str = "state";
pub(super) const CERTS: &str = "certs";

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const SUMS: &str = "SHA256SUMS";

/// A file in an archive. No name leads out of the directory that it is unpacked to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryName(String);

impl EntryName {
    /// The name, if it is one that an archive may have.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let parts: Vec<_> = name.split('/').collect();
        let is_known = match parts[..] {
            [MANIFEST | SUMS] | [STATE, "state.db" | "sticky.key" | "tokens.json"] => true,
            [STATE, "ca", file] => is_plain(file),
            [CERTS, directory, file] | [CERTS, directory, "certs" | "orders", file] => {
                is_plain(directory) && is_plain(file)
            }
            _ => false,
        };
        is_known.then(|| Self(name.to_owned()))
    }

    /// The name of a file below a directory.
    pub(super) fn of(directory: &str, file: &Path) -> Option<Self> {
        Self::parse(&format!("{directory}/{}", file.to_str()?))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn below(&self, root: &Path) -> PathBuf {
        root.join(&self.0)
    }

    pub(super) fn is_database(&self) -> bool {
        self.0 == format!("{STATE}/{}", crate::store::FILE)
    }
}

/// One part of a name that is no special one anywhere.
fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && part.len() <= 255
        && !part.starts_with('.')
        && part.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_and_only_those_are_known_that_are_made() {
        for name in [
            "manifest.json",
            "SHA256SUMS",
            "state/state.db",
            "state/ca/root-with-key.pem",
            "certs/imported/_wildcard.example.com.pem",
            "certs/imported/[::1].pem",
            "certs/acme.test-directory/account.json",
            "certs/acme.test-directory/certs/example.com.json",
            "certs/acme.test-directory/orders/example.com.json",
        ] {
            assert!(EntryName::parse(name).is_some(), "{name}");
        }
        for name in [
            "",
            "/etc/passwd",
            "state",
            "state/",
            "state/../x",
            "state/ca/..",
            "state/ca/.",
            "state/ca/../../x",
            "state/ca//x",
            "state/ca/.x",
            "state/lock",
            "state/state.db-wal",
            "state/restore.unfinished",
            "certs/../x",
            "certs/x/../y",
            "certs/x/certs/../../../y",
            "certs/x/more/y",
            "certs/x/certs/y/z",
            "certs/x/a\nb",
            "certs/x/a\0b",
            "./state/state.db",
            "other/x",
        ] {
            assert!(EntryName::parse(name).is_none(), "{name}");
        }
    }
}
