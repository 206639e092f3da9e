//! Headers to backends.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::unwrapped::Unwrapped;
use super::*;

/// `example.com` on a backend with these lines of TOML.
fn site(address: &str, more: &str) -> Setup {
    Setup::new()
        .domain_with("example.com", "a", "http_to_https = false\ntls = \"internal\"")
        .backend_with("web", address, &["a"], more)
}

/// The line that a connection to the backend must begin with.
fn line_for(client: &Client, vhost: &Vhost) -> String {
    let client = client.stream().local_addr().unwrap();
    String::from_utf8(v1(&client.to_string(), &vhost.http().to_string())).unwrap()
}

/// Answers whatever comes, header or not.
fn answering() -> RawBackend {
    RawBackend::start(|connection| {
        while connection.read_head().is_some() {
            connection.send(&answer("hello"));
        }
    })
}

#[test]
fn version_1_is_a_line_before_the_request() {
    let backend = answering();
    let vhost = site(&backend.address().to_string(), "send_proxy_protocol = \"v1\"").start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    assert_eq!(client.get("example.com", "/").status, 200);
    let line = line_for(&client, &vhost);
    let received = backend.received();
    let (probes, rest): (Vec<_>, Vec<_>) =
        received.iter().partition(|bytes| bytes.starts_with(b"PROXY UNKNOWN\r\nGET /health "));
    assert!(!probes.is_empty(), "probes are nobody's");
    assert_eq!(rest.len(), 1);
    let expected = format!("{line}GET / HTTP/1.1\r\n");
    assert!(rest[0].starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(rest[0]));
}

#[test]
fn version_2_is_bytes_before_the_request() {
    // Version 2 begins with an empty line: what follows it is read as a head of its own.
    let backend = RawBackend::start(|connection| {
        connection.read_head();
        while connection.read_head().is_some() {
            connection.send(&answer("hello"));
        }
    });
    let vhost = site(&backend.address().to_string(), "send_proxy_protocol = \"v2\"").start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    assert_eq!(client.get("example.com", "/").status, 200);
    let own = client.stream().local_addr().unwrap().to_string();
    let header = v2_proxied(&own, &vhost.http().to_string());
    let received = backend.received();
    let local = [&v2(0x20, 0, &[])[..], b"GET /health "].concat();
    let (probes, rest): (Vec<_>, Vec<_>) =
        received.iter().partition(|bytes| bytes.starts_with(&local));
    assert!(!probes.is_empty(), "probes are the proxy's own");
    assert_eq!(rest.len(), 1);
    assert!(rest[0].starts_with(&[&header[..], b"GET / HTTP/1.1\r\n"].concat()), "{:?}", rest[0]);
}

#[test]
fn probes_that_only_connect_send_one_too() {
    let backend = RawBackend::start(|_| {});
    let vhost =
        site(&backend.address().to_string(), "send_proxy_protocol = \"v2\"").tcp_probes().start();
    vhost.wait_until_healthy(1);
    eventually("one is there", SOON, || !backend.received().is_empty());
    assert_eq!(backend.received()[0], v2(0x20, 0, &[]));
}

#[test]
fn a_connection_serves_one_client_and_all_its_requests() {
    let backend = Backend::start("web");
    let unwrapped = Unwrapped::at(free_ip(), backend.socket_addr());
    let vhost = site(unwrapped.address(), "send_proxy_protocol = \"v1\"").start();
    vhost.wait_until_healthy(1);
    let mut clients: Vec<_> =
        (0..4).map(|_| Client::connect_from(free_ip(), vhost.http())).collect();
    clients.push(vhost.connect());
    clients.push(vhost.connect());
    for _ in 0..3 {
        for client in &mut clients {
            let own = client.stream().local_addr().unwrap().ip().to_string();
            assert_eq!(client.get("example.com", "/").sent("x-forwarded-for"), [own]);
        }
    }
    let lines = unwrapped.lines();
    let expected: BTreeSet<_> = clients.iter().map(|client| line_for(client, &vhost)).collect();
    assert_eq!(lines.iter().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(lines.len(), clients.len(), "each has one, and uses it again");
    assert!(unwrapped.probes() > 0);
    // Over HTTP/2, requests at once of one client.
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        for _ in 0..3 {
            assert_eq!(client.get("example.com", "/").await.unwrap().status, 200);
        }
    });
    let lines = unwrapped.lines();
    assert_eq!(lines.len(), clients.len() + 1, "{lines:?}");
    assert!(!expected.contains(lines.last().unwrap()));
}

#[test]
fn whom_a_proxy_in_front_names_is_passed_on_and_so_is_whom_it_connected_to() {
    let backend = Backend::start("web");
    let (proxy, unwrapped) = (free_ip(), Unwrapped::at(free_ip(), backend.socket_addr()));
    let vhost = site(unwrapped.address(), "send_proxy_protocol = \"v1\"")
        .set("proxy.trusted_proxies", format!("[\"{proxy}\"]"))
        .set("proxy.proxy_protocol_http", true)
        .start();
    vhost.wait_until_healthy(1);
    for (client, server) in [
        ("192.0.2.7:4711", "198.51.100.1:443"),
        ("192.0.2.7:4712", "198.51.100.1:443"),
        ("192.0.2.7:4712", "198.51.100.1:80"),
        ("[2001:db8::7]:4711", "[2001:db8::1]:443"),
    ] {
        let line = v1(client, server);
        let mut client = Client::connect_from(proxy, vhost.http());
        client.send(v2_proxied(&client_of(&line), server));
        assert_eq!(client.get("example.com", "/").status, 200);
        assert_eq!(unwrapped.lines().last().unwrap().as_bytes(), line);
    }
    assert_eq!(unwrapped.lines().len(), 4);
}

/// The client's end in a line.
fn client_of(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let fields: Vec<_> = line.split(' ').collect();
    let ip: IpAddr = fields[2].parse().unwrap();
    std::net::SocketAddr::new(ip, fields[4].parse().unwrap()).to_string()
}

#[test]
fn web_sockets_and_unix_sockets_have_one_too() {
    let (backend, directory) = (Backend::start("web"), tempfile::tempdir().unwrap());
    let path = directory.path().join("app.sock");
    let unwrapped = Unwrapped::at_socket(&path, backend.socket_addr());
    let vhost = site(unwrapped.address(), "send_proxy_protocol = \"v1\"").start();
    vhost.wait_until_healthy(1);
    let mut socket = WebSocket::open(vhost.http(), "example.com");
    socket.echo("hello").unwrap();
    assert_eq!(unwrapped.lines().len(), 1);
    socket.close().unwrap();
    let mut client = vhost.connect();
    for _ in 0..2 {
        assert_eq!(client.get("example.com", "/").status, 200);
    }
    assert_eq!(unwrapped.lines().len(), 2);
    assert_eq!(unwrapped.lines()[1], line_for(&client, &vhost));
}

#[test]
fn the_header_goes_before_the_handshake_with_a_backend_behind_tls() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let ip = free_ip();
    let tls = authority.serves(&ip.to_string(), &["h2", "http/1.1"]);
    let backend = Backend::builder("web").at((free_ip(), 0).into()).tls(tls).start();
    let unwrapped = Unwrapped::at(ip, backend.socket_addr());
    let vhost = site(unwrapped.address(), "scheme = \"https\"\nsend_proxy_protocol = \"v1\"")
        .env("SSL_CERT_FILE", authority.write_to(directory.path()))
        .start();
    vhost.wait_until_healthy(1);
    let mut clients = [vhost.connect(), vhost.connect()];
    for _ in 0..2 {
        for client in &mut clients {
            let response = client.get("example.com", "/");
            assert_eq!(response.status, 200, "{}", response.text());
            assert_eq!(response.echo()["version"], "HTTP/1.1", "one connection for one client");
        }
    }
    let expected: BTreeSet<_> = clients.iter().map(|client| line_for(client, &vhost)).collect();
    assert_eq!(unwrapped.lines().into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn a_backend_that_cannot_be_connected_to_fails_as_any_other() {
    let (full, directory) = (FullBacklog::start(), tempfile::tempdir().unwrap());
    let missing = format!("unix:{}/none.sock", directory.path().display());
    for (address, reason, status) in [
        (refusing_address().to_string(), "connect_refused", 502),
        (full.address().to_string(), "connect_timeout", 502),
        (missing, "connect_failed", 502),
    ] {
        let vhost = site(&address, "send_proxy_protocol = \"v2\"")
            .set("upstream.connect_timeout_secs", 0.5)
            .set("upstream.max_tries", 1)
            .set("health_check.interval_secs", 60)
            // The first probe may be there before the request.
            .set("health_check.unhealthy_threshold", 100)
            .start();
        assert_eq!(vhost.get("example.com", "/").status, status, "{reason}");
        wait_for_refused(&vhost, reason, 1);
    }
}

#[test]
fn what_one_vhost_sends_another_reads() {
    let (backend, from) = (Backend::start("web"), free_ip());
    for version in ["v1", "v2"] {
        let behind = Setup::new()
            .set("proxy.trusted_proxies", "[\"127.0.0.0/8\"]")
            .set("proxy.proxy_protocol_http", true)
            .domain_with("example.com", "a", "http_to_https = false")
            .backend("web", backend.address(), &["a"])
            // Its own probes come without one, and the other's are answered by the backend.
            .start();
        behind.wait_until_healthy(1);
        let send = format!("send_proxy_protocol = \"{version}\"");
        let probe = "\"/health\"";
        let before = Setup::new()
            .set("health_check.path", probe)
            .set("health_check.expected_status", "\"200-499\"")
            .domain_with("example.com", "a", "http_to_https = false")
            .backend_with("behind", behind.http(), &["a"], &send)
            .start();
        before.wait_until_healthy(1);
        let mut client = Client::connect_from(from, before.http());
        let response = client.get("example.com", "/");
        assert_eq!(response.sent("x-forwarded-for"), [format!("{from}, {from}")], "{version}");
        assert_eq!(refused(&behind, "bad_proxy_header"), 0);
    }
}
