//! The head of a request.

use std::ops::Range;

use bytes::BytesMut;
use h2::ext::Protocol;
use http::uri::{Authority, PathAndQuery};
use http::{Method, Version, request};
use memchr::memchr;

use super::fields::{Fields, Line, Span};
use super::names::HOST;

/// The head of a request.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) headers: Fields,
    target: Span,
    path: Path,
    scheme: Option<Scheme>,
    authority: Option<Span>,
    /// Whether it was a CONNECT for a WebSocket (RFC 8441).
    is_websocket: bool,
    /// How much of the text came: what was added stands behind it.
    came: usize,
}

/// The path and the query of a target.
#[derive(Debug, Clone)]
enum Path {
    Text(Span),
    /// Of a target that is not UTF-8: as it can be shown.
    Lossy(Box<str>),
    Root,
}

/// The scheme that HTTP/2 has beside the target (RFC 9113 §8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    /// One that is not for us.
    Other,
}

impl Scheme {
    fn of(text: &str) -> Self {
        let is = |scheme: &str| text.eq_ignore_ascii_case(scheme);
        match () {
            () if is("http") => Self::Http,
            () if is("https") => Self::Https,
            () => Self::Other,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http | Self::Other => "http",
            Self::Https => "https",
        }
    }
}

impl Clone for RequestHead {
    fn clone(&self) -> Self {
        self.copy()
    }
}

impl RequestHead {
    /// A head that was found to be one: its target stands there in `text`, its fields at `lines`.
    pub(crate) fn read(
        text: BytesMut,
        method: Method,
        target: &Range<usize>,
        version: Version,
        lines: Vec<Line>,
    ) -> Self {
        let came = text.len();
        Self { came, ..Self::over(method, version, Fields::over(text, lines), Span::of(target)) }
    }

    /// One of our own.
    pub(crate) fn new(method: Method, target: &[u8]) -> Self {
        let mut headers = Fields::with_room(0, target.len());
        let target = headers.push(target);
        Self::over(method, Version::HTTP_11, headers, target)
    }

    /// The head whose target stands there in the text of its fields.
    fn over(method: Method, version: Version, headers: Fields, target: Span) -> Self {
        let mut head = Self {
            method,
            version,
            headers,
            target,
            path: Path::Root,
            scheme: None,
            authority: None,
            is_websocket: false,
            came: 0,
        };
        head.set_path();
        head
    }

    /// What came over HTTP/2.
    pub(crate) fn of_http2(parts: &request::Parts) -> Self {
        let mut head = Self::of_parts(parts);
        for (name, value) in &parts.headers {
            head.headers.append(name.as_str(), value);
        }
        head
    }

    /// What others have read, without its fields.
    pub(crate) fn of_parts(parts: &request::Parts) -> Self {
        let uri = &parts.uri;
        let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let authority = uri.authority().map(Authority::as_str);
        let lengths = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let bytes: usize = lengths.sum();
        let bytes = bytes + target.len() + authority.map_or(0, str::len);
        let mut headers = Fields::with_room(parts.headers.len(), bytes);
        let target = headers.push(target.as_bytes());
        let authority = authority.map(|authority| headers.push(authority.as_bytes()));
        let protocol = parts.extensions.get::<Protocol>();
        let is_websocket = |protocol: &str| protocol.eq_ignore_ascii_case("websocket");
        Self {
            scheme: uri.scheme_str().map(Scheme::of),
            authority,
            is_websocket: protocol.is_some_and(|protocol| is_websocket(protocol.as_str())),
            ..Self::over(parts.method.clone(), parts.version, headers, target)
        }
    }

    /// The same once more, with room for what is added.
    pub(crate) fn copy(&self) -> Self {
        Self {
            method: self.method.clone(),
            headers: self.headers.copy(),
            path: self.path.clone(),
            ..*self
        }
    }

    /// The bytes that came.
    pub(crate) fn into_text(self) -> BytesMut {
        let mut text = self.headers.into_text();
        text.truncate(self.came);
        text
    }

    /// How many bytes came.
    pub(crate) fn came(&self) -> usize {
        self.came
    }

    /// The target as it came.
    pub(crate) fn target(&self) -> &[u8] {
        self.headers.part(self.target)
    }

    /// Puts another target in its place.
    pub(crate) fn set_target(&mut self, target: &[u8]) {
        self.target = self.headers.push(target);
        self.set_path();
    }

    /// The path and the query of the target.
    pub(crate) fn path_and_query(&self) -> &str {
        match &self.path {
            Path::Text(span) => std::str::from_utf8(self.headers.part(*span)).unwrap_or("/"),
            Path::Lossy(text) => text,
            Path::Root => "/",
        }
    }

    pub(crate) fn path(&self) -> &str {
        split_query(self.path_and_query()).0
    }

    pub(crate) fn query(&self) -> Option<&str> {
        split_query(self.path_and_query()).1
    }

    /// The scheme that came beside the target.
    pub(crate) fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    pub(crate) fn set_scheme(&mut self, scheme: Scheme) {
        self.scheme = Some(scheme);
    }

    /// Whether it came over HTTP/2 as a CONNECT for a WebSocket.
    pub(crate) fn is_websocket(&self) -> bool {
        self.is_websocket
    }

    /// The authority that came beside the target.
    pub(crate) fn authority(&self) -> Option<&str> {
        let authority = self.headers.part(self.authority?);
        std::str::from_utf8(authority).ok()
    }

    /// Makes the authority a field, as HTTP/1 has it (RFC 9113 §8.3.1).
    pub(crate) fn name_host(&mut self) {
        if let Some(authority) = self.authority() {
            let authority = authority.to_owned();
            self.headers.insert(HOST, authority);
        }
    }

    /// Finds the path within the target.
    fn set_path(&mut self) {
        let target = self.target();
        let at = self.target.range().start;
        let length = target.len();
        let path = match target {
            [b'/' | b'?' | b'*', ..] => Some(0),
            _ => absolute(target).map(|(_, path)| path),
        };
        self.path = match path {
            Some(from) if from < length => match &target[from..] {
                [b'?', rest @ ..] if from > 0 => {
                    let rooted = [b"/?", rest].concat();
                    Path::Text(self.headers.push(&rooted))
                }
                _ => Path::Text(Span::of(&(at + from..at + length))),
            },
            _ => Path::Root,
        };
        if let Path::Text(span) = self.path
            && let text = self.headers.part(span)
            && std::str::from_utf8(text).is_err()
        {
            self.path = Path::Lossy(String::from_utf8_lossy(text).into());
        }
    }
}

/// Where in a target in absolute form (RFC 9112 §3.2.2) its authority begins, and where its path does.
fn absolute(target: &[u8]) -> Option<(usize, usize)> {
    let from = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let own = target.get(..scheme.len())?;
        own.eq_ignore_ascii_case(scheme).then_some(scheme.len())
    })?;
    let length = target[from..].iter().position(|byte| matches!(byte, b'/' | b'?'));
    Some((from, length.map_or(target.len(), |length| from + length)))
}

/// The authority of a target in absolute form, as it was sent.
pub(crate) fn absolute_authority(target: &[u8]) -> Option<&[u8]> {
    absolute(target).map(|(from, to)| &target[from..to])
}

/// The path, and the query behind it.
pub(crate) fn split_query(text: &str) -> (&str, Option<&str>) {
    match memchr(b'?', text.as_bytes()) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// The longest target that the `http` crate holds.
const MAX_PATH: usize = 65_534;

/// Whether the rest of the way can hold a path and query of these bytes: the `http` crate refuses some that
/// RFC 3986 has escaped.
pub(crate) fn is_path_and_query(text: &[u8]) -> bool {
    let query = memchr(b'?', text).unwrap_or(text.len());
    let (path, query) = text.split_at(query);
    text.len() <= MAX_PATH
        && path.iter().all(|byte| !matches!(byte, b'<' | b'>' | b'`'))
        && query.iter().all(|byte| !matches!(byte, b'<' | b'>' | b'"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_path_in_each_form() {
        for (target, path_and_query, path, query) in [
            ("/a/b?c=d?e", "/a/b?c=d?e", "/a/b", Some("c=d?e")),
            ("/", "/", "/", None),
            ("/?", "/?", "/", Some("")),
            ("*", "*", "*", None),
            ("http://a.test/x?y", "/x?y", "/x", Some("y")),
            ("HTTPS://a.test", "/", "/", None),
            ("http://a.test?x/y", "/?x/y", "/", Some("x/y")),
            ("a.test:443", "/", "/", None),
        ] {
            let head = RequestHead::new(Method::GET, target.as_bytes());
            assert_eq!(head.target(), target.as_bytes());
            let read = (head.path_and_query(), head.path(), head.query());
            assert_eq!(read, (path_and_query, path, query), "{target}");
        }
        let head = RequestHead::new(Method::GET, b"/a\xff?b");
        assert_eq!(
            (head.target(), head.path(), head.query()),
            (&b"/a\xff?b"[..], "/a\u{fffd}", Some("b"))
        );
    }

    #[test]
    fn what_the_way_holds_is_what_its_crate_does() {
        for byte in 0x21..=0x7e_u8 {
            for text in [[b'/', byte, b'a'], [b'?', byte, b'a']] {
                let is_held = PathAndQuery::try_from(&text[..]).is_ok();
                assert_eq!(
                    is_path_and_query(&text),
                    is_held || byte == b'#',
                    "{}",
                    text.escape_ascii()
                );
            }
        }
        for length in [MAX_PATH, MAX_PATH + 1] {
            let text = vec![b'/'; length];
            assert_eq!(is_path_and_query(&text), PathAndQuery::try_from(&text[..]).is_ok());
        }
    }

    #[test]
    fn of_http2_the_names_and_the_authority_are_known() {
        let request = http::Request::builder()
            .version(Version::HTTP_2)
            .uri("https://a.test:81/x?y")
            .header("user-agent", "b")
            .header("x-odd_name", "c");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut head = RequestHead::of_http2(&parts);
        assert_eq!(head.authority(), Some("a.test:81"));
        assert_eq!((head.path(), head.scheme()), ("/x", Some(Scheme::Https)));
        assert!(head.headers.is_odd());
        head.name_host();
        let fields: Vec<_> = head.headers.iter().collect();
        let expected = [("User-Agent", &b"b"[..]), ("x-odd_name", b"c"), ("Host", b"a.test:81")];
        assert_eq!(fields, expected);
    }
}
