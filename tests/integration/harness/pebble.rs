//! A real ACME CA: Pebble, with a DNS server of its own.

use std::fs::File;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Authority, Client, Response, Setup, TlsClient, eventually, free_ip, free_ports};

/// How long Pebble may take to serve, on a slow and busy machine.
const START: Duration = Duration::from_secs(20);

/// The account outside of ACME that a CA with [`PebbleOptions::eab`] wants to see, and its key.
const EAB_KID: &str = "kid-1";
const EAB_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// A CA to be. All names lead to one place unless [`Pebble::add_a`] says otherwise.
#[derive(Clone)]
pub(crate) struct PebbleOptions {
    http: SocketAddr,
    https: SocketAddr,
    validity: Duration,
    nonce_reject: u8,
    authz_reuse: u8,
    validation_sleep: Duration,
    eab: bool,
    strict: bool,
    blocked: Vec<String>,
}

impl PebbleOptions {
    /// A CA that looks for challenges where `setup` serves.
    pub(crate) fn validating(setup: &Setup) -> Self {
        Self::validating_at(setup.http_address(), setup.https_address())
    }

    /// A CA that looks for challenges at these two addresses, which have one IP.
    pub(crate) fn validating_at(http: SocketAddr, https: SocketAddr) -> Self {
        assert_eq!(http.ip(), https.ip(), "a name leads to one IP");
        Self {
            http,
            https,
            validity: Duration::from_hours(90 * 24),
            nonce_reject: 0,
            authz_reuse: 0,
            validation_sleep: Duration::ZERO,
            eab: false,
            strict: false,
            blocked: Vec::new(),
        }
    }

    /// How long certificates are valid; 90 days when not given.
    pub(crate) fn validity(mut self, validity: Duration) -> Self {
        self.validity = validity;
        self
    }

    /// Refuses so many percent of good nonces.
    pub(crate) fn nonce_reject(mut self, percent: u8) -> Self {
        self.nonce_reject = percent;
        self
    }

    /// Takes so many percent of authorizations from an earlier order: such an order starts as
    /// `ready`.
    pub(crate) fn authz_reuse(mut self, percent: u8) -> Self {
        self.authz_reuse = percent;
        self
    }

    /// Sleeps for a random time of whole seconds before each validation, at most so long.
    pub(crate) fn validation_sleep(mut self, longest: Duration) -> Self {
        self.validation_sleep = longest;
        self
    }

    /// New accounts must show [`Pebble::eab_kid`] and the key of [`Pebble::eab_key_file`].
    pub(crate) fn eab(mut self) -> Self {
        self.eab = true;
        self
    }

    /// Holds clients to what is announced for the future of ACME.
    pub(crate) fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Signs nothing for this name.
    pub(crate) fn blocked(mut self, name: &str) -> Self {
        self.blocked.push(name.to_owned());
        self
    }
}

/// A CA that runs, until it is dropped.
pub(crate) struct Pebble {
    directory: TempDir,
    options: PebbleOptions,
    acme: SocketAddr,
    management: SocketAddr,
    dns: SocketAddr,
    dns_management: SocketAddr,
    client: TlsClient,
    server: Option<Daemon>,
    _dns_server: Daemon,
}

impl Pebble {
    pub(crate) fn start(options: &PebbleOptions) -> Self {
        let ip = free_ip();
        let [acme, management, dns_management] = free_ports(ip);
        let dns = free_tcp_and_udp(ip);
        let directory = tempfile::tempdir().expect("temporary directory");
        let authority = Authority::new();
        authority.write_to(directory.path());
        authority.issue(&["localhost", &ip.to_string()]).write_to(directory.path(), "server");
        std::fs::write(directory.path().join("eab.key"), EAB_KEY).expect("the key is written");
        let config = json!({"pebble": {
            "listenAddress": acme.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": directory.path().join("server.pem"),
            "privateKey": directory.path().join("server.key"),
            "httpPort": options.http.port(),
            "tlsPort": options.https.port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": options.eab,
            "externalAccountMACKeys": {EAB_KID: EAB_KEY},
            "domainBlocklist": options.blocked,
            "certificateValidityPeriod": options.validity.as_secs(),
            // What Pebble from 2.5 on reads instead.
            "profiles": {"default": {
                "description": "what a client gets that asks for none",
                "validityPeriod": options.validity.as_secs(),
            }},
        }});
        std::fs::write(directory.path().join("pebble.json"), config.to_string())
            .expect("the config file is written");
        let mut pebble = Self {
            options: options.clone(),
            acme,
            management,
            dns,
            dns_management,
            client: TlsClient::trusting(&authority.pem()),
            server: None,
            _dns_server: start_dns(directory.path(), dns, dns_management, options.http.ip()),
            directory,
        };
        eventually("pebble-challtestsrv serves", START, || {
            Client::try_connect(dns_management).is_ok()
        });
        pebble.start_server();
        pebble
    }

    fn start_server(&mut self) {
        let options = &self.options;
        let mut command =
            Command::new(std::env::var_os("VHOST_TEST_PEBBLE").unwrap_or_else(|| "pebble".into()));
        command
            .arg("-config")
            .arg(self.directory.path().join("pebble.json"))
            .args(["-dnsserver", &self.dns.to_string()])
            .args(options.strict.then_some("-strict"))
            .env("PEBBLE_WFE_NONCEREJECT", options.nonce_reject.to_string())
            .env("PEBBLE_AUTHZREUSE", options.authz_reuse.to_string());
        if options.validation_sleep.is_zero() {
            command.env("PEBBLE_VA_NOSLEEP", "1");
        } else {
            let longest = options.validation_sleep.as_secs();
            command.env("PEBBLE_VA_SLEEPTIME", longest.to_string());
        }
        self.server = Some(Daemon::start(command, &self.directory.path().join("pebble.log")));
        eventually("Pebble serves", START, || {
            let server = self.server.as_mut().expect("just started");
            assert!(!server.has_ended(), "Pebble ended instead of serving:\n{}", self.log());
            // One after the other begins to listen.
            let managed = self.client.connect(self.management, Some("localhost"));
            if managed.is_err() {
                return false;
            }
            let client = self.client.connect(self.acme, Some("localhost"));
            client.is_ok_and(|mut client| {
                client.try_get("localhost", "/dir").is_ok_and(|answer| answer.status == 200)
            })
        });
    }

    /// Where ACME begins: what goes into `lets_encrypt.directory_url`.
    pub(crate) fn directory_url(&self) -> String {
        format!("https://{}/dir", self.acme)
    }

    /// Where ACME is spoken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.acme
    }

    /// The root that its own HTTPS is trusted by; not the one of its certificates.
    pub(crate) fn ca_root(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// The root of the certificates that it signs, PEM. Each start makes a new one.
    pub(crate) fn issuing_root(&self) -> String {
        self.manage("/roots/0").text()
    }

    /// A client that trusts the certificates that it signs, and nothing else.
    pub(crate) fn trusting_client(&self) -> TlsClient {
        TlsClient::trusting(&self.issuing_root())
    }

    /// What became of a certificate: `Valid` or `Revoked`, by its serial number in hexadecimal.
    pub(crate) fn status_of(&self, serial: &str) -> String {
        let status = self.manage(&format!("/cert-status-by-serial/{serial}"));
        let status: Value = serde_json::from_slice(&status.body)
            .unwrap_or_else(|error| panic!("{error}: {}", status.text()));
        status["Status"].as_str().expect("a status").to_owned()
    }

    fn manage(&self, path: &str) -> Response {
        let client = self.client.connect(self.management, Some("localhost"));
        client.expect("Pebble's management port answers").get("localhost", path)
    }

    pub(crate) fn eab_kid() -> &'static str {
        EAB_KID
    }

    /// The file with the key of [`Self::eab_kid`], in base64url.
    pub(crate) fn eab_key_file(&self) -> PathBuf {
        self.directory.path().join("eab.key")
    }

    /// Ends it; its address then refuses connections. The DNS server goes on.
    pub(crate) fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it at the same addresses, with a new root; it knows nothing of before.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start_server();
    }

    /// Holds it still: it accepts connections and says nothing.
    pub(crate) fn pause(&self) {
        let server = self.server.as_ref().expect("it runs");
        server.signal(Signal::SIGSTOP);
        // It takes effect a moment later.
        eventually("it is stopped", Duration::from_secs(10), || server.is_stopped());
    }

    pub(crate) fn resume(&self) {
        self.server.as_ref().expect("it runs").signal(Signal::SIGCONT);
    }

    /// Where the DNS is told what to answer, as `IP:PORT`.
    pub(crate) fn dns_management(&self) -> SocketAddr {
        self.dns_management
    }

    /// Adds a TXT record.
    pub(crate) fn set_txt(&self, name: &str, value: &str) {
        self.tell_dns("/set-txt", &json!({"host": absolute(name), "value": value}));
    }

    /// Lets `name` lead to `ip`, which may be one where nobody listens.
    pub(crate) fn add_a(&self, name: &str, ip: IpAddr) {
        self.tell_dns("/add-a", &json!({"host": absolute(name), "addresses": [ip]}));
    }

    /// Lets `name` lead to where all others do again.
    pub(crate) fn clear_a(&self, name: &str) {
        self.tell_dns("/clear-a", &json!({"host": absolute(name)}));
    }

    /// Lets questions about `name` fail.
    pub(crate) fn set_servfail(&self, name: &str) {
        self.tell_dns("/set-servfail", &json!({"host": absolute(name)}));
    }

    fn tell_dns(&self, path: &str, what: &Value) {
        let mut client = Client::connect(self.dns_management);
        let answer = client.post("localhost", path, what.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{path} {what}: {}", answer.text());
    }

    /// Orders that were made since the first start.
    pub(crate) fn orders_made(&self) -> usize {
        self.log().lines().filter(|line| line.contains("orders in the db")).count()
    }

    /// Accounts that were made since the first start.
    pub(crate) fn accounts_made(&self) -> usize {
        self.log().lines().filter(|line| line.contains("accounts in memory")).count()
    }

    /// What it has logged since the first start.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.directory.path().join("pebble.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(30)..];
            eprintln!("--- Pebble's last log lines ---\n{}", tail.join("\n"));
        }
    }
}

/// Starts the DNS server: IPv4 only, all names at `ip`.
fn start_dns(directory: &Path, address: SocketAddr, management: SocketAddr, ip: IpAddr) -> Daemon {
    let mut command = Command::new("pebble-challtestsrv");
    command
        .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
        .args(["-dns01", &address.to_string()])
        .args(["-management", &management.to_string()])
        .args(["-defaultIPv4", &ip.to_string()])
        // Else it answers `::1`, and Pebble prefers that.
        .args(["-defaultIPv6", ""]);
    Daemon::start(command, &directory.join("dns.log"))
}

/// A program that runs until it is dropped.
struct Daemon(Child);

impl Daemon {
    /// Starts it; what it says goes to the end of the file `log`.
    #[track_caller]
    fn start(mut command: Command, log: &Path) -> Self {
        let log = File::options().append(true).create(true).open(log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{error}: {}: install pebble: ./dev test does",
                    command.get_program().display()
                )
            });
        Self(child)
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child can be waited for").is_some()
    }

    /// Whether all of its threads are held still (proc(5): the state after the name).
    fn is_stopped(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).expect("it runs");
        tasks.flatten().all(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("pids are small"));
        kill(pid, signal).expect("it runs");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As the DNS server wants it, with the dot at the end.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

/// An address that is free for TCP and for UDP.
fn free_tcp_and_udp(ip: IpAddr) -> SocketAddr {
    loop {
        let [address] = free_ports(ip);
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}
