//! Checks the head of an answer against RFC 9110 and RFC 9112.
//!
//! The parser repairs what it can before this: white space before a colon, folds, lines that end in
//! LF alone, and Content-Length beside Transfer-Encoding can't be seen here. What can be seen, and two
//! parsers could read differently, is refused.

use http::{StatusCode, Version};
use pingora::{Error, ErrorType, Result};

use crate::heads::names::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use crate::heads::{Fields, ResponseHead, Set};

/// A malformed answer.
pub(super) const BAD_ANSWER: ErrorType = ErrorType::Custom("BadAnswer");

/// The fields that say where a body ends.
const FRAMING: Set = Set::of(&[CONTENT_LENGTH, TRANSFER_ENCODING]);

/// More options of a connection than these nobody needs; each costs a look at all fields.
const MAX_OPTIONS: usize = 64;

/// Enough for any length, and within every parser's integers.
const MAX_DIGITS: usize = 18;

/// Refuses an answer with wrong framing, or with an upgrade without a request for it, and removes
/// headers that its status must not have. `wants_websocket`: whether the request asks for an
/// upgrade.
///
/// # Errors
/// What is wrong.
pub(crate) fn check_answer(response: &mut ResponseHead, wants_websocket: bool) -> Result<()> {
    fault(response, wants_websocket)
        .map_or(Ok(()), |fault| Err(Error::explain(BAD_ANSWER, fault).into_up()))?;
    // RFC 9110 §8.6, RFC 9112 §6.1.
    if response.status.is_informational() || response.status == StatusCode::NO_CONTENT {
        response.headers.remove_any(FRAMING);
    }
    Ok(())
}

fn fault(response: &ResponseHead, wants_websocket: bool) -> Option<&'static str> {
    let headers = &response.headers;
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        if !wants_websocket || response.version != Version::HTTP_11 {
            return Some("it switches protocols without being asked");
        }
        let is_websocket = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"websocket");
        if !headers.all(UPGRADE).any(is_websocket) {
            return Some("it switches to another protocol than requested");
        }
    }
    let options = headers.all(CONNECTION).flat_map(|value| value.split(|byte| *byte == b','));
    if options.count() > MAX_OPTIONS {
        return Some("its Connection names too many fields");
    }
    if !is_length(headers) {
        return Some("its Content-Length is not a single number");
    }
    let mut codings = headers.all(TRANSFER_ENCODING);
    match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => {
            (response.version == Version::HTTP_10).then_some("HTTP/1.0 has no Transfer-Encoding")
        }
        _ => Some("its Transfer-Encoding is not a single `chunked`"),
    }
}

fn is_length(headers: &Fields) -> bool {
    let mut lengths = headers.all(CONTENT_LENGTH);
    let is_number = |value: &[u8]| {
        matches!(value.len(), 1..=MAX_DIGITS) && value.iter().all(u8::is_ascii_digit)
    };
    lengths.next().is_none_or(|one| is_number(one) && lengths.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(status: u16, version: Version, fields: &[(&'static str, &str)]) -> Option<String> {
        let mut response = ResponseHead::new(StatusCode::from_u16(status).unwrap());
        response.version = version;
        for (name, value) in fields {
            response.headers.append(*name, *value);
        }
        check_answer(&mut response, status == 101 && fields.contains(&("x-asked", "1"))).ok()?;
        let names: Vec<_> = response.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        Some(names.join(" "))
    }

    #[test]
    fn an_answer_that_two_parsers_could_read_differently_is_refused() {
        use Version as V;
        for (version, fields) in [
            (V::HTTP_11, &[("content-length", "3"), ("content-length", "3")][..]),
            (V::HTTP_11, &[("content-length", "3"), ("content-length", "4")]),
            (V::HTTP_11, &[("content-length", "3, 3")]),
            (V::HTTP_11, &[("content-length", "+3")]),
            (V::HTTP_11, &[("content-length", "")]),
            (V::HTTP_11, &[("content-length", "0000000000000000003")]),
            (V::HTTP_2, &[("content-length", "3, 3")]),
            (V::HTTP_11, &[("transfer-encoding", "gzip, chunked")]),
            (V::HTTP_11, &[("transfer-encoding", "chunked, gzip")]),
            (V::HTTP_11, &[("transfer-encoding", "chunked, chunked")]),
            (V::HTTP_11, &[("transfer-encoding", "identity")]),
            (V::HTTP_11, &[("transfer-encoding", "xchunked")]),
            (V::HTTP_11, &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]),
            (V::HTTP_10, &[("transfer-encoding", "chunked")]),
        ] {
            assert_eq!(checked(200, version, fields), None, "{version:?} {fields:?}");
        }
        for (options, is_fine) in [(MAX_OPTIONS, true), (MAX_OPTIONS + 1, false)] {
            let options = vec!["x"; options].join(",");
            let checked = checked(200, V::HTTP_11, &[("connection", &options)]);
            assert_eq!(checked.is_some(), is_fine);
        }
        for (version, fields, left) in [
            (V::HTTP_11, &[("content-length", "3")][..], "content-length"),
            (V::HTTP_11, &[("transfer-encoding", "Chunked")], "transfer-encoding"),
            (V::HTTP_10, &[], ""),
        ] {
            assert_eq!(checked(200, version, fields).as_deref(), Some(left), "{fields:?}");
        }
    }

    #[test]
    fn protocols_are_switched_where_that_was_asked_for() {
        let asked = ("x-asked", "1");
        let websocket = ("upgrade", "WebSocket");
        assert!(checked(101, Version::HTTP_11, &[asked, websocket]).is_some());
        for (version, fields) in [
            (Version::HTTP_11, &[websocket][..]),
            (Version::HTTP_10, &[asked, websocket]),
            (Version::HTTP_2, &[asked, websocket]),
            (Version::HTTP_11, &[asked]),
            (Version::HTTP_11, &[asked, ("upgrade", "h2c")]),
        ] {
            assert_eq!(checked(101, version, fields), None, "{version:?} {fields:?}");
        }
    }

    #[test]
    fn what_frames_a_body_is_taken_from_answers_that_have_none() {
        let length = ("content-length", "5");
        let coding = ("transfer-encoding", "chunked");
        for status in [103, 204] {
            assert_eq!(checked(status, Version::HTTP_11, &[length]).as_deref(), Some(""));
            assert_eq!(checked(status, Version::HTTP_11, &[coding]).as_deref(), Some(""));
        }
        let asked = [("x-asked", "1"), ("upgrade", "websocket"), coding];
        assert_eq!(checked(101, Version::HTTP_11, &asked).as_deref(), Some("x-asked upgrade"));
        // RFC 9110 §8.6 has it say what a GET would get.
        assert_eq!(checked(304, Version::HTTP_11, &[length]).as_deref(), Some("content-length"));
    }
}
