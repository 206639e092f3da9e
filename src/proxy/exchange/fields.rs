//! Fields that speak of one connection, and not of the message (RFC 9110 §7.6.1).

use http::{Method, StatusCode, Version};
use pingora::{Error, ErrorType, Result};

use crate::heads::names::{
    CONNECTION, HOST, HTTP2_SETTINGS, KEEP_ALIVE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, X_FORWARDED_FOR, X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
};
use crate::heads::{Fields, Known, RequestHead, ResponseHead, Set};
use crate::proxy::carry::response;
use crate::proxy::wire::strict::is_token;

/// More options than these nobody needs; each costs a look.
const MAX_OPTIONS: usize = 64;

const HOP_BY_HOP: Set = Set::of(&[
    KEEP_ALIVE,
    PROXY_CONNECTION,
    HTTP2_SETTINGS,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    CONNECTION,
    UPGRADE,
]);

/// What a request is routed by.
const ROUTING: Set = Set::of(&[HOST, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO]);

/// What a connection of HTTP/2 may not have (RFC 9113 §8.2.2).
const NOT_OF_HTTP2: Set =
    Set::of(&[TRANSFER_ENCODING, CONNECTION, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION]);

/// Takes out of a request what is of its client's connection.
///
/// # Errors
/// When it would have what a backend goes by be taken out, or names no field.
pub(super) fn strip_request(request: &mut RequestHead) -> Result<()> {
    if request.headers.has(CONNECTION) {
        for name in nominated(&request.headers)? {
            request.headers.remove(&*name);
        }
    }
    request.headers.remove_any(HOP_BY_HOP);
    Ok(())
}

/// The fields that `Connection` names and that are there, but for those that go anyway.
fn nominated(headers: &Fields) -> Result<Vec<String>> {
    let refuse = |words| Err(Error::explain(ErrorType::InvalidHTTPHeader, words).into_down());
    let mut names = Vec::new();
    for (index, option) in options(headers).enumerate() {
        if index + 1 == MAX_OPTIONS {
            return refuse("Connection names too many fields");
        }
        let name = is_token(option).then(|| std::str::from_utf8(option).ok()).flatten();
        let Some(name) = name else { return refuse("Connection names what is no field") };
        let known = Known::of(option);
        if known.is_some_and(|known| ROUTING.has(known)) {
            return refuse("Connection names a field that routes");
        }
        let goes = known.is_some_and(|known| HOP_BY_HOP.has(known));
        if !goes && headers.has(name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn options(headers: &Fields) -> impl Iterator<Item = &[u8]> {
    let options = headers.all(CONNECTION).flat_map(|value| value.split(|byte| *byte == b','));
    options.map(<[u8]>::trim_ascii).filter(|option| !option.is_empty())
}

/// Whether a connection goes on behind a message of this version, by what its sender says (RFC 9112 §9.3).
pub(super) fn keeps(version: Version, headers: &Fields) -> bool {
    let says = |word: &[u8]| options(headers).any(|option| option.eq_ignore_ascii_case(word));
    if !headers.has(CONNECTION) {
        return version == Version::HTTP_11;
    }
    !says(b"close") && (version == Version::HTTP_11 || says(b"keep-alive"))
}

/// Takes out of an answer what a connection of HTTP/2 may not have.
pub(super) fn strip_answer(answer: &mut ResponseHead) {
    answer.headers.remove_any(NOT_OF_HTTP2);
}

/// Whether an answer has no body, whatever its head says (RFC 9110 §6.4.1).
pub(super) fn has_no_body(method: &Method, status: StatusCode) -> bool {
    status.is_informational() || response::has_no_body(method, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&'static str, &str)]) -> RequestHead {
        let mut request = RequestHead::new(Method::GET, b"/");
        for (name, value) in fields {
            request.headers.append(*name, value);
        }
        request
    }

    #[test]
    fn what_speaks_of_the_connection_goes_with_what_it_names() {
        let mut request = request(&[
            ("connection", "x-hop , Keep-Alive"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "x"),
            ("x-hop", "1"),
            ("x-end", "2"),
        ]);
        strip_request(&mut request).unwrap();
        assert_eq!(request.headers.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["x-end"]);
    }

    #[test]
    fn what_backends_go_by_is_not_taken_out() {
        let many = vec!["a"; MAX_OPTIONS].join(",");
        for options in ["host", "X-Forwarded-For", ":authority", "\"a\"", &many] {
            assert!(strip_request(&mut request(&[("connection", options)])).is_err(), "{options}");
        }
    }

    #[test]
    fn a_connection_goes_on_as_its_version_and_its_sender_say() {
        for (version, value, expected) in [
            (Version::HTTP_11, None, true),
            (Version::HTTP_10, None, false),
            (Version::HTTP_11, Some("Close"), false),
            (Version::HTTP_11, Some("x, close"), false),
            (Version::HTTP_11, Some("upgrade"), true),
            (Version::HTTP_10, Some("Keep-Alive"), true),
            (Version::HTTP_10, Some("keep-alive, close"), false),
            (Version::HTTP_10, Some("x"), false),
        ] {
            let request =
                request(&value.map(|value| ("connection", value)).into_iter().collect::<Vec<_>>());
            assert_eq!(keeps(version, &request.headers), expected, "{version:?} {value:?}");
        }
    }
}
