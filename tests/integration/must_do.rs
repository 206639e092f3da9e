//! What Pingora does not do by itself: the must-do list of 0.9.1, by its numbers.
//!
//! 8 (hosts are normalised) and 14 (own answers keep the connection) are held in `routing`; 11 (no
//! module is built per request) shows on no wire and is a unit test of the proxy.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use serde_json::json;

use crate::harness::*;

/// A server with one domain, `example.com`, and one backend, `web`.
fn one_backend(backend: impl ToString) -> Setup {
    Setup::new().domain("example.com", "a").backend("web", backend, &["a"])
}

/// As [`one_backend`], for a backend that answers no probe and is tried all the same.
fn one_raw_backend(backend: &RawBackend) -> Setup {
    one_backend(backend.address()).tcp_probes().set("health_check.unhealthy_threshold", 1000)
}

/// 1: Pingora writes the terminator twice, and the surplus is read as the next request.
#[test]
fn an_h2_body_that_ends_in_an_empty_frame_reaches_an_h1_backend_with_one_terminator() {
    for length in [None, Some("5")] {
        let backend = RawBackend::start(|connection| {
            while let Some(head) = connection.read_head() {
                connection.read_until_quiet(Duration::from_millis(300));
                if head.starts_with("POST") {
                    connection.forget_unread();
                }
                connection.send(&answer("ok"));
            }
        });
        let vhost = one_raw_backend(&backend).start();
        vhost.wait_until_healthy(1);
        in_runtime(async {
            let mut connection = H2::connect(vhost.http()).await;
            let mut request = Request::post("http://example.com/upload");
            if let Some(length) = length {
                request = request.header("content-length", length);
            }
            let (response, mut body) =
                connection.start(request.body(()).unwrap(), false).await.unwrap();
            body.send_data(Bytes::from_static(b"hello"), false).unwrap();
            body.send_data(Bytes::new(), true).unwrap();
            assert_eq!(read(response).await.unwrap().status, 200);
            assert_eq!(connection.get("example.com", "/next").await.unwrap().status, 200);
        });
        let received = backend.received_text();
        let (_, after_head) = received.split_once("\r\n\r\n").expect("a head");
        let expected = if length.is_some() { "hello" } else { "5\r\nhello\r\n0\r\n\r\n" };
        let rest = after_head.strip_prefix(expected).unwrap_or_else(|| panic!("{received:?}"));
        assert!(rest.starts_with("GET /next HTTP/1.1\r\n"), "{received:?}");
    }
}

/// 2: without a first byte, between requests, and in a head that never ends.
#[test]
fn idle_connections_are_closed() {
    let backend = Backend::start("web");
    let vhost = one_backend(backend.address()).set("proxy.idle_timeout_secs", 0.5).start();
    let mut silent = vhost.connect();
    assert!(silent.closed_within(Duration::from_secs(10)).is_some(), "nothing was ever sent");
    let mut used = vhost.connect();
    assert_eq!(used.get("example.com", "/").status, 200);
    assert!(used.closed_within(Duration::from_secs(10)).is_some(), "idle after a request");
}

#[test]
fn a_head_that_drips_in_ends_in_408() {
    let backend = Backend::start("web");
    let vhost = one_backend(backend.address())
        .set("proxy.idle_timeout_secs", 30)
        .set("proxy.header_timeout_secs", 1)
        .start();
    vhost.wait_until_healthy(1);
    for earlier_requests in [0, 1] {
        let mut client = vhost.connect();
        for _ in 0..earlier_requests {
            assert_eq!(client.get("example.com", "/").status, 200);
        }
        let start = Instant::now();
        client.send("GET / HTTP/1.1\r\nHost: example.com\r\n");
        while client.is_idle() && start.elapsed() < Duration::from_secs(15) {
            let _ = client.try_send("X-Drip: 1\r\n");
            std::thread::sleep(Duration::from_millis(50));
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(10), "open after {took:?}");
        assert_eq!(client.read_response().status, 408, "after {earlier_requests} requests");
        assert!(client.closed_within(Duration::from_secs(10)).is_some());
    }
}

#[test]
fn a_head_that_is_too_large_gets_431() {
    let backend = Backend::start("web");
    let vhost = one_backend(backend.address()).set("proxy.max_header_bytes", 8192).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    let fits = format!("X-Large: {}\r\n", "x".repeat(6000));
    assert_eq!(client.get_with("example.com", "/", &fits).status, 200);
    let too_large = format!("X-Large: {}\r\n", "x".repeat(9000));
    client.send(format!("GET / HTTP/1.1\r\nHost: example.com\r\n{too_large}\r\n"));
    assert_eq!(client.read_response().status, 431);
}

/// 3
#[test]
fn a_silent_web_socket_outlives_the_read_timeouts() {
    let backend = Backend::start("web");
    let vhost = one_backend(backend.address())
        .set("proxy.read_timeout_secs", 0.5)
        .set("proxy.idle_timeout_secs", 0.5)
        .set("upstream.read_timeout_secs", 0.5)
        .set("upstream.idle_timeout_secs", 0.5)
        .start();
    vhost.wait_until_healthy(1);
    let mut socket = WebSocket::open(vhost.http(), "example.com");
    socket.echo("before").unwrap();
    assert!(socket.stays_open_for(Duration::from_secs(2)), "cut by a read timeout");
    socket.echo("after").unwrap();
    socket.close().unwrap();
}

#[test]
fn a_web_socket_that_is_silent_for_too_long_is_closed() {
    let backend = Backend::start("web");
    let vhost = one_backend(backend.address()).set("proxy.websocket_idle_timeout_secs", 1).start();
    vhost.wait_until_healthy(1);
    let mut socket = WebSocket::open(vhost.http(), "example.com");
    socket.echo("before").unwrap();
    assert!(!socket.stays_open_for(Duration::from_secs(10)));
    eventually("the backend's end is closed too", Duration::from_secs(10), || {
        backend.web_sockets() == 0
    });
}

/// 4: all four are unset in Pingora.
#[test]
fn a_connection_that_is_never_accepted_times_out() {
    let backlog = FullBacklog::start();
    let vhost = one_backend(backlog.address())
        .set("health_check.interval_secs", 60)
        .set("upstream.connect_timeout_secs", 0.3)
        .set("upstream.max_tries", 1)
        .start();
    let start = Instant::now();
    let response = vhost.get("example.com", "/");
    assert_eq!(response.status, 502);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_backend_that_says_nothing_gets_504() {
    let backend = RawBackend::start(RawConnection::wait_for_close);
    let vhost = one_raw_backend(&backend).set("upstream.read_timeout_secs", 0.5).start();
    vhost.wait_until_healthy(1);
    let start = Instant::now();
    assert_eq!(vhost.get("example.com", "/").status, 504);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_backend_that_does_not_read_an_upload_times_out() {
    let backend = RawBackend::start(|connection| {
        connection.read_head();
        connection.stall();
    });
    let vhost = one_raw_backend(&backend)
        .set("upstream.write_timeout_secs", 0.5)
        // After the write has failed, an answer that explains it is still waited for. Long enough
        // that silence while writing is not what ends it.
        .set("upstream.read_timeout_secs", 3)
        .start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    let mut uploading = client.stream().try_clone().unwrap();
    let start = Instant::now();
    let upload = std::thread::spawn(move || {
        let length = 64 << 20;
        let head =
            format!("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: {length}\r\n\r\n");
        let _ = std::io::Write::write_all(&mut uploading, head.as_bytes());
        // More than the socket buffers hold, so that somebody has to read.
        let _ = std::io::Write::write_all(&mut uploading, &vec![b'x'; length]);
    });
    let head = client.read_head();
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    // The answer may be lost in the reset that the unread upload causes; hanging is the failure.
    if let Ok(response) = head {
        assert_eq!(response.status, 504);
    }
    drop(client);
    upload.join().unwrap();
    eventually("it is not in flight", Duration::from_secs(10), || vhost.in_flight() == 0);
}

#[test]
fn a_kept_connection_to_a_backend_is_closed_when_idle() {
    let (closed, when) = mpsc::channel();
    let closed = std::sync::Mutex::new(closed);
    let backend = RawBackend::start(move |connection| {
        connection.read_request();
        connection.send(&answer("ok"));
        let start = Instant::now();
        connection.wait_for_close();
        let _ = closed.lock().unwrap().send(start.elapsed());
    });
    let vhost = one_raw_backend(&backend).set("upstream.idle_timeout_secs", 0.5).start();
    vhost.wait_until_healthy(1);
    assert_eq!(vhost.get("example.com", "/").status, 200);
    let took = when.recv_timeout(Duration::from_secs(15)).expect("the connection is closed");
    assert!(took < Duration::from_secs(10), "closed after {took:?}");
}

/// A client that stops in the middle of its upload is to blame, not the backend.
#[test]
fn an_upload_that_stalls_gets_408_and_the_backend_is_not_blamed() {
    for (downstream, upstream) in [(0.5, 20.0), (20.0, 0.5)] {
        let backend = Backend::start("web");
        let vhost = one_backend(backend.address())
            .set("proxy.read_timeout_secs", downstream)
            .set("upstream.read_timeout_secs", upstream)
            .set("health_check.count_5xx", true)
            .start();
        vhost.wait_until_healthy(1);
        let mut client = vhost.connect();
        client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100\r\n\r\nhalf");
        let response = client.read_response();
        assert_eq!(response.status, 408, "timeouts {downstream} and {upstream}");
        assert_eq!(vhost.backend("web")["failures"], 0);
        eventually("it is not in flight", Duration::from_secs(10), || vhost.in_flight() == 0);
    }
}

/// 5
#[test]
fn an_idle_h2_connection_is_closed() {
    let backend = Backend::start("web");
    let vhost = one_backend(backend.address()).set("proxy.idle_timeout_secs", 0.5).start();
    vhost.wait_until_healthy(1);
    in_runtime(async {
        let mut used = H2::connect(vhost.http()).await;
        assert_eq!(used.get("example.com", "/").await.unwrap().status, 200);
        assert!(used.closed_within(Duration::from_secs(10)).await.is_some(), "after a request");
        let mut unused = H2::connect(vhost.http()).await;
        assert!(unused.closed_within(Duration::from_secs(10)).await.is_some(), "without one");
    });
    let mut sniffed = vhost.connect();
    sniffed.send("PRI * HT");
    assert!(sniffed.closed_within(Duration::from_secs(15)).is_some(), "in the preface");
}

/// 6
#[test]
fn a_client_of_http_1_0_gets_no_chunks() {
    let backend = Backend::start("web");
    let vhost = one_backend(backend.address()).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    client.send("GET /stream?chunks=5&ms=1 HTTP/1.0\r\nHost: example.com\r\n\r\n");
    let response = client.read_response();
    assert_eq!((response.status, response.framing), (200, Framing::Close));
    assert_eq!((response.header("transfer-encoding"), response.header("trailer")), (None, None));
    check_stream(&response.body, 5).unwrap();
}

/// 7
#[test]
fn answers_given_while_shutting_down_close_the_connection() {
    let backend = Backend::start("web");
    let mut vhost = one_backend(backend.address()).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("the request is held", Duration::from_secs(10), || backend.held() == 1);
    vhost.signal(nix::sys::signal::Signal::SIGTERM);
    eventually("nobody is accepted any more", Duration::from_secs(10), || {
        Client::try_connect(vhost.http()).is_err()
    });
    backend.release();
    let response = client.read_response();
    assert_eq!(response.status, 200);
    assert!(response.closes(), "{:?}", response.headers);
    assert!(vhost.wait_for_exit(Duration::from_secs(10)).success());
}

/// 9
#[test]
fn a_backend_gets_the_origin_form_and_one_content_length_or_none() {
    let backend = RawBackend::start(|connection| {
        while connection.read_request().is_some() {
            connection.send(&answer("ok"));
        }
    });
    let vhost = one_raw_backend(&backend).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    client.send("GET http://example.com/x?y=1 HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert_eq!(client.read_response().status, 200);
    client.send("GET http://example.com HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert_eq!(client.read_response().status, 200);
    let received = backend.received_text();
    let lines: Vec<_> = received.lines().collect();
    assert!(lines.contains(&"GET /x?y=1 HTTP/1.1"), "{received}");
    assert!(lines.contains(&"GET / HTTP/1.1"), "{received}");
    // Two lengths are refused, equal ones too; on HTTP/1 so is a list (see `hostile`).
    in_runtime(async {
        let mut connection = H2::connect(vhost.http()).await;
        let request = Request::post("http://example.com/p")
            .header("content-length", "3")
            .header("content-length", "3")
            .body(())
            .unwrap();
        let (response, mut body) = connection.start(request, false).await.unwrap();
        let _ = body.send_data(Bytes::from_static(b"abc"), true);
        let status = read(response).await.map(|response| response.status.as_u16());
        assert!(matches!(status, Ok(400) | Err(_)), "{status:?}");
    });
    assert!(!backend.received_text().contains("/p"));
}

/// 10
#[test]
fn clients_that_go_away_cause_no_error_line() {
    let backend = Backend::start("web");
    let vhost = one_backend(backend.address()).start();
    vhost.wait_until_healthy(1);
    for request in [
        "GET / HTT",
        "GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "GET /stream?chunks=1000&ms=1 HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100\r\n\r\nhalf",
    ] {
        let mut client = vhost.connect();
        client.send(request);
        if request.contains("HTTP/1.1") {
            let before = vhost.rpc("state.get", json!({})).unwrap()["requests"].clone();
            eventually("the request has arrived", Duration::from_secs(10), || {
                vhost.in_flight() > 0
                    || vhost.rpc("state.get", json!({})).unwrap()["requests"] != before
            });
        }
        client.reset();
    }
    in_runtime(async {
        let mut connection = H2::connect(vhost.http()).await;
        let request = Request::get("http://example.com/hold").body(()).unwrap();
        let (response, _) = connection.start(request, true).await.unwrap();
        drop(response);
    });
    eventually("nothing is in flight", Duration::from_secs(10), || vhost.in_flight() == 0);
    assert_eq!(vhost.get("after.them.all", "/").status, 404);
    vhost.wait_for_log("after.them.all");
    assert_eq!(vhost.log_lines("ERROR"), [""; 0]);
    assert_eq!(vhost.log_lines("panicked"), [""; 0]);
}

/// 12: Pingora's own resolution blocks the thread and panics.
#[test]
fn a_backend_whose_name_does_not_resolve_harms_nobody() {
    let backend = Backend::start("web");
    let vhost = one_backend(backend.address())
        .domain("lost.test", "lost")
        .backend("lost", "no-such-host.invalid:80", &["lost"])
        .start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    for _ in 0..3 {
        let response = client.get("lost.test", "/");
        assert!([502, 503].contains(&response.status), "{}", response.status);
        assert_eq!(client.get("example.com", "/").status, 200);
    }
    let reason = vhost.wait_for_health("lost", "unhealthy")["health"]["last_error"].clone();
    assert!(
        reason.as_str().is_some_and(|reason| reason.contains("no-such-host.invalid")),
        "{reason}"
    );
    assert_eq!(vhost.log_lines("panicked"), [""; 0]);
}

/// 13
#[test]
fn a_client_that_disappears_is_not_in_flight_for_ever() {
    let backend = Backend::start("web");
    let vhost = one_backend(backend.address()).start();
    vhost.wait_until_healthy(1);
    for path in ["/hold", "/stream?chunks=100000&ms=1"] {
        let mut client = vhost.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n"));
        eventually("it is in flight", Duration::from_secs(10), || vhost.in_flight() == 1);
        client.reset();
        eventually("it is in flight no more", Duration::from_secs(10), || vhost.in_flight() == 0);
        assert_eq!(vhost.backend("web")["in_flight"], 0, "{path}");
    }
    in_runtime(async {
        let mut connection = H2::connect(vhost.http()).await;
        let request = Request::get("http://example.com/hold").body(()).unwrap();
        let (response, mut stream) = connection.start(request, true).await.unwrap();
        eventually_async("it is in flight", || vhost.in_flight() == 1).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
        eventually_async("it is in flight no more", || vhost.in_flight() == 0).await;
    });
    let socket = WebSocket::open(vhost.http(), "example.com");
    assert_eq!(vhost.in_flight(), 1, "an open WebSocket is in flight");
    drop(socket);
    eventually("the WebSocket is gone", Duration::from_secs(10), || vhost.in_flight() == 0);
}

/// Bytes that follow the head of a `101` at once are the WebSocket's, not lost.
#[test]
fn a_web_socket_whose_backend_speaks_first_is_not_cut() {
    let backend = RawBackend::start(|connection| {
        connection.read_head();
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        connection.send(&[head.as_bytes(), b"\x81\x05hello"].concat());
        while let Some(true) = connection.echo_what_comes() {}
    });
    let vhost = one_raw_backend(&backend).start();
    vhost.wait_until_healthy(1);
    for _ in 0..20 {
        let mut client = vhost.connect();
        client.send(
            "GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        assert_eq!(client.read_response().status, 101);
        assert_eq!(client.take(7).expect("the first message"), b"\x81\x05hello");
        client.send("ping");
        assert_eq!(client.take(4).expect("an echo"), b"ping");
    }
}
