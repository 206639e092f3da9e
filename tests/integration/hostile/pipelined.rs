//! What comes right behind a good request is looked at as closely.

use super::{Row, passes, run};

/// This behind a good request: that one is answered, and then this refused.
fn behind(name: &'static str, second: &str, status: u16) -> Row {
    let sends = format!("GET /good HTTP/1.1\r\nHost: example.com\r\n\r\n{second}");
    passes(name, sends, "GET /good @example.com").answers(&[200, status]).closes()
}

/// The same behind a body, whose end only its length tells.
fn behind_body(name: &'static str, second: &str, status: u16) -> Row {
    let sends = format!(
        "POST /good HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello{second}"
    );
    passes(name, sends, "POST /good @example.com hello").answers(&[200, status]).closes()
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n";

#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn rows() -> Vec<Row> {
    let head =
        |lines: &str| format!("POST /second HTTP/1.1\r\nHost: example.com\r\n{lines}\r\n\r\n");
    let mut rows = vec![
        behind(
            "a space in the second target",
            "GET /a b HTTP/1.1\r\nHost: example.com\r\n\r\n",
            400,
        ),
        behind("bare LFs in the second", "GET /second HTTP/1.1\nHost: example.com\n\n", 400),
        behind("no Host in the second", "GET /second HTTP/1.1\r\n\r\n", 400),
        behind("HTTP/2.0 second", "GET /second HTTP/2.0\r\nHost: example.com\r\n\r\n", 505),
        behind("the preface of HTTP/2 second", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        behind("what is no request second", "\u{1}\u{2}\u{3}\r\n\r\n", 400),
        behind("a second head beyond the limit", &head(&format!("X: {}", "a".repeat(17_000))), 431),
        behind("a second head that never ends", "GET /second HTTP/1.1\r\nHost: exa", 408),
        behind_body("a body longer than its length", "xGET /second HTTP/1.1\r\n: x\r\n\r\n", 400),
        behind_body("no request behind a body", "0\r\n\r\n", 400),
    ];
    for (name, lines, status) in [
        ("CL.TE second", "Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("two equal lengths second", "Content-Length: 5\r\nContent-Length: 5", 400),
        ("a list of lengths second", "Content-Length: 5, 5", 400),
        ("a bad length second", "Content-Length: +5", 400),
        ("an unknown coding second", "Transfer-Encoding: gzip, chunked", 501),
        ("a fold second", "X: 1\r\n 2", 400),
        ("a bare CR second", "X: a\rb", 400),
        ("two Hosts second", "Host: example.com", 400),
        ("257 header lines second", &vec!["X: 1"; 256].join("\r\n"), 431),
    ] {
        rows.push(behind(name, &(head(lines) + SMUGGLED), status));
    }
    rows.push(behind_body(
        "CL.TE behind a body",
        &(head("Content-Length: 5\r\nTransfer-Encoding: chunked") + SMUGGLED),
        400,
    ));
    rows
}

#[test]
fn requests_behind_good_ones() {
    run(&rows());
}
