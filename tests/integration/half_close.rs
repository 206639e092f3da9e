//! Clients that end their side of the connection and wait for their answer (RFC 9112 §9.6).

use std::net::Shutdown;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

/// A backend that takes its time for each answer, which is the request's first line.
fn slow() -> RawBackend {
    RawBackend::start(|connection| {
        while let Some(head) = connection.read_request() {
            std::thread::sleep(Duration::from_millis(300));
            connection.send(&answer(head.lines().next().unwrap_or_default()));
        }
    })
}

fn setup(backend: &RawBackend) -> Setup {
    Setup::new().tcp_probes().domain_with("example.com", "a", "http_to_https = false").backend(
        "web",
        backend.address(),
        &["a"],
    )
}

#[test]
fn a_client_that_ends_its_side_gets_its_answer() {
    let backend = slow();
    let vhost = setup(&backend).start();
    vhost.wait_until_healthy(1);
    for (request, line) in [
        ("GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET /a HTTP/1.1"),
        ("GET /b HTTP/1.0\r\nHost: example.com\r\n\r\n", "GET /b HTTP/1.1"),
        (
            "POST /c HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\n\r\nhi",
            "POST /c HTTP/1.1",
        ),
    ] {
        let mut client = vhost.connect();
        client.send(request);
        client.stream().shutdown(Shutdown::Write).unwrap();
        let response = client.read_response();
        assert_eq!((response.status, response.text().as_str()), (200, line));
        assert!(client.closed_within(SOON).is_some(), "nothing more can come");
    }
}

#[test]
fn all_requests_that_came_before_the_end_are_answered() {
    let backend = slow();
    let vhost = setup(&backend).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    for path in ["/1", "/2", "/3"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n"));
    }
    client.stream().shutdown(Shutdown::Write).unwrap();
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.read_response().text(), format!("GET {path} HTTP/1.1"));
    }
    assert!(client.closed_within(SOON).is_some());
}

#[test]
fn over_tls_the_end_is_told_by_close_notify() {
    let backend = slow();
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = authority.issue(&["tls.test"]).write_to(directory.path(), "site");
    let vhost = setup(&backend).domain_with("tls.test", "a", &files.tls_line()).start();
    vhost.wait_until_healthy(1);
    let mut client = TlsClient::accepts_any().connect(vhost.https(), Some("tls.test")).unwrap();
    client.send("GET /a HTTP/1.1\r\nHost: tls.test\r\n\r\n");
    client.end_side();
    let response = client.read_response();
    assert_eq!((response.status, response.text().as_str()), (200, "GET /a HTTP/1.1"));
}

#[test]
fn an_end_within_a_request_is_no_whole_request() {
    let backend = slow();
    let vhost = setup(&backend).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n\r\nhi");
    client.stream().shutdown(Shutdown::Write).unwrap();
    client.try_read_response().expect_err("it is not answered as if it were whole");
    vhost.wait_for_log("client_gone");
}

/// A backend that answers nothing, and tells when its connection is closed.
fn mute() -> (RawBackend, Receiver<Duration>) {
    let (sender, ended) = channel();
    let sender = Arc::new(Mutex::new(sender));
    let backend = RawBackend::start(move |connection| {
        if connection.read_request().is_some() {
            let begun = Instant::now();
            connection.wait_for_close();
            let _ = sender.lock().unwrap().send(begun.elapsed());
        }
    });
    (backend, ended)
}

#[test]
fn a_client_that_has_ended_its_side_is_waited_with_for_a_time() {
    for timeout in ["0.5", "0"] {
        let (backend, ended) = mute();
        let vhost = setup(&backend)
            .set("proxy.half_close_timeout_secs", timeout)
            .set("upstream.read_timeout_secs", 600)
            .start();
        vhost.wait_until_healthy(1);
        let mut client = vhost.connect();
        client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        client.stream().shutdown(Shutdown::Write).unwrap();
        let waited = ended.recv_timeout(SOON).expect("the backend is left");
        assert!(timeout == "0" || waited >= Duration::from_millis(400), "{waited:?}");
        assert!(client.closed_within(SOON).is_some());
        vhost.wait_for_log("client_gone");
    }
}

#[test]
fn a_client_that_resets_is_gone_at_once() {
    let (backend, ended) = mute();
    let vhost = setup(&backend).set("proxy.half_close_timeout_secs", 600).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("the backend has the request", SOON, || !backend.received().is_empty());
    client.reset();
    ended.recv_timeout(SOON).expect("the backend is left");
}
