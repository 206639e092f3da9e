//! What belongs to all clients: none can take it from the others.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::json;

use super::{refused, site, site_with, wait_for_refused};
use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

/// `shop.localhost` over HTTPS, with a certificate of the server's own.
fn tls_site(backend: &Backend) -> Setup {
    Setup::new().domain_with("shop.localhost", "a", "tls = \"internal\"").backend(
        backend.id(),
        backend.address(),
        &["a"],
    )
}

/// What a visitor gets that comes from elsewhere.
fn visit(address: SocketAddr, from: IpAddr) -> std::io::Result<u16> {
    let stream = Client::connect_from(from, address).into_stream();
    let mut open = TlsClient::accepts_any().over(stream, Some("shop.localhost"))?;
    Ok(open.try_get("shop.localhost", "/")?.status)
}

/// The bytes of a client's hello for a name.
fn hello(name: &str) -> Vec<u8> {
    let recorder = RawBackend::start(|connection| {
        connection.read_until_quiet(Duration::from_millis(100));
    });
    let connected = TlsClient::accepts_any().connect(recorder.address(), Some(name));
    connected.err().expect("it answers nothing");
    recorder.received().concat()
}

#[test]
fn silent_connections_of_one_address_keep_nobody_from_a_handshake() {
    let backend = Backend::start("web");
    let vhost = tls_site(&backend)
        .set("proxy.max_silent_connections", 50)
        .set("proxy.tls_handshake_timeout_secs", 60)
        .start();
    vhost.wait_until_healthy(1);
    let attacker = free_ip();
    let mut other = Client::connect_from(free_ip(), vhost.https());
    other.send(b"\x16\x03\x01\x02\x00\x01");
    let mut held: Vec<_> = Vec::new();
    for round in 1..=4 {
        // Some say a part of a hello, and no more.
        for n in 0..100 {
            let mut silent = Client::connect_from(attacker, vhost.https());
            if n % 2 == 0 {
                silent.send(b"\x16\x03\x01\x02\x00\x01");
            }
            held.push(silent);
        }
        let visited = visit(vhost.https(), free_ip());
        assert_eq!(visited.expect("a handshake"), 200, "round {round}");
    }
    eventually("the oldest are closed", SOON, || {
        refused(&vhost, "too_many_silent_connections") >= 340
    });
    assert!(held[0].closed_within(SOON).is_some());
    assert!(other.is_idle(), "who has one place keeps it");
    assert_eq!(refused(&vhost, "too_many_handshakes"), 0);
}

#[test]
fn silent_connections_of_plain_http_go_when_their_client_has_the_most() {
    let backend = Backend::start("web");
    let vhost = site(&backend).set("proxy.max_silent_connections", 10).start();
    vhost.wait_until_healthy(1);
    let (attacker, other) = (free_ip(), Client::connect_from(free_ip(), vhost.http()));
    let mut held: Vec<_> = (0..30).map(|_| Client::connect_from(attacker, vhost.http())).collect();
    wait_for_refused(&vhost, "too_many_silent_connections", 21);
    eventually("as many are closed", SOON, || {
        held.iter().filter(|silent| silent.is_idle()).count() == 9
    });
    assert!(other.is_idle());
    let kept = held.iter_mut().find(|silent| silent.is_idle()).expect("there are nine");
    assert_eq!(kept.get("example.com", "/").status, 200, "those that stay are served");
    assert_eq!(vhost.get("example.com", "/").status, 200);
}

#[test]
fn handshakes_that_one_address_does_not_finish_make_room_for_those_of_others() {
    let backend = Backend::start("web");
    let vhost = tls_site(&backend)
        .set("proxy.max_tls_handshakes", 4)
        .set("proxy.tls_handshake_timeout_secs", 60)
        .start();
    vhost.wait_until_healthy(1);
    assert_eq!(visit(vhost.https(), free_ip()).expect("a handshake"), 200);
    let (attacker, hello) = (free_ip(), hello("shop.localhost"));
    let held: Vec<_> = (0..40)
        .map(|_| {
            let mut client = Client::connect_from(attacker, vhost.https());
            client.send(&hello);
            client
        })
        .collect();
    eventually("the oldest are closed", SOON, || refused(&vhost, "too_many_handshakes") >= 36);
    for _ in 0..5 {
        assert_eq!(visit(vhost.https(), free_ip()).expect("a handshake"), 200);
    }
    drop(held);
}

#[test]
fn connections_on_which_nothing_was_said_make_room_when_there_are_too_many_in_all() {
    let backend = Backend::start("web");
    let vhost = site(&backend).set("proxy.max_connections", 8).start();
    vhost.wait_until_healthy(1);
    let silent: Vec<_> = (0..2)
        .flat_map(|_| {
            let attacker = free_ip();
            (0..4).map(move |_| attacker)
        })
        .map(|from| Client::connect_from(from, vhost.http()))
        .collect();
    for _ in 0..4 {
        let mut visitor = Client::connect_from(free_ip(), vhost.http());
        assert_eq!(visitor.get("example.com", "/").status, 200);
    }
    drop(silent);
}

#[test]
fn one_client_never_gets_all_connections_whatever_the_settings_say() {
    let backend = Backend::start("web");
    let setup =
        site(&backend).set("proxy.max_connections", 8).set("proxy.max_connections_per_client", 100);
    let vhost = setup.start();
    vhost.wait_until_healthy(1);
    vhost.wait_for_log("one client could take all of `max_connections` (8)");
    let client = free_ip();
    let mut open: Vec<_> = (0..4).map(|_| Client::connect_from(client, vhost.http())).collect();
    for one in &mut open {
        assert_eq!(one.get("example.com", "/").status, 200);
    }
    assert!(Client::connect_from(client, vhost.http()).closed_within(SOON).is_some());
    wait_for_refused(&vhost, "too_many_client_connections", 1);
    assert_eq!(vhost.get("example.com", "/").status, 200);
}

#[test]
fn requests_at_once_of_one_client_are_counted_over_all_its_connections() {
    let backend = Backend::start("web");
    let vhost = site(&backend).set("proxy.max_requests_per_client", 2).start();
    vhost.wait_until_healthy(1);
    in_runtime(async {
        let hold = || http::Request::get("http://example.com/hold").body(()).unwrap();
        let mut one = H2::connect(vhost.http()).await;
        let mut two = H2::connect(vhost.http()).await;
        let (first, _) = one.start(hold(), true).await.unwrap();
        let (second, _) = two.start(hold(), true).await.unwrap();
        eventually_async("both run", || backend.held() == 2).await;
        let third = two.get("example.com", "/").await.unwrap();
        assert_eq!(third.status, 429);
        let elsewhere = Client::connect_from(free_ip(), vhost.http()).into_stream();
        let mut other = H2::over_socket(elsewhere).await;
        assert_eq!(other.get("example.com", "/").await.unwrap().status, 200);
        backend.release();
        assert_eq!(read(first).await.unwrap().status, 200);
        assert_eq!(read(second).await.unwrap().status, 200);
        assert_eq!(two.get("example.com", "/").await.unwrap().status, 200);
    });
    wait_for_refused(&vhost, "too_many_client_requests", 1);
}

#[test]
fn a_client_behind_a_trusted_proxy_has_its_share_too() {
    let backend = Backend::start("web");
    let vhost = site(&backend)
        .set("proxy.max_requests_per_client", 2)
        .set("proxy.trusted_proxies", "[\"127.0.0.1\"]")
        .start();
    vhost.wait_until_healthy(1);
    let ask = |path: &str, client: &str| {
        let mut open = vhost.connect();
        open.send(format!(
            "GET {path} HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: {client}\r\n\r\n"
        ));
        open
    };
    let mut held = [ask("/hold", "192.0.2.1"), ask("/hold", "192.0.2.1")];
    eventually("both run", SOON, || backend.held() == 2);
    assert_eq!(ask("/", "192.0.2.1").read_response().status, 429);
    assert_eq!(ask("/", "192.0.2.2").read_response().status, 200);
    assert_eq!(vhost.get("example.com", "/").status, 200, "the proxy's own");
    backend.release();
    assert!(held.iter_mut().all(|held| held.read_response().status == 200));
    assert_eq!(ask("/", "192.0.2.1").read_response().status, 200);
}

#[test]
fn a_queue_that_one_client_has_filled_has_room_for_another_whose_turn_is_next() {
    let backend = Backend::start("web");
    let vhost = site(&backend)
        .set("upstream.max_requests_per_backend", 1)
        .set("upstream.queue_size", 4)
        .set("upstream.queue_timeout_secs", 60)
        .start();
    vhost.wait_until_healthy(1);
    let attacker = free_ip();
    let ask = |from| {
        let mut client = Client::connect_from(from, vhost.http());
        client.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
        client
    };
    let mut flood = Vec::new();
    for n in 1..=5 {
        flood.push(ask(attacker));
        eventually("it has come", SOON, || vhost.in_flight() == n);
    }
    let mut other = ask(free_ip());
    let displaced = flood[4].read_response();
    assert_eq!(displaced.status, 503);
    wait_for_refused(&vhost, "queue_full", 1);
    // The one that runs, the one that was first in the line, and then not the attacker's.
    for one in &mut flood[..2] {
        eventually("it runs", SOON, || backend.held() == 1);
        backend.release();
        assert_eq!(one.read_response().status, 200);
    }
    eventually("it runs", SOON, || backend.held() == 1);
    backend.release();
    assert_eq!(other.read_response().status, 200);
    assert!(flood[2].is_idle() && flood[3].is_idle());
}

#[test]
fn a_line_of_a_pause_that_one_client_has_filled_has_room_for_another() {
    let backend = Backend::start("web");
    let options = "pause = { max_wait_secs = 60, max_waiting = 5 }";
    let vhost = site_with(&backend, options).start();
    vhost.wait_until_healthy(1);
    let waiting = || {
        let shown = vhost.rpc("domain.show", json!({"domain": "example.com"}));
        shown.expect("domain.show")["waiting"].as_u64().unwrap_or_default()
    };
    let ask = |from| {
        let mut client = Client::connect_from(from, vhost.http());
        client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        client
    };
    let attacker = free_ip();
    let mut flood = Vec::new();
    for n in 1..=5 {
        flood.push(ask(attacker));
        eventually("it waits", SOON, || waiting() == n);
    }
    assert_eq!(ask(attacker).read_response().status, 503, "its own are its own");
    let mut other = ask(free_ip());
    assert_eq!(flood[4].read_response().status, 503);
    vhost.ctl_ok(&["domain", "resume", "example.com"]);
    assert_eq!(other.read_response().status, 200);
    assert!(flood[..4].iter_mut().all(|one| one.read_response().status == 200));
}

#[test]
fn silent_clients_stop_neither_a_scrape_nor_the_management_api() {
    let backend = Backend::start("web");
    let (metrics, api) = (free_address(), free_address());
    let vhost = site(&backend)
        .set("proxy.management_api_addr", format!("\"{api}\""))
        .set("metrics.enabled", true)
        .set("metrics.listen_addr", format!("\"{metrics}\""))
        .start();
    vhost.wait_until_healthy(1);
    let mut held: Vec<_> = (0..80).map(|_| Client::connect(metrics)).collect();
    held.extend((0..600).map(|_| Client::connect(api)));
    assert_eq!(get(metrics, &metrics.to_string(), "/metrics").status, 200);
    assert_eq!(get(api, &api.to_string(), "/api/v1/health").status, 200);
    assert!(held[0].closed_within(SOON).is_some(), "the oldest made room");
    assert!(held[79].is_idle(), "the newest stay");
}

#[test]
fn names_below_an_internal_wildcard_share_one_certificate() {
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .domain_with("*.example.test", "a", "tls = \"internal\"")
        .backend(backend.id(), backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let serial = |name: &str| {
        let connected = TlsClient::accepts_any().connect(vhost.https(), Some(name));
        let mut open = connected.expect("a handshake");
        assert_eq!(open.get(name, "/").status, 200);
        serial_of(open.stream().conn.peer_certificates().expect("a certificate"))
    };
    assert_eq!(serial("one.example.test"), serial("two.example.test"));
    let listed = vhost.ctl_json(&["cert", "list"]);
    assert_eq!(listed["certificates"].as_array().expect("a list").len(), 1, "{listed}");
}

#[test]
fn made_up_names_below_localhost_use_up_nothing_for_good() {
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .domain_with("*.localhost", "a", "tls = \"internal\"")
        .backend(backend.id(), backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let template = hello("x0000000.localhost");
    let send = |from: IpAddr, number: usize| {
        let name = format!("x{number:07}.localhost");
        let at = template.windows(8).position(|part| part == b"x0000000").expect("its name");
        let mut hello = template.clone();
        hello[at..at + 18].copy_from_slice(name.as_bytes());
        let mut client = Client::connect_from(from, vhost.https());
        client.send(&hello);
        // Whatever the answer is, it was decided.
        let _ = client.take(1);
    };
    let one = free_ip();
    (0..200).for_each(|number| send(one, number));
    let listed = || {
        let list = vhost.ctl_json(&["cert", "list"]);
        list["certificates"].as_array().expect("a list").len()
    };
    assert!(listed() <= 121, "one client makes so many: {}", listed());
    for client in 1..=10 {
        let from = free_ip();
        (0..110).for_each(|number| send(from, client * 1000 + number));
    }
    assert!((900..=1001).contains(&listed()), "and all of them: {}", listed());
    let client = TlsClient::accepts_any();
    let mut open = client.connect(vhost.https(), Some("mine.localhost")).expect("a handshake");
    assert_eq!(open.get("mine.localhost", "/").status, 200);
}

#[test]
fn made_up_names_of_one_address_keep_nobody_from_a_certificate_on_demand() {
    let allowed = "shop.customer.example";
    let ask = AskServer::start(&[allowed]);
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .domain("*", "a")
        .backend(backend.id(), backend.address(), &["a"])
        .set("lets_encrypt.email", "\"admin@example.com\"")
        .set("lets_encrypt.directory_url", format!("\"https://{}/dir\"", refusing_address()))
        .set("lets_encrypt.on_demand_ask", format!("{:?}", ask.url()))
        .start();
    vhost.wait_until_healthy(1);
    let attacker = free_ip();
    let knock = |from: IpAddr, name: &str| {
        let stream = Client::connect_from(from, vhost.https()).into_stream();
        TlsClient::accepts_any().over(stream, Some(name)).err().expect("no certificate");
    };
    for number in 0..30 {
        knock(attacker, &format!("made-up-{number}.example"));
    }
    assert_eq!(ask.asked().len(), 10, "ten of one client in a minute: {:?}", ask.asked());
    // A name that was not asked about is not held to be denied.
    knock(attacker, allowed);
    assert_eq!(ask.asked_about(allowed), 0);
    std::thread::scope(|scope| {
        // It waits for an order, which fails here.
        scope.spawn(|| knock(free_ip(), allowed));
        eventually("it is asked about", SOON, || ask.asked_about(allowed) == 1);
    });
    let unknown = "made-up-29.example";
    assert_eq!(ask.asked_about(unknown), 0);
    knock(free_ip(), unknown);
    assert_eq!(ask.asked_about(unknown), 1);
}
