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
fn a_backend_counts_how_often_it_was_sent_a_number() {
    let backend = Backend::start("self");
    let mut client = Client::connect(backend.socket_addr());
    for order in ["one", "two", "one"] {
        assert_eq!(client.get_with("x", "/", &format!("{ORDER}: {order}\r\n")).status, 200);
    }
    assert_eq!(client.get("x", "/").status, 200);
    assert_eq!(backend.orders(), [("one".to_owned(), 2), ("two".to_owned(), 1)].into());
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

#[test]
fn a_tls_client_tells_what_was_agreed_on() {
    let authority = Authority::new();
    let tls = authority.serves("shop.test", &["h2", "http/1.1"]);
    let backend = Backend::builder("self").tls(tls).start();
    let address = backend.socket_addr();
    let client = TlsClient::trusting(&authority.pem());

    let mut connection =
        client.clone().alpn(&["http/1.1"]).connect(address, Some("shop.test")).unwrap();
    let Handshake { chain, alpn, version, resumed } = connection.handshake();
    assert_eq!((names_of(&chain), alpn.as_deref()), (vec!["shop.test".into()], Some("http/1.1")));
    assert_eq!((version, resumed), (rustls::ProtocolVersion::TLSv1_3, false));
    assert_eq!(connection.get("shop.test", "/").backend(), Some("self"));
    check_stream(&connection.get("shop.test", "/stream?chunks=30&ms=1").body, 30).unwrap();
    backend.hang_up();
    assert!(connection.closed_within(Duration::from_secs(5)).is_some());

    let old = client.clone().only(&rustls::version::TLS12).connect(address, Some("shop.test"));
    assert_eq!(old.unwrap().handshake().version, rustls::ProtocolVersion::TLSv1_2);
    client.connect(address, Some("other.test")).err().expect("another name");
    client.connect(address, None).err().expect("not for the IP");
    let any = TlsClient::accepts_any();
    assert_eq!(any.connect(address, None).unwrap().handshake().serial(), serial_of(&chain));
    let error = any.alpn(&["acme-tls/1"]).connect(address, Some("shop.test")).err().unwrap();
    assert_eq!(alert_of(&error), Some(rustls::AlertDescription::NoApplicationProtocol));

    for resuming in [false, true] {
        let client = if resuming { client.clone().resuming() } else { client.clone() };
        for earlier in [false, true] {
            let mut connection = client.connect(address, Some("shop.test")).unwrap();
            assert_eq!(connection.handshake().resumed, resuming && earlier);
            // Tickets come with the answer.
            connection.get("shop.test", "/");
        }
    }
}

#[test]
fn http2_and_web_sockets_go_over_tls() {
    let authority = Authority::new();
    let tls = authority.serves("shop.test", &["h2", "http/1.1"]);
    let backend = Backend::builder("self").tls(tls).start();
    let client = TlsClient::trusting(&authority.pem());
    in_runtime(async {
        let (mut connection, handshake) =
            client.connect_h2(backend.socket_addr(), Some("shop.test")).await.unwrap();
        assert_eq!(handshake.alpn.as_deref(), Some("h2"));
        let response = connection.get("shop.test", "/x").await.unwrap();
        assert_eq!(response.headers["x-backend"], "self");
    });
    let mut socket = client.open_web_socket(backend.socket_addr(), "shop.test").unwrap();
    assert_eq!(socket.backend, "self");
    socket.echo("one").unwrap();
    assert!(socket.stays_open_for(Duration::from_millis(50)));
    socket.close().unwrap();
}

#[test]
fn certificate_files_can_be_replaced() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let first = authority.issue(&["shop.test", "127.0.0.1"]);
    let files = first.write_to(directory.path(), "shop");
    assert!(files.tls_line().contains("shop.pem"));
    assert_eq!(std::fs::read_to_string(&files.cert).unwrap(), first.cert());
    let second = authority.issue_in(2000..2001, &["shop.test"]);
    assert_ne!(first.serial(), second.serial());
    files.replace(&second);
    assert_eq!(std::fs::read_to_string(&files.key).unwrap(), second.key());
}

#[test]
fn both_listeners_share_an_ip_that_nobody_else_has() {
    let setup = Setup::new();
    let (http, https) = (setup.http_address(), setup.https_address());
    assert!(http.ip() == https.ip() && http.port() != https.port());
    assert_ne!(Setup::new().http_address().ip(), http.ip());
    let vhost = setup.start();
    assert_eq!((vhost.http(), vhost.https()), (http, https));
}
