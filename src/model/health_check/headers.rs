//! The headers of a probe's request.

use std::collections::BTreeMap;

use std::fmt;
use std::str::FromStr;

use http::{HeaderName, HeaderValue, header};

use crate::model::{HeaderField, ParseError, serde_as_text};

/// As many as a probe has use for.
const MAX_HEADERS: usize = 32;

/// The longest names and values, together: servers refuse heads that are much longer.
const MAX_HEADER_BYTES: usize = 4096;

/// What frames a message or is about the connection, which is nobody's to write.
const OURS: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The value of a header of a probe's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeHeader(HeaderValue);

impl ProbeHeader {
    /// The value as it goes over the wire.
    pub fn value(&self) -> &HeaderValue {
        &self.0
    }
}

impl FromStr for ProbeHeader {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let value = HeaderValue::from_str(text).ok().filter(|value| value.to_str().is_ok());
        value.map(Self).ok_or_else(|| {
            ParseError::new("header value", text, "use ASCII characters that print, on one line")
        })
    }
}

impl fmt::Display for ProbeHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.to_str().unwrap_or_default())
    }
}

serde_as_text!(ProbeHeader, "The value of a header: ASCII characters that print.");

/// Whether they can be sent.
///
/// # Errors
/// What can't, and what would be right.
pub(super) fn check(headers: &BTreeMap<HeaderField, ProbeHeader>) -> Result<(), String> {
    if headers.keys().any(|field| field.name() == header::HOST) {
        return Err("`host` has a key of its own; set `host` of the health check".to_owned());
    }
    if let Some(field) = headers.keys().find(|field| OURS.contains(field.name())) {
        return Err(format!("`{field}` is the proxy's own to write; leave it out"));
    }
    let bytes =
        headers.iter().map(|(field, text)| field.name().as_str().len() + text.value().len());
    if headers.len() > MAX_HEADERS || bytes.sum::<usize>() > MAX_HEADER_BYTES {
        return Err(format!(
            "a probe has at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes in all; keep those that \
             the backend needs"
        ));
    }
    Ok(())
}
