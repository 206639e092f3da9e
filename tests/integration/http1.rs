//! What HTTP/1.1 lets a client do on one connection.

use std::time::Duration;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

/// A backend that asks for the body before it reads one.
fn asking_backend() -> RawBackend {
    RawBackend::start(|connection| {
        while let Some(head) = connection.read_head() {
            if head.to_ascii_lowercase().contains("\r\nexpect: 100-continue\r\n") {
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n");
                connection.read_exactly(5);
            }
            connection.send(&answer("ok"));
        }
    })
}

#[test]
fn the_backends_100_continue_brings_the_body_and_the_connection_is_used_again() {
    let backend = asking_backend();
    let vhost = Setup::new()
        .tcp_probes()
        .set("health_check.interval_secs", 60)
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    for round in 0..3 {
        client.send(
            "POST /upload HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\
             Expect: 100-continue\r\n\r\n",
        );
        // The body is kept back until then: were the 100 the proxy's own, or none, nothing came.
        let interim = client.read_head().expect("an interim answer");
        assert_eq!(interim.status, 100, "round {round}");
        client.send("hello");
        let response = client.read_response();
        assert_eq!((response.status, response.text().as_str()), (200, "ok"), "round {round}");
        assert!(!response.closes(), "{:?}", response.headers);
        assert_eq!(client.get("example.com", "/next").status, 200, "round {round}");
    }
    let received = backend.received();
    assert_eq!(received.len(), 1, "one connection to the backend serves them all");
    let text = String::from_utf8_lossy(&received[0]);
    assert_eq!(text.matches("\r\n\r\nhelloGET /next HTTP/1.1\r\n").count(), 3, "{text}");
}

/// Whoever has not asked for a 100 gets none, and one who sends the body at once loses nothing.
#[test]
fn a_body_that_does_not_wait_for_the_100_arrives_all_the_same() {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    for _ in 0..3 {
        client.send(
            "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\
             Expect: 100-continue\r\n\r\nhello",
        );
        let echo = client.read_response().echo();
        assert_eq!((&echo["length"], &echo["checksum"]), (&5.into(), &checksum(b"hello").into()));
    }
}

/// A final answer instead of the 100 means that the body never comes. What follows on the
/// connection must not be taken for it.
#[test]
fn an_expectation_that_is_refused_does_not_confuse_the_connection() {
    let backend = RawBackend::start(|connection| {
        connection.read_head();
        connection.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
        connection.wait_for_close();
    });
    let vhost = Setup::new()
        .tcp_probes()
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    for (host, status) in [("example.com", 417), ("unknown.test", 404)] {
        let mut client = vhost.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        ));
        let response = client.read_head().expect("an answer");
        assert_eq!(response.status, status, "{host}");
        assert!(client.closed_within(SOON).is_some(), "the body is still owed: {host}");
    }
    eventually("it is not in flight", SOON, || vhost.in_flight() == 0);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    for _ in 0..20 {
        client.send(
            "GET /slow?ms=30 HTTP/1.1\r\nHost: example.com\r\n\r\n\
             POST /2 HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello\
             GET /3 HTTP/1.1\r\nHost: unknown.test\r\n\r\n\
             POST /4 HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nworld\r\n0\r\n\r\n\
             GET /5 HTTP/1.1\r\nHost: example.com\r\n\r\n",
        );
        for (uri, body) in
            [("/slow?ms=30", ""), ("/2", "hello"), ("", ""), ("/4", "world"), ("/5", "")]
        {
            let response = client.read_response();
            if uri.is_empty() {
                assert_eq!(response.status, 404, "the proxy's own answer waits its turn");
                continue;
            }
            let echo = response.echo();
            assert_eq!((response.status, &echo["uri"]), (200, &uri.into()));
            assert_eq!(echo["checksum"], checksum(body.as_bytes()), "{uri}");
        }
    }
    assert!(client.is_idle(), "nothing is left over");
}

/// Each request is for what is live when its turn comes.
#[test]
fn a_switch_between_pipelined_requests_moves_the_second() {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend("a1", a.address(), &["a"])
        .backend("b1", b.address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    let mut client = vhost.connect();
    client.send(
        "GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n\
         GET /second HTTP/1.1\r\nHost: example.com\r\n\r\n\
         GET /third HTTP/1.1\r\nHost: example.com\r\n\r\n",
    );
    eventually("the first is held", SOON, || a.held() == 1);
    let switch = vhost.ctl_in_background(&["switch", "example.com", "b"]);
    eventually("the domain is switched", SOON, || vhost.live("example.com") == "b");
    assert!(client.is_idle(), "the second does not overtake the first");
    a.release();
    for (uri, backend) in [("/hold", "a1"), ("/second", "b1"), ("/third", "b1")] {
        let response = client.read_response();
        assert_eq!((response.status, response.backend()), (200, Some(backend)), "{uri}");
        assert_eq!(response.echo()["uri"], uri);
    }
    assert_eq!((a.requests(), b.requests()), (1, 2));
    assert_eq!(switch.wait().code, 0);
    assert_eq!(client.get("example.com", "/").backend(), Some("b1"), "the connection is kept");
}

/// Pingora reads the head of a pipelined request; its own limit is a megabyte.
#[test]
fn a_pipelined_head_that_is_too_large_gets_431() {
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .set("proxy.max_header_bytes", 8192)
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    client.send(format!(
        "GET /slow?ms=30 HTTP/1.1\r\nHost: example.com\r\n\r\n\
         GET /large HTTP/1.1\r\nHost: example.com\r\nX-Large: {}\r\n\r\n",
        "x".repeat(9000)
    ));
    assert_eq!(client.read_response().status, 200);
    let refused = client.read_response();
    assert_eq!((refused.status, refused.closes()), (431, true));
    assert_eq!(backend.requests(), 1);
}
