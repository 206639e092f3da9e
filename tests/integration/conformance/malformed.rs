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

/// The one case of h2spec that fails (8.1.2.1/3): the h2 crate ignores pseudo-headers in trailers.
/// Nobody else sees them: trailers of requests go no further.
#[test]
fn a_pseudo_header_in_trailers_goes_nowhere() {
    let backend = RawBackend::start(|connection| {
        connection.read_head();
        connection.read_head();
        connection.send(&answer("ok"));
    });
    let vhost = Setup::new()
        .tcp_probes()
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let case = Case::new("trailers", trailers(&[(":method", "PUT")]), Step::Answered(1));
    case.run(Peer::over(vhost.connect().into_stream())).unwrap();
    let received = backend.received_text();
    assert!(received.starts_with("POST / HTTP/1.1\r\n"), "{received}");
    assert!(received.ends_with("\r\n\r\n1\r\nx\r\n0\r\n\r\n"), "{received}");
}
