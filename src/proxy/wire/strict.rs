//! Reads the head of a request, where it is what RFC 9110 and RFC 9112 say it is: one pass over its lines.
//!
//! Two parsers can read a head differently only where it breaks the grammar. Many mend some of that (bare
//! line feeds, spaces in the target, several lengths), and the next parser may mend it otherwise; so what is
//! broken is refused here, and reaches no other.

use std::ops::Range;

use bytes::BytesMut;
use http::Method;
use memchr::memchr;

use crate::heads::names::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use crate::heads::{Line, RequestHead, is_path_and_query};
use crate::model::{Reason, worded};

/// More header lines than these nobody needs, and Pingora does not take them.
const MAX_FIELDS: usize = 256;

/// Header lines of most heads.
const FEW_FIELDS: usize = 16;

/// More digits than these a length does not need, and every parser's integers hold these.
pub(crate) const MAX_DIGITS: usize = 18;

worded! {
    /// What is wrong with a head, as the log says it.
    pub(crate) enum Fault {
        RequestLine "the request line is not `METHOD TARGET VERSION`",
        Method "the method is not a token",
        Target "the target is in no form that its method allows",
        Scheme "the scheme is neither `http` nor `https`",
        Version "the version is not `HTTP/` and two digits",
        UnknownVersion "this version of HTTP is not spoken",
        BareLineFeed "a line ends in LF without CR",
        Folded "a header line begins with white space",
        Name "the name of a header is not a token, or no colon follows it",
        Value "the value of a header has a control character",
        Padded "the value of a header begins or ends with white space",
        TooManyFields "there are more than 256 header lines",
        ContentLength "Content-Length is not a number",
        SeveralLengths "there are several Content-Length",
        LengthAndCoding "there are both Content-Length and Transfer-Encoding",
        CodingInHttp10 "HTTP/1.0 has no Transfer-Encoding",
        NotChunkedLast "Transfer-Encoding does not end in one `chunked`",
        UnknownCoding "only the transfer coding `chunked` is understood",
        SeveralCodings "there are several Transfer-Encoding",
        NoHost "there is no Host",
        SeveralHosts "there are several Host",
        HostDisagrees "Host is not the authority of the target",
    }
}

impl Fault {
    /// What it is answered with.
    pub(crate) fn status(self) -> u16 {
        match self {
            // RFC 9110 §15.6.6.
            Self::UnknownVersion => 505,
            // RFC 9112 §6.1.
            Self::UnknownCoding => 501,
            Self::TooManyFields => 431,
            _ => 400,
        }
    }

    /// What it is counted as.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::TooManyFields => Reason::TooManyHeaders,
            Self::NoHost => Reason::BadHost,
            _ => Reason::BadRequest,
        }
    }
}

/// A head that is looked at as it comes.
#[derive(Debug, Default)]
pub(crate) struct Check {
    /// Where the first line begins that is not whole yet.
    line: usize,
    /// Up to here there is no end of that line.
    searched: usize,
    lines: Vec<Line>,
    method: Range<usize>,
    target: Range<usize>,
    /// `None` until the request line was seen.
    version: Option<Version>,
    /// The authority of a target in absolute form.
    authority: Option<Range<usize>>,
    host: Option<Range<usize>>,
    length: Option<u64>,
    has_coding: bool,
}

/// How the body behind a head is delimited (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes; none where no header speaks of any.
    Length(u64),
    Chunked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

impl Check {
    /// Looks at what has come of `head` since the last call. Where its empty line begins, once that
    /// is there.
    ///
    /// # Errors
    /// What is wrong, as soon as the line is whole in which it is.
    pub(crate) fn advance(&mut self, head: &[u8]) -> Result<Option<usize>, Fault> {
        while let Some(length) = memchr(b'\n', &head[self.searched..]) {
            let start = self.line;
            let line = &head[start..self.searched + length];
            let line = line.strip_suffix(b"\r").ok_or(Fault::BareLineFeed)?;
            self.line = self.searched + length + 1;
            self.searched = self.line;
            match self.version {
                // RFC 9112 §2.2 has one empty line before a request ignored.
                None if line.is_empty() && start == 0 => {}
                None => self.request_line(line, start)?,
                Some(version) if line.is_empty() => {
                    self.whole(version, head)?;
                    return Ok(Some(start));
                }
                Some(version) => self.field(head, start..start + line.len(), version)?,
            }
        }
        self.searched = head.len();
        Ok(None)
    }

    /// The head, which is whole: `text`, up to and with its empty line.
    pub(crate) fn into_head(self, text: BytesMut) -> RequestHead {
        // It is a token.
        let method = Method::from_bytes(&text[self.method]).unwrap_or_default();
        let version = match self.version {
            Some(Version::Http10) => http::Version::HTTP_10,
            _ => http::Version::HTTP_11,
        };
        RequestHead::read(text, method, &self.target, version, self.lines)
    }

    /// How the body behind the head is delimited, once that is whole.
    pub(crate) fn body(&self) -> Body {
        if self.has_coding { Body::Chunked } else { Body::Length(self.length.unwrap_or(0)) }
    }

    fn request_line(&mut self, line: &[u8], start: usize) -> Result<(), Fault> {
        let space = memchr(b' ', line).ok_or(Fault::RequestLine)?;
        let (method, rest) = (&line[..space], &line[space + 1..]);
        let length = memchr(b' ', rest).ok_or(Fault::RequestLine)?;
        let (target, version) = (&rest[..length], &rest[length + 1..]);
        if !is_token(method) {
            return Err(Fault::Method);
        }
        self.version = Some(match version {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(Fault::UnknownVersion);
            }
            _ => return Err(Fault::Version),
        });
        let offset = start + space + 1;
        self.method = start..start + space;
        self.target = offset..offset + length;
        self.authority =
            authority(method, target)?.map(|range| range.start + offset..range.end + offset);
        self.lines.reserve(FEW_FIELDS);
        Ok(())
    }

    #[expect(
        clippy::needless_bitwise_bool,
        reason = "without branches many bytes are done at once"
    )]
    fn field(&mut self, head: &[u8], line: Range<usize>, version: Version) -> Result<(), Fault> {
        let (start, line) = (line.start, &head[line]);
        if self.lines.len() == MAX_FIELDS {
            return Err(Fault::TooManyFields);
        }
        if matches!(line[0], b' ' | b'\t') {
            return Err(Fault::Folded);
        }
        let colon = line.iter().position(|byte| !is_token_byte(*byte)).ok_or(Fault::Name)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if line[colon] != b':' || name.is_empty() {
            return Err(Fault::Name);
        }
        let is_text = |byte: &u8| (*byte >= b' ') & (*byte != 0x7f) | (*byte == b'\t');
        if !value.iter().fold(true, |all, byte| all & is_text(byte)) {
            return Err(Fault::Value);
        }
        let padding = value.len() - value.trim_ascii_start().len();
        let from = start + colon + 1 + padding;
        let value = value.trim_ascii();
        let at = from..from + value.len();
        let field = Line::at(head, &(start..start + colon), &at);
        self.lines.push(field);
        match field.known() {
            Some(HOST) => self.host.replace(at).map_or(Ok(()), |_| Err(Fault::SeveralHosts)),
            Some(CONTENT_LENGTH) => self.length(value),
            Some(TRANSFER_ENCODING) => self.coding(value, version),
            None if is_framing_twin(name) => Err(Fault::Name),
            _ => Ok(()),
        }
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.length.is_some() || memchr(b',', value).is_some() {
            return Err(Fault::SeveralLengths);
        }
        if !matches!(value.len(), 1..=MAX_DIGITS) || !value.iter().all(u8::is_ascii_digit) {
            return Err(Fault::ContentLength);
        }
        self.length = Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')));
        Ok(())
    }

    fn coding(&mut self, value: &[u8], version: Version) -> Result<(), Fault> {
        if self.has_coding {
            return Err(Fault::SeveralCodings);
        }
        self.has_coding = true;
        if version == Version::Http10 {
            return Err(Fault::CodingInHttp10);
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            return Ok(());
        }
        let mut codings = value.rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
        if codings.next().is_some_and(is_chunked)
            && codings.all(|coding| is_token(coding) && !is_chunked(coding))
        {
            Err(Fault::UnknownCoding)
        } else {
            Err(Fault::NotChunkedLast)
        }
    }

    /// What only the whole head shows.
    fn whole(&self, version: Version, head: &[u8]) -> Result<(), Fault> {
        if self.length.is_some() && self.has_coding {
            return Err(Fault::LengthAndCoding);
        }
        match (&self.host, &self.authority) {
            (None, _) if version == Version::Http11 => Err(Fault::NoHost),
            (Some(host), Some(authority)) => {
                let (host, authority) = (&head[host.clone()], &head[authority.clone()]);
                // The target of CONNECT always has a port.
                let is_host_of = || {
                    head.trim_ascii_start().starts_with(b"CONNECT ")
                        && authority.strip_prefix(host).is_some_and(|rest| rest.starts_with(b":"))
                };
                if host == authority || is_host_of() { Ok(()) } else { Err(Fault::HostDisagrees) }
            }
            _ => Ok(()),
        }
    }
}

/// Whether backends behind CGI take a name for one of those that delimit a body, and others don't.
fn is_framing_twin(name: &[u8]) -> bool {
    let is_alike = |(own, other): (&u8, &u8)| {
        own.eq_ignore_ascii_case(other) || (*own == b'_' && *other == b'-')
    };
    let is_twin_of = |framing: &str| {
        name.len() == framing.len() && name.iter().zip(framing.as_bytes()).all(is_alike)
    };
    is_twin_of("content-length") || is_twin_of("transfer-encoding")
}

/// Where in a target its authority stands, if it has one; RFC 9112 §3.2 has four forms.
#[expect(clippy::needless_bitwise_bool, reason = "without branches many bytes are done at once")]
fn authority(method: &[u8], target: &[u8]) -> Result<Option<Range<usize>>, Fault> {
    // Raw UTF-8, and what else RFC 3986 wants escaped, can't be read in two ways. A fragment can: some cut it
    // off.
    let is_target = |byte: &u8| (*byte > b' ') & (*byte != 0x7f) & (*byte != b'#');
    if !target.iter().fold(true, |all, byte| all & is_target(byte)) {
        return Err(Fault::Target);
    }
    let path_of = |path: &[u8]| if is_path_and_query(path) { Ok(None) } else { Err(Fault::Target) };
    match target {
        [b'/', ..] => path_of(target),
        b"*" if method == b"OPTIONS" => Ok(None),
        // Refused by its method, with an answer of its own.
        [_, ..] if method == b"CONNECT" => Ok(Some(0..target.len())),
        _ => {
            let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
                target.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme))
            });
            let from = scheme.ok_or(Fault::Target)?.len();
            let rest = &target[from..];
            let length =
                rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
            if length == 0 || rest[..length].iter().any(|byte| matches!(byte, b'@' | b'\\')) {
                return Err(Fault::Target);
            }
            path_of(&rest[length..])?;
            Ok(Some(from..from + length))
        }
    }
}

pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte))
}

/// Whether a byte may stand in a token.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// The characters of a token (RFC 9110 §5.6.2).
const TOKEN: [bool; 256] = {
    let characters = b"!#$%&'*+-.^_`|~0123456789\
        abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut table = [false; 256];
    let mut index = 0;
    while index < characters.len() {
        table[characters[index] as usize] = true;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str) -> Result<Option<usize>, Fault> {
        Check::default().advance(head.as_bytes())
    }

    #[test]
    fn each_fault_is_told_from_the_others() {
        for (head, fault) in [
            ("GET /\r\n", Fault::RequestLine),
            ("\r\n\r\n", Fault::RequestLine),
            ("G{T / HTTP/1.1\r\n", Fault::Method),
            ("GET x HTTP/1.1\r\n", Fault::Target),
            ("GET * HTTP/1.1\r\n", Fault::Target),
            ("GET /#a HTTP/1.1\r\n", Fault::Target),
            ("GET /<a> HTTP/1.1\r\n", Fault::Target),
            ("GET /?\" HTTP/1.1\r\n", Fault::Target),
            ("GET http://a/` HTTP/1.1\r\n", Fault::Target),
            ("GET http://u@a/ HTTP/1.1\r\n", Fault::Target),
            ("GET / HTTP/1.1 \r\n", Fault::Version),
            ("GET / HTTP/3.0\r\n", Fault::UnknownVersion),
            ("GET / HTTP/1.1\n", Fault::BareLineFeed),
            ("GET / HTTP/1.1\r\n a: b\r\n", Fault::Folded),
            ("GET / HTTP/1.1\r\nA : b\r\n", Fault::Name),
            ("GET / HTTP/1.1\r\nA\r\n", Fault::Name),
            ("GET / HTTP/1.1\r\nContent_Length: 1\r\n", Fault::Name),
            ("GET / HTTP/1.1\r\nA: b\rc\r\n", Fault::Value),
            ("GET / HTTP/1.1\r\nContent-Length: +1\r\n", Fault::ContentLength),
            ("GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n", Fault::SeveralLengths),
            ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", Fault::CodingInHttp10),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n", Fault::NotChunkedLast),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n", Fault::UnknownCoding),
            ("GET / HTTP/1.1\r\n\r\n", Fault::NoHost),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", Fault::SeveralHosts),
            ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::HostDisagrees),
        ] {
            assert_eq!(check(head), Err(fault), "{head:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(257));
        assert_eq!(check(&many), Err(Fault::TooManyFields));
    }

    proptest::proptest! {
        /// However a head is cut into reads, it is judged alike.
        #[test]
        fn cuts_do_not_matter(
            head in "(\r\n)?(GET|get|OPTIONS) [/*a-z:@ ]{0,12} HTTP/1[.][0-2]\r?\n\
                     ((Host|Content-Length|Transfer-Encoding|x y|):[ \t]?(a|3|chunked)?\r?\n){0,4}\
                     \r\n.{0,5}",
            cuts in proptest::collection::vec(0_usize..200, 0..8),
        ) {
            let at_once = check(&head);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(head.len())).collect();
            cuts.push(head.len());
            cuts.sort_unstable();
            let mut in_pieces = Check::default();
            let judged = cuts.iter().map(|cut| in_pieces.advance(&head.as_bytes()[..*cut]));
            let judged = judged.into_iter().find(|judged| *judged != Ok(None)).unwrap_or(Ok(None));
            proptest::prop_assert_eq!(judged, at_once);
        }
    }
}
