//! Backends behind TLS: `scheme = "https"` and `"h2"`, and the keys `tls_…`.

mod files;
mod keys;

use std::time::Duration;

use crate::harness::*;

/// `example.com` on a backend that is reached as `localhost` over TLS, by a server that trusts
/// `authority`.
fn https_backend(backend: &Backend, authority: &Authority, directory: &tempfile::TempDir) -> Setup {
    let address = format!("localhost:{}", backend.socket_addr().port());
    Setup::new()
        .env("SSL_CERT_FILE", authority.write_to(directory.path()))
        .domain("example.com", "a")
        .backend_with("web", address, &["a"], "scheme = \"https\"")
}

/// A backend at an address of the name `localhost`.
fn tls_backend(tls: std::sync::Arc<rustls::ServerConfig>) -> Backend {
    Backend::builder("web").at(([127, 0, 0, 1], 0).into()).tls(tls).start()
}

#[test]
fn requests_and_probes_reach_a_backend_whose_certificate_is_trusted() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    for (offered, version) in
        [(&[][..], "HTTP/1.1"), (&["http/1.1"], "HTTP/1.1"), (&["h2", "http/1.1"], "HTTP/2.0")]
    {
        let backend = tls_backend(authority.serves("localhost", offered));
        let vhost = https_backend(&backend, &authority, &directory).start();
        vhost.wait_for_health("web", "healthy");
        assert!(backend.probes() > 0);
        let mut client = vhost.connect();
        for _ in 0..3 {
            let response = client.get("example.com", "/path?query=1");
            assert_eq!((response.status, response.backend()), (200, Some("web")), "{offered:?}");
            assert_eq!(response.echo()["version"], version, "{offered:?}");
            assert_eq!(response.sent("x-forwarded-proto"), ["http"], "it is about the client");
        }
        let body = vec![b'x'; 300_000];
        let echo = client.post("example.com", "/upload", &body).echo();
        assert_eq!(echo["checksum"], checksum(&body), "{offered:?}");
        let stream = client.get("example.com", "/stream?chunks=50&ms=1");
        check_stream(&stream.body, 50).unwrap();
    }
}

#[test]
fn a_backend_given_by_its_ip_needs_a_certificate_for_that_ip() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let ip = free_ip();
    let right = authority.serves(&ip.to_string(), &["h2", "http/1.1"]);
    let right = Backend::builder("right").at((ip, 0).into()).tls(right).start();
    let wrong = authority.serves("localhost", &["h2", "http/1.1"]);
    let wrong = Backend::builder("wrong").at((ip, 0).into()).tls(wrong).start();
    let vhost = Setup::new()
        .env("SSL_CERT_FILE", authority.write_to(directory.path()))
        .domain("example.com", "a")
        .backend_with("right", right.address(), &["a"], "scheme = \"https\"")
        .backend_with("wrong", wrong.address(), &["a"], "scheme = \"https\"")
        .start();
    vhost.wait_for_health("right", "healthy");
    vhost.wait_for_health("wrong", "unhealthy");
    for _ in 0..4 {
        assert_eq!(vhost.get("example.com", "/").backend(), Some("right"));
    }
    assert_eq!((wrong.probes(), wrong.requests()), (0, 0));
}

#[test]
fn a_backend_that_is_not_trusted_is_unhealthy_and_says_why() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let stranger = Authority::new();
    for (issuer, years, name, why) in [
        (&stranger, 2000..4000, "localhost", "TLS: the certificate's issuer is not trusted"),
        (&authority, 2000..4000, "other.test", "TLS: the certificate is for another name"),
        (&authority, 2000..2001, "localhost", "TLS: the certificate has expired"),
        (&authority, 3999..4000, "localhost", "TLS: the certificate is not valid yet"),
    ] {
        let backend = tls_backend(issuer.serves_in(years, name, &["h2", "http/1.1"]));
        let vhost = https_backend(&backend, &authority, &directory).start();
        let shown = vhost.wait_for_health("web", "unhealthy");
        let reason = shown["health"]["last_error"].as_str().expect("why it is unhealthy");
        assert_eq!(reason, why);
        let response = vhost.get("example.com", "/");
        assert_eq!((response.status, response.backend()), (503, None));
        let sent = (backend.connections(), backend.probes(), backend.requests());
        assert_eq!(sent, (0, 0, 0), "no handshake ends well");
    }
}

#[test]
fn a_backend_without_tls_says_so() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let backend = Backend::builder("web").at(([127, 0, 0, 1], 0).into()).start();
    let vhost = https_backend(&backend, &authority, &directory).start();
    let shown = vhost.wait_for_health("web", "unhealthy");
    assert_eq!(shown["health"]["last_error"], "TLS: it does not speak TLS");
}

/// Traffic verifies for itself: a probe that only connects says nothing about the certificate.
#[test]
fn nothing_is_sent_to_a_backend_that_is_not_trusted() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let backend = tls_backend(Authority::new().serves("localhost", &["h2", "http/1.1"]));
    let vhost = https_backend(&backend, &authority, &directory).tcp_probes().start();
    vhost.wait_for_health("web", "healthy");
    for _ in 0..2 {
        let response = vhost.connect().post("example.com", "/upload", b"secret");
        assert_eq!((response.status, response.backend()), (502, None));
    }
    assert!(WebSocket::try_open(vhost.http(), "example.com").is_err());
    assert_eq!((backend.connections(), backend.requests()), (0, 0), "no handshake ends well");
    let said = vhost.wait_for_log("issuer is not trusted");
    assert!(said.iter().any(|line| line.contains("reason=tls_untrusted")), "{said:?}");
}

/// HTTP/2 has no upgrades, so HTTP/1.1 is what is asked for, whatever the backend prefers.
#[test]
fn a_web_socket_works_where_the_backend_prefers_http2() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let backend = tls_backend(authority.serves("localhost", &["h2", "http/1.1"]));
    let vhost = https_backend(&backend, &authority, &directory).start();
    vhost.wait_for_health("web", "healthy");
    // A kept HTTP/2 connection is there to be taken by mistake.
    assert_eq!(vhost.get("example.com", "/").echo()["version"], "HTTP/2.0");
    for number in 0..50 {
        let mut socket = WebSocket::try_open(vhost.http(), "example.com")
            .unwrap_or_else(|error| panic!("opening number {number}: {error}"));
        assert_eq!(socket.backend, "web");
        socket.echo("hello").unwrap_or_else(|error| panic!("in number {number}: {error}"));
        socket.close().unwrap_or_else(|error| panic!("closing number {number}: {error}"));
    }
    assert_eq!(vhost.get("example.com", "/").echo()["version"], "HTTP/2.0");
    eventually("they are closed", Duration::from_secs(10), || backend.web_sockets() == 0);
}

#[test]
fn a_backend_has_a_connect_timeout_of_its_own() {
    // It accepts connections and makes no handshake.
    let silent = RawBackend::start(|connection| while connection.read_request().is_some() {});
    let setup = Setup::new().tcp_probes().domain("example.com", "a").backend_with(
        "web",
        silent.address(),
        &["a"],
        "scheme = \"https\"",
    );
    let vhost = setup.set("upstream.connect_timeout_secs", 600).start();
    vhost.ctl_ok(&["backend", "set", "web", "--connect-timeout", "0.3"]);
    assert_eq!(vhost.get("example.com", "/").status, 502);
    vhost.wait_for_log("reason=connect_timeout");
    assert_eq!(vhost.backend("web")["connect_timeout_secs"], 0.3);
    vhost.ctl_ok(&["backend", "set", "web", "--no-option", "connect_timeout_secs"]);
    assert_eq!(vhost.backend("web")["connect_timeout_secs"], serde_json::Value::Null);
}
