//! What a start with a config would need on this machine, as it is now. For `vhost check`, which changes
//! nothing. What ends a start is found by the functions that a start itself goes by.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::error::{lacks_family, no_family};
use super::process::check_roots;
use super::sockets::bound;
use super::{ServerError, https};
use crate::acme::{MissingFile, Storage, missing_files};
use crate::config::{Config, ListenAddr};
use crate::model::{LogFileSettings, LogOutput, with_causes};
use crate::proxy::HostServices;
use crate::rpc::{AdminSocket, SocketError};
use crate::store::Store;
use crate::telemetry;
use crate::tokens::Tokens;

/// What a start would miss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The key that names it.
    pub key: &'static str,
    /// What is missing, and what would be right.
    pub message: String,
    /// Whether a start fails for it. The rest may be otherwise by then, or the server goes on without.
    pub stops_start: bool,
}

/// Looks for what a start with this config would need. Blocks, and changes nothing.
pub(crate) fn preflight(config: &Config) -> Vec<Missing> {
    let errors = start_errors(config).into_iter().map(|(key, error)| Missing {
        key,
        message: message_of(&error),
        stops_start: true,
    });
    let doubts = doubts(config);
    let doubts =
        doubts.into_iter().map(|(key, message)| Missing { key, message, stops_start: false });
    errors.chain(doubts).collect()
}

/// What a start would fail for, in the order in which it needs it. Ports are no part of it.
fn start_errors(config: &Config) -> Vec<(&'static str, ServerError)> {
    const STATE_DIR: &str = "proxy.state_dir";
    let proxy = &config.proxy;
    let mut errors = Vec::new();
    let mut find = |key, found: Result<(), ServerError>| {
        let is_good = found.is_ok();
        errors.extend(found.err().map(|error| (key, error)));
        is_good
    };
    find("", check_roots());
    for (key, error) in telemetry::check_files(&config.logging, &config.access_log) {
        find(key, Err(error.into()));
    }
    let has_state = find(STATE_DIR, Store::check(&proxy.state_dir).map_err(Into::into));
    let socket = AdminSocket::check(&proxy.admin_socket, proxy.admin_group.as_deref());
    let key = match &socket {
        Err(
            SocketError::UnknownGroup { .. }
            | SocketError::NotAMember { .. }
            | SocketError::UnmappedGroup { .. },
        ) => "proxy.admin_group",
        _ => "proxy.admin_socket",
    };
    find(key, socket.map_err(Into::into));
    if has_state {
        find(STATE_DIR, Tokens::open(&proxy.state_dir).map(drop).map_err(Into::into));
        let hosts = HostServices::check(&proxy.state_dir);
        find(STATE_DIR, hosts.map_err(ServerError::HostServices));
    }
    // What is wrong with the state directory has been found already.
    if has_state || !config.cache_dir.starts_with(&proxy.state_dir) {
        find("lets_encrypt.cache_dir", https::check_storage(config));
    }
    errors
}

/// What may be otherwise when it is needed, or is missed in a part of what the server does.
fn doubts(config: &Config) -> Vec<(&'static str, String)> {
    let mut doubts = Vec::new();
    if let Some(directory) = &config.proxy.pages_dir {
        let is_own = config.reserved_paths().holds(directory);
        let own = || {
            format!(
                "`{}` is in a place of the server's own, where no page is read; name another",
                directory.display()
            )
        };
        let message = if is_own { Some(own()) } else { no_directory(directory) };
        doubts.extend(message.map(|message| ("proxy.pages_dir", message)));
    }
    if let (LogOutput::File(log), LogOutput::File(access_log), true) =
        (&config.logging.output, &config.access_log.output, config.access_log.enabled)
        && is_same_file(log, access_log)
    {
        let message = format!(
            "`{}` is the file of `[logging]` as well: lines of two kinds mix, and each log moves away \
             what the other writes; name another",
            access_log.path.display()
        );
        doubts.push(("access_log.file_path", message));
    }
    if let Some(settings) = https::lets_encrypt(config) {
        let missing = missing_files(settings, &Storage::new(config.cache_dir.clone()));
        doubts.extend(missing.into_iter().map(|MissingFile { key, issuer, message }| {
            let key = match (issuer, key) {
                (0, "ca_root") => "lets_encrypt.ca_root",
                (0, "eab_hmac_key_file") => "lets_encrypt.eab_hmac_key_file",
                (0, "dns_hook") => "lets_encrypt.dns_hook",
                _ => "lets_encrypt.fallback",
            };
            (key, format!("{message}; until it can be used, its CA signs nothing"))
        }));
    }
    // A server that runs has the ports by right.
    if UnixStream::connect(&config.proxy.admin_socket).is_err() {
        for (key, listener) in config.listeners() {
            doubts.extend(cannot_listen(listener).map(|message| (key, message)));
        }
    }
    doubts
}

/// The error with its causes and what to do about it, in one line.
fn message_of(error: &ServerError) -> String {
    let whole = with_causes(error);
    match error.hint() {
        Some(hint) => format!("{whole}; {hint}"),
        None => whole,
    }
}

fn is_same_file(one: &LogFileSettings, other: &LogFileSettings) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    let found = identity(&one.path);
    one.path == other.path || (found.is_some() && found == identity(&other.path))
}

fn no_directory(path: &Path) -> Option<String> {
    let is_missing = !path.as_os_str().is_empty() && !path.is_dir();
    is_missing.then(|| format!("there is no directory `{}`; make it", path.display()))
}

/// Why an address can't be listened on. That a port wants a privilege is nothing to whoever checks: the
/// server may have it.
fn cannot_listen(listener: ListenAddr) -> Option<String> {
    let address = listener.address;
    let error = bound(listener).err()?;
    match error.kind() {
        ErrorKind::AddrInUse => Some(format!("another process is listening on `{address}`")),
        ErrorKind::AddrNotAvailable => Some(format!("`{address}` is no address of this machine")),
        _ if lacks_family(&error) => Some(format!("`{address}`: {}", no_family(address))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The keys of what a start would miss, and whether it fails for that.
    fn keys(config: &Config) -> Vec<(&'static str, bool)> {
        let missing = preflight(config);
        assert!(missing.iter().all(|missing| !missing.message.is_empty()), "{missing:?}");
        missing.into_iter().map(|missing| (missing.key, missing.stops_start)).collect()
    }

    fn config(directory: &Path, more: &str) -> Config {
        let text = format!(
            "[proxy]\nlisten_addr_http = \"127.0.0.1:0\"\nlisten_addr = \"127.0.0.1:0\"\n\
             state_dir = \"state\"\nadmin_socket = \"run/admin.sock\"\n{more}\n\
             [metrics]\nenabled = false\n"
        );
        crate::config::parse(&directory.join("vhost.toml"), &text).unwrap()
    }

    /// A FIFO hangs whoever reads it as a file.
    fn fifo(state_dir: &Path, name: &str) {
        drop(Store::open(state_dir).unwrap());
        nix::unistd::mkfifo(&state_dir.join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
    }

    /// All that is in a directory, with modes and contents.
    fn listed(directory: &Path) -> Vec<(std::path::PathBuf, u32, Vec<u8>)> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let found = path.symlink_metadata().unwrap();
            let content = crate::plain_file::read(&path, u64::MAX - 1).unwrap_or_default();
            if found.is_dir() {
                all.extend(listed(&path));
            }
            all.push((path, found.permissions().mode(), content));
        }
        all.sort();
        all
    }

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
        assert_eq!(
            keys(&config),
            [
                ("logging.file_path", true),
                ("access_log.file_path", true),
                ("proxy.admin_group", true),
                ("proxy.pages_dir", false),
                ("proxy.listen_addr", false),
                ("proxy.listen_addr_http", false),
            ]
        );
        // The server itself has its ports.
        let _running =
            std::os::unix::net::UnixListener::bind(directory.path().join("admin.sock")).unwrap();
        assert!(!keys(&config).contains(&("proxy.listen_addr_http", false)));
    }

    #[test]
    fn whatever_ends_a_start_is_found_and_nothing_is_changed() {
        type Spoil = fn(&Path);
        let cases: [(&str, Spoil); 12] = [
            ("proxy.state_dir", |at| std::fs::write(at.join("state"), "").unwrap()),
            ("proxy.state_dir", |at| fifo(&at.join("state"), "tokens.json")),
            ("proxy.state_dir", |at| fifo(&at.join("state"), "sticky.key")),
            ("proxy.state_dir", |at| {
                std::fs::create_dir(at.join("state")).unwrap();
                std::fs::set_permissions(at.join("state"), PermissionsExt::from_mode(0o755))
                    .unwrap();
                std::fs::write(at.join("state/other"), "").unwrap();
            }),
            ("proxy.state_dir", |at| {
                drop(Store::open(&at.join("state")).unwrap());
                std::fs::write(at.join("state/state.db"), "no database, but as long as one")
                    .unwrap();
            }),
            ("proxy.state_dir", |at| {
                drop(Store::open(&at.join("state")).unwrap());
                let newer = rusqlite::Connection::open(at.join("state/state.db")).unwrap();
                newer.pragma_update(None, "user_version", 99).unwrap();
            }),
            ("proxy.state_dir", |at| {
                drop(Store::open(&at.join("state")).unwrap());
                std::fs::write(at.join("state/tokens.json"), "{").unwrap();
            }),
            ("proxy.state_dir", |at| {
                drop(Store::open(&at.join("state")).unwrap());
                std::fs::write(at.join("state/sticky.key"), "short").unwrap();
            }),
            ("lets_encrypt.cache_dir", |at| {
                drop(Store::open(&at.join("state")).unwrap());
                std::fs::write(at.join("state/certs"), "").unwrap();
            }),
            ("proxy.admin_socket", |at| std::fs::write(at.join("run"), "").unwrap()),
            ("proxy.admin_socket", |at| {
                std::fs::create_dir(at.join("run")).unwrap();
                std::fs::write(at.join("run/admin.sock"), "").unwrap();
            }),
            ("proxy.admin_socket", |at| {
                // In a directory where anybody may make one, it is open to others.
                std::fs::set_permissions(at, PermissionsExt::from_mode(0o1777)).unwrap();
                std::fs::create_dir(at.join("run")).unwrap();
                std::fs::set_permissions(at.join("run"), PermissionsExt::from_mode(0o777)).unwrap();
            }),
        ];
        for (number, (key, spoil)) in cases.into_iter().enumerate() {
            let directory = tempfile::tempdir().unwrap();
            let config = config(directory.path(), "");
            assert_eq!(keys(&config), [], "{number}");
            spoil(directory.path());
            let before = listed(directory.path());
            assert_eq!(keys(&config), [(key, true)], "{number}");
            assert_eq!(listed(directory.path()), before, "{number}");
            let source = crate::config::Source::Made("a test", Box::new(config.clone()));
            let error = super::super::Server::start(config.clone(), source, None, None).err();
            let error = error.expect("it does not start");
            let checked = &preflight(&config)[0].message;
            assert_eq!(*checked, message_of(&error), "{number}: in the same words");
        }
    }

    #[test]
    fn a_state_that_a_server_uses_is_no_problem_and_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let _used = Store::open(&directory.path().join("state")).unwrap();
        let before = listed(directory.path());
        assert_eq!(keys(&config(directory.path(), "")), []);
        assert_eq!(listed(directory.path()), before);
    }

    #[test]
    fn what_is_missed_in_a_part_of_what_the_server_does_is_a_doubt() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(
            directory.path(),
            "pages_dir = \"state/pages\"\n\
             [lets_encrypt]\nemail = \"a@example.com\"\nca_root = \"root.pem\"\n\
             eab_kid = \"k\"\neab_hmac_key_file = \"eab\"\ndns_hook = \"hook\"\n\
             [logging]\noutput = \"file\"\nfile_path = \"vhost.log\"\n\
             [access_log]\nenabled = true\noutput = \"file\"\nfile_path = \"access.log\"\n",
        );
        // Two names of one file, which the config can't tell.
        std::fs::write(directory.path().join("vhost.log"), "").unwrap();
        std::os::unix::fs::symlink("vhost.log", directory.path().join("access.log")).unwrap();
        let before = listed(directory.path());
        assert_eq!(
            keys(&config),
            [
                ("proxy.pages_dir", false),
                ("access_log.file_path", false),
                ("lets_encrypt.ca_root", false),
                ("lets_encrypt.eab_hmac_key_file", false),
                ("lets_encrypt.dns_hook", false),
            ]
        );
        assert_eq!(listed(directory.path()), before, "nothing is made");
    }
}
