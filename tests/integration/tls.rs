//! HTTPS: which certificate is served to whom, and what goes over it.

use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(10);

/// A server with a backend, and an authority that its clients trust.
struct Site {
    vhost: Vhost,
    backend: Backend,
    authority: Authority,
    directory: TempDir,
}

impl Site {
    /// `example.com`, as `more` says.
    fn start(more: impl FnOnce(Setup, &Authority, &TempDir) -> Setup) -> Self {
        let backend = Backend::start("web");
        let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
        let setup = Setup::new().backend("web", backend.address(), &["a"]);
        let vhost = more(setup, &authority, &directory).lifetime(Duration::from_mins(3)).start();
        vhost.wait_for_health("web", "healthy");
        Self { vhost, backend, authority, directory }
    }

    /// `example.com` with the files of a certificate, and more keys of the domain.
    fn with_files(more: &str) -> Self {
        Self::with_files_and(more, |setup| setup)
    }

    fn with_files_and(more: &str, settings: impl FnOnce(Setup) -> Setup) -> Self {
        Self::start(|setup, authority, directory| {
            let files = authority.issue(&["example.com"]).write_to(directory.path(), "example");
            settings(setup).domain_with(
                "example.com",
                "a",
                &format!("{}\n{more}", files.tls_line()),
            )
        })
    }

    /// `example.com` with a certificate that was imported, and its serial number.
    fn with_import() -> (Self, String) {
        let site = Self::start(|setup, _, _| setup.domain("example.com", "a"));
        let serial = site.import(&["example.com"]);
        (site, serial)
    }

    /// Imports a new certificate for `example.com` and gives its serial number.
    #[track_caller]
    fn import(&self, names: &[&str]) -> String {
        let issued = self.authority.issue(names);
        let output = self.vhost.import("example.com", &issued.cert(), &issued.key());
        assert_eq!(output.code, 0, "{output:#?}");
        issued.serial()
    }

    /// Trusts the authority.
    fn client(&self) -> TlsClient {
        TlsClient::trusting(&self.authority.pem())
    }

    fn connect(&self, name: &str) -> std::io::Result<Client<TlsStream>> {
        self.client().connect(self.vhost.https(), Some(name))
    }

    /// A connection for `example.com`.
    #[track_caller]
    fn open(&self) -> Client<TlsStream> {
        self.connect("example.com").unwrap_or_else(|error| panic!("no handshake: {error}"))
    }

    /// The serial number of what is served for `name`.
    #[track_caller]
    fn served(&self, name: &str) -> String {
        self.connect(name).unwrap_or_else(|error| panic!("{name}: {error}")).handshake().serial()
    }

    /// An alert and no certificate, also for a client that trusts everyone.
    #[track_caller]
    fn assert_refused(&self, name: Option<&str>) {
        let refused = TlsClient::accepts_any().connect(self.vhost.https(), name);
        let error = refused.err().unwrap_or_else(|| panic!("{name:?} is served"));
        assert!(alert_of(&error).is_some(), "{name:?}: no alert but {error}");
        let said = openssl(&self.vhost, name, &[]);
        assert!(said.contains("no peer certificate available"), "{name:?}: {said}");
        assert!(!said.contains("BEGIN CERTIFICATE"), "{name:?}: {said}");
    }
}

/// What `openssl s_client` prints.
fn openssl(vhost: &Vhost, name: Option<&str>, more: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &vhost.https().to_string()]);
    match name {
        Some(name) => command.args(["-servername", name]),
        None => command.arg("-noservername"),
    };
    let output = RunningCtl::of({
        command.args(more);
        command
    })
    .wait();
    output.stdout + &output.stderr
}

/// The body of what `curl` gets from `https://NAME/`, and its version of HTTP.
fn curl(vhost: &Vhost, ca: &str, name: &str, version: &str) -> (String, String) {
    let https = vhost.https();
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*", "--cacert", ca, version]);
    command.args(["--resolve", &format!("{name}:{}:{}", https.port(), https.ip())]);
    command.args(["--write-out", "\n%{http_version}"]);
    command.arg(format!("https://{name}:{}/path", https.port()));
    let output = RunningCtl::of(command).wait();
    assert_eq!(output.code, 0, "{name} {version}: {}", output.stderr);
    let (body, version) = output.stdout.rsplit_once('\n').expect("two lines");
    (body.to_owned(), version.to_owned())
}

#[test]
fn the_own_ca_serves_the_names_of_this_machine() {
    let site = Site::start(|setup, _, _| {
        let ip = setup.https_address().ip().to_string();
        setup.domain("localhost", "a").domain("*.localhost", "a").domain(&ip, "a")
    });
    let ca = site.vhost.ctl_ok(&["cert", "ca"]).stdout;
    let path = site.directory.path().join("ca.pem");
    std::fs::write(&path, &ca).unwrap();
    let ip = site.vhost.https().ip().to_string();
    for name in ["localhost", "shop.localhost", &ip] {
        for (version, spoken) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let (body, version) = curl(&site.vhost, path.to_str().unwrap(), name, version);
            assert_eq!(version, spoken, "{name}");
            let echo: serde_json::Value = serde_json::from_str(&body).expect("the backend's echo");
            assert_eq!(echo["id"], "web", "{name}");
        }
    }
    let own = TlsClient::trusting(&ca);
    own.connect(site.vhost.https(), None).expect("the IP that the client connected to");
    let shown = site.vhost.wait_for_certificate("localhost", "valid");
    assert_eq!((&shown["source"], &shown["trusted"]), (&json!("internal"), &json!(false)));
    site.connect("localhost").err().expect("nobody else's clients trust it");
    site.assert_refused(Some("other.example.com"));
}

#[test]
fn the_own_ca_is_the_same_after_a_restart() {
    let mut site =
        Site::start(|setup, _, _| setup.domain_with("example.com", "a", "tls = \"internal\""));
    let ca = site.vhost.ctl_ok(&["cert", "ca"]).stdout;
    site.vhost.kill();
    site.vhost.restart();
    assert_eq!(site.vhost.ctl_ok(&["cert", "ca"]).stdout, ca);
    let own = TlsClient::trusting(&ca);
    own.connect(site.vhost.https(), Some("example.com")).expect("trusted");
}

#[test]
fn a_name_that_nobody_declared_is_refused_and_so_is_none() {
    let site = Site::with_files("");
    assert_eq!(site.open().get("example.com", "/").status, 200);
    site.assert_refused(Some("unknown.example.com"));
    site.assert_refused(None);
    for name in ["EXAMPLE.COM", "example.com."] {
        let said = openssl(&site.vhost, Some(name), &[]);
        assert!(said.contains("BEGIN CERTIFICATE"), "{name}: {said}");
    }
}

#[test]
fn the_default_certificate_is_for_whom_nobody_declared() {
    let mut default = String::new();
    let site = Site::start(|setup, authority, directory| {
        let issued = authority.issue(&["default.example.com"]);
        default = issued.serial();
        let files = issued.write_to(directory.path(), "default");
        let own = authority.issue(&["example.com"]).write_to(directory.path(), "own");
        setup
            .set("proxy.default_cert", format!("{:?}", files.cert.display().to_string()))
            .set("proxy.default_key", format!("{:?}", files.key.display().to_string()))
            .domain_with("example.com", "a", &own.tls_line())
            .domain_with("off.example.com", "a", "tls = \"off\"")
    });
    for name in [Some("unknown.example.com"), None] {
        let mut client = TlsClient::accepts_any().connect(site.vhost.https(), name).unwrap();
        assert_eq!(client.handshake().serial(), default, "{name:?}");
        assert_eq!(client.get("unknown.example.com", "/").status, 404, "{name:?}");
    }
    assert_ne!(site.served("example.com"), default);
}

#[test]
fn each_name_gets_its_own_certificate_and_an_exact_one_goes_before_a_wildcard() {
    let mut serials = Vec::new();
    let site = Site::start(|mut setup, authority, directory| {
        for (file, name) in
            [("one", "example.com"), ("two", "*.example.com"), ("three", "shop.example.com")]
        {
            let issued = authority.issue(&[name]);
            serials.push(issued.serial());
            let files = issued.write_to(directory.path(), file);
            setup = setup.domain_with(name, "a", &files.tls_line());
        }
        setup
    });
    for (name, number) in [("example.com", 0), ("www.example.com", 1), ("shop.example.com", 2)] {
        assert_eq!(site.served(name), serials[number], "{name}");
    }
    site.assert_refused(Some("a.b.example.com"));
}

#[test]
fn only_modern_versions_and_suites_are_spoken() {
    let site = Site::with_files("");
    let mut command = Command::new("sslscan");
    command.args(["--no-colour", "--xml=-", "--sni-name=example.com"]);
    command.arg(site.vhost.https().to_string());
    let scan = RunningCtl::of(command).wait();
    assert_eq!(scan.code, 0, "{scan:?}");
    let attribute = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!(" {name}=\"")).expect("the attribute");
        rest.split('"').next().expect("its value").to_owned()
    };
    let mut versions = Vec::new();
    for line in scan.stdout.lines().map(str::trim) {
        if line.starts_with("<protocol ") && attribute(line, "enabled") == "1" {
            versions.push(attribute(line, "type") + &attribute(line, "version"));
        }
        if line.starts_with("<cipher ") {
            let (version, cipher) = (attribute(line, "sslversion"), attribute(line, "cipher"));
            let is_forward_secret = version == "TLSv1.3" || cipher.starts_with("ECDHE-");
            let is_aead = cipher.contains("GCM") || cipher.contains("CHACHA20");
            assert!(is_forward_secret && is_aead, "{line}");
        }
    }
    assert_eq!(versions, ["tls1.2", "tls1.3"], "{}", scan.stdout);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = site.client().only(version).connect(site.vhost.https(), Some("example.com"));
        assert_eq!(client.unwrap().handshake().version, version.version);
    }
    for old in ["-tls1", "-tls1_1"] {
        // The level lets this client offer what it doesn't by itself any more.
        let said = openssl(&site.vhost, Some("example.com"), &[old, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(said.contains("no peer certificate available"), "{old}: {said}");
        assert!(said.contains("alert"), "{old}: {said}");
    }
}

#[test]
fn clients_with_an_older_version_than_the_oldest_are_refused() {
    let site = Site::with_files_and("", |setup| setup.set("proxy.min_tls_version", "\"1.3\""));
    let connect =
        |version| site.client().only(version).connect(site.vhost.https(), Some("example.com"));
    connect(&rustls::version::TLS12).err().expect("it is too old");
    site.vhost.wait_for_log("reason=handshake_failed");
    let mut client = connect(&rustls::version::TLS13).unwrap();
    assert_eq!(client.get("example.com", "/").status, 200);
}

#[test]
fn sessions_are_resumed_for_as_long_as_the_domain_is_there() {
    let (site, _) = Site::with_import();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = site.client().only(version).resuming();
        for earlier in [false, true, true] {
            let mut connection = client.connect(site.vhost.https(), Some("example.com")).unwrap();
            assert_eq!(connection.handshake().resumed, earlier, "{version:?}");
            // Tickets come with the answer.
            assert_eq!(connection.get("example.com", "/").status, 200);
        }
    }
    let client = site.client().resuming();
    client.connect(site.vhost.https(), Some("example.com")).unwrap().get("example.com", "/");
    site.vhost.ctl_ok(&["domain", "remove", "example.com"]);
    client.connect(site.vhost.https(), Some("example.com")).err().expect("the domain is gone");
}

/// A ticket must not open the door of another name.
#[test]
fn a_session_of_one_name_is_not_resumed_for_another() {
    let site = Site::start(|setup, authority, directory| {
        let files = authority.issue(&["example.com"]).write_to(directory.path(), "one");
        let other = authority.issue(&["shop.example.com"]).write_to(directory.path(), "other");
        setup.domain_with("example.com", "a", &files.tls_line()).domain_with(
            "shop.example.com",
            "a",
            &other.tls_line(),
        )
    });
    let session = site.directory.path().join("session");
    let session = session.to_str().unwrap();
    openssl(&site.vhost, Some("example.com"), &["-tls1_2", "-sess_out", session]);
    let again = openssl(&site.vhost, Some("example.com"), &["-tls1_2", "-sess_in", session]);
    assert!(again.contains("Reused, TLSv1.2"), "{again}");
    let other = openssl(&site.vhost, Some("shop.example.com"), &["-tls1_2", "-sess_in", session]);
    assert!(other.contains("New, TLSv1.2") || !other.contains("Reused"), "{other}");
}

#[test]
fn files_that_are_replaced_are_served_and_a_bad_pair_is_told_and_left() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let first = authority.issue(&["example.com"]);
    let files = first.write_to(directory.path(), "example");
    let site = Site::start(|setup, _, _| setup.domain_with("example.com", "a", &files.tls_line()));
    let serial = || {
        let client = TlsClient::trusting(&authority.pem());
        client.connect(site.vhost.https(), Some("example.com")).unwrap().handshake().serial()
    };
    assert_eq!(serial(), first.serial());
    let shown = site.vhost.wait_for_certificate("example.com", "valid");
    assert_eq!(
        (&shown["source"], &shown["served"]["serial"]),
        (&json!("files"), &json!(first.serial()))
    );

    let before = site.vhost.certificate_news("example.com").len();
    let second = authority.issue(&["example.com"]);
    files.replace(&second);
    eventually("the second is served", SOON, || serial() == second.serial());
    // It is served a moment before the history has it.
    eventually("the second is in the history", SOON, || {
        site.vhost.certificate_news("example.com").len() > before
    });

    let third = authority.issue(&["example.com"]);
    for bad in [third.cert(), "no PEM".to_owned(), String::new()] {
        let before = site.vhost.certificate_news("example.com").len();
        std::fs::write(&files.cert, &bad).unwrap();
        let news = eventually_some("it is told", SOON, || {
            let news = site.vhost.certificate_news("example.com");
            (news.len() > before).then_some(news)
        });
        assert_eq!(
            (news[0]["news"].as_str(), news.len()),
            (Some("rejected"), before + 1),
            "{news:?}"
        );
        assert!(news[0]["error"].as_str().is_some_and(|error| !error.is_empty()), "{news:?}");
        assert_eq!(serial(), second.serial());
    }
    let shown = site.vhost.certificate("example.com");
    assert_eq!(shown["served"]["serial"], json!(second.serial()));
    assert!(shown["last_error"].is_string(), "{shown}");
    files.replace(&third);
    eventually("the third is served", SOON, || serial() == third.serial());
    assert!(site.vhost.certificate("example.com")["last_error"].is_null());
}

#[test]
fn files_of_another_key_are_not_served_and_the_server_starts_all_the_same() {
    let site = Site::start(|setup, authority, directory| {
        let files = authority.issue(&["example.com"]).write_to(directory.path(), "example");
        std::fs::write(&files.key, authority.issue(&["example.com"]).key()).unwrap();
        let good = authority.issue(&["shop.example.com"]).write_to(directory.path(), "shop");
        setup.domain_with("example.com", "a", &files.tls_line()).domain_with(
            "shop.example.com",
            "a",
            &good.tls_line(),
        )
    });
    site.assert_refused(Some("example.com"));
    site.connect("shop.example.com").expect("the other is served");
    let shown = site.vhost.certificate("example.com");
    assert!(shown["served"].is_null(), "{shown}");
    let error = shown["last_error"].as_str().unwrap_or_default();
    assert!(error.contains("does not belong"), "{shown}");
    assert_eq!(site.vhost.get("example.com", "/").status, 200, "plain HTTP is not redirected");
}

#[test]
fn an_import_is_served_at_once_and_after_a_restart() {
    let (mut site, first) = Site::with_import();
    assert_eq!(site.served("example.com"), first);
    for _ in 0..5 {
        let serial = site.import(&["example.com", "*.example.com"]);
        assert_eq!(site.served("example.com"), serial);
    }
    let last = site.served("example.com");
    let shown = site.vhost.certificate("example.com");
    assert_eq!((&shown["source"], &shown["state"]), (&json!("imported"), &json!("valid")));
    site.vhost.kill();
    site.vhost.restart();
    assert_eq!(site.served("example.com"), last);
}

#[test]
fn an_import_that_is_not_for_the_name_or_not_whole_is_refused_and_changes_nothing() {
    let (site, serial) = Site::with_import();
    let good = site.authority.issue(&["example.com"]);
    let other = site.authority.issue(&["other.example.com"]);
    let expired = site.authority.issue_in(2000..2001, &["example.com"]);
    let half = &good.cert()[..good.cert().len() / 2];
    for (what, cert, key, said) in [
        ("another name", other.cert(), other.key(), "other.example.com"),
        ("expired", expired.cert(), expired.key(), "2001"),
        ("another key", good.cert(), other.key(), "does not belong"),
        ("no certificate", "nothing".to_owned(), good.key(), "no certificate"),
        ("no key", good.cert(), good.cert(), "no private key"),
        ("half", half.to_owned(), good.key(), ""),
    ] {
        let output = site.vhost.import("example.com", &cert, &key);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{what}: {output:?}");
        assert!(output.stderr.starts_with("error: "), "{what}: {output:?}");
        assert!(output.stderr.contains(said), "{what}: {output:?}");
        assert_eq!(site.served("example.com"), serial, "{what}");
    }
    let unknown = site.vhost.import("unknown.example.com", &good.cert(), &good.key());
    assert_eq!(unknown.code, 4, "{unknown:?}");
}

#[test]
fn a_domain_that_goes_is_refused_at_once_while_what_is_open_goes_on() {
    let (site, _) = Site::with_import();
    let mut held = site.open();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let mut idle = site.open();
    assert_eq!(idle.get("example.com", "/").status, 200);
    eventually("the request is held", SOON, || site.backend.held() == 1);
    site.vhost.ctl_ok(&["domain", "remove", "example.com"]);
    site.assert_refused(Some("example.com"));
    site.backend.release();
    assert_eq!(held.read_response().status, 200);
    assert_eq!(idle.get("example.com", "/").status, 404, "nobody is served there any more");
    site.vhost.ctl_ok(&["domain", "add", "example.com", "--tag", "a"]);
    eventually("its certificate was kept", SOON, || site.connect("example.com").is_ok());
}

#[test]
fn a_domain_that_has_https_switched_off_is_served_over_http_only() {
    let site = Site::start(|setup, authority, directory| {
        let files = authority.issue(&["example.com"]).write_to(directory.path(), "example");
        setup.domain_with("example.com", "a", &files.tls_line()).domain_with(
            "off.example.com",
            "a",
            "tls = \"off\"",
        )
    });
    site.assert_refused(Some("off.example.com"));
    assert_eq!(site.vhost.get("off.example.com", "/").status, 200);
    assert_eq!(site.vhost.certificate("off.example.com")["state"], "none");
    site.vhost.ctl_ok(&["domain", "set", "example.com", "--tls", "off"]);
    site.assert_refused(Some("example.com"));
    assert_eq!(site.vhost.get("example.com", "/").status, 200);
}

#[test]
fn plain_http_is_redirected_only_where_clients_trust_the_certificate() {
    let site = Site::start(|setup, authority, directory| {
        let files = authority.issue(&["*.example.com"]).write_to(directory.path(), "example");
        setup
            .domain_with("shop.example.com", "a", &files.tls_line())
            .domain_with(
                "plain.example.com",
                "a",
                &format!("{}\nhttp_to_https = false", files.tls_line()),
            )
            .domain("localhost", "a")
            .domain_with("own.example.com", "a", "tls = \"internal\"")
            .domain("none.example.com", "a")
    });
    let port = site.vhost.https().port();
    let mut client = site.vhost.connect();
    let response = client.get("shop.example.com", "/a%20b?c=d&e");
    assert_eq!(response.status, 308);
    let location = format!("https://shop.example.com:{port}/a%20b?c=d&e");
    assert_eq!(response.all("location"), [location.as_str()]);
    let response = client.get("SHOP.example.com:80", "/");
    assert_eq!(
        response.header("location"),
        Some(format!("https://shop.example.com:{port}/").as_str())
    );
    assert_eq!(site.vhost.connect().post("shop.example.com", "/", b"body").status, 308);
    in_runtime(async {
        let mut connection = H2::connect(site.vhost.http()).await;
        assert_eq!(connection.get("shop.example.com", "/").await.unwrap().status, 308);
    });
    assert_eq!(site.backend.requests(), 0);
    assert_eq!(client.get("own.example.com", "/").status, 308, "the operator asked for it");
    for name in ["plain.example.com", "localhost", "none.example.com"] {
        let response = site.vhost.get(name, "/");
        assert_eq!((response.status, response.backend()), (200, Some("web")), "{name}");
    }
    let mut secure = site.connect("shop.example.com").unwrap();
    assert_eq!(secure.get("shop.example.com", "/").status, 200);
    assert!(
        site.vhost.rpc("state.get", json!({})).unwrap()["refused"].get("unknown_host").is_none()
    );
}

/// A proxy in front that ends TLS itself must not be sent in circles.
#[test]
fn a_proxy_that_is_believed_and_came_over_https_is_not_redirected() {
    let site =
        Site::with_files_and("", |setup| setup.set("proxy.trusted_proxies", "[\"127.0.0.0/8\"]"));
    let header = "X-Forwarded-Proto: https\r\n";
    let response = site.vhost.connect().get_with("example.com", "/", header);
    assert_eq!((response.status, response.sent("x-forwarded-proto")), (200, vec!["https".into()]));
    let stranger = Site::with_files("");
    let response = stranger.vhost.connect().get_with("example.com", "/", header);
    assert_eq!(response.status, 308);
}

#[test]
fn backends_are_told_that_the_client_came_over_https() {
    let site = Site::with_files("");
    let mut client = site.open();
    let response = client.get_with("example.com", "/", "X-Forwarded-Proto: http\r\n");
    assert_eq!(response.sent("x-forwarded-proto"), ["https"]);
    assert_eq!(response.sent("host"), ["example.com"]);
    in_runtime(async {
        let (mut connection, _) =
            site.client().connect_h2(site.vhost.https(), Some("example.com")).await.unwrap();
        let response = connection.get("example.com", "/").await.unwrap();
        let echo: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let headers = echo["headers"].as_array().unwrap();
        assert!(headers.contains(&json!(["x-forwarded-proto", "https"])), "{echo}");
    });
}

#[test]
fn browsers_are_told_to_stay_with_https_over_https_only() {
    let site = Site::with_files("hsts_max_age_secs = 600\nhttp_to_https = false");
    let header = "strict-transport-security";
    assert_eq!(site.open().get("example.com", "/").all(header), ["max-age=600"]);
    assert_eq!(site.open().get("example.com", "/status/503").all(header), ["max-age=600"]);
    assert!(site.vhost.get("example.com", "/").all(header).is_empty(), "RFC 6797 §7.2");
    let without = Site::with_files("");
    assert!(without.open().get("example.com", "/").all(header).is_empty());
}

#[test]
fn a_handshake_that_stalls_is_cut() {
    let site = Site::with_files_and("", |setup| setup.set("proxy.tls_handshake_timeout_secs", 1));
    // A record that says it is 512 bytes long, and then nothing; a hello that is whole, and then nothing.
    for bytes in [&b"\x16\x03\x01\x02\x00\x01"[..], &hello("example.com")[..], b""] {
        let mut client = Client::connect(site.vhost.https());
        client.send(bytes);
        let took = client.closed_within(SOON);
        assert!(took.is_some_and(|took| took < Duration::from_secs(6)), "{bytes:?}: {took:?}");
    }
    let mut dripping = Client::connect(site.vhost.https());
    let (whole, start) = (hello("example.com"), Instant::now());
    let mut bytes = whole.iter();
    while start.elapsed() < SOON && dripping.is_idle() {
        let Some(byte) = bytes.next() else { break };
        let _ = dripping.try_send([*byte]);
        std::thread::sleep(Duration::from_millis(30));
    }
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert_eq!(site.open().get("example.com", "/").status, 200);
}

/// The bytes of a client's hello.
fn hello(name: &str) -> Vec<u8> {
    let recorder = RawBackend::start(|connection| {
        connection.read_until_quiet(Duration::from_millis(100));
    });
    let connected = TlsClient::accepts_any().connect(recorder.address(), Some(name));
    connected.err().expect("it answers nothing");
    recorder.received().concat()
}

#[test]
fn further_handshakes_are_not_kept_waiting_by_those_that_stall() {
    let site = Site::with_files_and("", |setup| {
        setup.set("proxy.tls_handshake_timeout_secs", 5).set("proxy.max_tls_handshakes", 1000)
    });
    let stalled: Vec<_> = (0..200)
        .map(|_| {
            let mut client = Client::connect(site.vhost.https());
            client.send(b"\x16\x03\x01\x02\x00\x01");
            client
        })
        .collect();
    let start = Instant::now();
    assert_eq!(site.open().get("example.com", "/").status, 200);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    drop(stalled);
}

#[test]
fn plain_http_at_the_tls_port_is_told_so() {
    let site = Site::with_files("");
    let mut client = Client::connect(site.vhost.https());
    let response = client.get("example.com", "/");
    assert_eq!((response.status, response.backend()), (400, None));
    assert!(client.closed_within(SOON).is_some());
    let mut noise = Client::connect(site.vhost.https());
    noise.send([0x80, 0x2e, 0x01, 0x00, 0x02, 0x00, 0x15, 0x00]);
    assert!(noise.closed_within(SOON).is_some());
}

#[test]
fn what_is_truncated_is_not_taken_for_whole() {
    let site = Site::with_files("");
    let mut client = site.open();
    client.send("POST /upload HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100\r\n\r\nhalf");
    eventually("it has arrived", SOON, || site.backend.requests() == 1);
    client.reset();
    eventually("it is over", SOON, || site.vhost.in_flight() == 0);
    assert_eq!(site.open().get("example.com", "/").status, 200);
}

/// So that nobody else can make an end (RFC 8446 §6.1).
#[test]
fn the_end_of_a_connection_is_told() {
    let site = Site::with_files_and("", |setup| setup.set("proxy.idle_timeout_secs", 1));
    let told = |what: &str, client: Client<TlsStream>| {
        let end = std::io::Read::read(&mut client.into_stream(), &mut [0]);
        assert_eq!(end.unwrap_or_else(|error| panic!("{what}: {error}")), 0, "{what}");
    };
    let mut client = site.open();
    let response = client.get_with("example.com", "/", "Connection: close\r\n");
    assert_eq!(response.status, 200);
    told("as the client wanted", client);
    let mut client = site.open();
    client.send("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n");
    assert_eq!(client.read_response().status, 200);
    told("HTTP/1.0", client);
    let mut client = site.open();
    client.send("NONSENSE\r\n\r\n");
    assert_eq!(client.read_response().status, 400);
    told("after a request that is none", client);
    told("before a request", site.open());
    let mut client = site.open();
    assert_eq!(client.get("example.com", "/").status, 200);
    told("idle", client);
}

#[test]
fn the_best_protocol_that_both_know_is_chosen() {
    let site = Site::with_files("");
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["spdy/3", "http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let client = site.client().alpn(offered);
        let client = client.connect(site.vhost.https(), Some("example.com")).unwrap();
        assert_eq!(client.handshake().alpn.as_deref(), chosen, "{offered:?}");
    }
    let odd = site.client().alpn(&["spdy/3"]).connect(site.vhost.https(), Some("example.com"));
    let alert = alert_of(&odd.err().expect("no protocol in common"));
    assert_eq!(alert, Some(rustls::AlertDescription::NoApplicationProtocol));
}

#[test]
fn streams_uploads_and_web_sockets_go_over_tls() {
    let site = Site::with_files("");
    let mut client = site.open();
    for _ in 0..3 {
        check_stream(&client.get("example.com", "/stream?chunks=200&ms=1").body, 200).unwrap();
        let body = vec![b'x'; 3_000_000];
        let echo = client.post("example.com", "/upload", &body).echo();
        assert_eq!(
            (&echo["length"], &echo["checksum"]),
            (&json!(body.len()), &json!(checksum(&body)))
        );
    }
    let mut socket = site.client().open_web_socket(site.vhost.https(), "example.com").unwrap();
    for number in 0..50 {
        socket.echo(&format!("message {number} {}", "x".repeat(number * 100))).unwrap();
    }
    socket.close().unwrap();
}

#[test]
fn http2_over_tls_carries_many_streams_at_once() {
    let site = Site::with_files("");
    in_runtime(async {
        let (mut connection, handshake) =
            site.client().connect_h2(site.vhost.https(), Some("example.com")).await.unwrap();
        assert_eq!(handshake.alpn.as_deref(), Some("h2"));
        let mut responses = Vec::new();
        for _ in 0..50 {
            let request = http::Request::get("https://example.com/stream?chunks=40&ms=2");
            let (response, _) = connection.start(request.body(()).unwrap(), true).await.unwrap();
            responses.push(response);
        }
        for response in futures_util::future::join_all(responses.into_iter().map(read)).await {
            check_stream(&response.unwrap().body, 40).unwrap();
        }
        let request = http::Request::post("https://example.com/upload").body(()).unwrap();
        let (response, mut body) = connection.start(request, false).await.unwrap();
        body.send_data("hello".into(), true).unwrap();
        let echo: serde_json::Value =
            serde_json::from_slice(&read(response).await.unwrap().body).unwrap();
        assert_eq!(echo["checksum"], json!(checksum(b"hello")));
    });
}

/// A connection is for whatever the server serves, and routed by each request's own host.
#[test]
fn requests_on_one_connection_are_routed_by_their_host() {
    let site = Site::start(|setup, authority, directory| {
        let files = authority
            .issue(&["example.com", "shop.example.com"])
            .write_to(directory.path(), "example");
        setup.domain_with("example.com", "a", &files.tls_line()).domain_with(
            "shop.example.com",
            "a",
            &files.tls_line(),
        )
    });
    let mut client = site.open();
    assert_eq!(client.get("shop.example.com", "/").status, 200);
    assert_eq!(client.get("unknown.example.com", "/").status, 404);
}

#[test]
fn a_switch_moves_requests_over_tls_too() {
    let b = Backend::start("b1");
    let site = Site::start(|setup, authority, directory| {
        let files = authority.issue(&["example.com"]).write_to(directory.path(), "example");
        setup.domain_with("example.com", "a", &files.tls_line()).backend("b1", b.address(), &["b"])
    });
    site.vhost.wait_until_healthy(2);
    let (ended, failures) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let requests = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let _end = EndOnDrop(&ended);
        for keeps in [true, true, false] {
            let (site, ended, failures, requests) = (&site, &ended, &failures, &requests);
            scope.spawn(move || {
                let mut kept = None;
                while !ended.load(Ordering::SeqCst) {
                    let client = kept.take().map_or_else(|| site.connect("example.com"), Ok);
                    let outcome = client.and_then(|mut client| {
                        let response = client.try_get("example.com", "/stream?chunks=5&ms=1")?;
                        check_stream(&response.body, 5).map_err(std::io::Error::other)?;
                        Ok(client)
                    });
                    match outcome {
                        Ok(client) => kept = keeps.then_some(client),
                        Err(error) => failures.lock().unwrap().push(error.to_string()),
                    }
                    requests.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut kept = site.open();
        for number in 0..20 {
            let (tag, backend) = [("b", "b1"), ("a", "web")][number % 2];
            site.vhost.ctl_ok(&["switch", "example.com", tag]);
            assert_eq!(kept.get("example.com", "/").backend(), Some(backend));
            assert_eq!(site.open().get("example.com", "/").backend(), Some(backend));
            let seen = requests.load(Ordering::SeqCst);
            eventually("traffic goes on", SOON, || requests.load(Ordering::SeqCst) > seen + 3);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failed: {failures:#?}", failures.len());
}

/// Ends the clients also when the test panics.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Two hundred connections stream while certificates are replaced: nothing breaks, and a handshake
/// that begins after the command has ended sees the new one.
#[test]
fn twenty_replacements_under_traffic_break_nothing_and_are_seen_at_once() {
    const REPLACEMENTS: usize = 20;
    const STREAMS: usize = 200;
    let (site, first) = Site::with_import();
    let serials = Mutex::new(vec![first]);
    let (begun, acknowledged) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (ended, failures) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let (streamed, shaken, opened) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _end = EndOnDrop(&ended);
        for _ in 0..STREAMS {
            scope.spawn(|| {
                let mut client = match site.connect("example.com") {
                    Ok(client) => client,
                    Err(error) => return failures.lock().unwrap().push(format!("open: {error}")),
                };
                opened.fetch_add(1, Ordering::SeqCst);
                while !ended.load(Ordering::SeqCst) {
                    let outcome = client
                        .try_get("example.com", "/stream?chunks=20&ms=50")
                        .map_err(|error| error.to_string())
                        .and_then(|response| check_stream(&response.body, 20));
                    if let Err(error) = outcome {
                        return failures.lock().unwrap().push(format!("stream: {error}"));
                    }
                    streamed.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        eventually("all are open", Duration::from_mins(1), || {
            assert!(failures.lock().unwrap().is_empty(), "{failures:?}");
            opened.load(Ordering::SeqCst) == STREAMS
        });
        for _ in 0..3 {
            scope.spawn(|| {
                while !ended.load(Ordering::SeqCst) {
                    let floor = acknowledged.load(Ordering::SeqCst);
                    let outcome =
                        site.connect("example.com").map(|client| client.handshake().serial());
                    let ceiling = begun.load(Ordering::SeqCst);
                    let outcome = outcome.map_err(|error| error.to_string()).and_then(|serial| {
                        let serials = serials.lock().unwrap();
                        let seen = serials.iter().position(|known| *known == serial);
                        let fits = seen.is_some_and(|seen| (floor..=ceiling).contains(&seen));
                        if fits { Ok(()) } else { Err(format!("number {seen:?} after {floor}")) }
                    });
                    if let Err(error) = outcome {
                        failures.lock().unwrap().push(format!("handshake: {error}"));
                    }
                    shaken.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for number in 1..=REPLACEMENTS {
            let issued = site.authority.issue(&["example.com"]);
            serials.lock().unwrap().push(issued.serial());
            begun.store(number, Ordering::SeqCst);
            let output = site.vhost.import("example.com", &issued.cert(), &issued.key());
            assert_eq!(output.code, 0, "{output:?}");
            acknowledged.store(number, Ordering::SeqCst);
            assert_eq!(site.served("example.com"), issued.serial(), "after number {number}");
            let seen = shaken.load(Ordering::SeqCst);
            eventually("handshakes go on", SOON, || shaken.load(Ordering::SeqCst) > seen + 3);
            let failures = failures.lock().unwrap();
            assert!(failures.is_empty(), "after {number}: {failures:#?}");
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failed: {failures:#?}", failures.len());
    assert!(streamed.load(Ordering::SeqCst) >= STREAMS, "{streamed:?} streams");
}

#[test]
fn a_stop_finishes_what_runs_over_tls() {
    let mut site = Site::with_files_and("", |setup| setup.set("proxy.shutdown_timeout_secs", 30));
    let mut idle = site.open();
    assert_eq!(idle.get("example.com", "/").status, 200);
    let mut held = site.open();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let mut download = site.open();
    download.send("GET /stream?chunks=50&ms=10 HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let mut socket = site.client().open_web_socket(site.vhost.https(), "example.com").unwrap();
    in_runtime(async {
        let (mut connection, _) =
            site.client().connect_h2(site.vhost.https(), Some("example.com")).await.unwrap();
        let request = http::Request::get("https://example.com/hold").body(()).unwrap();
        let (response, _) = connection.start(request, true).await.unwrap();
        eventually_async("both are held", || site.backend.held() == 2).await;
        site.vhost.signal(Signal::SIGTERM);
        let https = site.vhost.https();
        eventually_async("nobody is accepted any more", || TcpStream::connect(https).is_err())
            .await;
        site.backend.release();
        assert_eq!(read(response).await.expect("the stream is finished").status, 200);
        // The server has said all; what its client still writes may meet a connection that is closed.
        if let Err(error) = connection.closed_within(SOON).await.expect("GOAWAY") {
            assert!(error.is_io(), "{error}");
        }
    });
    let response = held.read_response();
    assert_eq!((response.status, response.closes()), (200, true));
    check_stream(&download.read_response().body, 50).unwrap();
    socket.echo("still there").unwrap();
    socket.close().unwrap();
    assert!(idle.closed_within(SOON).is_some());
    assert!(site.vhost.wait_for_exit(SOON).success());
}

#[test]
fn handshakes_under_way_do_not_delay_a_stop() {
    let mut site = Site::with_files_and("", |setup| {
        setup.set("proxy.shutdown_timeout_secs", 60).set("proxy.tls_handshake_timeout_secs", 60)
    });
    let mut stalled = Client::connect(site.vhost.https());
    stalled.send(b"\x16\x03\x01\x02\x00\x01");
    site.vhost.signal(Signal::SIGTERM);
    let start = Instant::now();
    assert!(site.vhost.wait_for_exit(Duration::from_secs(30)).success());
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}
