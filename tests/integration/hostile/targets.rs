//! Request lines that are none, and targets in the wrong form.

use super::{Row, refused, run};

/// A head with this request line.
fn line(line: &str) -> String {
    format!("{line}\r\nHost: example.com\r\n\r\n")
}

#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn rows() -> Vec<Row> {
    vec![
        refused("HTTP/0.9", "GET /\r\n\r\n", 400),
        refused("HTTP/0.9 with a Host", line("GET /"), 400),
        refused("a method alone", line("GET"), 400),
        refused("no method", line(" / HTTP/1.1"), 400),
        refused("two spaces before the target", line("GET  / HTTP/1.1"), 400),
        refused("two spaces before the version", line("GET /  HTTP/1.1"), 400),
        refused("a space behind the version", line("GET / HTTP/1.1 "), 400),
        refused("tabs for spaces", line("GET\t/\tHTTP/1.1"), 400),
        refused("a space in the target", line("GET /a b HTTP/1.1"), 400),
        refused("a tab in the target", line("GET /a\tb HTTP/1.1"), 400),
        refused("two empty lines first", format!("\r\n\r\n{}", line("GET / HTTP/1.1")), 400),
        refused("a bare line feed first", format!("\n{}", line("GET / HTTP/1.1")), 400),
        refused("HTTP/2.0", line("GET / HTTP/2.0"), 505),
        refused("HTTP/3.0", line("GET / HTTP/3.0"), 505),
        refused("HTTP/1.2", line("GET / HTTP/1.2"), 505),
        refused("HTTP/0.9 spelled out", line("GET / HTTP/0.9"), 505),
        refused("HTTP/1.10", line("GET / HTTP/1.10"), 400),
        refused("HTTP/11", line("GET / HTTP/11"), 400),
        refused("HTTP/1", line("GET / HTTP/1"), 400),
        refused("http/1.1 in lower case", line("GET / http/1.1"), 400),
        refused("HTTPS/1.1", line("GET / HTTPS/1.1"), 400),
        refused("HTTP 1.1", line("GET / HTTP 1.1"), 400),
        refused("a NUL in the version", line("GET / HTTP/1.\0"), 400),
        refused("a colon in the method", line("GE:T / HTTP/1.1"), 400),
        refused("a control character in the method", line("G\x01T / HTTP/1.1"), 400),
        refused("a method beyond ASCII", line("G\u{c9}T / HTTP/1.1"), 400),
        refused("a method in quotes", line("\"GET\" / HTTP/1.1"), 400),
        refused("a NUL in the target", line("GET /\0 HTTP/1.1"), 400),
        refused("DEL in the target", line("GET /\x7f HTTP/1.1"), 400),
        refused("a bare CR in the target", line("GET /\rx HTTP/1.1"), 400),
        refused("a bare LF in the target", line("GET /\nx HTTP/1.1"), 400),
        refused("a fragment", line("GET /a#b HTTP/1.1"), 400),
        refused("quotes in a query", line("GET /?a=\"b\" HTTP/1.1"), 400),
        refused("angle brackets in a query", line("GET /?a=<b> HTTP/1.1"), 400),
        refused("a relative path", line("GET a/b HTTP/1.1"), 400),
        refused("a query alone", line("GET ?a=b HTTP/1.1"), 400),
        refused("an asterisk with GET", line("GET * HTTP/1.1"), 400),
        refused("an asterisk and more", line("OPTIONS *x HTTP/1.1"), 400),
        refused("a host for a target", line("GET example.com HTTP/1.1"), 400),
        refused("a host and port for a target", line("GET example.com:80 HTTP/1.1"), 400),
        refused("another scheme", line("GET ftp://example.com/ HTTP/1.1"), 400),
        refused("no authority", line("GET http:///x HTTP/1.1"), 400),
        refused("one slash for two", line("GET http:/example.com/ HTTP/1.1"), 400),
        refused("backslashes for slashes", line("GET http:\\\\example.com/ HTTP/1.1"), 400),
        refused("a backslash in the authority", line("GET http://a\\@example.com/ HTTP/1.1"), 400),
        refused("user information", line("GET http://user@example.com/ HTTP/1.1"), 400),
        refused("another host", line("GET http://other.test/ HTTP/1.1"), 400),
        refused("another case of the host", line("GET http://EXAMPLE.com/ HTTP/1.1"), 400),
        refused("another port", line("GET http://example.com:81/ HTTP/1.1"), 400),
        refused("absolute without Host", "GET http://example.com/ HTTP/1.1\r\n\r\n", 400),
        refused("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
        refused("CONNECT to another host", "CONNECT b:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 400),
        refused("TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03", 400),
        refused("TLS with a line feed", "\x16\x03\x01\x02\0\x01\0\x01\n\r\n\r\n\n", 400),
        refused("SSH", "SSH-2.0-OpenSSH_9.2p1\r\n", 400),
        refused("SMTP", "EHLO example.com\r\n", 400),
        refused(
            "the PROXY protocol",
            format!("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n{}", line("GET / HTTP/1.1")),
            400,
        ),
        refused("a response", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400),
        refused("nearly the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", 505),
        refused(
            "a target beyond the limit",
            line(&format!("GET /{} HTTP/1.1", "a".repeat(17_000))),
            431,
        ),
    ]
}

#[test]
fn request_lines() {
    run(&rows());
}
