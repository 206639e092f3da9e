//! Lengths and codings that two parsers could read differently.

use super::{Row, refused, run};

/// A request with these lines, and another one in what may be its body.
fn post(lines: &str) -> String {
    format!(
        "POST /first HTTP/1.1\r\nHost: example.com\r\n{lines}\r\n\r\n\
         0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n"
    )
}

#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn rows() -> Vec<Row> {
    let post_1_0 = "POST / HTTP/1.0\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n\
                    0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n";
    vec![
        refused("CL.TE", post("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400),
        refused("TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 5"), 400),
        refused(
            "TE.CL apart",
            post("Transfer-Encoding: chunked\r\nX: 1\r\nContent-Length: 5"),
            400,
        ),
        refused(
            "CL.TE with CL of zero",
            post("Content-Length: 0\r\nTransfer-Encoding: chunked"),
            400,
        ),
        refused("two equal lengths", post("Content-Length: 5\r\nContent-Length: 5"), 400),
        refused("two lengths", post("Content-Length: 5\r\nContent-Length: 0"), 400),
        refused("a list of equal lengths", post("Content-Length: 5, 5"), 400),
        refused("a list of lengths", post("Content-Length: 0, 5"), 400),
        refused("a length with a plus", post("Content-Length: +5"), 400),
        refused("a negative length", post("Content-Length: -1"), 400),
        refused("a hexadecimal length", post("Content-Length: 0x5"), 400),
        refused("a length with a space in it", post("Content-Length: 5 0"), 400),
        refused("a length with a semicolon", post("Content-Length: 5;"), 400),
        refused("an empty length", post("Content-Length:"), 400),
        refused("a length with an exponent", post("Content-Length: 5e0"), 400),
        refused("a length with a fraction", post("Content-Length: 5.0"), 400),
        refused("a length with an underscore", post("Content-Length: 1_0"), 400),
        refused("a length in quotes", post("Content-Length: \"5\""), 400),
        refused("a length in words", post("Content-Length: five"), 400),
        refused("a length beyond 64 bits", post("Content-Length: 18446744073709551616"), 400),
        refused("a length of 63 bits", post("Content-Length: 9223372036854775807"), 400),
        refused("a length in other digits", post("Content-Length: \u{b9}"), 400),
        refused("a length with a NUL", post("Content-Length: 5\0"), 400),
        refused("a length with a vertical tab", post("Content-Length: \x0b5"), 400),
        refused("a space before the colon of a length", post("Content-Length : 5"), 400),
        refused("a folded length", post("Content-Length:\r\n 5"), 400),
        refused("a length with an underscored name", post("Content_Length: 5"), 400),
        refused("a coding with an underscored name", post("Transfer_Encoding: chunked"), 400),
        refused("a coding that is not known", post("Transfer-Encoding: gzip, chunked"), 501),
        refused("a coding that is made up", post("Transfer-Encoding: cow, chunked"), 501),
        refused("chunked is not last", post("Transfer-Encoding: chunked, gzip"), 400),
        refused("chunked is missing", post("Transfer-Encoding: gzip"), 400),
        refused("identity", post("Transfer-Encoding: identity"), 400),
        refused("identity last", post("Transfer-Encoding: chunked, identity"), 400),
        refused("chunked twice", post("Transfer-Encoding: chunked, chunked"), 400),
        refused("chunked and a comma", post("Transfer-Encoding: chunked,"), 400),
        refused("a comma and chunked", post("Transfer-Encoding: ,chunked"), 400),
        refused("nearly chunked", post("Transfer-Encoding: xchunked"), 400),
        refused("chunked with a parameter", post("Transfer-Encoding: chunked;q=1"), 400),
        refused("chunked in quotes", post("Transfer-Encoding: \"chunked\""), 400),
        refused("chunked behind a vertical tab", post("Transfer-Encoding: \x0bchunked"), 400),
        refused("chunked with a NUL", post("Transfer-Encoding: chunked\0"), 400),
        refused("chunked behind a no-break space", post("Transfer-Encoding: \u{a0}chunked"), 400),
        refused("an empty coding", post("Transfer-Encoding:"), 400),
        refused(
            "two codings",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            400,
        ),
        refused(
            "two codings, one unknown",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"),
            400,
        ),
        refused("a space before the colon of a coding", post("Transfer-Encoding : chunked"), 400),
        refused("a coding behind a fold", post("X: 1\r\n Transfer-Encoding: chunked"), 400),
        refused("a coding behind a bare LF", post("X: 1\nTransfer-Encoding: chunked"), 400),
        refused("a coding in HTTP/1.0", post_1_0, 400),
    ]
}

#[test]
fn lengths_and_codings() {
    run(&rows());
}
