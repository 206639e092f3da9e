//! What a start with a config would miss on this machine, as it is now. For `vhost check`, which may run
//! on another machine than the server: none of it makes a config wrong.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::config::{Config, LogOutput};
use crate::rpc::AdminSocket;

/// What a start would miss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The key that names it.
    pub key: &'static str,
    /// What is missing, and what would be right.
    pub message: String,
}

/// Looks for what a start with this config would need. Blocks, and changes nothing.
pub fn preflight(config: &Config) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut miss = |key, message| missing.push(Missing { key, message });
    if let Some(group) = &config.proxy.admin_group
        && let Err(error) = AdminSocket::check_group(group)
    {
        miss("proxy.admin_group", format!("{error}; {}", error.hint()));
    }
    if let Some(message) = config.proxy.pages_dir.as_deref().and_then(no_directory) {
        miss("proxy.pages_dir", message);
    }
    for (key, is_kept, output) in [
        ("logging.file_path", true, &config.logging.output),
        ("access_log.file_path", config.access_log.enabled, &config.access_log.output),
    ] {
        let LogOutput::File(file) = output else { continue };
        if !is_kept {
            continue;
        }
        if file.path.is_dir() {
            miss(key, format!("`{}` is a directory; name a file", file.path.display()));
        } else if let Some(message) = file.path.parent().and_then(no_directory) {
            miss(key, message);
        }
    }
    // A server that runs has the ports by right.
    if UnixStream::connect(&config.proxy.admin_socket).is_err() {
        for (key, address) in listeners(config) {
            if let Some(message) = cannot_listen(address) {
                miss(key, message);
            }
        }
    }
    missing
}

fn listeners(config: &Config) -> impl Iterator<Item = (&'static str, SocketAddr)> {
    let proxy = &config.proxy;
    let metrics = config.metrics.enabled.then_some(config.metrics.listen_addr);
    [
        ("proxy.listen_addr", proxy.listen_addr),
        ("proxy.listen_addr_http", proxy.listen_addr_http),
        ("proxy.management_api_addr", proxy.management_api_addr),
        ("metrics.listen_addr", metrics),
    ]
    .into_iter()
    .filter_map(|(key, address)| Some((key, address?)))
}

fn no_directory(path: &Path) -> Option<String> {
    let is_missing = !path.as_os_str().is_empty() && !path.is_dir();
    is_missing.then(|| format!("there is no directory `{}`; make it", path.display()))
}

/// Why an address can't be listened at. That a port wants a privilege is nothing to whoever checks: the
/// server may have it.
fn cannot_listen(address: SocketAddr) -> Option<String> {
    match TcpListener::bind(address).err()?.kind() {
        ErrorKind::AddrInUse => Some("something else listens there".to_owned()),
        ErrorKind::AddrNotAvailable => Some("it is no address of this machine".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_start_would_miss_is_named_by_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!(
            "[proxy]\nlisten_addr_http = \"{}\"\nlisten_addr = \"192.0.2.1:443\"\n\
             admin_group = \"no-such-group\"\npages_dir = \"pages\"\nstate_dir = \"state\"\n\
             admin_socket = \"admin.sock\"\n\
             [logging]\noutput = \"file\"\nfile_path = \"logs/vhost.log\"\n\
             [access_log]\nenabled = true\noutput = \"file\"\nfile_path = \".\"\n[metrics]\nenabled = false\n",
            taken.local_addr().unwrap()
        );
        let config = crate::config::parse(&directory.path().join("vhost.toml"), &text).unwrap();
        let keys = |config: &Config| -> Vec<_> {
            preflight(config).into_iter().map(|missing| missing.key).collect()
        };
        assert_eq!(
            keys(&config),
            [
                "proxy.admin_group",
                "proxy.pages_dir",
                "logging.file_path",
                "access_log.file_path",
                "proxy.listen_addr",
                "proxy.listen_addr_http",
            ]
        );
        // The server itself has its ports.
        let _running =
            std::os::unix::net::UnixListener::bind(directory.path().join("admin.sock")).unwrap();
        assert!(!keys(&config).contains(&"proxy.listen_addr_http"));
    }
}
