//! Whom the header names is the client, for all who ask.

use super::*;

/// A connection that the proxy passes on for this client.
fn pass_on(proxy: IpAddr, vhost: &Vhost, client: &str) -> Client {
    let mut connection = Client::connect_from(proxy, vhost.http());
    connection.send(v2_proxied(&format!("{client}:4711"), "198.51.100.1:80"));
    connection
}

#[test]
fn who_is_believed_is_whom_the_header_names() {
    let (backend, proxy) = (Backend::start("web"), free_ip());
    let vhost = behind(proxy, &backend)
        .set("proxy.trusted_proxies", format!("[\"{proxy}\", \"203.0.113.0/24\"]"))
        .start();
    vhost.wait_until_healthy(1);
    let claims = "X-Forwarded-For: 192.0.2.99\r\nX-Forwarded-Proto: https\r\n";
    let sent = |client: &str| {
        let response = pass_on(proxy, &vhost, client).get_with("example.com", "/", claims);
        (response.sent("x-forwarded-for").concat(), response.sent("x-forwarded-proto").concat())
    };
    assert_eq!(sent("192.0.2.7"), ("192.0.2.7".into(), "http".into()), "a stranger's claims");
    let kept = ("192.0.2.99, 203.0.113.5".into(), "https".into());
    assert_eq!(sent("203.0.113.5"), kept, "another trusted proxy, behind this one");
    // Whoever it is that the proxy can't name, it has not read the headers.
    let own = proxy.to_string();
    for (header, named) in [
        (v2(0x20, 0, &[]), own.as_str()),
        (v2(0x21, 0, &[]), "unknown"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "unknown"),
    ] {
        let mut client = Client::connect_from(proxy, vhost.http());
        client.send(header);
        let response = client.get_with("example.com", "/", claims);
        assert_eq!(response.sent("x-forwarded-for"), [named]);
        assert_eq!(response.sent("x-forwarded-proto"), ["http"]);
    }
}

#[test]
fn a_domain_allows_and_denies_whom_the_header_names() {
    let (backend, proxy) = (Backend::start("web"), free_ip());
    let options = "allow = [\"192.0.2.0/24\"]\ndeny = [\"192.0.2.66\"]";
    let vhost = behind_with(proxy, &backend, options).start();
    vhost.wait_until_healthy(1);
    for (client, status) in [("192.0.2.7", 200), ("192.0.2.66", 403), ("198.51.100.7", 403)] {
        let response = pass_on(proxy, &vhost, client).get("example.com", "/");
        assert_eq!(response.status, status, "{client}");
    }
    // Each has its line, in whatever order.
    let log = vhost.wait_for_log("client_ip=192.0.2.66").concat();
    assert!(log.contains("reason=denied"), "{log}");
    // Whom the proxy can't name is not taken for the proxy.
    for (allowed, own) in [("192.0.2.0/24", 403), ("0.0.0.0/0", 200)] {
        vhost.ctl_ok(&[
            "domain",
            "set",
            "example.com",
            "--option",
            &format!("allow=[\"{allowed}\"]"),
        ]);
        for (header, status) in
            [(v2(0x20, 0, &[]), own), (v2(0x21, 0, &[]), 403), (b"PROXY UNKNOWN\r\n".to_vec(), 403)]
        {
            let mut client = Client::connect_from(proxy, vhost.http());
            client.send(header);
            assert_eq!(client.get("example.com", "/").status, status, "{allowed}");
        }
    }
    let log = vhost.wait_for_log("reason=unknown_client").concat();
    assert!(log.contains(&format!("peer_ip={proxy}")) && !log.contains("client_ip="), "{log}");
}

#[test]
fn limits_of_a_client_are_those_of_whom_the_header_names() {
    let (backend, proxy) = (Backend::start("web"), free_ip());
    let limit = "client_rate_limit = { requests = 1, per_secs = 600, burst = 3 }";
    let vhost =
        behind_with(proxy, &backend, limit).set("proxy.max_connections_per_client", 2).start();
    vhost.wait_until_healthy(1);
    let mut open: Vec<_> = (0..2).map(|_| pass_on(proxy, &vhost, "192.0.2.7")).collect();
    for client in &mut open {
        assert_eq!(client.get("example.com", "/").status, 200);
    }
    assert!(pass_on(proxy, &vhost, "192.0.2.7").closed_within(SOON).is_some(), "one too many");
    wait_for_refused(&vhost, "too_many_client_connections", 1);
    let log = vhost.wait_for_log("reason=too_many_client_connections").concat();
    assert!(log.contains("client_ip=192.0.2.7"), "{log}");
    let mut other = pass_on(proxy, &vhost, "192.0.2.8");
    assert_eq!(other.get("example.com", "/").status, 200, "another client");
    assert_eq!(open[0].get("example.com", "/").status, 200);
    assert_eq!(open[1].get("example.com", "/").status, 429, "it was the fourth of this client");
    assert_eq!(other.get("example.com", "/").status, 200);
    // The proxy's own have no such limit: they may be anybody's.
    let _many: Vec<_> = (0..4)
        .map(|_| {
            let mut client = Client::connect_from(proxy, vhost.http());
            client.send(v2(0x20, 0, &[]));
            assert!(client.try_get("example.com", "/").is_ok());
            client
        })
        .collect();
    open.clear();
    eventually("its places are free again", SOON, || {
        pass_on(proxy, &vhost, "192.0.2.7").try_get("example.com", "/").is_ok()
    });
}

#[test]
fn the_access_log_and_the_choice_of_a_backend_go_by_whom_the_header_names() {
    let (one, two, proxy) = (Backend::start("one"), Backend::start("two"), free_ip());
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let vhost = behind_with(proxy, &one, "balance = \"hash-client\"")
        .set("access_log.enabled", true)
        .set("access_log.output", "\"file\"")
        .set("access_log.file_path", format!("\"{}\"", log.display()))
        .backend("two", two.address(), &["a"])
        .start();
    vhost.wait_until_healthy(2);
    let mut seen = std::collections::BTreeSet::new();
    for last in 1..=32 {
        let client = format!("10.1.{last}.1");
        let ask = || pass_on(proxy, &vhost, &client).get("example.com", "/");
        let backend = ask().backend().unwrap().to_owned();
        assert_eq!(ask().backend(), Some(backend.as_str()), "{client} stays");
        seen.insert(backend);
    }
    assert_eq!(seen.len(), 2, "clients are spread, and are not all the proxy's");
    let line = eventually_some("the line is there", SOON, || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().find(|line| line.contains("\"10.1.32.1\"")).map(str::to_owned)
    });
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["client_ip"], "10.1.32.1", "{line}");
}

#[test]
fn a_reload_turns_it_on_and_off() {
    let (backend, proxy) = (Backend::start("web"), free_ip());
    let on = behind(proxy, &backend);
    let vhost = on.start();
    vhost.wait_until_healthy(1);
    let mut open = pass_on(proxy, &vhost, "192.0.2.7");
    assert_eq!(open.get("example.com", "/").sent("x-forwarded-for"), ["192.0.2.7"]);
    let off = on.clone().set("proxy.proxy_protocol_http", false);
    vhost.write_config(&off);
    let told = vhost.ctl_ok(&["reload"]);
    assert!(
        told.stderr.contains("proxy_protocol_http") || told.stdout.contains("proxy_protocol_http")
    );
    let client = Client::connect_from(proxy, vhost.http()).get("example.com", "/");
    assert_eq!(client.sent("x-forwarded-for"), [proxy.to_string()]);
    let log = vhost.log();
    assert!(!log.contains("reason=bad_proxy_header"), "{log}");
    assert_eq!(open.get("example.com", "/").sent("x-forwarded-for"), ["192.0.2.7"], "it stays");
    vhost.write_config(&on);
    vhost.ctl_ok(&["reload"]);
    assert!(Client::connect_from(proxy, vhost.http()).try_get("example.com", "/").is_err());
}
