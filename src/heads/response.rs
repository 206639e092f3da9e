//! The head of an answer.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{Response, StatusCode, Version};
use memchr::memchr;

use super::fields::{Fields, Span};
use super::names::{CONTENT_LENGTH, TRANSFER_ENCODING};

/// More header lines than these no backend needs.
const MAX_FIELDS: usize = 256;

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: Fields,
    /// What stands behind the status, where that is not what the status is usually called.
    reason: Option<Span>,
}

impl ResponseHead {
    /// One of our own.
    pub(crate) fn new(status: StatusCode) -> Self {
        let headers = Fields::with_room(0, 0);
        Self { status, version: Version::HTTP_11, headers, reason: None }
    }

    /// Reads the head at the beginning of a text, with its length; nothing while it is not whole.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn read(text: &[u8]) -> Result<Option<(Self, usize)>, httparse::Error> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let whole = rules().parse_response_with_uninit_headers(&mut parsed, text, &mut fields)?;
        let httparse::Status::Complete(length) = whole else { return Ok(None) };
        let status = StatusCode::from_u16(parsed.code.unwrap_or_default());
        let status = status.map_err(|_| httparse::Error::Status)?;
        let mut headers = Fields::with_room(parsed.headers.len(), length);
        for field in &*parsed.headers {
            headers.append_as(field.name.as_bytes(), &unfolded(field.value));
        }
        // RFC 9112 §6.3: the coding counts.
        if headers.has(TRANSFER_ENCODING) {
            headers.remove(CONTENT_LENGTH);
        }
        let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        let mut head = Self { status, version, headers, reason: None };
        head.set_reason(parsed.reason.unwrap_or_default());
        Ok(Some((head, length)))
    }

    /// The same once more.
    pub(crate) fn copy(&self) -> Self {
        Self { headers: self.headers.copy(), ..*self }
    }

    /// What stands behind the status.
    pub(crate) fn reason(&self) -> &str {
        match self.reason {
            Some(span) => std::str::from_utf8(self.headers.part(span)).unwrap_or_default(),
            None => self.status.canonical_reason().unwrap_or_default(),
        }
    }

    pub(crate) fn set_reason(&mut self, reason: &str) {
        let is_usual = self.status.canonical_reason() == Some(reason);
        self.reason = (!is_usual).then(|| self.headers.push(reason.as_bytes()));
    }

    pub(crate) fn set_status(&mut self, status: StatusCode) {
        (self.status, self.reason) = (status, None);
    }

    /// Writes it as HTTP/1 has it.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        let is_old = self.version == Version::HTTP_10;
        out.extend_from_slice(if is_old { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
        out.extend_from_slice(self.status.as_str().as_bytes());
        out.extend_from_slice(b" ");
        out.extend_from_slice(self.reason().as_bytes());
        out.extend_from_slice(b"\r\n");
        self.headers.write(out);
        out.extend_from_slice(b"\r\n");
    }

    /// Takes it out as HTTP/2 has it.
    pub(crate) fn take_http2(&mut self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.take_map();
        self.reason = None;
        response
    }
}

/// A value without the folds of its lines (RFC 9112 §5.2).
fn unfolded(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let lines = value.split(|byte| matches!(byte, b'\r' | b'\n')).map(<[u8]>::trim_ascii);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    Cow::Owned(lines.join(&b' '))
}

/// What is forgiven to backends: what older ones do, and nobody can read in two ways.
fn rules() -> httparse::ParserConfig {
    let mut rules = httparse::ParserConfig::default();
    rules.allow_spaces_after_header_name_in_responses(true);
    rules.allow_obsolete_multiline_headers_in_responses(true);
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fold_is_a_space() {
        let text = b"HTTP/1.1 200 OK\r\nX-A: 1\r\n  2\r\n\t3\r\nX-B : 4\r\n\r\n";
        let (head, length) = ResponseHead::read(text).unwrap().expect("it is whole");
        assert_eq!(length, text.len());
        assert_eq!(
            (head.headers.get("x-a"), head.headers.get("x-b")),
            (Some(&b"1 2 3"[..]), Some(&b"4"[..]))
        );
    }

    #[test]
    fn a_status_has_its_own_words_or_the_usual_ones() {
        for (line, expected) in [
            ("HTTP/1.1 200 Fine", "HTTP/1.1 200 Fine"),
            ("HTTP/1.0 404 Not Found", "HTTP/1.0 404 Not Found"),
            ("HTTP/1.1 200 ", "HTTP/1.1 200 "),
            ("HTTP/1.1 799", "HTTP/1.1 799 "),
        ] {
            let (mut head, _) =
                ResponseHead::read(format!("{line}\r\n\r\n").as_bytes()).unwrap().unwrap();
            let mut written = BytesMut::new();
            head.write(&mut written);
            assert_eq!(written, format!("{expected}\r\n\r\n"));
            head.set_status(StatusCode::BAD_GATEWAY);
            assert_eq!(head.reason(), "Bad Gateway");
        }
    }
}
