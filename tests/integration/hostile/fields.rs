//! Header lines that are none, and Hosts that can't be one.

use super::{Row, refused, run};

/// A head with a good Host and these lines.
fn with(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: example.com\r\n{lines}\r\n\r\n")
}

/// A head with these lines alone.
fn only(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n")
}

#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn rows() -> Vec<Row> {
    vec![
        refused("no Host", "GET / HTTP/1.1\r\n\r\n", 400),
        refused("two Hosts", with("Host: other.test"), 400),
        refused("two equal Hosts", with("Host: example.com"), 400),
        refused("two Hosts, the second in another case", with("hOST: example.com"), 400),
        refused("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        refused("an empty Host", only("Host:"), 400),
        refused("a Host of spaces", only("Host:   "), 400),
        refused("two hosts in one Host", only("Host: example.com, other.test"), 400),
        refused("two hosts behind one another", only("Host: example.com other.test"), 400),
        refused("a user in Host", only("Host: user@example.com"), 400),
        refused("a path in Host", only("Host: example.com/x"), 400),
        refused("a scheme in Host", only("Host: http://example.com"), 400),
        refused("a port that is none in Host", only("Host: example.com:http"), 400),
        refused("a port beyond 65535 in Host", only("Host: example.com:65536"), 400),
        refused("two ports in Host", only("Host: example.com:80:81"), 400),
        refused("a percent escape in Host", only("Host: example%2ecom"), 400),
        refused("an open bracket in Host", only("Host: [::1"), 400),
        refused("more behind the bracket in Host", only("Host: [::1]x"), 400),
        refused("bytes that are no UTF-8 in Host", only("Host: \u{ff}\u{fe}"), 400),
        refused("a dot for a Host", only("Host: ."), 400),
        refused("a Host of 300 characters", only(&format!("Host: {}", "a".repeat(300))), 400),
        refused("a space before the colon of Host", only("Host : example.com"), 400),
        refused("a tab before a colon", with("X\t: 1"), 400),
        refused("a fold", with("X: 1\r\n 2"), 400),
        refused("a fold by tab", with("X: 1\r\n\t2"), 400),
        refused("a fold of Host", only("Host:\r\n example.com"), 400),
        refused("a fold before the first header", only(" Host: example.com"), 400),
        refused("a fold that is empty", with("X: 1\r\n "), 400),
        refused("no name", with(": 1"), 400),
        refused("no colon", with("X"), 400),
        refused("a space in a name", with("X Y: 1"), 400),
        refused("a NUL in a name", with("X\0Y: 1"), 400),
        refused("a name beyond ASCII", with("X\u{e9}: 1"), 400),
        refused("a parenthesis in a name", with("X(Y): 1"), 400),
        refused("a slash in a name", with("X/Y: 1"), 400),
        refused("quotes in a name", with("\"X\": 1"), 400),
        refused("a bare CR in a name", with("X\rY: 1"), 400),
        refused("a NUL in a value", with("X: a\0b"), 400),
        refused("a bare CR in a value", with("X: a\rb"), 400),
        refused("a bare CR that hides a header", with("X: a\rTransfer-Encoding: chunked"), 400),
        refused("a bare LF for CRLF", with("X: a\nY: b"), 400),
        refused("a bare LF that ends the head", "GET / HTTP/1.1\r\nHost: example.com\n\n", 400),
        refused("bare LFs all over", "GET / HTTP/1.1\nHost: example.com\n\n", 400),
        refused("CR CR LF", with("X: a\r"), 400),
        refused("a control character in a value", with("X: \x01"), 400),
        refused("a vertical tab in a value", with("X: a\x0bb"), 400),
        refused("an escape sequence in a value", with("X: \x1b[31m"), 400),
        refused("DEL in a value", with("X: \x7f"), 400),
        refused("257 header lines", with(&vec!["X: 1"; 256].join("\r\n")), 431),
        refused("a header beyond the limit", with(&format!("X: {}", "a".repeat(17_000))), 431),
        refused("a head beyond the limit", with(&vec!["X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"; 200].join("\r\n")), 431),
        refused("Connection that names Host", with("Connection: host"), 400),
        refused("a user in Host of HTTP/1.0", "GET / HTTP/1.0\r\nHost: u@example.com\r\n\r\n", 400),
    ]
}

#[test]
fn header_lines() {
    run(&rows());
}
