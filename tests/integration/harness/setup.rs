//! The config file of a test, and how its server is started.

#![expect(
    clippy::needless_pass_by_value,
    reason = "callers hand over numbers, texts and addresses"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{DnsHook, Pebble, Vhost, free_ip, free_ports, vhost_binary};

/// Builds a config file: short intervals, everything in a directory of its own.
#[derive(Clone)]
pub(crate) struct Setup {
    sections: BTreeMap<String, BTreeMap<String, String>>,
    entries: Vec<String>,
    pub(super) program: PathBuf,
    pub(super) hosts_file: Option<PathBuf>,
    pub(super) environment: Vec<(&'static str, PathBuf)>,
    pub(super) trace: Option<&'static str>,
    pub(super) lifetime: Duration,
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let [http, https] = free_ports(free_ip());
        let setup = Self {
            sections: BTreeMap::new(),
            entries: Vec::new(),
            program: vhost_binary().into(),
            hosts_file: None,
            environment: Vec::new(),
            trace: None,
            lifetime: Duration::from_mins(1),
            http,
            https,
        };
        setup
            .set("proxy.listen_addr", quoted(https))
            .set("proxy.listen_addr_http", quoted(http))
            .set("proxy.threads", 2)
            .set("proxy.shutdown_timeout_secs", 10)
            .set("logging.level", quoted("debug"))
            .set("logging.format", quoted("text"))
            .set("health_check.path", quoted("/health"))
            .set("health_check.interval_secs", 0.2)
            .set("health_check.timeout_secs", 2)
            .set("health_check.healthy_threshold", 1)
            .set("health_check.unhealthy_threshold", 2)
            .set("switch.gate_timeout_secs", 5)
            .set("switch.drain_timeout_secs", 10)
    }

    /// Where it will serve plain HTTP.
    pub(crate) fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Where it will serve HTTPS: another port of the same IP.
    pub(crate) fn https_address(&self) -> SocketAddr {
        self.https
    }

    /// Certificates come from this CA.
    pub(crate) fn acme(self, pebble: &Pebble) -> Self {
        self.set("lets_encrypt.email", quoted("admin@example.com"))
            .set("lets_encrypt.directory_url", quoted(pebble.directory_url()))
            .set("lets_encrypt.ca_root", quoted(pebble.ca_root().display()))
    }

    /// Shows the CA the account outside of ACME that it knows.
    pub(crate) fn eab(self, pebble: &Pebble) -> Self {
        self.set("lets_encrypt.eab_kid", quoted(Pebble::eab_kid()))
            .set("lets_encrypt.eab_hmac_key_file", quoted(pebble.eab_key_file().display()))
    }

    /// Proves names in these ways only.
    pub(crate) fn challenges(self, kinds: &[&str]) -> Self {
        self.set("lets_encrypt.challenges", format!("{kinds:?}"))
    }

    /// Sets and clears DNS records by this program.
    pub(crate) fn dns_hook(self, hook: &DnsHook) -> Self {
        self.set("lets_encrypt.dns_hook", quoted(hook.path().display()))
    }

    /// Serves plain HTTP where another setup does.
    pub(crate) fn at(mut self, http: SocketAddr) -> Self {
        self.http = http;
        self.set("proxy.listen_addr_http", quoted(http))
    }

    /// Sets `section.key` to a TOML value.
    pub(crate) fn set(mut self, key: &str, value: impl ToString) -> Self {
        let (section, key) = key.split_once('.').expect("section.key");
        self.sections
            .entry(section.to_owned())
            .or_default()
            .insert(key.to_owned(), value.to_string());
        self
    }

    /// Takes `section.key` out, so that its default holds.
    pub(crate) fn unset(mut self, key: &str) -> Self {
        let (section, key) = key.split_once('.').expect("section.key");
        self.sections.entry(section.to_owned()).or_default().remove(key);
        self
    }

    /// Probes that only connect, for backends that don't speak HTTP.
    pub(crate) fn tcp_probes(self) -> Self {
        self.set("health_check.kind", quoted("tcp")).unset("health_check.path")
    }

    pub(crate) fn domain(self, name: &str, tag: &str) -> Self {
        self.domain_with(name, tag, "")
    }

    /// A domain with more keys, as lines of TOML.
    pub(crate) fn domain_with(mut self, name: &str, tag: &str, more: &str) -> Self {
        self.entries.push(format!(
            "[[virtual_hosts]]\ndomain = \"{name}\"\nenabled_backends_tag = \"{tag}\"\n{more}\n"
        ));
        self
    }

    pub(crate) fn backend(self, id: &str, address: impl ToString, tags: &[&str]) -> Self {
        self.backend_with(id, address, tags, "")
    }

    /// A backend with more keys, as lines of TOML.
    pub(crate) fn backend_with(
        mut self,
        id: &str,
        address: impl ToString,
        tags: &[&str],
        more: &str,
    ) -> Self {
        let address = address.to_string();
        self.entries.push(format!(
            "[[backends]]\nid = \"{id}\"\naddress = \"{address}\"\ntags = {tags:?}\n{more}\n"
        ));
        self
    }

    /// Domains and backends as they stand in a config file.
    pub(crate) fn entries(mut self, text: &str) -> Self {
        self.entries.push(text.to_owned());
        self
    }

    /// Replaces text in the domains and backends; for tests that edit the file.
    pub(crate) fn replace(mut self, from: &str, to: &str) -> Self {
        assert!(self.entries.iter().any(|entry| entry.contains(from)), "no `{from}` to replace");
        for entry in &mut self.entries {
            *entry = entry.replace(from, to);
        }
        self
    }

    /// Lets the server see this file as `/etc/hosts`.
    pub(crate) fn hosts_file(mut self, path: &Path) -> Self {
        self.hosts_file = Some(path.to_owned());
        self
    }

    /// Starts this program as the server.
    pub(crate) fn program(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.program);
        self
    }

    /// Gives the server an environment variable that names a file.
    pub(crate) fn env(mut self, name: &'static str, path: PathBuf) -> Self {
        self.environment.push((name, path));
        self
    }

    /// Has `strace` write down these system calls, for [`Vhost::system_calls`].
    pub(crate) fn trace(mut self, calls: &'static str) -> Self {
        self.trace = Some(calls);
        self
    }

    /// How long the server may live before it is killed, so that no test hangs.
    pub(crate) fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The file's text, for a server that keeps its things in `directory`.
    pub(crate) fn text(&self, directory: &Path) -> String {
        let mut sections = self.sections.clone();
        let proxy = sections.entry("proxy".into()).or_default();
        proxy
            .entry("state_dir".into())
            .or_insert_with(|| quoted(directory.join("state").display()));
        proxy
            .entry("admin_socket".into())
            .or_insert_with(|| quoted(directory.join("admin.sock").display()));
        let mut text = String::new();
        for (section, keys) in sections {
            let _ = writeln!(text, "[{section}]");
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
            text.push('\n');
        }
        text + &self.entries.join("\n")
    }

    /// Starts the server and waits until it serves.
    pub(crate) fn start(&self) -> Vhost {
        Vhost::start(self)
    }
}

/// A TOML string.
pub(super) fn quoted(text: impl ToString) -> String {
    format!("{:?}", text.to_string())
}
