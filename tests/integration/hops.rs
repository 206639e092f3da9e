//! What is said between two neighbours, and goes no further.

use std::time::Duration;

use http::Request;

use crate::harness::*;

/// A server with one raw backend that gives the same answer to each request.
fn answering(answer: &'static [u8]) -> (RawBackend, Vhost) {
    let backend = RawBackend::start(move |connection| {
        while connection.read_request().is_some() {
            connection.send(answer);
        }
    });
    let vhost = Setup::new()
        .tcp_probes()
        .set("health_check.interval_secs", 60)
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    (backend, vhost)
}

#[test]
fn what_a_client_says_about_its_connection_stays_with_it() {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    let response = client.get_with(
        "example.com",
        "/",
        "Connection: X-Mine, keep-alive\r\nConnection: X-Too\r\nX-Mine: 1\r\nX-Too: 2\r\nX-End: 3\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers, deflate;q=0.5\r\n\
         Upgrade: h2c, foo/2\r\n",
    );
    assert_eq!(response.sent("x-end"), ["3"]);
    for name in ["x-mine", "x-too", "keep-alive", "proxy-connection", "te", "upgrade", "connection"]
    {
        assert!(response.sent(name).is_empty(), "{name}: {:?}", response.sent(name));
    }
    let via = client.get_with("example.com", "/", "Via: 1.0 first\r\n").sent("via");
    assert!(matches!(&via[..], [one, own] if one == "1.0 first" && own.starts_with("1.1 vhost-")));
}

#[test]
fn what_a_backend_says_about_its_connection_stays_with_it() {
    let (_backend, vhost) = answering(
        b"HTTP/1.1 200 OK\r\nConnection: X-Mine, keep-alive\r\nX-Mine: 1\r\nX-End: 3\r\n\
          Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n\
          Upgrade: h2c\r\nContent-Length: 2\r\n\r\nok",
    );
    let response = vhost.get("example.com", "/");
    assert_eq!((response.text().as_str(), response.header("x-end")), ("ok", Some("3")));
    for name in ["x-mine", "keep-alive", "proxy-connection", "te", "upgrade"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert_eq!(response.all("connection"), ["keep-alive"]);
}

/// Its backend is itself.
#[test]
fn a_loop_ends_soon() {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    let own = vhost.connect().get("example.com", "/").sent("via").concat();
    let passed = |times: usize| {
        let via = format!("Via: 1.1 other, {}\r\n", vec![own.as_str(); times].join(", "));
        vhost.connect().get_with("example.com", "/", &via).status
    };
    assert_eq!([passed(1), passed(3), passed(4)], [200, 200, 508]);
    assert_eq!(backend.requests(), 3);
    let line = vhost.wait_for_log("reason=loop_detected").concat();
    assert!(line.contains("status=508"), "{line}");
}

#[test]
fn te_trailers_of_http2_reaches_http2() {
    let backend = Backend::builder("web").h2c().start();
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend_with("web", backend.address(), &["a"], "scheme = \"h2c\"")
        .start();
    vhost.wait_until_healthy(1);
    in_runtime(async {
        let mut connection = H2::connect(vhost.http()).await;
        let request =
            Request::get("http://example.com/").header("te", "trailers").body(()).unwrap();
        let (response, _) = connection.start(request, true).await.unwrap();
        let echo: serde_json::Value =
            serde_json::from_slice(&read(response).await.unwrap().body).unwrap();
        let headers = echo["headers"].to_string();
        assert!(headers.contains(r#"["te","trailers"]"#), "{headers}");
        assert!(headers.contains(r#"["via","2.0 vhost-"#), "{headers}");
    });
    // What HTTP/1 says of trailers is of no use to HTTP/2.
    let response = vhost.connect().get_with("example.com", "/", "TE: trailers\r\n");
    assert!(response.sent("te").is_empty());
}

/// A body that a head announces and that must not come is not waited for.
#[test]
fn answers_without_a_body_have_none() {
    for (method, answer, status) in [
        ("HEAD", &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nX-End: 1\r\n\r\n"[..], 200),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-End: 1\r\n\r\n", 200),
        ("HEAD", b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nX-End: 1\r\n\r\n", 404),
        ("GET", b"HTTP/1.1 204 No Content\r\nX-End: 1\r\n\r\n", 204),
        ("POST", b"HTTP/1.1 204 No Content\r\nX-End: 1\r\n\r\n", 204),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\nX-End: 1\r\n\r\n", 304),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nX-End: 1\r\n\r\n", 304),
    ] {
        let (backend, vhost) = answering(answer);
        let mut client = vhost.connect();
        for round in 0..3 {
            client.send(format!(
                "{method} / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n"
            ));
            let head = client.read_head().expect("an answer");
            assert_eq!(
                (head.status, head.header("x-end")),
                (status, Some("1")),
                "{method} {round}"
            );
            assert!(!head.closes(), "{method} {status}: {:?}", head.headers);
        }
        assert!(client.is_idle(), "{method} {status}: nothing behind the head");
        assert_eq!(backend.received().len(), 1, "{method} {status}: one connection for all");
        in_runtime(async {
            let mut connection = H2::connect(vhost.http()).await;
            let request =
                Request::builder().method(method).uri("http://example.com/").body(()).unwrap();
            let (response, _) = connection.start(request, true).await.unwrap();
            let response = read(response).await.unwrap();
            assert_eq!((response.status.as_u16(), response.body.len()), (status, 0), "{method}");
        });
    }
}

#[test]
fn early_hints_and_other_interim_answers_pass_before_the_final_one() {
    let (_backend, vhost) = answering(
        b"HTTP/1.1 102 Processing\r\n\r\n\
          HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
          HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let mut client = vhost.connect();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        assert_eq!(client.read_head().unwrap().status, 102);
        for style in ["a", "b"] {
            let hint = client.read_head().unwrap();
            let link = format!("</{style}.css>; rel=preload");
            assert_eq!((hint.status, hint.header("link")), (103, Some(link.as_str())));
            assert_eq!(hint.header("connection"), None, "{:?}", hint.headers);
        }
        let response = client.read_response();
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
        assert!(!response.closes());
    }
    // HTTP/1.0 knows none (RFC 9110 §15.2).
    let mut old = vhost.connect();
    old.send("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n");
    let first = old.read_head().unwrap();
    assert_eq!((first.status, first.header("link")), (200, None));
    // Pingora drops them on HTTP/2; the final answer comes all the same.
    in_runtime(async {
        let mut connection = H2::connect(vhost.http()).await;
        let response = connection.get("example.com", "/").await.unwrap();
        assert_eq!((response.status.as_u16(), response.body.as_slice()), (200, &b"ok"[..]));
    });
}

/// Pingora passes trailers on HTTP/2 alone; the body is whole all the same, and none is announced.
#[test]
fn trailers_of_answers_pass_and_are_announced() {
    let (_backend, vhost) = answering(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
          2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n",
    );
    let mut client = vhost.connect();
    for _ in 0..3 {
        let response = client.get("example.com", "/");
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
        assert_eq!((response.header("trailer"), response.header("x-sum")), (Some("X-Sum"), None));
        assert_eq!(response.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    }
}

#[test]
fn an_old_client_is_served_to_the_end_of_its_connection() {
    let (_backend, vhost) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut client = vhost.connect();
    client.send("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n");
    let response = client.read_response();
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    assert!(client.closed_within(Duration::from_secs(10)).is_some());
    let mut kept = vhost.connect();
    for _ in 0..3 {
        kept.send("GET / HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(kept.read_response().text(), "ok");
    }
}
