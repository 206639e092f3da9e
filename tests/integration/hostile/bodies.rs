//! Bodies that are not what their heads announced.

use super::{Row, refused, run};

/// A request with a chunked body, of which these are the bytes.
fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

/// Refused while its head is on its way: the backend sees a body without an end, at most.
fn broken(name: &'static str, body: &str) -> Row {
    refused(name, chunked(body), 400).cut()
}

#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn rows() -> Vec<Row> {
    vec![
        broken("a size that is none", "xyz\r\nhello\r\n0\r\n\r\n"),
        broken("a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        broken("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
        broken("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        broken("a size behind a space", " 5\r\nhello\r\n0\r\n\r\n"),
        broken("an empty size", "\r\nhello\r\n0\r\n\r\n"),
        broken("a size with an underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
        broken("a size that ends in a bare LF", "5\nhello\r\n0\r\n\r\n"),
        broken("a size that ends in a bare CR", "5\rhello\r\n0\r\n\r\n"),
        broken("a size beyond 64 bits", "10000000000000000\r\nhello\r\n0\r\n\r\n"),
        broken("the largest size", "FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
        broken("a size with a NUL", "5\0\r\nhello\r\n0\r\n\r\n"),
        broken("an extension with a bare LF", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        broken(
            "an extension that is too long",
            &format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(20_000)),
        ),
        broken("a chunk without its CRLF", "5\r\nhello0\r\n\r\n"),
        broken("a chunk that ends in LF", "5\r\nhello\n0\r\n\r\n"),
        broken("a chunk that is longer than it says", "5\r\nhello world\r\n0\r\n\r\n"),
        broken(
            "a last chunk without CRLF",
            "5\r\nhello\r\n0\r\nGET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n",
        ),
    ]
}

#[test]
fn chunks() {
    run(&rows());
}
