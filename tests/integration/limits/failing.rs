//! Backends that fail in every way: the client always gets a status or a visibly broken body, and the
//! log's reason and the counter agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{refused, wait_for_refused};
use crate::harness::*;

type Script = fn(&mut RawConnection);

/// What a client gets to see.
#[derive(Debug, PartialEq)]
enum Seen {
    /// A whole answer.
    Status(u16),
    /// An answer that has begun and visibly broke off.
    Broken,
}

/// What the backend does, what the client sees, and why in the log.
const WAYS: [(&str, Script, Seen, &str); 13] = [
    ("closes without a word", |_| {}, Seen::Status(502), "upstream_closed"),
    ("resets without a word", RawConnection::reset, Seen::Status(502), "upstream_reset"),
    (
        "closes within the head",
        |connection| connection.send(b"HTTP/1.1 200 OK\r\nContent-Le"),
        Seen::Status(502),
        "upstream_closed",
    ),
    (
        "resets within the head",
        |connection| {
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Le");
            std::thread::sleep(Duration::from_millis(50));
            connection.reset();
        },
        Seen::Status(502),
        "upstream_reset",
    ),
    (
        "closes within the body",
        |connection| connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        Seen::Broken,
        "upstream_cut_short",
    ),
    (
        "resets within the body",
        |connection| {
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            std::thread::sleep(Duration::from_millis(50));
            connection.reset();
        },
        Seen::Broken,
        "upstream_reset",
    ),
    (
        "closes within a chunk",
        |connection| {
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf");
        },
        Seen::Broken,
        "upstream_cut_short",
    ),
    (
        "closes between chunks",
        |connection| {
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
        },
        Seen::Broken,
        "upstream_cut_short",
    ),
    (
        "sends garbage for a head",
        |connection| connection.send(b"\x16\x03\x01\x02\x00garbage\r\n\r\n"),
        Seen::Status(502),
        "upstream_protocol",
    ),
    (
        "sends garbage for a chunk",
        |connection| {
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
            connection.stall();
        },
        Seen::Broken,
        "upstream_protocol",
    ),
    ("hangs before the head", RawConnection::stall, Seen::Status(504), "upstream_timeout"),
    (
        "hangs within the head",
        |connection| {
            connection.send(b"HTTP/1.1 200 OK\r\n");
            connection.stall();
        },
        Seen::Status(504),
        "upstream_timeout",
    ),
    (
        "hangs within the body",
        |connection| {
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            connection.stall();
        },
        Seen::Broken,
        "upstream_timeout",
    ),
];

fn serve(backend: &RawBackend) -> Vhost {
    let vhost = Setup::new()
        .tcp_probes()
        .set("health_check.interval_secs", 600)
        .set("health_check.unhealthy_threshold", 1000)
        .set("upstream.read_timeout_secs", 0.5)
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    vhost
}

#[test]
fn every_failure_is_seen_and_told_once() {
    let which = Arc::new(AtomicUsize::new(0));
    let chosen = Arc::clone(&which);
    let backend = RawBackend::start(move |connection| {
        connection.read_request();
        WAYS[chosen.load(Ordering::SeqCst)].1(connection);
    });
    let vhost = serve(&backend);
    for (index, (what, _, expected, reason)) in WAYS.iter().enumerate() {
        which.store(index, Ordering::SeqCst);
        let before = refused(&vhost, reason);
        let mut client = vhost.connect();
        let seen = match client.try_get("example.com", &format!("/way/{index}")) {
            Ok(response) => Seen::Status(response.status),
            Err(_) => Seen::Broken,
        };
        assert_eq!(seen, *expected, "a backend that {what}");
        eventually(&format!("a backend that {what}: {reason}"), Duration::from_secs(10), || {
            refused(&vhost, reason) == before + 1
        });
        let log = vhost.wait_for_log(&format!("path=\"/way/{index}\"")).concat();
        assert!(log.contains(&format!("reason={reason} ")), "a backend that {what}: {log}");
    }
}

#[test]
fn what_a_backend_sends_too_much_of_reaches_nobody() {
    let backend = RawBackend::start(|connection| {
        while connection.read_request().is_some() {
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\n");
            connection.send(b"Content-Length: 4\r\n\r\nevil");
        }
    });
    let vhost = serve(&backend);
    let mut client = vhost.connect();
    for _ in 0..10 {
        let response = client.get("example.com", "/");
        assert_eq!((response.status, response.text().as_str()), (200, "good"));
        if response.closes() {
            client = vhost.connect();
        }
    }
}

#[test]
fn a_backend_that_refuses_gets_its_own_status_and_reason() {
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend("gone", refusing_address(), &["a"])
        .set("health_check.interval_secs", 600)
        .set("health_check.unhealthy_threshold", 1000)
        .start();
    assert_eq!(vhost.get("example.com", "/").status, 502);
    let log = wait_for_refused(&vhost, "connect_refused", 1);
    assert!(log.contains("status=502"), "{log}");
}

#[test]
fn a_backend_that_flaps_costs_nobody_an_answer() {
    let (steady, flapping) = (Backend::start("steady"), Backend::start("flapping"));
    let address = flapping.socket_addr();
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend("steady", steady.address(), &["a"])
        .backend("flapping", address, &["a"])
        .start();
    vhost.wait_until_healthy(2);
    let mut client = vhost.connect();
    let mut flapping = Some(flapping);
    for _ in 0..6 {
        match flapping.take() {
            Some(up) => _ = up.stop(),
            None => flapping = Some(Backend::builder("flapping").at(address).start()),
        }
        for _ in 0..20 {
            assert_eq!(client.get("example.com", "/").status, 200);
        }
    }
    assert!(steady.requests() > 60);
}
