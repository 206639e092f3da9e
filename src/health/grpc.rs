//! The two messages of `grpc.health.v1.Health/Check`, by hand: they have one field each.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md> has the protocol, and
//! <https://protobuf.dev/programming-guides/encoding/> the encoding.

use crate::model::printable;

/// The path of the call.
pub(super) const CHECK_PATH: &str = "/grpc.health.v1.Health/Check";

/// The longest answer that is read. One with a status has 7 bytes.
pub(super) const MAX_ANSWER_BYTES: usize = 1024;

/// A message's head: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Types of fields.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

/// The key of `service`: field 1, delimited by its length.
const SERVICE: u8 = 0x0a;

/// `ServingStatus`, by its numbers.
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// The names of gRPC's own statuses, by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The request about a service: `HealthCheckRequest { string service = 1; }` with its prefix.
pub(super) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(service.len() + 3);
    if !service.is_empty() {
        message.push(SERVICE);
        push_varint(&mut message, service.len());
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend(message);
    framed
}

/// What an answer says: nothing if the backend serves, else why not.
///
/// # Errors
/// When it is not SERVING, or no answer.
pub(super) fn check_answer(body: &[u8]) -> Result<(), String> {
    let status = status_of(body).ok_or("the answer is no message of grpc.health.v1")?;
    let name = usize::try_from(status).ok().and_then(|status| STATUSES.get(status));
    match name {
        Some(&"SERVING") => Ok(()),
        Some(name) => Err(format!("grpc status {name}, expected SERVING")),
        None => Err(format!("grpc status {status}, expected SERVING")),
    }
}

/// Why a call failed, by its trailers.
pub(super) fn failure(code: &str, message: Option<&str>) -> String {
    let name = code.parse::<usize>().ok().and_then(|code| CODES.get(code));
    let name = name.map_or_else(|| format!("`{}`", bounded(code)), |name| (*name).to_owned());
    let said = message.map(|said| percent_encoding::percent_decode_str(said).decode_utf8_lossy());
    match said.filter(|said| !said.is_empty()) {
        Some(said) => format!("grpc error {name}: {}", bounded(&said)),
        None => format!("grpc error {name}"),
    }
}

/// What a stranger says, on one line that is not too long.
pub(super) fn bounded(text: &str) -> String {
    crate::model::shorten(&printable(text), 100)
}

/// `HealthCheckResponse { ServingStatus status = 1; }` with its prefix; fields that it may have besides
/// are skipped.
fn status_of(body: &[u8]) -> Option<u64> {
    let (prefix, mut message) = body.split_at_checked(PREFIX_BYTES)?;
    let (is_compressed, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if *is_compressed != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    // What is not there is 0.
    let mut status = 0;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        let (field, kind) = (key >> 3, key & 7);
        match kind {
            VARINT => {
                let value = take_varint(&mut message)?;
                if field == 1 {
                    status = value;
                }
            }
            FIXED64 => message = message.get(8..)?,
            FIXED32 => message = message.get(4..)?,
            LENGTH_DELIMITED => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            _ => return None,
        }
    }
    Some(status)
}

fn push_varint(into: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        into.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    into.push(number.to_le_bytes()[0]);
}

fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(message: &[u8]) -> Vec<u8> {
        let mut framed = vec![0];
        framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        framed.extend(message);
        framed
    }

    #[test]
    fn a_request_names_its_service() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("a.B"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = "x".repeat(200);
        assert_eq!(request(&long)[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
    }

    #[test]
    fn an_answer_is_read_and_others_are_none() {
        let verdict = |message: &[u8]| check_answer(&answer(message)).err().unwrap_or_default();
        assert_eq!(verdict(&[8, 1]), "");
        assert_eq!(verdict(&[8, 2]), "grpc status NOT_SERVING, expected SERVING");
        assert_eq!(verdict(&[8, 3]), "grpc status SERVICE_UNKNOWN, expected SERVING");
        assert_eq!(verdict(&[]), "grpc status UNKNOWN, expected SERVING");
        assert_eq!(verdict(&[8, 0x80, 1]), "grpc status 128, expected SERVING");
        // Fields of versions to come.
        assert_eq!(
            verdict(&[0x12, 2, 8, 2, 8, 1, 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8]),
            ""
        );
        for body in [
            &b""[..],
            b"<html>",
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 0, 0, 0, 3, 8, 1],
            &[0, 0, 0, 0, 1, 8, 1],
            &[0, 0, 0, 0, 2, 8, 0x80],
            &[0, 0, 0, 0, 3, 0x12, 9, 1],
            &[0, 0, 0, 0, 11, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0, 0, 0, 0, 2, 0x0b, 1],
        ] {
            let error = check_answer(body).expect_err("it is no message");
            assert_eq!(error, "the answer is no message of grpc.health.v1", "{body:?}");
        }
    }

    #[test]
    fn a_failed_call_says_why_on_one_short_line() {
        assert_eq!(failure("12", None), "grpc error UNIMPLEMENTED");
        assert_eq!(
            failure("5", Some("no%20such%20service")),
            "grpc error NOT_FOUND: no such service"
        );
        let hostile = failure("x\u{1b}", Some(&format!("%1b[2J%0a{}", "y".repeat(1000))));
        assert!(!hostile.contains(['\u{1b}', '\n']) && hostile.chars().count() < 150, "{hostile}");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(body: Vec<u8>) {
            let _ = check_answer(&body);
            let _ = check_answer(&answer(&body));
        }
    }
}
