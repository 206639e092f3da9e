//! A Pebble of one's own, with the DNS and the two listeners that it validates at.

use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::LazyConfigAcceptor;

use crate::acme::testing::issuer;
use crate::acme::{Ca, Challenges, Listeners, Storage};
use crate::config::IssuerSettings;
use crate::model::normalise_host;

pub(super) const KID: &str = "kid-1";
pub(super) const MAC: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// How a Pebble is to be.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    /// How many good nonces of a hundred are refused.
    pub(super) nonces_refused: u8,
    /// How many valid authorizations of a hundred are used again.
    pub(super) reuse: u8,
    /// Whether accounts need an external one.
    pub(super) eab: bool,
    /// Whether the listeners answer challenges.
    pub(super) deaf: bool,
}

pub(super) struct Pebble {
    pub(super) files: tempfile::TempDir,
    pub(super) challenges: Challenges,
    binary: PathBuf,
    wanted: Wanted,
    directory: u16,
    management: u16,
    dns: u16,
    pub(super) ip: Ipv4Addr,
    pub(super) dns_management: u16,
    children: Vec<Child>,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Pebble {
    /// Nothing where there is no Pebble, which is said.
    pub(super) async fn start(wanted: Wanted) -> Option<Self> {
        let binary = std::env::var_os("VHOST_TEST_PEBBLE").unwrap_or_else(|| "pebble".into());
        let there = |binary: &Path| {
            let mut command = Command::new(binary);
            let started = command.arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status();
            started.is_ok()
        };
        if !there(Path::new(&binary)) || !there(Path::new("pebble-challtestsrv")) {
            eprintln!(
                "SKIPPED: there is no `pebble` and `pebble-challtestsrv` (apt-get install pebble)"
            );
            return None;
        }
        let files = tempfile::tempdir().unwrap();
        let challenges = Challenges::default();
        let (http, tls) =
            (serve_http(&challenges, wanted).await, serve_tls(&challenges, wanted).await);
        let ip = own_ip();
        write_certificates(files.path(), ip);
        let (directory, management) = (free_port(ip), free_port(ip));
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("{ip}:{directory}"),
            "managementListenAddress": format!("{ip}:{management}"),
            "certificate": "srv.pem", "privateKey": "srv.key",
            "httpPort": http, "tlsPort": tls, "ocspResponderURL": "",
            "externalAccountBindingRequired": wanted.eab,
            "externalAccountMACKeys": { KID: MAC },
            "domainBlocklist": ["blocked.test"], "certificateValidityPeriod": 3600,
            // Heeded by newer ones only, which choose one by chance when they are not told.
            "profiles": { "shortlived": { "description": "short", "validityPeriod": 3600 } },
            "retryAfter": { "authz": 1, "order": 1 },
        }});
        fs::write(files.path().join("pebble.json"), config.to_string()).unwrap();
        let mut pebble = Self {
            files,
            challenges,
            binary: binary.into(),
            wanted,
            ip,
            directory,
            management,
            dns: free_port(ip),
            dns_management: free_port(ip),
            children: Vec::new(),
        };
        pebble.start_dns();
        pebble.start_ca();
        wait_for(ip, pebble.dns_management).await;
        wait_for(ip, pebble.directory).await;
        Some(pebble)
    }

    fn start_dns(&mut self) {
        let mut command = Command::new("pebble-challtestsrv");
        command.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        command.args(["-defaultIPv4", "127.0.0.1", "-dns01", &format!("{}:{}", self.ip, self.dns)]);
        command.args(["-management", &format!("{}:{}", self.ip, self.dns_management)]);
        self.spawn(command);
    }

    fn start_ca(&mut self) {
        let mut command = Command::new(&self.binary);
        command.args(["-strict", "-config", "pebble.json", "-dnsserver"]);
        command.arg(format!("{}:{}", self.ip, self.dns));
        command.env("PEBBLE_VA_NOSLEEP", "1");
        command.env("PEBBLE_WFE_NONCEREJECT", self.wanted.nonces_refused.to_string());
        command.env("PEBBLE_AUTHZREUSE", self.wanted.reuse.to_string());
        self.spawn(command);
    }

    fn spawn(&mut self, mut command: Command) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.files.path().join("log"))
            .unwrap();
        command.current_dir(self.files.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.children.push(command.spawn().unwrap());
    }

    /// Ends it without a word.
    pub(super) fn kill(&self) {
        let pid = self.children.last().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    }

    /// Starts it again with nothing in its memory.
    pub(super) async fn restart(&mut self) {
        let mut old = self.children.pop().unwrap();
        old.kill().unwrap();
        old.wait().unwrap();
        self.start_ca();
        wait_for(self.ip, self.directory).await;
    }

    /// Posts to its management, with what every Debian has.
    pub(super) fn manage(&self, path: &str, body: &serde_json::Value) {
        let url = format!("https://{}:{}{path}", self.ip, self.management);
        post(&["--cacert", "ca.pem"], self.files.path(), &url, body);
    }

    /// Posts to the management of its DNS.
    pub(super) fn manage_dns(&self, path: &str, body: &serde_json::Value) {
        let url = format!("http://{}:{}{path}", self.ip, self.dns_management);
        post(&[], self.files.path(), &url, body);
    }

    /// How many times its log has this text.
    pub(super) fn logged(&self, text: &str) -> usize {
        fs::read_to_string(self.files.path().join("log")).unwrap().matches(text).count()
    }

    pub(super) fn issuer(&self) -> IssuerSettings {
        let mut issuer = issuer(&format!("https://{}:{}/dir", self.ip, self.directory));
        issuer.ca_root = Some(self.files.path().join("ca.pem"));
        issuer
    }

    pub(super) fn storage(&self) -> Storage {
        Storage::new(self.files.path().join("cache"))
    }

    /// A CA as a process that has just started knows it.
    pub(super) fn ca(&self, issuer: IssuerSettings, dns_hook: Option<PathBuf>) -> Ca {
        let both = Listeners { http: true, tls: true };
        Ca::new(issuer, dns_hook, both, self.storage(), self.challenges.clone())
    }
}

fn post(more: &[&str], directory: &Path, url: &str, body: &serde_json::Value) {
    let mut command = Command::new("curl");
    command.args(more).args(["-s", "--fail-with-body", "-d", &body.to_string(), url]);
    let output = command.current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{url}: {output:?}");
}

/// An address of the loopback network that no other Pebble has. A port that is found free there stays
/// free: other connections come from 127.0.0.1.
fn own_ip() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id() * 251);
    let [_, second, third, last] = number.to_be_bytes();
    Ipv4Addr::new(127, 220 + second % 30, third, 1 + last % 254)
}

fn free_port(ip: Ipv4Addr) -> u16 {
    StdListener::bind((ip, 0)).unwrap().local_addr().unwrap().port()
}

async fn wait_for(ip: Ipv4Addr, port: u16) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while tokio::net::TcpStream::connect((ip, port)).await.is_err() {
        assert!(Instant::now() < deadline, "nothing listens at {ip}:{port}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The CA that the directory's own HTTPS is trusted by, and the directory's certificate.
fn write_certificates(directory: &Path, ip: Ipv4Addr) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    // Or OpenSSL takes what it signs for signed by itself: rcgen calls them alike.
    params.distinguished_name.push(rcgen::DnType::CommonName, "the test's CA");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), ip.to_string()];
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let server = params.signed_by(&key, &issuer).unwrap();
    fs::write(directory.join("ca.pem"), ca.pem()).unwrap();
    fs::write(directory.join("srv.pem"), server.pem()).unwrap();
    fs::write(directory.join("srv.key"), key.serialize_pem()).unwrap();
}

/// Answers http-01 as the proxy does.
async fn serve_http(challenges: &Challenges, wanted: Wanted) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let challenges = challenges.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let challenges = challenges.clone();
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let mut buffer = [0; 256];
                let host = normalise_host(request.headers()[HOST].to_str().unwrap(), &mut buffer);
                let token = request.uri().path().strip_prefix("/.well-known/acme-challenge/");
                let found = challenges.http01(host.unwrap(), token.unwrap_or_default());
                let found = found.filter(|_| !wanted.deaf);
                let status = if found.is_some() { 200 } else { 404 };
                let body = Full::new(Bytes::from(found.as_deref().unwrap_or("none").to_owned()));
                let answer = Response::builder().status(status).body(body).unwrap();
                async move { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(async move {
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    port
}

/// Answers tls-alpn-01 as the proxy does.
async fn serve_tls(challenges: &Challenges, wanted: Wanted) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let challenges = challenges.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let challenges = challenges.clone();
            tokio::spawn(async move {
                let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
                let Ok(hello) = hello.await else { return };
                let name = hello.client_hello().server_name().unwrap_or_default().to_owned();
                let found = challenges.tls_alpn01(&name).filter(|_| !wanted.deaf);
                let Some(config) = found else { return };
                if let Ok(mut tls) = hello.into_stream(Arc::clone(&config)).await {
                    let _ = tls.read(&mut [0; 1]).await;
                }
            });
        }
    });
    port
}
