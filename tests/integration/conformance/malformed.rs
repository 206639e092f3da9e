//! Requests of HTTP/2 that are none, or that would be another one over HTTP/1. None reaches a backend.

use super::peer::*;
use super::*;

/// A request with these fields and no others.
fn only(name: &'static str, fields: &[(&str, &str)]) -> Case {
    Case::new(name, vec![frame(HEADERS, WHOLE, 1, &block(fields))], Step::Refused)
}

/// A good request with more fields.
fn with(name: &'static str, fields: &[(&str, &str)]) -> Case {
    only(name, &[&pseudo("GET", "/")[..], fields].concat())
}

/// A good request but for one field.
fn but(name: &'static str, field: &str, value: &str) -> Case {
    let fields = pseudo("GET", "/").map(|(key, own)| (key, if key == field { value } else { own }));
    only(name, &fields)
}

/// A good request without a field.
fn without(name: &'static str, field: &str) -> Case {
    let fields: Vec<_> = pseudo("GET", "/").into_iter().filter(|(key, _)| *key != field).collect();
    only(name, &fields)
}

#[test]
fn malformed_requests_are_refused() {
    let [method, scheme, authority, path] = pseudo("GET", "/");
    let cases = [
        with("8.1.2: an upper-case name", &[("X-Test", "1")]),
        with("8.1.2.1: an unknown pseudo-header", &[(":test", "1")]),
        with("8.1.2.1: a pseudo-header of responses", &[(":status", "200")]),
        only(
            "8.1.2.1: a pseudo-header behind a header",
            &[method, scheme, authority, ("x", "1"), path],
        ),
        with("8.1.2.2: Connection", &[("connection", "keep-alive")]),
        with("8.1.2.2: Keep-Alive", &[("keep-alive", "timeout=5")]),
        with("8.1.2.2: Proxy-Connection", &[("proxy-connection", "keep-alive")]),
        with("8.1.2.2: Upgrade", &[("upgrade", "websocket")]),
        with("8.1.2.2: Transfer-Encoding", &[("transfer-encoding", "chunked")]),
        with("8.1.2.2: TE other than trailers", &[("te", "trailers, deflate;q=0.5")]),
        but("8.1.2.3: an empty path", ":path", ""),
        without("8.1.2.3: no method", ":method"),
        without("8.1.2.3: no scheme", ":scheme"),
        without("8.1.2.3: no path", ":path"),
        without("8.3.1: no authority", ":authority"),
        with("8.1.2.3: two methods", &[method]),
        with("8.1.2.3: two schemes", &[scheme]),
        with("8.1.2.3: two paths", &[path]),
        with("8.3.1: two authorities", &[authority]),
        but("8.3.1: an authority with a user", ":authority", "user@example.com"),
        but("8.3.1: an authority with a path", ":authority", "example.com/x"),
        but("8.3.1: an authority that is empty", ":authority", ""),
        with("8.3.1: Host that is another", &[("host", "other.test")]),
        with("8.3.1: two Hosts", &[("host", "example.com"), ("host", "example.com")]),
        but("8.3.1: a path with a space", ":path", "/a b"),
        but("8.3.1: a path with CRLF", ":path", "/ HTTP/1.1\r\nX: y"),
        but("8.3.1: a path with a NUL", ":path", "/\0"),
        but("8.3.1: a path that is absolute", ":path", "http://other.test/"),
        but("8.3.1: a path without a slash", ":path", "x"),
        but("8.3.1: a method with a space", ":method", "GET / HTTP/1.1"),
        but("8.3.1: a method with CRLF", ":method", "GET\r\n"),
        with("8.2.1: CRLF in a value", &[("x", "1\r\ny: 2")]),
        with("8.2.1: LF in a value", &[("x", "1\n2")]),
        with("8.2.1: a NUL in a value", &[("x", "1\u{0}2")]),
        with("8.2.1: a colon in a name", &[("x:y", "1")]),
        with("8.2.1: a space in a name", &[("x y", "1")]),
        with("8.2.1: CRLF in a name", &[("x\r\ny", "1")]),
        with("8.2.1: an empty name", &[("", "1")]),
        with("8.2.1: a name beyond ASCII", &[("x\u{e9}", "1")]),
        with("8.1.1: a length that is none", &[("content-length", "+5")]),
        with("8.1.1: two lengths", &[("content-length", "0"), ("content-length", "5")]),
        with("8.1.1: two equal lengths", &[("content-length", "0"), ("content-length", "0")]),
        with("8.1.1: a list of lengths", &[("content-length", "0, 0")]),
    ];
    run(&cases, false);
}

/// A POST with these trailers.
fn trailers(fields: &[(&str, &str)]) -> Vec<Vec<u8>> {
    vec![post(1), frame(DATA, 0, 1, b"x"), frame(HEADERS, WHOLE, 1, &block(fields))]
}

/// The head is on its way when these come.
#[test]
fn malformed_trailers_are_refused() {
    let upper_case = trailers(&[("X", "1")]);
    run(&[Case::new("8.1.2: an upper-case name in trailers", upper_case, Step::Refused)], true);
}

/// What HTTP/1 refuses, and what the h2 crate alone would take or forget.
#[test]
fn requests_that_http1_would_refuse_are_refused() {
    let [method, _, authority, path] = pseudo("GET", "/");
    let host = ("host", "example.com");
    let foreign = (":scheme", "ftp");
    let cases = [
        but("8.3.1: a fragment", ":path", "/a#f"),
        but("8.3.1: a fragment behind a query", ":path", "/a?b#f"),
        but("8.3.1: a fragment alone", ":path", "#f"),
        but("8.3.1: an empty fragment", ":path", "/#"),
        but("8.3.1: a query alone", ":path", "?x"),
        but("8.3.1: an asterisk with GET", ":path", "*"),
        but("8.3.1: another scheme", ":scheme", "ftp"),
        but("8.3.1: the scheme of WebSockets", ":scheme", "wss"),
        only("8.3.1: another scheme beside Host alone", &[method, foreign, path, host]),
        only("8.3.1: another scheme behind the path", &[method, path, foreign, host]),
        with("8.2.1: a space before a value", &[("x", " 1")]),
        with("8.2.1: a space behind a value", &[("x", "1 ")]),
        with("8.2.1: a tab behind a value", &[("x", "1\t")]),
        with("8.2.1: a value of spaces", &[("x", "  ")]),
        with("a length of 19 digits", &[("content-length", "1234567890123456789")]),
        with("an underscore in Content-Length", &[("content_length", "5")]),
        with("an underscore in Transfer-Encoding", &[("transfer_encoding", "chunked")]),
        only(
            "an authority that is not the Host",
            &[method, (":scheme", "http"), authority, path, ("host", "a")],
        ),
    ];
    run(&cases, false);
}

/// RFC 9113 §8.1: the head is on its way when these come.
#[test]
fn pseudo_headers_in_trailers_are_refused() {
    let cases = [
        ("8.1.2.1: a method in trailers", (":method", "PUT")),
        ("8.1.2.1: a path in trailers", (":path", "/x")),
        ("8.1.2.1: a status in trailers", (":status", "200")),
        ("8.1.2.1: an unknown pseudo-header in trailers", (":x", "1")),
    ];
    let cases = cases.map(|(name, field)| Case::new(name, trailers(&[field]), Step::Refused));
    run(&cases, true);
}

/// A stream that is malformed does not end the others, and each is counted.
#[test]
fn a_fragment_resets_its_stream_and_is_counted() {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    let fields = |path: &'static str| block(&pseudo("GET", path));
    // Kept in the table, then taken from there: the client's entry 62.
    let [method, scheme, authority, _] = pseudo("GET", "/");
    let kept = [&block(&[method, scheme, authority])[..], b"\x44\x04/a#f"].concat();
    let again = [&block(&[method, scheme, authority])[..], b"\xbe"].concat();
    // Both in the Huffman code: `/#`.
    let coded = [&block(&[method, scheme, authority])[..], b"\x04\x83\x63\xfe\xbf"].concat();
    let reset = |stream, block: &[u8]| {
        (Step::Send(frame(HEADERS, WHOLE, stream, block)), Step::Resets(&[PROTOCOL_ERROR]))
    };
    let mut steps = Vec::new();
    for (stream, block) in [(1, fields("/a#f")), (3, kept), (5, again), (7, coded)] {
        let (send, resets) = reset(stream, &block);
        steps.extend([send, resets, Step::Alive]);
    }
    steps.extend([Step::Send(frame(HEADERS, WHOLE, 9, &fields("/a"))), Step::Answered(9)]);
    let case = Case { name: "fragments", settings: Vec::new(), steps };
    case.run(Peer::over(vhost.connect().into_stream())).unwrap();
    assert_eq!(backend.requests(), 1, "that without a fragment");
    eventually("each is counted", std::time::Duration::from_secs(10), || {
        let state = vhost.rpc("state.get", serde_json::json!({})).unwrap();
        state["refused"]["bad_request"] == 4
    });
    let line = vhost.wait_for_log("there is a fragment in the target").concat();
    assert!(line.contains("reason=bad_request"), "{line}");
}

/// One backend, and the server in front of it.
fn site(trusted: &str) -> (Backend, Vhost) {
    let backend = Backend::start("web");
    let setup = Setup::new().set("proxy.trusted_proxies", trusted);
    let vhost = setup.domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    (backend, vhost)
}

#[track_caller]
fn wait_for_malformed(vhost: &Vhost, count: u64) {
    eventually("each is counted", std::time::Duration::from_secs(10), || {
        let state = vhost.rpc("state.get", serde_json::json!({})).unwrap();
        state["refused"]["bad_request"] == count
    });
}

/// A path with a fragment.
fn fragment(stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &request("GET", "/#", &[]))
}

/// RFC 9113 §8.1.1: none of them ends the connection, not even those for which the h2 crate would.
#[test]
fn what_is_malformed_resets_its_stream_alone() {
    let (backend, vhost) = site("[]");
    let good = request("GET", "/", &[]);
    let more = |bytes: &[u8]| vec![[&good[..], bytes].concat()];
    let split = |bytes: &[u8], at: usize| {
        let (first, rest) = bytes.split_at(bytes.len() - at);
        vec![[&good[..], first].concat(), rest.to_vec()]
    };
    let depends = |stream: u32| {
        let block = [&stream.to_be_bytes()[..], b"\x0f", &good, b"\x40\x01d\x01e"].concat();
        frame(HEADERS, WHOLE | WITH_PRIORITY, stream, &block)
    };
    let blocks = [
        more(b"\x00\x01x\x03a\nb"),
        more(b"\x00\x01x\x01\x7f"),
        // LF and NUL in the Huffman code.
        more(b"\x00\x01x\x84\xff\xff\xff\xf3"),
        more(b"\x40\x01x\x82\xff\xc7"),
        more(b"\x40\x01X\x01a"),
        more(b"\x00\x03x y\x01a"),
        more(b"\x00\x00\x01a"),
        more(b"\x00\x05:test\x01a"),
        more(b"\x88"),
        more(b"\x00\x0aconnection\x05close"),
        vec![good[13..].to_vec()],
        vec![request("G T", "/", &[])],
        vec![request("GET", "/\u{e9}", &[])],
        vec![block(&[(":method", "GET"), (":scheme", "ftp"), (":path", "/"), ("host", "a")])],
        // What the h2 crate forgets when a frame ends within a field, or takes for another one.
        split(b"\x00\x0aconnection\x05close\x00\x01a\x01b", 2),
        split(b"\x82\x00\x01a\x01b", 2),
        split(b"\x00\x00\x84aaaa\x00\x01a\x01b", 2),
    ];
    let mut steps = Vec::new();
    let mut malformed = |frames: Vec<u8>| {
        steps.extend([Step::Send(frames), Step::Resets(&[PROTOCOL_ERROR]), Step::Alive]);
    };
    let mut streams = (0..).map(|number| 2 * number + 1);
    let mut next = || streams.next().unwrap();
    let count = blocks.len() as u64 + 2;
    for block in blocks {
        let stream = next();
        malformed(match &block[..] {
            [whole] => frame(HEADERS, WHOLE, stream, whole),
            parts => [
                frame(HEADERS, END_STREAM, stream, &parts[0]),
                frame(CONTINUATION, END_HEADERS, stream, &parts[1]),
            ]
            .concat(),
        });
    }
    malformed(depends(next()));
    let stream = next();
    malformed([post(stream), frame(HEADERS, WHOLE, stream, &block(&[(":path", "/x")]))].concat());
    // What was kept of those blocks is in the table: `d: e`, and two that were malformed.
    let stream = next();
    steps.push(Step::Send(frame(HEADERS, WHOLE, stream, &more(b"\xbe")[0])));
    steps.extend([Step::Answered(stream), Step::Finished]);
    for index in [b"\xbf", b"\xc0"] {
        steps.push(Step::Send(frame(HEADERS, WHOLE, next(), &more(index)[0])));
        steps.extend([Step::Resets(&[PROTOCOL_ERROR]), Step::Alive]);
    }
    let case = Case { name: "malformed blocks", settings: Vec::new(), steps };
    case.run(Peer::over(vhost.connect().into_stream())).unwrap();
    wait_for_malformed(&vhost, count + 2);
    // The head of the one with trailers may be on its way.
    assert!((1..=2).contains(&backend.requests()), "{}", backend.requests());
}

/// It has a block too, which the h2 crate decodes and resets its stream for.
#[test]
fn a_promise_with_a_malformed_block_ends_the_connection() {
    let promise = [&[0, 0, 0, 2][..], b"\x40\x01a\x01b\xb9"].concat();
    let promise = frame(PUSH_PROMISE, END_HEADERS, 1, &promise);
    let (_backend, vhost) = site("[]");
    let mut peer = Peer::over(vhost.connect().into_stream());
    peer.shake_hands(&[]).unwrap();
    peer.send(&promise);
    let error = peer.wait(|frame| (frame.kind == GOAWAY).then(|| frame.error())).unwrap();
    assert_eq!(error, Some(PROTOCOL_ERROR));
    wait_for_malformed(&vhost, 1);
}

#[test]
fn what_runs_is_completed_when_malformed_requests_end_a_connection() {
    let (backend, vhost) = site("[]");
    let mut peer = Peer::over(vhost.connect().into_stream());
    peer.shake_hands(&[]).unwrap();
    peer.send(&get_held(1));
    eventually("it is on its way", std::time::Duration::from_secs(10), || backend.held() == 1);
    let malformed: Vec<_> = (1..=40).flat_map(|number| fragment(2 * number + 1)).collect();
    peer.send(&malformed);
    let error = peer.wait(|frame| (frame.kind == GOAWAY).then(|| frame.error())).unwrap();
    assert_eq!(error, Some(NO_ERROR));
    backend.release();
    peer.wait_for_answer(1).unwrap();
    wait_for_malformed(&vhost, 40);
}

#[test]
fn malformed_requests_that_go_on_cut_the_connection() {
    let (_backend, vhost) = site("[]");
    let mut peer = Peer::over(vhost.connect().into_stream());
    peer.shake_hands(&[]).unwrap();
    let malformed: Vec<_> = (0..100).flat_map(|number| fragment(2 * number + 1)).collect();
    peer.send(&malformed);
    let end = peer.wait(|_| None::<()>).unwrap_err();
    assert!(end.starts_with("closed"), "{end}");
}

/// It is that of many clients. A thousand is where h2 has a limit of its own.
#[test]
fn a_trusted_proxy_s_connection_is_not_ended_for_one_of_its_clients() {
    let pings = frame(PING, 0, 0, &[0; 8]).repeat(5000);
    for trusted in [true, false] {
        let (_backend, vhost) = site(if trusted { "[\"loopback\"]" } else { "[]" });
        let open = || {
            let mut peer = Peer::over(vhost.connect().into_stream());
            peer.shake_hands(&[]).unwrap();
            peer
        };
        let mut peer = open();
        for number in 0..1200 {
            peer.send(&fragment(2 * number + 1));
        }
        peer.send(&get(2401));
        let answered = peer.wait(|frame| match frame.kind {
            HEADERS if frame.stream == 2401 => Some(true),
            GOAWAY => Some(false),
            _ => None,
        });
        assert_eq!(answered.unwrap_or(false), trusted, "malformed requests");
        let mut peer = open();
        peer.send(&pings);
        assert_eq!(peer.ping().is_ok(), trusted, "control frames");
    }
}

/// RFC 9113 §8.2.3: cookies in fields of their own are one field to a backend.
#[test]
fn cookie_crumbs_are_joined() {
    for is_h2 in [false, true] {
        let builder = Backend::builder("web");
        let backend = if is_h2 { builder.h2c().start() } else { builder.start() };
        let scheme = if is_h2 { "scheme = \"h2c\"" } else { "" };
        let vhost = Setup::new()
            .domain("example.com", "a")
            .backend_with("web", backend.address(), &["a"], scheme)
            .start();
        vhost.wait_until_healthy(1);
        let body = in_runtime(async {
            let mut client = H2::connect(vhost.http()).await;
            let request = http::Request::get("http://example.com/")
                .header("cookie", "session=1")
                .header("cookie", "csrf=2")
                .header("cookie", "theme=dark; lang=de")
                .body(());
            let (response, _) = client.start(request.unwrap(), true).await.unwrap();
            read(response).await.unwrap().body
        });
        let echo: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let headers = echo["headers"].as_array().unwrap();
        let cookies: Vec<_> = headers.iter().filter(|pair| pair[0] == "cookie").collect();
        assert_eq!(
            cookies,
            [&serde_json::json!(["cookie", "session=1; csrf=2; theme=dark; lang=de"])]
        );
    }
}
