//! Clients and backends over IPv6.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use serde_json::{Value, json};

use crate::harness::*;

/// A free address of IPv6's loopback; nothing, and a word about it, where the machine has none.
fn free_ipv6_address() -> Option<SocketAddr> {
    match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(listener) => listener.local_addr().ok(),
        Err(error) => {
            eprintln!("SKIPPED: this machine has no ::1: {error}");
            None
        }
    }
}

#[test]
fn requests_come_in_and_go_out_over_ipv6() {
    let Some(listener) = free_ipv6_address() else { return };
    let backend = Backend::builder("six").at((Ipv6Addr::LOCALHOST, 0).into()).start();
    assert!(backend.address().starts_with("[::1]:"));
    let four = Backend::start("four");
    let vhost = Setup::new()
        .at(listener)
        .domain("six.test", "six")
        .domain("four.test", "four")
        .backend("six", backend.address(), &["six"])
        .backend("four", four.address(), &["four"])
        .start();
    vhost.wait_for_health("six", "healthy");
    vhost.wait_for_health("four", "healthy");
    let mut client = vhost.connect();
    for (host, id) in [("six.test", "six"), ("four.test", "four")] {
        let response = client.get(host, "/path");
        assert_eq!((response.status, response.backend()), (200, Some(id)));
        assert_eq!(response.sent("x-forwarded-for"), ["::1"], "{id}");
    }
    assert_eq!(vhost.backend("six")["address"], backend.address());
    let literal = client.get(&vhost.http().to_string(), "/");
    assert_eq!(literal.status, 404, "an address is nobody's domain, and no mistake either");
    assert_eq!(client.get("six.test", "/").status, 200);
    let mut socket = WebSocket::open(vhost.http(), "six.test");
    socket.echo("hello").unwrap();
    socket.close().unwrap();
}

#[test]
fn proxies_are_trusted_by_their_ipv6_network() {
    let Some(listener) = free_ipv6_address() else { return };
    let backend = Backend::start("web");
    for (trusted, expected) in [("::/64", "2001:db8::7, ::1"), ("2001:db8::/32", "::1")] {
        let vhost = Setup::new()
            .at(listener)
            .set("proxy.trusted_proxies", format!("[\"{trusted}\"]"))
            .domain("example.com", "a")
            .backend("web", backend.address(), &["a"])
            .start();
        vhost.wait_until_healthy(1);
        let headers = "X-Forwarded-For: 2001:db8::7\r\n";
        let response = vhost.connect().get_with("example.com", "/", headers);
        assert_eq!(response.sent("x-forwarded-for").join(", "), expected, "{trusted}");
    }
}

/// A port that is free for IPv4 and for IPv6.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("asked for before");
    listener.local_addr().expect("it is bound").port()
}

/// Where it listens, as scripts and the log have it.
fn listeners(vhost: &Vhost) -> (Value, usize) {
    let state = vhost.rpc("state.get", json!({})).unwrap();
    (state["listeners"].clone(), vhost.log_lines("serving HTTP ").len())
}

#[test]
fn one_key_listens_on_both_families_and_each_is_its_own() {
    if free_ipv6_address().is_none() {
        return;
    }
    let backend = Backend::start("web");
    let port = free_port();
    let own = SocketAddr::new(free_ip(), port);
    let list = format!("[\"{own}\", \"[::]:{port}\"]");
    let vhost = Setup::new()
        .at(own)
        .set("proxy.listen_addr_http", &list)
        .unset("proxy.listen_addr")
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    for (address, client) in [(own, own.ip().to_string()), (six, "::1".to_owned())] {
        let response = Client::connect(address).get("example.com", "/");
        assert_eq!(response.status, 200, "{address}");
        let from = response.sent("x-forwarded-for").join(", ");
        assert!(from == client || address.is_ipv4(), "{address}: {from}");
    }
    // IPv4 is left to the address beside it.
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err(), "nobody listens there");
    let expected = json!([own.to_string(), format!("[::]:{port}")]);
    assert_eq!(listeners(&vhost), (expected, 2));
    let status = vhost.ctl_ok(&["status"]).stdout;
    assert!(status.contains(&format!("listeners    {own}, [::]:{port}\n")), "{status}");
    let settings = vhost.ctl_json(&["config", "show", "proxy.listen_addr_http"]);
    assert_eq!(settings["settings"][0]["value"], json!([own.to_string(), format!("[::]:{port}")]));

    // Another list wants a restart, and says so.
    let other = format!("[\"{own}\"]");
    let text = std::fs::read_to_string(vhost.config_file()).unwrap().replace(&list, &other);
    std::fs::write(vhost.config_file(), text).unwrap();
    let reloaded = vhost.ctl_ok(&["reload"]);
    let expected = format!(
        "not yet   `proxy.listen_addr_http` is [\"{own}\",\"[::]:{port}\"], the file says [\"{own}\"]: \
         `vhost ctl reload --upgrade` puts it into effect\n"
    );
    assert!(reloaded.stderr.contains(&expected), "{reloaded:?}");
}

#[test]
fn all_of_ipv6_alone_takes_ipv4_too_and_both_may_be_all() {
    if free_ipv6_address().is_none() {
        return;
    }
    let backend = Backend::start("web");
    for families in [&["[::]"][..], &["0.0.0.0", "[::]"], &["[::]", "0.0.0.0"]] {
        let port = free_port();
        let list: Vec<_> = families.iter().map(|ip| format!("{ip}:{port}")).collect();
        let vhost = Setup::new()
            .at((Ipv4Addr::LOCALHOST, port).into())
            .set("proxy.listen_addr_http", format!("{list:?}"))
            .domain("example.com", "a")
            .backend("web", backend.address(), &["a"])
            .start();
        vhost.wait_until_healthy(1);
        let (four, six) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
        for ip in [four, six] {
            let response = Client::connect(SocketAddr::new(ip, port)).get("example.com", "/");
            assert_eq!(response.status, 200, "{list:?}: {ip}");
            assert_eq!(response.sent("x-forwarded-for"), [ip.to_string()], "{list:?}");
        }
        assert_eq!(listeners(&vhost).1, families.len());
    }
}

#[test]
fn the_api_and_the_metrics_take_lists_too() {
    let backend = Backend::start("web");
    let [api, other_api, metrics, other_metrics] = [(); 4].map(|()| free_address());
    let vhost = Setup::new()
        .set("proxy.management_api_addr", format!("[\"{api}\", \"{other_api}\"]"))
        .set("metrics.enabled", true)
        .set("metrics.listen_addr", format!("[\"{metrics}\", \"{other_metrics}\"]"))
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    for address in [api, other_api] {
        let health = Client::connect(address).get(&address.to_string(), "/api/v1/health");
        assert_eq!(health.status, 200, "{address}");
        // Neither is for backends.
        let id = format!("own-{}", address.port());
        let refused = vhost.ctl(&["backend", "add", &id, &address.to_string(), "--tag", "a"]);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains("proxy.management_api_addr"), "{refused:?}");
    }
    for address in [metrics, other_metrics] {
        let scraped = Client::connect(address).get(&address.to_string(), "/metrics");
        assert_eq!(scraped.status, 200, "{address}");
    }
}

#[test]
fn listeners_that_overlap_are_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vhost.toml");
    for (list, problem) in [
        (
            "[\"0.0.0.0:8080\", \"127.0.0.1:8080\"]",
            "[1]: `127.0.0.1:8080`: `0.0.0.0:8080` takes its connections already; leave one of the two \
             out, or choose another port",
        ),
        ("[\"[::]:80\", \"[::]:80\"]", "[1]: `[::]:80`: it is listed twice; name each once"),
        (
            "[]",
            ": it is empty; name at least one, `[\"0.0.0.0:80\",\"[::]:80\"]`, or leave the key out",
        ),
    ] {
        std::fs::write(&file, format!("[proxy]\nlisten_addr_http = {list}\nstate_dir = \"s\"\n"))
            .unwrap();
        let output = serve_once(&file);
        let expected =
            format!("{0}:2: proxy.listen_addr_http{problem}\n1 problem in {0}\n", file.display());
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output:?}");
        assert_eq!(output.stderr, expected);
    }
}

#[test]
fn arguments_may_name_several_addresses() {
    let (one, two) = (free_address(), free_address());
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("admin.sock");
    let mut command = std::process::Command::new(vhost_binary());
    command.args(["serve", "--http", &one.to_string(), "--http", &two.to_string()]);
    command.args(["--state-dir", "state", "--admin-socket"]).arg(&socket);
    command.current_dir(directory.path());
    let server = RunningCtl::of(command);
    for address in [one, two] {
        eventually("it listens", std::time::Duration::from_secs(20), || {
            TcpStream::connect(address).is_ok()
        });
    }
    server.kill();
}
