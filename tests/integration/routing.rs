//! Which domain a request is for, and what its backend is told about it.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use crate::harness::*;

/// One domain with an alias, one wildcard, one default, each with a backend of its own.
struct Sites {
    vhost: Vhost,
    _backends: Vec<Backend>,
}

impl Sites {
    fn start(with_default: bool) -> Self {
        let backends: Vec<_> =
            ["exact", "wild", "idn", "default"].iter().map(|id| Backend::start(id)).collect();
        let mut setup = Setup::new()
            .domain_with("example.com", "exact", "aliases = [\"www.example.com\"]")
            .domain("*.example.com", "wild")
            .domain("bücher.example", "idn");
        for backend in &backends {
            let id = &backend.id();
            setup = setup.backend(id, backend.address(), &[id]);
        }
        if with_default {
            setup = setup.domain("*", "default");
        }
        let vhost = setup.start();
        vhost.wait_until_healthy(4);
        Self { vhost, _backends: backends }
    }

    #[track_caller]
    fn assert_routed(&self, host: &str, backend: &str) {
        let response = self.vhost.get(host, "/");
        assert_eq!(response.backend(), Some(backend), "{host}: {}", response.status);
        assert_eq!(response.sent("host"), [host], "the Host is kept as it came");
    }
}

#[test]
fn exact_names_aliases_wildcards_and_the_default_each_reach_their_backend() {
    let sites = Sites::start(true);
    sites.assert_routed("example.com", "exact");
    sites.assert_routed("www.example.com", "exact");
    sites.assert_routed("shop.example.com", "wild");
    sites.assert_routed("a.b.example.com", "default");
    sites.assert_routed("other.org", "default");
}

#[test]
fn case_port_and_trailing_dot_of_the_host_do_not_matter() {
    let sites = Sites::start(false);
    sites.assert_routed("Example.COM", "exact");
    sites.assert_routed("example.com:8080", "exact");
    sites.assert_routed("example.com.", "exact");
    sites.assert_routed("EXAMPLE.com.:80", "exact");
    sites.assert_routed("SHOP.example.com:1234", "wild");
}

#[test]
fn an_international_name_is_found_in_unicode_and_in_punycode() {
    let sites = Sites::start(false);
    sites.assert_routed("xn--bcher-kva.example", "idn");
    sites.assert_routed("XN--BCHER-kva.example:80", "idn");
    sites.assert_routed("bücher.example", "idn");
    let list = sites.vhost.ctl_json(&["domain", "show", "bücher.example"]);
    assert_eq!(list["domain"], "xn--bcher-kva.example");
}

#[test]
fn an_unknown_host_gets_404_and_the_connection_stays() {
    let sites = Sites::start(false);
    let mut client = sites.vhost.connect();
    for host in ["other.org", "a.b.example.com", "com", "127.0.0.1"] {
        let response = client.get(host, "/");
        assert_eq!((response.status, response.backend()), (404, None), "{host}");
        assert!(!response.closes(), "an answer of our own keeps the connection (must-do 14)");
    }
    assert_eq!(client.get("example.com", "/").backend(), Some("exact"));
}

#[test]
fn a_request_without_a_host_is_refused_in_http_1_1() {
    let sites = Sites::start(true);
    let mut client = sites.vhost.connect();
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.read_response().status, 400);
}

#[test]
fn two_hosts_are_refused_even_when_equal() {
    let sites = Sites::start(true);
    for second in ["example.com", "other.org"] {
        let mut client = sites.vhost.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: example.com\r\nHost: {second}\r\n\r\n"));
        assert_eq!(client.read_response().status, 400, "{second}");
    }
}

#[test]
fn a_host_that_is_no_name_is_refused() {
    let sites = Sites::start(true);
    for host in ["", "exa mple.com", "example.com:port", "example.com:99999", "user@example.com"] {
        let mut client = sites.vhost.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.read_response().status, 400, "{host:?}");
    }
}

#[test]
fn a_domain_without_a_backend_answers_503_with_retry_after_and_says_why() {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    vhost.ctl_ok(&["backend", "disable", "web", "--force"]);
    let mut client = vhost.connect();
    for _ in 0..2 {
        let response = client.get("example.com", "/");
        assert_eq!(response.status, 503);
        let seconds = response.header("retry-after").expect("Retry-After");
        assert!(seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0), "{seconds}");
    }
    vhost.ctl_ok(&["backend", "ready", "web", "--wait"]);
    assert_eq!(client.get("example.com", "/").status, 200, "the connection was kept");
    let state = vhost.rpc("state.get", json!({})).unwrap();
    let refused = state["refused"].as_object().expect("a counter by reason");
    assert_eq!(refused.values().map(|n| n.as_u64().unwrap()).sum::<u64>(), 2, "{refused:?}");
}

#[test]
fn a_backend_learns_who_asked_for_what_and_under_which_request_id() {
    let sites = Sites::start(false);
    let mut client = sites.vhost.connect();
    let response = client.get("example.com:8080", "/path?query=1");
    assert_eq!(response.echo()["uri"], "/path?query=1");
    assert_eq!(response.sent("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(response.sent("x-forwarded-proto"), ["http"]);
    assert_eq!(response.sent("x-forwarded-host"), ["example.com:8080"]);
    let first = response.sent("x-request-id");
    assert!(first.len() == 1 && first[0].len() >= 8, "{first:?}");
    let second = client.get("example.com", "/").sent("x-request-id");
    assert_ne!(first, second, "each request has its own id");
    let kept = client.get_with("example.com", "/", "X-Request-Id: mine-1\r\n");
    assert_eq!(kept.sent("x-request-id"), ["mine-1"]);
}

#[test]
fn forwarded_headers_of_strangers_are_replaced() {
    let sites = Sites::start(false);
    let response = sites.vhost.connect().get_with(
        "example.com",
        "/",
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6\r\n\
         X-Real-IP: 6.6.6.6\r\n",
    );
    assert_eq!(response.sent("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(response.sent("x-forwarded-proto"), ["http"]);
    assert_eq!(response.sent("x-forwarded-host"), ["example.com"]);
    assert_eq!(response.sent("forwarded"), [""; 0]);
    let text = response.text();
    assert!(!text.contains("6.6.6.6") && !text.contains("evil"), "{text}");
}

#[test]
fn forwarded_headers_of_a_trusted_proxy_are_added_to() {
    let trusted: IpAddr = [127, 9, 9, 9].into();
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .set("proxy.trusted_proxies", "[\"127.9.9.0/24\"]")
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let headers = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Host: public.example\r\n";
    let response =
        Client::connect_from(trusted, vhost.http()).get_with("example.com", "/", headers);
    assert_eq!(response.sent("x-forwarded-for").join(", "), "203.0.113.7, 127.9.9.9");
    assert_eq!(response.sent("x-forwarded-proto"), ["https"]);
    assert_eq!(response.sent("x-forwarded-host"), ["public.example"]);
    let stranger = vhost.connect().get_with("example.com", "/", headers);
    assert_eq!(stranger.sent("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(stranger.sent("x-forwarded-proto"), ["http"]);
}

#[test]
fn headers_that_are_about_the_connection_go_no_further() {
    let backend = RawBackend::start(|connection| {
        connection.read_request();
        connection.send(
            b"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: secret\r\nKeep-Alive: timeout=1\r\n\
              Proxy-Authenticate: Basic\r\nX-End: kept\r\nContent-Length: 2\r\n\r\nok",
        );
    });
    let vhost = Setup::new()
        .tcp_probes()
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    let response = client.get_with(
        "example.com",
        "/",
        "Connection: keep-alive, X-Private\r\nX-Private: hop\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\nX-End: kept\r\n",
    );
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    let sent = backend.received_text().to_ascii_lowercase();
    for header in ["x-private:", "keep-alive:", "proxy-connection:", "te:", "upgrade:"] {
        assert!(!sent.lines().any(|line| line.starts_with(header)), "`{header}` in {sent}");
    }
    assert!(sent.contains("x-end: kept"), "{sent}");
    assert_eq!(response.header("x-end"), Some("kept"));
    for header in ["x-hop", "keep-alive"] {
        assert_eq!(response.header(header), None, "{:?}", response.headers);
    }
    assert!(!response.closes(), "the backend's `Connection: close` is its own affair");
}

#[test]
fn cleartext_http2_is_served_by_prior_knowledge() {
    let sites = Sites::start(false);
    in_runtime(async {
        let mut connection = H2::connect(sites.vhost.http()).await;
        for (host, backend) in [
            ("example.com", "exact"),
            ("Shop.EXAMPLE.com:8080", "wild"),
            ("www.example.com.", "exact"),
        ] {
            let response = connection.get(host, "/over-h2").await.expect("an answer");
            assert_eq!(response.headers.get("x-backend").expect(host), backend);
            let echo: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
            assert_eq!(echo["uri"], "/over-h2");
            assert_eq!(echo["version"], "HTTP/1.1");
        }
        let response = connection.get("other.org", "/").await.expect("an answer");
        assert_eq!(response.status, 404);
        let response = connection.get("example.com", "/").await.expect("the connection stays");
        assert_eq!(response.status, 200);
    });
}

#[test]
fn backends_are_reached_over_http2_and_unix_sockets_and_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let h2c = Backend::builder("h2c").h2c().start();
    let unix = Backend::builder("unix").at_socket(directory.path().join("app.sock")).start();
    let named = Backend::builder("named").at(([127, 0, 0, 1], 0).into()).start();
    let name = format!("localhost:{}", named.socket_addr().port());
    let vhost = Setup::new()
        .domain("h2c.test", "h2c")
        .domain("unix.test", "unix")
        .domain("named.test", "named")
        .backend_with("h2c", h2c.address(), &["h2c"], "scheme = \"h2c\"")
        .backend("unix", unix.address(), &["unix"])
        .backend("named", name, &["named"])
        .start();
    vhost.wait_until_healthy(3);
    let mut client = vhost.connect();
    for (host, backend, version) in [
        ("h2c.test", "h2c", "HTTP/2.0"),
        ("unix.test", "unix", "HTTP/1.1"),
        ("named.test", "named", "HTTP/1.1"),
    ] {
        for _ in 0..3 {
            let response = client.get(host, "/");
            assert_eq!(response.backend(), Some(backend));
            assert_eq!(response.echo()["version"], version);
        }
        let body = vec![b'x'; 300_000];
        let echo = client.post(host, "/upload", &body).echo();
        assert_eq!(
            (&echo["length"], &echo["checksum"]),
            (&300_000.into(), &checksum(&body).into())
        );
    }
}

#[test]
fn connections_to_backends_are_kept() {
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .set("health_check.interval_secs", 60)
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    for _ in 0..10 {
        assert_eq!(client.get("example.com", "/").status, 200);
        // The client has its answer a moment before the connection to the backend can be used again.
        eventually("it has ended", Duration::from_secs(10), || vhost.in_flight() == 0);
    }
    assert_eq!(backend.requests(), 10);
    // Each probe has one of its own.
    eventually("there was one for all of them", Duration::from_secs(10), || {
        backend.connections() - backend.probes() == 1
    });
}

#[test]
fn without_https_nothing_is_redirected_and_the_log_says_so_once() {
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .unset("proxy.listen_addr")
        .domain("example.com", "a")
        .domain("shop.example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    assert_eq!(vhost.get("example.com", "/").status, 200, "no redirect to what isn't served");
    assert_eq!(vhost.get("shop.example.com", "/").status, 200);
    let said = vhost.wait_for_log("`http_to_https` does nothing");
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn trace_and_connect_are_refused() {
    let sites = Sites::start(false);
    for (line, status) in [("TRACE / HTTP/1.1", 405), ("CONNECT example.com:443 HTTP/1.1", 405)] {
        let mut client = sites.vhost.connect();
        client.send(format!("{line}\r\nHost: example.com\r\n\r\n"));
        assert_eq!(client.read_response().status, status, "{line}");
    }
}

#[test]
fn curl_gets_what_it_asks_for() {
    let sites = Sites::start(false);
    let port = sites.vhost.http().port();
    for (host, expected) in [
        ("example.com", "exact"),
        ("WWW.Example.Com", "exact"),
        ("shop.example.com", "wild"),
        ("unknown.test", ""),
    ] {
        let output = std::process::Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "10", "--noproxy", "*"])
            .args(["--write-out", "%{http_code} %header{x-backend}", "--output", "/dev/null"])
            .arg("--resolve")
            .arg(format!("{}:{port}:{}", host.to_lowercase(), sites.vhost.http().ip()))
            .arg(format!("http://{host}:{port}/"))
            .output()
            .expect("curl is installed");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let status = if expected.is_empty() { 404 } else { 200 };
        let text = text.trim_end();
        // Older curls don't know `%header{}` and print it as it stands.
        let known = !text.contains("%header") && !text.contains("header{");
        let expected = if known { format!("{status} {expected}") } else { format!("{status}") };
        assert!(text.starts_with(expected.trim_end()), "{host}: {text}");
    }
}

#[test]
fn requests_on_one_connection_may_be_for_different_domains() {
    let sites = Sites::start(true);
    let mut client = sites.vhost.connect();
    for (host, backend) in
        [("example.com", "exact"), ("x.example.com", "wild"), ("other.org", "default")]
    {
        assert_eq!(client.get(host, "/").backend(), Some(backend));
    }
    eventually("nothing is in flight", Duration::from_secs(5), || sites.vhost.in_flight() == 0);
}
