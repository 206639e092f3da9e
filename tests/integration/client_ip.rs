//! Who a request is from, behind proxies that are trusted: in lists, limits, logs, and to backends.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

const SOON: Duration = Duration::from_secs(10);

/// A proxy that is trusted, and a server behind it.
struct Site {
    proxy: IpAddr,
    vhost: Vhost,
    _backends: Vec<Backend>,
}

impl Site {
    /// `example.com` with these options, as lines of TOML; `plain.test` without.
    fn start(options: &str, more: impl FnOnce(Setup) -> Setup) -> Self {
        Self::start_on(&["web"], options, more)
    }

    /// The same on these backends.
    fn start_on(ids: &[&str], options: &str, more: impl FnOnce(Setup) -> Setup) -> Self {
        let proxy = free_ip();
        let backends: Vec<_> = ids.iter().map(|id| Backend::start(id)).collect();
        let setup = Setup::new()
            .set("proxy.trusted_proxies", format!("[\"{proxy}\", \"198.51.100.0/24\"]"))
            .domain_with("example.com", "a", options)
            .domain("plain.test", "a");
        let setup = backends
            .iter()
            .fold(setup, |setup, backend| setup.backend(backend.id(), backend.address(), &["a"]));
        let vhost = more(setup).start();
        for id in ids {
            vhost.wait_for_health(id, "healthy");
        }
        Self { proxy, vhost, _backends: backends }
    }

    /// What is answered to a request of the proxy with these header lines, each character one byte.
    fn ask(&self, host: &str, lines: &str) -> Response {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
        let bytes: Vec<u8> = head.chars().map(|c| u8::try_from(c).expect("a byte")).collect();
        let mut client = Client::connect_from(self.proxy, self.vhost.http());
        client.send(bytes);
        client.read_response()
    }

    /// The same with these lines of `X-Forwarded-For`.
    fn ask_for(&self, host: &str, chain: &[&str]) -> Response {
        let lines: Vec<_> =
            chain.iter().map(|line| format!("X-Forwarded-For: {line}\r\n")).collect();
        self.ask(host, &lines.concat())
    }
}

fn refused(vhost: &Vhost, reason: &str) -> u64 {
    let state = vhost.rpc("state.get", json!({})).expect("state.get answers");
    state["refused"][reason].as_u64().unwrap_or(0)
}

#[test]
fn nothing_that_a_client_writes_takes_it_off_a_list() {
    let deny = "deny = [\"203.0.113.9\", \"2001:db8::/32\", \"fe80::/10\"]";
    let site = Site::start(deny, |setup| setup);
    for chain in [
        &["203.0.113.9"][..],
        &["192.0.2.1, 203.0.113.9"],
        // What a proxy has added to a line of the client's.
        &["\u{ff}, 203.0.113.9"],
        &["\u{ff}", "203.0.113.9"],
        &["nonsense, 203.0.113.9"],
        &[", ,203.0.113.9, ,"],
        // As some proxies write addresses.
        &["203.0.113.9:4711"],
        &["[2001:db8::1]:443"],
        &["[2001:db8::1]"],
        &["fe80::1%eth0"],
        &["::ffff:203.0.113.9"],
        // Proxies behind one another.
        &["203.0.113.9", "198.51.100.7"],
        &["203.0.113.9:1, 198.51.100.7:2, 198.51.100.8"],
    ] {
        assert_eq!(site.ask_for("example.com", chain).status, 403, "{chain:?}");
    }
    assert_eq!(site.ask_for("example.com", &["203.0.113.9, 192.0.2.1:4711"]).status, 200);
    assert_eq!(site.ask_for("example.com", &["\u{ff}, 192.0.2.1"]).status, 200);
    assert_eq!(site.ask_for("plain.test", &["203.0.113.9"]).status, 200);
}

#[test]
fn a_client_that_nobody_can_name_passes_no_list_and_no_limit_by_client() {
    let unreadable = ["192.0.2.1, \u{ff}", "192.0.2.1, unknown", "192.0.2.1, 203.0.113.9:x"];
    for options in [
        "allow = [\"0.0.0.0/0\", \"::/0\"]",
        "deny = [\"203.0.113.9\"]",
        "client_rate_limit = { requests = 1000, per_secs = 1 }",
    ] {
        let site = Site::start(options, |setup| setup);
        for line in unreadable {
            let response = site.ask_for("example.com", &[line, "198.51.100.7"]);
            assert_eq!(response.status, 403, "{options}: {line}");
            assert_eq!(site.ask_for("plain.test", &[line]).status, 200);
        }
        assert_eq!(site.ask_for("example.com", &["192.0.2.1"]).status, 200, "{options}");
        eventually("they are counted", SOON, || refused(&site.vhost, "unknown_client") == 3);
        let line = site.vhost.wait_for_log("reason=unknown_client").concat();
        assert!(line.contains(&format!("peer_ip={}", site.proxy)), "{line}");
        assert!(!line.contains("client_ip="), "{line}");
    }
    // A limit for all counts it among all.
    let site = Site::start("rate_limit = { requests = 1000, per_secs = 1 }", |setup| setup);
    assert_eq!(site.ask_for("example.com", &["unknown"]).status, 200);
}

#[test]
fn clients_of_one_proxy_have_limits_of_their_own() {
    let limit = "client_rate_limit = { requests = 1, per_secs = 600, burst = 2 }";
    let site = Site::start(limit, |setup| setup);
    let ask = |client: &str| site.ask_for("example.com", &[client]).status;
    assert_eq!(["192.0.2.1:1", "\u{ff}, 192.0.2.1:2", "192.0.2.1"].map(ask), [200, 200, 429]);
    assert_eq!(["192.0.2.2", "192.0.2.2:5", "192.0.2.2"].map(ask), [200, 200, 429]);
    let of_one_64 = ["[2001:db8::1]:1", "[2001:db8::2]:2", "2001:db8::3"];
    assert_eq!(of_one_64.map(ask), [200, 200, 429]);
}

#[test]
fn clients_of_one_proxy_are_spread_over_backends_and_those_without_a_name_are_too() {
    let options = "balance = \"hash-client\"";
    let site = Site::start_on(&["one", "two"], options, |setup| setup);
    let backend = |chain: &str| {
        let response = site.ask_for("example.com", &[chain]);
        response.backend().expect("a backend answers").to_owned()
    };
    let mut seen = BTreeSet::new();
    for last in 1..=32 {
        let own = backend(&format!("10.1.{last}.1"));
        for port in [1, 2] {
            assert_eq!(backend(&format!("\u{ff}, 10.1.{last}.1:{port}")), own, "it stays");
        }
        seen.insert(own);
    }
    assert_eq!(seen.len(), 2);
    let unknown: BTreeSet<_> = (0..8).map(|_| backend("unknown")).collect();
    assert_eq!(unknown.len(), 2, "in turn, and not where the proxy would go");
}

#[test]
fn backends_get_a_chain_of_plain_addresses_that_names_the_same_client() {
    let site = Site::start("", |setup| setup);
    let proxy = site.proxy;
    let sent = |lines: &str| {
        let response = site.ask("example.com", lines);
        (response.sent("x-forwarded-for"), response.sent("x-real-ip"))
    };
    let chain = "X-Forwarded-For: \u{ff}, 192.0.2.1:4711\r\nX-Forwarded-For: [2001:db8::1]:443\r\n";
    let (forwarded, real) = sent(chain);
    assert_eq!(forwarded, [format!("unknown, 192.0.2.1, 2001:db8::1, {proxy}")]);
    assert_eq!(real, [""; 0]);
    let (forwarded, real) = sent(&format!("{chain}X-Real-IP: 203.0.113.66\r\n"));
    assert_eq!(forwarded.len(), 1);
    assert_eq!(real, ["2001:db8::1"], "not whom the client may have named there");
    let (forwarded, real) = sent("X-Forwarded-For: \u{ff}\r\nX-Real-IP: 203.0.113.66\r\n");
    assert_eq!((forwarded, real), (vec![format!("unknown, {proxy}")], vec![]));
}

#[test]
fn a_header_of_its_own_names_the_client_where_a_trusted_proxy_has_set_it() {
    let site = Site::start("deny = [\"203.0.113.9\"]", |setup| {
        setup.set("proxy.client_ip_header", "\"CF-Connecting-IP\"")
    });
    let ask = |lines: &str| site.ask("example.com", lines).status;
    assert_eq!(ask("CF-Connecting-IP: 203.0.113.9\r\nX-Forwarded-For: 192.0.2.1\r\n"), 403);
    assert_eq!(ask("CF-Connecting-IP: 192.0.2.1\r\nX-Forwarded-For: 203.0.113.9\r\n"), 200);
    assert_eq!(ask("CF-Connecting-IP: 192.0.2.1\r\nCF-Connecting-IP: 192.0.2.1\r\n"), 403, "two");
    assert_eq!(ask("CF-Connecting-IP: \u{ff}\r\n"), 403, "unreadable");
    assert_eq!(ask("CF-Connecting-IP:\r\n"), 403, "empty");
    assert_eq!(ask("X-Forwarded-For: 203.0.113.9\r\n"), 403, "without it, as ever");
    eventually("those are unknown", SOON, || refused(&site.vhost, "unknown_client") == 3);
    let response =
        site.ask("plain.test", "CF-Connecting-IP: 192.0.2.1\r\nX-Forwarded-For: 1.1.1.1\r\n");
    assert_eq!(response.sent("x-forwarded-for"), [format!("192.0.2.1, {}", site.proxy)]);
    assert_eq!(response.sent("cf-connecting-ip"), ["192.0.2.1"]);
    // Of a stranger it is not believed, nor passed on.
    let stranger = free_ip();
    let response = Client::connect_from(stranger, site.vhost.http()).get_with(
        "example.com",
        "/",
        "CF-Connecting-IP: 192.0.2.1\r\n",
    );
    assert_eq!(response.sent("x-forwarded-for"), [stranger.to_string()]);
    assert_eq!(response.sent("cf-connecting-ip"), [""; 0]);
}

#[test]
fn proxies_are_trusted_by_the_name_of_a_list() {
    let site = Site::start("", |setup| {
        setup.set("proxy.trusted_proxies", "[\"cloudflare\", \"loopback\"]")
    });
    let response = site.ask_for("example.com", &["192.0.2.1", "173.245.48.1", "2606:4700::1"]);
    let chain = format!("192.0.2.1, 173.245.48.1, 2606:4700::1, {}", site.proxy);
    assert_eq!(response.sent("x-forwarded-for"), [chain]);
    let shown = site.vhost.ctl_ok(&["config", "show"]).stdout;
    assert!(shown.contains("cloudflare") && !shown.contains("173.245"), "{shown}");
}

#[test]
fn every_log_names_the_client_and_who_has_connected_beside_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("access.log");
    let site = Site::start("deny = [\"192.0.2.9\"]", |setup| {
        setup
            .set("access_log.enabled", true)
            .set("access_log.output", "\"file\"")
            .set("access_log.file_path", format!("{:?}", log.display().to_string()))
    });
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    assert_eq!(site.ask_for("example.com", &["192.0.2.1:4711"]).status, 200);
    assert_eq!(site.ask_for("example.com", &["192.0.2.9"]).status, 403);
    assert_eq!(site.ask_for("plain.test", &["unknown"]).status, 200);
    site.vhost.ctl_ok(&["backend", "disable", "web", "--force"]);
    assert_eq!(site.ask_for("plain.test", &["192.0.2.3"]).status, 503);
    let lines = eventually_some("all are logged", SOON, || Some(lines()).filter(|l| l.len() == 4));
    let said =
        |line: &Value| (line["status"].as_u64(), line["client_ip"].as_str().map(str::to_owned));
    let mut clients: Vec<_> = lines.iter().map(said).collect();
    clients.sort_unstable();
    let of = |status: u64, client: Option<&str>| (Some(status), client.map(str::to_owned));
    assert_eq!(
        clients,
        [
            of(200, None),
            of(200, Some("192.0.2.1")),
            of(403, Some("192.0.2.9")),
            of(503, Some("192.0.2.3")),
        ]
    );
    for line in &lines {
        assert_eq!(line["peer_ip"], site.proxy.to_string(), "{line}");
    }
    let failed = site.vhost.wait_for_log("reason=no_backend").concat();
    assert!(failed.contains("client_ip=192.0.2.3"), "{failed}");
    assert!(failed.contains(&format!("peer_ip={}", site.proxy)), "{failed}");
    // Of what is no request nobody knows whose it is.
    let mut client = Client::connect_from(site.proxy, site.vhost.http());
    client.send("GET / HTTP/1.1\r\nX : 1\r\n\r\n");
    assert_eq!(client.read_response().status, 400);
    let refused = site.vhost.wait_for_log("reason=bad_request").concat();
    assert!(refused.contains(&format!("peer_ip={}", site.proxy)), "{refused}");
    assert!(!refused.contains("client_ip="), "{refused}");
}

const ALL_HEADERS: &str = "[\"x-forwarded\", \"forwarded\", \"x-real-ip\", \"x-forwarded-port\"]";

/// What strangers may claim, each under every name that vhost could write.
const CLAIMS: &str = "Forwarded: for=1.1.1.1;proto=https\r\nX-Real-IP: 1.1.1.1\r\nX-Forwarded-Port: 1\r\n\
                      X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n\
                      X-Forwarded-Host: evil.test\r\nX_Real_IP: 1.1.1.1\r\n";

const NAMES: [&str; 6] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "x-real-ip",
    "x-forwarded-port",
];

/// What a backend got under each of the names.
fn told(response: &Response) -> Vec<String> {
    NAMES.iter().map(|name| response.sent(name).join(" | ")).collect()
}

#[test]
fn backends_are_told_of_the_client_what_the_operator_wants_and_nothing_that_strangers_say() {
    let setup = |setup: Setup| setup.set("upstream.forwarded_headers", ALL_HEADERS);
    let site = Site::start("", setup);
    let stranger = free_ip();
    let ask =
        |host: &str| Client::connect_from(stranger, site.vhost.http()).get_with(host, "/", CLAIMS);
    let (ip, port) = (stranger.to_string(), site.vhost.http().port().to_string());
    let (ip, port) = (ip.as_str(), port.as_str());
    let element = format!("for={ip};host=example.com;proto=http");
    assert_eq!(told(&ask("example.com")), [ip, "http", "example.com", &element, ip, port]);
    let element = format!("for={ip};host=\"example.com:8080\";proto=http");
    assert_eq!(told(&ask("example.com:8080"))[3], element);
    // A reload takes them away, and what strangers say is not seen in their place.
    let rest = "[\"x-forwarded-port\"]";
    let config = std::fs::read_to_string(site.vhost.config_file()).unwrap();
    std::fs::write(site.vhost.config_file(), config.replace(ALL_HEADERS, rest)).unwrap();
    site.vhost.ctl_ok(&["reload"]);
    assert_eq!(told(&ask("example.com")), ["", "", "", "", "", port]);
    // What is sent unless somebody says otherwise.
    std::fs::write(site.vhost.config_file(), config.replace(ALL_HEADERS, "[\"x-forwarded\"]"))
        .unwrap();
    site.vhost.ctl_ok(&["reload"]);
    assert_eq!(told(&ask("example.com")), [ip, "http", "example.com", "", "", ""]);
    for wrong in ["[\"x-real\"]", "[]", "[\"forwarded\", \"forwarded\"]"] {
        std::fs::write(site.vhost.config_file(), config.replace(ALL_HEADERS, wrong)).unwrap();
        assert_eq!(site.vhost.ctl(&["reload"]).code, 2, "{wrong}");
    }
}

#[test]
fn the_chain_of_trusted_proxies_is_forwarded_as_the_standard_has_it() {
    let site = Site::start("", |setup| setup.set("upstream.forwarded_headers", "[\"forwarded\"]"));
    let own = format!("for={};host=example.com;proto=http", site.proxy);
    let forwarded = |lines: &str| site.ask("example.com", lines).sent("forwarded");
    for (lines, before) in [
        ("", ""),
        ("Forwarded: for=192.0.2.1;proto=https\r\n", "for=192.0.2.1;proto=https, "),
        (
            "Forwarded: for=\"[2001:db8::1]:4711\", for=198.51.100.7\r\n",
            "for=\"[2001:db8::1]:4711\", for=198.51.100.7, ",
        ),
        ("Forwarded: for=_hidden;by=_x\r\n", "for=_hidden;by=_x, "),
        // Only the other header, or another client in this one.
        (
            "X-Forwarded-For: 192.0.2.1, 2001:db8::7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test:1\r\n",
            "for=192.0.2.1, for=\"[2001:db8::7]\";host=\"a.test:1\";proto=https, ",
        ),
        ("X-Forwarded-For: 192.0.2.1\r\nForwarded: for=6.6.6.6\r\n", "for=192.0.2.1, "),
        ("X-Forwarded-For: 192.0.2.1\r\nForwarded: for=\"6.6.6.6\r\n", "for=192.0.2.1, "),
        ("X-Forwarded-For: rubbish\r\n", "for=unknown, "),
    ] {
        assert_eq!(forwarded(lines), [format!("{before}{own}")], "{lines:?}");
    }
    let response = site.ask("example.com", "X-Forwarded-For: 192.0.2.1\r\n");
    assert_eq!(response.sent("x-forwarded-for"), [""; 0]);
}

#[test]
fn what_is_forwarded_over_tls_and_http2_is_that_of_the_connection() {
    let backend = Backend::builder("h2c").h2c().start();
    let site = Site::start("", |setup| {
        setup
            .set("upstream.forwarded_headers", ALL_HEADERS)
            .domain("app.localhost", "a")
            .domain("h2c.localhost", "h2c")
            .backend_with("h2c", backend.address(), &["h2c"], "scheme = \"h2c\"")
    });
    site.vhost.wait_for_health("h2c", "healthy");
    let https = site.vhost.https();
    for name in ["app.localhost", "h2c.localhost"] {
        site.vhost.wait_for_certificate(name, "valid");
        let response = in_runtime(async {
            let tls = TlsClient::accepts_any();
            let (mut h2, _) = tls.connect_h2(https, Some(name)).await.expect("a handshake");
            let request = http::Request::get(format!("https://{name}/"))
                .header("forwarded", "for=1.1.1.1")
                .header("x-forwarded-port", "1")
                .body(());
            let (response, _) =
                h2.start(request.expect("a request"), true).await.expect("a stream");
            read(response).await.expect("an answer")
        });
        let echo: Value = serde_json::from_slice(&response.body).expect("JSON");
        let sent = |name: &str| -> Vec<String> {
            let headers = echo["headers"].as_array().expect("a list").iter();
            let headers = headers.filter(|pair| pair[0] == name);
            headers.map(|pair| pair[1].as_str().expect("text").to_owned()).collect()
        };
        let client = sent("x-real-ip");
        assert_eq!(sent("x-forwarded-port"), [https.port().to_string()], "{name}");
        assert_eq!(sent("forwarded"), [format!("for={};host={name};proto=https", client[0])]);
    }
}
