//! What is tried again, and what never is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::*;

/// Two backends that are healthy, and the address of one of them that has died since.
fn one_of_two_died() -> (Vhost, Backend) {
    let (dead, alive) = (Backend::start("dead"), Backend::start("alive"));
    let vhost = Setup::new()
        // No probe tells the proxy; only traffic can.
        .set("health_check.interval_secs", 600)
        .set("health_check.unhealthy_threshold", 1000)
        .domain("example.com", "a")
        .backend("dead", dead.address(), &["a"])
        .backend("alive", alive.address(), &["a"])
        .start();
    vhost.wait_until_healthy(2);
    dead.stop();
    (vhost, alive)
}

#[test]
fn a_connect_that_fails_goes_to_another_backend() {
    let (vhost, alive) = one_of_two_died();
    let mut client = vhost.connect();
    for _ in 0..10 {
        let response = client.get("example.com", "/");
        assert_eq!((response.status, response.backend()), (200, Some("alive")));
    }
    assert_eq!(alive.requests(), 10);
    assert!(vhost.backend("dead")["failures"].as_u64().unwrap() > 0, "`dead` was never tried");
}

#[test]
fn a_large_upload_survives_a_connect_that_fails() {
    let (vhost, alive) = one_of_two_died();
    let body: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    for _ in 0..4 {
        let response = vhost.connect().post("example.com", "/upload", &body);
        assert_eq!(response.backend(), Some("alive"));
        let echo = response.echo();
        assert_eq!(
            (&echo["length"], &echo["checksum"]),
            (&body.len().into(), &checksum(&body).into())
        );
    }
    assert_eq!(alive.requests(), 4);
    assert!(vhost.backend("dead")["failures"].as_u64().unwrap() > 0, "`dead` was never tried");
}

#[test]
fn when_nobody_can_be_reached_the_client_is_told_after_a_few_tries() {
    let backends: Vec<_> = (0..5).map(|_| refusing_address()).collect();
    let mut setup = Setup::new()
        .set("health_check.interval_secs", 600)
        .set("health_check.unhealthy_threshold", 1000)
        .set("upstream.max_tries", 3)
        .domain("example.com", "a");
    for (index, address) in backends.iter().enumerate() {
        setup = setup.backend(&format!("w{index}"), address, &["a"]);
    }
    let vhost = setup.start();
    let mut client = vhost.connect();
    let response = client.get("example.com", "/");
    assert_eq!((response.status, response.backend()), (502, None));
    let tries: u64 =
        (0..5).map(|n| vhost.backend(&format!("w{n}"))["requests"].as_u64().unwrap()).sum();
    assert_eq!(tries, 3, "at most `max_tries` backends are tried");
    // Pingora ends the connection after a request that failed; then the answer says so.
    assert!(response.closes(), "{:?}", response.headers);
    assert!(client.closed_within(Duration::from_secs(10)).is_some());
    let line = vhost.wait_for_log("connect_refused").concat();
    assert!(line.contains("attempt=3"), "{line}");
}

/// A backend that answers the first request of a connection and closes on the second, having read
/// it. Counts the requests that came as a second one.
fn closes_on_the_second_request() -> (RawBackend, Arc<AtomicUsize>) {
    let seconds = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seconds);
    let backend = RawBackend::start(move |connection| {
        connection.read_request();
        connection.send(&answer("ok"));
        if connection.read_head().is_some() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (backend, seconds)
}

fn serve(backend: &RawBackend) -> Vhost {
    let vhost = Setup::new()
        .tcp_probes()
        .set("health_check.unhealthy_threshold", 1000)
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    vhost
}

#[test]
fn a_kept_connection_that_the_backend_closed_is_replaced_by_a_fresh_one() {
    let (backend, seconds) = closes_on_the_second_request();
    let vhost = serve(&backend);
    let mut client = vhost.connect();
    for number in 0..6 {
        let response = client.get("example.com", "/");
        assert_eq!((response.status, response.text().as_str()), (200, "ok"), "request {number}");
    }
    assert!(seconds.load(Ordering::SeqCst) > 0, "connections were never kept");
}

#[test]
fn a_request_is_replayed_once_however_many_kept_connections_close() {
    const KEPT: usize = 8;
    let (filled, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (filling, counted) = (Arc::clone(&filled), Arc::clone(&again));
    let backend = RawBackend::start(move |connection| {
        let Some(head) = connection.read_request() else { return };
        if head.contains("/fill") {
            // Until all are there, so that each has a connection of its own.
            let all = (filling.fetch_add(1, Ordering::SeqCst) / KEPT + 1) * KEPT;
            eventually("all connections", Duration::from_secs(20), || {
                filling.load(Ordering::SeqCst) >= all
            });
        }
        connection.send(&answer("ok"));
        if connection.read_head().is_some() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let vhost = serve(&backend);
    // A connection is kept a moment after its answer has gone out, and now and then it is not.
    let mut over_kept = 0;
    let target = (0..50).map(|round| format!("/again-{round}")).find(|target| {
        std::thread::scope(|scope| {
            for _ in 0..KEPT {
                scope.spawn(|| assert_eq!(vhost.get("example.com", "/fill").status, 200));
            }
        });
        let before = again.load(Ordering::SeqCst);
        let response = vhost.get("example.com", target);
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
        over_kept = again.load(Ordering::SeqCst) - before;
        over_kept > 0
    });
    let target = target.expect("a connection was kept");
    assert_eq!(over_kept, 1, "over a kept connection");
    let sent = backend.received_text().matches(&format!("GET {target} ")).count();
    assert_eq!(sent, 2, "and over a fresh one");
}

#[test]
fn a_small_body_is_replayed_where_the_method_may_be_repeated() {
    let (backend, seconds) = closes_on_the_second_request();
    let vhost = serve(&backend);
    let mut client = vhost.connect();
    let body = "x".repeat(1000);
    for number in 0..6 {
        client.send(format!(
            "PUT / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000\r\n\r\n{body}"
        ));
        let response = client.read_response();
        assert_eq!((response.status, response.text().as_str()), (200, "ok"), "request {number}");
    }
    assert!(seconds.load(Ordering::SeqCst) > 0, "connections were never kept");
    for bytes in backend.received() {
        let text = String::from_utf8_lossy(&bytes);
        let first = text.split_once("\r\n\r\n").expect("a head").1;
        assert!(first.starts_with(&body), "the replayed body is whole");
    }
}

#[test]
fn a_post_that_may_have_been_acted_upon_is_not_sent_again() {
    let (backend, seconds) = closes_on_the_second_request();
    let vhost = serve(&backend);
    let mut client = vhost.connect();
    assert_eq!(client.get("example.com", "/").status, 200);
    let response = client.post("example.com", "/order", b"one book");
    assert_eq!(response.status, 502);
    assert_eq!(seconds.load(Ordering::SeqCst), 1);
    assert_eq!(backend.received_text().matches("POST /order").count(), 1);
}

#[test]
fn a_body_too_large_to_be_kept_is_not_sent_again() {
    // The proxy keeps the first 64 KiB. A backend that has read more before it closes makes sure
    // that more went by; one that closes sooner is rightly replaced, since nothing is lost yet.
    let backend = RawBackend::start(|connection| {
        connection.read_request();
        connection.send(&answer("ok"));
        if connection.read_head().is_some() {
            connection.read_exactly(200_000);
        }
    });
    let vhost = serve(&backend);
    let mut client = vhost.connect();
    assert_eq!(client.get("example.com", "/").status, 200);
    let body = vec![b'x'; 300_000];
    let head = "PUT /large HTTP/1.1\r\nHost: example.com\r\nContent-Length: 300000\r\n\r\n";
    // The proxy may answer before it has read everything.
    let _ = client.try_send(head).and_then(|()| client.try_send(&body));
    if let Ok(response) = client.try_read_response() {
        assert_eq!(response.status, 502);
    }
    assert_eq!(backend.received_text().matches("PUT /large").count(), 1);
}

#[test]
fn an_answer_that_has_begun_is_never_glued_to_another() {
    let backend = RawBackend::start(|connection| {
        connection.read_request();
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly a part");
    });
    let vhost = serve(&backend);
    let mut client = vhost.connect();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    client.try_read_response().expect_err("a truncated body is not made to look whole");
    assert_eq!(backend.received().len(), 1, "it is not asked again");
}
