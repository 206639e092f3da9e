//! `WebSockets` through the proxy.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_tungstenite::tungstenite;
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use crate::harness::*;

/// Without the cure in `upstream/upgrade.rs`, one in about twenty-five is closed as soon as it is open.
#[test]
fn a_backend_that_answers_at_once_does_not_end_its_web_socket() {
    let backend = Backend::start("a1");
    let vhost =
        Setup::new().domain("example.com", "a").backend("a1", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    for number in 0..400 {
        let mut socket = WebSocket::try_open(vhost.http(), "example.com")
            .unwrap_or_else(|error| panic!("opening number {number}: {error}"));
        socket.echo("hello").unwrap_or_else(|error| panic!("in number {number}: {error}"));
        socket.close().unwrap_or_else(|error| panic!("closing number {number}: {error}"));
    }
}

/// A WebSocket over a fresh connection, past the backend's hello.
fn open(vhost: &Vhost) -> tungstenite::WebSocket<TcpStream> {
    let stream = TcpStream::connect(vhost.http()).expect("the proxy accepts");
    stream.set_nodelay(true).expect("TCP_NODELAY can be set");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    let (mut socket, response) = tungstenite::client("ws://example.com/ws", stream).expect("opens");
    assert_eq!(response.status(), 101);
    assert_eq!(socket.read().expect("a hello"), Message::text("web"));
    socket
}

fn echoing() -> (Backend, Vhost) {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    (backend, vhost)
}

#[test]
fn texts_bytes_and_fragments_come_back_as_they_went() {
    let (_backend, vhost) = echoing();
    let mut socket = open(&vhost);
    let megabyte: Vec<u8> =
        (0..1 << 20).map(|n: u32| n.wrapping_mul(31).to_le_bytes()[1]).collect();
    for message in [
        Message::text("grüße"),
        Message::text(""),
        Message::binary(vec![0, 255, 13, 10, 0]),
        Message::binary(megabyte.clone()),
        Message::text("x".repeat(1 << 20)),
    ] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    // One message in frames, with a ping between them (RFC 6455 §5.4).
    let frame = |opcode, last, payload: &[u8]| {
        Message::Frame(Frame::message(payload.to_vec(), OpCode::Data(opcode), last))
    };
    let pieces: Vec<_> = megabyte.chunks(100_000).collect();
    for (index, piece) in pieces.iter().enumerate() {
        let opcode = if index == 0 { Data::Binary } else { Data::Continue };
        socket.send(frame(opcode, index + 1 == pieces.len(), piece)).unwrap();
        if index == 3 {
            socket.send(Message::Ping(b"still there"[..].into())).unwrap();
            assert_eq!(socket.read().unwrap(), Message::Pong(b"still there"[..].into()));
        }
    }
    assert_eq!(socket.read().unwrap(), Message::binary(megabyte));
}

#[test]
fn pings_go_both_ways_and_hold_the_connection() {
    let (_backend, vhost) = echoing();
    let mut socket = open(&vhost);
    for payload in [&b""[..], b"ping", &[0xff; 125]] {
        socket.send(Message::Ping(payload.to_vec().into())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong(payload.to_vec().into()));
    }
    // A pong that nobody asked for is no answer to anything.
    socket.send(Message::Pong(b"unasked"[..].into())).unwrap();
    socket.send(Message::text("after")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("after"));
}

#[test]
fn close_codes_and_reasons_come_back() {
    let (backend, vhost) = echoing();
    for (code, reason) in [
        (CloseCode::Normal, "bye"),
        (CloseCode::Away, ""),
        (CloseCode::Policy, "not you"),
        (CloseCode::Library(4321), "grüße"),
    ] {
        let mut socket = open(&vhost);
        socket.close(Some(CloseFrame { code, reason: reason.into() })).unwrap();
        let Message::Close(Some(answer)) = socket.read().unwrap() else {
            panic!("{code}: no close")
        };
        assert_eq!(answer.code, code);
        assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)), "{code}");
    }
    eventually("none is left", Duration::from_secs(10), || {
        backend.web_sockets() == 0 && vhost.in_flight() == 0
    });
}

#[test]
fn a_thousand_sockets_at_once_are_all_served() {
    let (backend, vhost) = echoing();
    let mut sockets: Vec<_> = (0..1000).map(|_| open(&vhost)).collect();
    assert_eq!(backend.web_sockets(), 1000);
    for round in 0..3 {
        for (number, socket) in sockets.iter_mut().enumerate() {
            socket.send(Message::text(format!("{round} {number}"))).unwrap();
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            assert_eq!(socket.read().unwrap(), Message::text(format!("{round} {number}")));
        }
    }
    drop(sockets);
    eventually("none is left", Duration::from_secs(20), || {
        backend.web_sockets() == 0 && vhost.in_flight() == 0
    });
}

/// What is sent right behind the request, before the answer to it, belongs to the WebSocket.
#[test]
fn a_client_may_speak_before_the_upgrade_is_answered() {
    let (_backend, vhost) = echoing();
    let mut client = vhost.connect();
    // A masked text `hi`, by the key 0.
    let early = b"\x81\x82\0\0\0\0hi";
    let request = b"GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.send([&request[..], early].concat());
    let head = client.read_head().unwrap();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(client.take(5).unwrap(), b"\x81\x03web");
    assert_eq!(client.take(4).unwrap(), b"\x81\x02hi");
}

/// Nobody would find it again: it would only take a place at the backend.
#[test]
fn the_connection_of_a_refused_upgrade_is_not_kept() {
    let closed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&closed);
    let backend = RawBackend::start(move |connection| {
        let mut requests = 0;
        while connection.read_request().is_some() {
            requests += 1;
            connection.send(&answer("plain"));
        }
        counter.fetch_add(requests, Ordering::SeqCst);
    });
    let vhost = Setup::new()
        .tcp_probes()
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(vhost.connect().get_with("example.com", "/", upgrade).status, 200);
    eventually("it is closed", Duration::from_secs(10), || closed.load(Ordering::SeqCst) == 1);
}

/// An upgrade that the backend does not take is an ordinary request: what follows is the next one.
#[test]
fn an_upgrade_that_is_refused_leaves_the_connection_in_step() {
    let (backend, vhost) = echoing();
    let mut client = vhost.connect();
    let upgrade = "GET /plain HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\n\r\n";
    client.send(upgrade.repeat(2) + "GET /next HTTP/1.1\r\nHost: example.com\r\n\r\n");
    for uri in ["/plain", "/plain", "/next"] {
        assert_eq!(client.read_response().echo()["uri"], uri);
    }
    assert_eq!(backend.requests(), 3);
}
