//! Requests that are odd and right: they pass, and the backend gets what was meant.

use super::{Row, passes, refused, run};

/// A GET of this target.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n\r\n")
}

/// A GET with this Host.
fn host(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// A GET with these header lines.
fn with(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: example.com\r\n{lines}\r\n\r\n")
}

fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn rows_of_targets() -> Vec<Row> {
    vec![
        passes(
            "an asterisk with OPTIONS",
            "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "OPTIONS * @example.com",
        ),
        passes(
            "OPTIONS of a path",
            "OPTIONS /x HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "OPTIONS /x @example.com",
        ),
        passes("absolute form", get("http://example.com/x?y=1"), "GET /x?y=1 @example.com"),
        passes("absolute form without a path", get("http://example.com"), "GET / @example.com"),
        passes(
            "absolute form with a query alone",
            get("http://example.com?y=1"),
            "GET /?y=1 @example.com",
        ),
        passes(
            "absolute form with another case of its scheme",
            get("HTTP://example.com/x"),
            "GET /x @example.com",
        ),
        passes(
            "absolute form with a port",
            "GET http://example.com:80/x HTTP/1.1\r\nHost: example.com:80\r\n\r\n",
            "GET /x @example.com:80",
        ),
        passes(
            "a path that begins with two slashes",
            get("//other.test/x"),
            "GET //other.test/x @example.com",
        ),
        passes("slashes in a row", get("/a//b///c"), "GET /a//b///c @example.com"),
        passes("dots", get("/a/../b/./c"), "GET /a/../b/./c @example.com"),
        passes("escapes", get("/%2e%2e/%2F%00%zz"), "GET /%2e%2e/%2F%00%zz @example.com"),
        passes(
            "raw characters in a query",
            get("/?a=[1]&b={2}|\\^`"),
            "GET /?a=[1]&b={2}|\\\\^` @example.com",
        ),
        passes("a question mark in a query", get("/?a=b?c"), "GET /?a=b?c @example.com"),
        passes("an empty query", get("/?"), "GET /? @example.com"),
        passes("a semicolon", get("/a;b=c"), "GET /a;b=c @example.com"),
        passes("an at sign and a colon in a path", get("/@a:b"), "GET /@a:b @example.com"),
        passes("UTF-8 in a path", get("/b\u{c3}\u{bc}cher"), "GET /b\\xc3\\xbccher @example.com"),
        passes(
            "a method that nobody knows",
            "BREW / HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "BREW / @example.com",
        ),
        passes(
            "a method in lower case",
            "get / HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "get / @example.com",
        ),
        passes(
            "a method of all that tokens may have",
            "A!#$%&'*+-.^_`|~9 / HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "A!#$%&\\'*+-.^_`|~9 / @example.com",
        ),
        passes("HEAD", "HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n", "HEAD / @example.com"),
        passes("an empty line first", format!("\r\n{}", get("/")), "GET / @example.com"),
        refused("TRACE", "TRACE / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n", 405),
        refused(
            "a host that nobody serves",
            "GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n",
            404,
        ),
    ]
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn rows_of_fields() -> Vec<Row> {
    vec![
        passes("a port in Host", host("example.com:8080"), "GET / @example.com:8080"),
        passes("an empty port in Host", host("example.com:"), "GET / @example.com:"),
        passes("upper case in Host", host("EXAMPLE.Com"), "GET / @EXAMPLE.Com"),
        passes("a dot behind Host", host("example.com."), "GET / @example.com."),
        passes("an IPv6 Host", host("[::1]"), "GET / @[::1]"),
        passes("an IPv6 Host with a port", host("[::1]:8080"), "GET / @[::1]:8080"),
        passes("an IPv4 Host", host("127.0.0.1:80"), "GET / @127.0.0.1:80"),
        passes("UTF-8 in Host", host("b\u{c3}\u{bc}cher.example"), "GET / @bücher.example"),
        passes("spaces around Host", host(" \t example.com \t "), "GET / @example.com"),
        passes(
            "no space before Host",
            "GET / HTTP/1.1\r\nHost:example.com\r\n\r\n",
            "GET / @example.com",
        ),
        passes(
            "Host in lower case",
            "GET / HTTP/1.1\r\nhost: example.com\r\n\r\n",
            "GET / @example.com",
        ),
        passes(
            "Host last",
            "GET / HTTP/1.1\r\nX: 1\r\nHost: example.com\r\n\r\n",
            "GET / @example.com",
        ),
        passes("an empty value", with("X:"), "GET / @example.com"),
        passes("a value of spaces", with("X: \t "), "GET / @example.com"),
        passes("a value with a colon", with("X: a:b: c"), "GET / @example.com"),
        passes("a value beyond ASCII", with("X: \u{e9}\u{ff}\u{80}"), "GET / @example.com"),
        passes("a tab in a value", with("X: a\tb"), "GET / @example.com"),
        passes(
            "a name of all that tokens may have",
            with("A!#$%&'*+-.^_`|~9: 1"),
            "GET / @example.com",
        ),
        passes("a name twice", with("X: 1\r\nX: 2"), "GET / @example.com"),
        passes(
            "a name of 1000 characters",
            with(&format!("{}: 1", "x".repeat(1000))),
            "GET / @example.com",
        ),
        passes(
            "a value of 15 KB",
            with(&format!("X: {}", "x".repeat(15_000))),
            "GET / @example.com",
        ),
        passes("90 header lines", with(&vec!["X: 1"; 90].join("\r\n")), "GET / @example.com"),
        passes(
            "a cookie with much in it",
            with("Cookie: a=\"b,c\"; d={\"e\":[1]}"),
            "GET / @example.com",
        ),
        passes(
            "an upgrade that is not offered",
            with(
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
            ),
            "GET / @example.com",
        ),
        passes("TE", with("TE: trailers, deflate;q=0.5\r\nConnection: TE"), "GET / @example.com"),
        passes("Max-Forwards", with("Max-Forwards: 0"), "GET / @example.com"),
        passes("HTTP/1.0", "GET / HTTP/1.0\r\nHost: example.com\r\n\r\n", "GET / @example.com")
            .closes(),
        passes(
            "HTTP/1.0 that is kept",
            "GET / HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n",
            "GET / @example.com",
        ),
        refused("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 404),
        passes(
            "an absolute target of HTTP/1.0 without Host",
            "GET http://example.com/a?b HTTP/1.0\r\n\r\n",
            "GET /a?b @example.com",
        )
        .closes(),
        passes(
            "an absolute target of HTTP/1.0 with a port",
            "GET http://example.com:80 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "GET / @example.com:80",
        ),
        refused(
            "an absolute target of HTTP/1.0 for another host",
            "GET http://other.test/ HTTP/1.0\r\n\r\n",
            404,
        ),
        passes("close", with("Connection: close"), "GET / @example.com").closes(),
        passes("close in capitals", with("Connection: CLOSE"), "GET / @example.com").closes(),
    ]
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn rows_of_bodies() -> Vec<Row> {
    let post = |lines: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: example.com\r\n{lines}\r\n\r\n{body}")
    };
    vec![
        passes("a length", post("Content-Length: 5", "hello"), "POST / @example.com hello"),
        passes("a length of zero", post("Content-Length: 0", ""), "POST / @example.com"),
        passes(
            "a length with zeros",
            post("Content-Length: 0005", "hello"),
            "POST / @example.com hello",
        ),
        passes(
            "spaces around a length",
            post("Content-Length: \t5 \t", "hello"),
            "POST / @example.com hello",
        ),
        passes("POST without a body", post("X: 1", ""), "POST / @example.com"),
        passes(
            "GET with a body",
            "GET / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello",
            "GET / @example.com hello",
        ),
        passes(
            "DELETE with a body",
            "DELETE / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello",
            "DELETE / @example.com hello",
        ),
        passes(
            "a body that looks like a request",
            post("Content-Length: 27", "GET /smuggled HTTP/1.1\r\n\r\nx"),
            "POST / @example.com GET /smuggled HTTP/1.1\\r\\n\\r\\nx",
        ),
        passes(
            "chunks",
            chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
            "POST / @example.com hello world",
        ),
        passes("no chunks", chunked("0\r\n\r\n"), "POST / @example.com"),
        passes(
            "sizes with zeros",
            chunked("0005\r\nhello\r\n000\r\n\r\n"),
            "POST / @example.com hello",
        ),
        passes(
            "sizes in either case",
            chunked("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"),
            "POST / @example.com 01234567890123456789",
        ),
        passes(
            "an extension",
            chunked("5;name=value\r\nhello\r\n0;last\r\n\r\n"),
            "POST / @example.com hello",
        ),
        passes(
            "an extension in quotes",
            chunked("5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n"),
            "POST / @example.com hello",
        ),
        passes(
            "trailers",
            chunked("5\r\nhello\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n"),
            "POST / @example.com hello +x-sum: 1 +y: 2",
        ),
        passes(
            "trailers that would be framing",
            chunked("5\r\nhello\r\n0\r\nContent-Length: 9\r\nHost: other.test\r\n\r\n"),
            "POST / @example.com hello",
        ),
        passes(
            "chunked in capitals",
            "POST / HTTP/1.1\r\nHost: example.com\r\nTRANSFER-ENCODING:\tCHUNKED\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            "POST / @example.com hi",
        ),
        passes(
            "a body that does not wait for its 100",
            post("Expect: 100-continue\r\nContent-Length: 5", "hello"),
            "POST / @example.com hello",
        )
        .answers(&[100, 200]),
        passes("two requests at once", format!("{}{}", get("/1"), get("/2")), "")
            .answers(&[200, 200])
            .backend(&["GET /1 @example.com", "GET /2 @example.com"]),
        passes("an empty line between two requests", format!("{}\r\n{}", get("/1"), get("/2")), "")
            .answers(&[200, 200])
            .backend(&["GET /1 @example.com", "GET /2 @example.com"]),
        passes(
            "a request behind a body",
            format!("{}{}", post("Content-Length: 5", "hello"), get("/2")),
            "",
        )
        .answers(&[200, 200])
        .backend(&["POST / @example.com hello", "GET /2 @example.com"]),
        passes(
            "a request behind chunks",
            format!("{}{}", chunked("5\r\nhello\r\n0\r\n\r\n"), get("/2")),
            "",
        )
        .answers(&[200, 200])
        .backend(&["POST / @example.com hello", "GET /2 @example.com"]),
        passes(
            "nothing is read behind a close",
            format!("{}{}", with("Connection: close"), get("/2")),
            "GET / @example.com",
        )
        .closes(),
    ]
}

pub(super) fn rows() -> Vec<Row> {
    [rows_of_targets(), rows_of_fields(), rows_of_bodies()].into_iter().flatten().collect()
}

#[test]
fn odd_requests_pass() {
    run(&rows());
}
