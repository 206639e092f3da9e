//! The instruments, tried without the proxy: what they can't see, no test can.

use std::time::Duration;

use super::*;

#[test]
fn a_backend_says_who_it_is_and_what_it_received() {
    let backend = Backend::start("self");
    let mut client = Client::connect(backend.socket_addr());
    let response = client.post("example.com", "/x?y=1", b"hello");
    assert_eq!((response.status, response.backend()), (200, Some("self")));
    let echo = response.echo();
    assert_eq!((&echo["method"], &echo["uri"]), (&"POST".into(), &"/x?y=1".into()));
    assert_eq!((&echo["length"], &echo["checksum"]), (&5.into(), &checksum(b"hello").into()));
    assert_eq!(response.sent("host"), ["example.com"]);
    assert_eq!(client.get("example.com", "/status/503").status, 503);
    assert_eq!((backend.requests(), backend.connections()), (2, 1));
}

#[test]
fn a_stream_that_lost_a_chunk_is_noticed() {
    let backend = Backend::start("self");
    let response = get(backend.socket_addr(), "example.com", "/stream?chunks=3&ms=1");
    assert_eq!(response.framing, Framing::Chunked);
    check_stream(&response.body, 3).expect("whole");
    let cut = [&response.body[..1024], &response.body[2048..]].concat();
    check_stream(&cut, 3).expect_err("a chunk is missing");
    check_stream(&response.body[..3072], 3).expect_err("the checksum is missing");
}

#[test]
fn what_is_held_ends_when_it_is_released() {
    let backend = Backend::start("self");
    let mut client = Client::connect(backend.socket_addr());
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("the request is held", Duration::from_secs(5), || backend.held() == 1);
    assert!(client.is_idle());
    backend.release();
    assert_eq!(client.read_response().status, 200);
    assert_eq!(backend.held(), 0);
}

#[test]
fn web_sockets_echo() {
    let backend = Backend::start("self");
    let mut socket = WebSocket::open(backend.socket_addr(), "example.com");
    assert_eq!(socket.backend, "self");
    socket.echo("one").unwrap();
    assert_eq!(backend.web_sockets(), 1);
    socket.close().unwrap();
    eventually("it is closed", Duration::from_secs(5), || backend.web_sockets() == 0);
}

#[test]
fn http2_is_spoken_in_the_clear() {
    let backend = Backend::builder("self").h2c().start();
    in_runtime(async {
        let mut connection = H2::connect(backend.socket_addr()).await;
        let response = connection.get("example.com", "/x").await.expect("an answer");
        assert_eq!(response.status, 200);
        assert_eq!(response.headers["x-backend"], "self");
    });
}

#[test]
fn a_raw_backend_records_what_it_gets() {
    let backend = RawBackend::start(|connection| {
        while connection.read_request().is_some() {
            connection.send(&answer("raw"));
        }
    });
    let mut client = Client::connect(backend.address());
    assert_eq!(client.post("x", "/", b"abc").text(), "raw");
    assert_eq!(client.get("x", "/").text(), "raw");
    let text = backend.received_text();
    assert!(text.contains("abcGET / HTTP/1.1"), "{text}");
}

#[test]
fn a_full_backlog_neither_accepts_nor_refuses() {
    let backlog = FullBacklog::start();
    let error =
        std::net::TcpStream::connect_timeout(&backlog.address(), Duration::from_millis(200))
            .expect_err("nobody accepts");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn a_stopped_backend_refuses_and_can_start_again() {
    let backend = Backend::start("self");
    let mut client = Client::connect(backend.socket_addr());
    client.get("x", "/");
    backend.hang_up();
    assert!(client.closed_within(Duration::from_secs(5)).is_some());
    let address = backend.stop();
    assert!(Client::try_connect(address).is_err());
    let _backend = Backend::builder("again").at(address).start();
    assert_eq!(get(address, "x", "/").backend(), Some("again"));
}
