//! Fields that speak of one connection, and not of the message (RFC 9110 §7.6.1).

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, Result};

use crate::proxy::carry::response;
use crate::proxy::wire::strict::is_token;

/// More options than these nobody needs; each costs a look.
const MAX_OPTIONS: usize = 64;

static HOP_BY_HOP: [HeaderName; 9] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
];

/// Takes out of a request what is of its client's connection.
///
/// # Errors
/// When it would have what a backend goes by be taken out, or names no field.
pub(super) fn strip_request(request: &mut RequestHeader) -> Result<()> {
    if request.headers.contains_key(header::CONNECTION) {
        for name in nominated(&request.headers)? {
            request.remove_header(&name);
        }
    }
    // One look at the names that are there, in place of one for each that should not be.
    if request.headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        for name in &HOP_BY_HOP {
            request.remove_header(name);
        }
    }
    Ok(())
}

/// The fields that `Connection` names.
fn nominated(headers: &HeaderMap) -> Result<Vec<HeaderName>> {
    let refuse = |words| Err(Error::explain(ErrorType::InvalidHTTPHeader, words).into_down());
    let mut names = Vec::new();
    for option in options(headers) {
        let name = is_token(option).then(|| HeaderName::from_bytes(option).ok()).flatten();
        let Some(name) = name else { return refuse("Connection names what is no field") };
        if matches!(
            name.as_str(),
            "host" | "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto"
        ) {
            return refuse("Connection names a field that routes");
        }
        names.push(name);
        if names.len() == MAX_OPTIONS {
            return refuse("Connection names too many fields");
        }
    }
    Ok(names)
}

fn options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(header::CONNECTION).iter();
    let options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    options.map(<[u8]>::trim_ascii).filter(|option| !option.is_empty())
}

/// Whether a connection goes on behind a message of this version, by what its sender says (RFC 9112 §9.3).
pub(super) fn keeps(version: Version, headers: &HeaderMap) -> bool {
    let says = |word: &[u8]| options(headers).any(|option| option.eq_ignore_ascii_case(word));
    if !headers.contains_key(header::CONNECTION) {
        return version == Version::HTTP_11;
    }
    !says(b"close") && (version == Version::HTTP_11 || says(b"keep-alive"))
}

/// Takes out of an answer what a connection of HTTP/2 may not have (RFC 9113 §8.2.2).
pub(super) fn strip_answer(answer: &mut ResponseHeader) {
    for name in [header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE] {
        answer.remove_header(&name);
    }
    answer.remove_header("keep-alive");
    answer.remove_header("proxy-connection");
}

/// Whether an answer has no body, whatever its head says (RFC 9110 §6.4.1).
pub(super) fn has_no_body(method: &Method, response: &ResponseHeader) -> bool {
    response.status.is_informational() || response::has_no_body(method, response.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in fields {
            request.append_header(*name, *value).unwrap();
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
        assert_eq!(request.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-end"]);
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
