//! Checks the files that orders need, before they are needed.

use std::io;
use std::path::Path;

use nix::unistd::AccessFlags;

use super::account::binding;
use super::storage::Storage;
use crate::atomic_file;
use crate::config::LetsEncryptSettings;
use crate::https_client;

/// A file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingFile {
    /// The key that names it, within `[lets_encrypt]`.
    pub key: &'static str,
    /// The index of its CA: 0 is the section itself, then the fallbacks.
    pub issuer: usize,
    /// What is wrong, as an order would report it.
    pub message: String,
}

/// The files that would make orders fail now. The key of an external account is only needed until
/// there is an account. Blocks, and changes nothing.
pub(crate) fn missing_files(settings: &LetsEncryptSettings, storage: &Storage) -> Vec<MissingFile> {
    let mut missing = Vec::new();
    for (number, issuer) in settings.issuers.iter().enumerate() {
        let mut miss = |key, message| missing.push(MissingFile { key, issuer: number, message });
        if let Some(path) = &issuer.ca_root
            && let Err(message) = https_client::client_config(Some(path))
        {
            miss("ca_root", message);
        }
        if let Some(eab) = &issuer.eab
            && !storage.account(&issuer.directory_url).exists()
            && let Err(error) = binding(eab)
        {
            miss("eab_hmac_key_file", error.to_string());
        }
    }
    if let Some(hook) = &settings.dns_hook
        && let Err(error) = check_program(hook)
    {
        let message = format!("`{}`: {error}", hook.display());
        missing.push(MissingFile { key: "dns_hook", issuer: 0, message });
    }
    missing
}

fn check_program(path: &Path) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    atomic_file::allows(path, AccessFlags::X_OK)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::{Config, parse};

    #[test]
    fn each_file_is_missed_until_it_can_be_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let text = "[proxy]\nlisten_addr = \"127.0.0.1:0\"\nstate_dir = \"state\"\n\
                    [lets_encrypt]\nemail = \"a@example.com\"\nca_root = \"root.pem\"\n\
                    eab_kid = \"k\"\neab_hmac_key_file = \"eab\"\ndns_hook = \"hook\"\n\
                    [[lets_encrypt.fallback]]\ndirectory_url = \"https://ca.test/dir\"\n\
                    ca_root = \"other.pem\"\n";
        let config: Config = parse(&path("vhost.toml"), text).unwrap();
        let storage = Storage::new(config.cache_dir.clone());
        let missed = || -> Vec<_> {
            let missing = missing_files(config.lets_encrypt.as_ref().unwrap(), &storage);
            missing.into_iter().map(|missing| (missing.issuer, missing.key)).collect()
        };
        let all = [(0, "ca_root"), (0, "eab_hmac_key_file"), (1, "ca_root"), (0, "dns_hook")];
        assert_eq!(missed(), all);
        for name in ["root.pem", "eab"] {
            nix::unistd::mkfifo(&path(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        assert_eq!(missed(), all);
        for name in ["root.pem", "eab"] {
            fs::remove_file(path(name)).unwrap();
        }
        fs::write(path("root.pem"), "nothing").unwrap();
        fs::write(path("eab"), "no base64!").unwrap();
        fs::write(path("hook"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(path("hook"), Permissions::from_mode(0o600)).unwrap();
        assert_eq!(missed(), all);
        let root = rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()]).unwrap();
        fs::write(path("root.pem"), root.cert.pem()).unwrap();
        fs::write(path("other.pem"), root.cert.pem()).unwrap();
        fs::write(path("eab"), "Zm9v").unwrap();
        fs::set_permissions(path("hook"), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(missed(), []);
        assert!(!path("state").exists(), "nothing is made");
    }
}
