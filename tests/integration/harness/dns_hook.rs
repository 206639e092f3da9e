//! A program that sets and clears DNS records, as an operator would write one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Pebble;

/// A script for `lets_encrypt.dns_hook` that tells the DNS of a [`Pebble`].
pub(crate) struct DnsHook {
    directory: TempDir,
}

impl DnsHook {
    pub(crate) fn new(pebble: &Pebble) -> Self {
        let hook = Self { directory: tempfile::tempdir().expect("temporary directory") };
        let text = format!(
            r#"#!/bin/sh
# present|cleanup NAME VALUE
set -eu
echo "$*" >>'{calls}'
case $1 in
present) what="/set-txt {{\"host\":\"${{2%.}}.\",\"value\":\"$3\"}}" ;;
cleanup) what="/clear-txt {{\"host\":\"${{2%.}}.\"}}" ;;
*) exit 64 ;;
esac
exec curl --silent --show-error --fail --noproxy '*' --data "${{what#* }}" \
    "http://{management}${{what%% *}}"
"#,
            calls = hook.calls_file().display(),
            management = pebble.dns_management(),
        );
        std::fs::write(hook.path(), text).expect("the script is written");
        std::fs::set_permissions(hook.path(), PermissionsExt::from_mode(0o755))
            .expect("the script is made executable");
        hook
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("hook")
    }

    fn calls_file(&self) -> PathBuf {
        self.directory.path().join("calls")
    }

    /// The arguments of each call so far, such as `present _acme-challenge.example.com VALUE`.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = read_if_there(&self.calls_file());
        text.lines().map(str::to_owned).collect()
    }
}

fn read_if_there(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
