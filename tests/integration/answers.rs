//! Answers of backends that are not what HTTP says they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

fn serve(backend: &RawBackend) -> Vhost {
    let vhost = Setup::new()
        .tcp_probes()
        .set("health_check.interval_secs", 60)
        .set("health_check.unhealthy_threshold", 1000)
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    vhost
}

/// A backend that gives this answer to `/bad`, however often it is asked, and keeps its connections. To
/// other paths it says `ok`.
fn saying(bad: impl Into<Vec<u8>>) -> RawBackend {
    let bad = bad.into();
    RawBackend::start(move |connection| {
        while let Some(head) = connection.read_request() {
            let answer = answer("ok");
            connection.send(if head.contains(" /bad ") { &bad } else { &answer });
        }
    })
}

/// What follows a status line, and what the log says of it.
#[track_caller]
fn is_refused(bad: &str) {
    let backend = saying(bad);
    let vhost = serve(&backend);
    let mut client = vhost.connect();
    client.send("POST /bad HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n");
    let response = client.read_response();
    assert_eq!((response.status, response.backend()), (502, None), "{bad:?}");
    assert!(!response.text().contains("SECRET"), "{bad:?}");
    let line = vhost.wait_for_log("status=502").concat();
    assert!(line.contains("reason=upstream_"), "{bad:?}: {line}");
    // What it was said on is not used again.
    for _ in 0..3 {
        assert_eq!(vhost.get("example.com", "/").text(), "ok", "{bad:?}");
    }
    let with_bad = backend.received().into_iter().find(|bytes| bytes.starts_with(b"POST /bad"));
    let with_bad = String::from_utf8(with_bad.expect("it was asked")).unwrap();
    assert_eq!(with_bad.matches("HTTP/1.1\r\n").count(), 1, "{bad:?}: {with_bad}");
}

#[test]
fn an_answer_with_an_ambiguous_length_is_refused() {
    for fields in [
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2, 2",
        "Content-Length: +2",
        "Content-Length: -2",
        "Content-Length: 0x2",
        "Content-Length: two",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
    ] {
        is_refused(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhi"));
    }
}

#[test]
fn an_answer_whose_coding_is_not_one_chunked_is_refused() {
    let body = "2\r\nhi\r\n0\r\n\r\n";
    for fields in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
    ] {
        is_refused(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}"));
    }
    is_refused(&format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
}

#[test]
fn a_head_that_is_no_head_is_refused() {
    for head in [
        "HTTP/2.0 200 OK\r\nContent-Length: 2",
        "HTTP/1.2 200 OK\r\nContent-Length: 2",
        "HTTP/1 200 OK\r\nContent-Length: 2",
        "http/1.1 200 OK\r\nContent-Length: 2",
        "HTTP/1.1 20 OK\r\nContent-Length: 2",
        "HTTP/1.1 2000 OK\r\nContent-Length: 2",
        "HTTP/1.1 099 OK\r\nContent-Length: 2",
        "HTTP/1.1200 OK\r\nContent-Length: 2",
        "ICY 200 OK\r\nContent-Length: 2",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX\0: 1",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\0b",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\rb",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\x01b",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX Y: 1",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n: 1",
        "HTTP/1.1 200 OK\r\n Content-Length: 2",
    ] {
        is_refused(&format!("{head}\r\n\r\nhi"));
    }
}

#[test]
fn a_switch_of_protocols_that_nobody_asked_for_is_refused() {
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSECRET";
    for fields in ["Upgrade: websocket\r\nConnection: Upgrade\r\n", "Upgrade: h2c\r\n", ""] {
        is_refused(&format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n{smuggled}"));
    }
}

#[test]
fn a_switch_to_another_protocol_than_was_asked_for_is_refused() {
    for fields in ["Upgrade: h2c\r\nConnection: Upgrade\r\n", ""] {
        let backend = saying(format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n"));
        let vhost = serve(&backend);
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
        assert_eq!(vhost.connect().get_with("example.com", "/bad", upgrade).status, 502);
        assert!(backend.received_text().to_lowercase().contains("upgrade: websocket"));
    }
}

/// A client that gets not a byte on a connection that was kept may send its request again.
#[test]
fn the_beginning_of_an_answer_that_is_broken_off_reaches_the_client() {
    let backend = RawBackend::start(|connection| {
        while let Some(head) = connection.read_request() {
            if head.contains(" /bad ") {
                connection.send(b"HTTP/1.1 201 Created\r\nContent-Length: 30\r\n\r\nhalf");
                return;
            }
            connection.send(&answer("ok"));
        }
    });
    let vhost = serve(&backend);
    let mut client = vhost.connect();
    assert_eq!(client.get("example.com", "/").text(), "ok");
    client.send("POST /bad HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\n\r\nhi");
    let head = client.read_head().expect("the head has left");
    assert_eq!((head.status, head.header("content-length")), (201, Some("30")));
}

/// The field alone is for somebody before us (RFC 9110 §7.8).
#[test]
fn an_upgrade_that_connection_does_not_name_is_dropped() {
    let backend = saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let vhost = serve(&backend);
    for connection in ["", "Connection: keep-alive\r\n", "Connection: close\r\n"] {
        let upgrade = format!("Upgrade: websocket\r\n{connection}");
        assert_eq!(vhost.connect().get_with("example.com", "/bad", &upgrade).status, 200);
    }
    assert!(!backend.received_text().to_lowercase().contains("upgrade"));
}

/// What comes behind the head of a request with a body is that body, whatever else is asked for.
#[test]
fn an_upgrade_is_dropped_where_there_is_a_body_or_no_get() {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (method, framing, body, length) in [
        ("POST", "Content-Length: 5\r\n", "hello", 5),
        ("GET", "Content-Length: 5\r\n", "hello", 5),
        ("GET", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", 5),
        ("POST", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n", 0),
        ("POST", "Content-Length: 0\r\n", "", 0),
    ] {
        let mut client = vhost.connect();
        for _ in 0..2 {
            client.send(format!(
                "{method} /echo HTTP/1.1\r\nHost: example.com\r\n{upgrade}{framing}\r\n{body}"
            ));
            let response = client.read_response();
            assert_eq!(response.status, 200, "{method} {framing}");
            assert_eq!(response.echo()["length"], length, "{method} {framing}");
            for name in ["upgrade", "connection"] {
                assert!(response.sent(name).is_empty(), "{method} {framing}: {name}");
            }
        }
    }
}

#[test]
fn answers_that_have_no_body_do_not_speak_of_one() {
    for field in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let backend = saying(format!("HTTP/1.1 204 No Content\r\n{field}\r\nX-End: 1\r\n\r\n"));
        let vhost = serve(&backend);
        let mut client = vhost.connect();
        for _ in 0..2 {
            client.send("GET /bad HTTP/1.1\r\nHost: example.com\r\n\r\n");
            let head = client.read_head().unwrap();
            assert_eq!((head.status, head.header("x-end")), (204, Some("1")), "{field}");
            assert!(head.all("content-length").is_empty(), "{field}: {:?}", head.headers);
            assert!(head.all("transfer-encoding").is_empty(), "{field}: {:?}", head.headers);
        }
        let hints = format!("HTTP/1.1 103 Early Hints\r\n{field}\r\nLink: </a>\r\n\r\n");
        let backend = saying([hints.as_bytes(), &answer("ok")].concat());
        let vhost = serve(&backend);
        let mut client = vhost.connect();
        client.send("GET /bad HTTP/1.1\r\nHost: example.com\r\n\r\n");
        let head = client.read_head().unwrap();
        assert_eq!((head.status, head.header("link")), (103, Some("</a>")), "{field}");
        assert!(head.all("content-length").is_empty(), "{field}: {:?}", head.headers);
        assert!(head.all("transfer-encoding").is_empty(), "{field}: {:?}", head.headers);
        assert_eq!(client.read_response().text(), "ok");
    }
}

/// A failure behind an interim answer is a failure still, and says so.
#[test]
fn a_bad_answer_behind_an_interim_one_is_a_502() {
    is_refused_behind("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi");
    is_refused_behind("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n");
}

#[track_caller]
fn is_refused_behind(bad: &str) {
    let vhost = serve(&saying(format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{bad}")));
    let mut client = vhost.connect();
    client.send("GET /bad HTTP/1.1\r\nHost: example.com\r\n\r\n");
    // The interim answer may come or not: the two are read at once.
    let mut response = client.read_head().unwrap();
    if response.status == 103 {
        response = client.read_head().unwrap();
    }
    assert_eq!(response.status, 502, "{bad:?}");
}

#[test]
fn chunks_that_are_none_break_the_answer_off() {
    for chunks in [
        "0x2\r\nhi\r\n0\r\n\r\n",
        "+2\r\nhi\r\n0\r\n\r\n",
        "-2\r\nhi\r\n0\r\n\r\n",
        "zz\r\nhi\r\n0\r\n\r\n",
        "2\r\nhiX\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhi\r\n0\r\n\r\n",
    ] {
        let bad = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let backend = saying(bad);
        let vhost = serve(&backend);
        let mut client = vhost.connect();
        client.send("POST /bad HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n");
        match client.try_read_response() {
            Ok(response) => assert_eq!(response.status, 502, "{chunks:?}: {}", response.text()),
            Err(_) => assert!(client.closed_within(SOON).is_some(), "{chunks:?}"),
        }
        vhost.wait_for_log("reason=upstream_");
        assert_eq!(vhost.get("example.com", "/").text(), "ok");
        assert_eq!(backend.received().len(), 2, "{chunks:?}: its connection is used no more");
    }
}

/// A body that only the end of the connection ends: one that breaks must not look whole.
#[test]
fn a_body_that_ends_in_a_reset_is_broken_off() {
    let backend = RawBackend::start(|connection| {
        connection.read_request();
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nonly a part");
        // The proxy has read it before the reset comes, which would throw it away.
        std::thread::sleep(Duration::from_millis(200));
        connection.reset();
    });
    let vhost = serve(&backend);
    let mut client = vhost.connect();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    client.try_read_response().expect_err("it does not look whole");
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        client.get("example.com", "/").await.expect_err("the stream is reset");
    });
    vhost.wait_for_log("upstream_reset");
}

/// Over TLS, the end of the connection is told (RFC 8446 §6.1); one that is not may be somebody else's.
#[test]
fn a_body_that_ends_without_close_notify_is_broken_off() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let config = authority.serves("web.internal", &["http/1.1"]);
    let (listener, asked) =
        (std::net::TcpListener::bind((free_ip(), 0)).unwrap(), Arc::new(AtomicUsize::new(0)));
    let (address, counted) = (listener.local_addr().unwrap(), Arc::clone(&asked));
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let (config, counted) = (Arc::clone(&config), Arc::clone(&counted));
            std::thread::spawn(move || {
                use std::io::{Read, Write};
                let mut tls = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::Stream::new(&mut tls, &mut socket);
                let mut head = [0; 4096];
                if stream.read(&mut head).is_ok_and(|read| read > 0) {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nonly a part");
                    let _ = stream.flush();
                }
                // And no close_notify.
                let _ = socket.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    let ca = authority.write_to(directory.path());
    let vhost = Setup::new()
        .tcp_probes()
        .set("health_check.unhealthy_threshold", 1000)
        .domain("example.com", "a")
        .backend_with(
            "web",
            address,
            &["a"],
            &format!(
                "scheme = \"https\"\ntls_server_name = \"web.internal\"\ntls_ca_file = {ca:?}"
            ),
        )
        .start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    client.try_read_response().expect_err("it does not look whole");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
