//! What a request asked for.

use http::{Method, Version};

use crate::heads::names::{HOST, REFERER, USER_AGENT};
use crate::heads::{RequestHead, split_query};
use crate::proxy::client::downstream::Downstream;
use crate::proxy::wire::request::usable_request_id;
use crate::telemetry::{KeptHeaders, LoggedHeader};

/// How much is kept of each header: more than the log writes of it.
const MAX_KEPT: u16 = 1100;

/// What a request asked for, noted at its begin, for one that has no end: when the server stops, its
/// session goes before anybody can look at it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// Path and query, and behind them what is kept of headers.
    texts: Vec<u8>,
    /// The length of path and query.
    target: usize,
    /// The lengths of the headers that there are.
    lengths: [Option<u16>; 4],
    pub(super) protocol: &'static str,
    pub(super) tls: Option<&'static str>,
    /// The headers that the log has by name.
    pub(super) headers: Option<Box<KeptHeaders>>,
}

impl Asked {
    /// Of a request; `wanted` are the headers that the log has by name.
    pub(super) fn of(session: &impl Downstream, wanted: &[LoggedHeader]) -> Self {
        let request = session.request();
        let target = request.path_and_query().as_bytes();
        // Its `:authority`, else its Host header.
        let host = request.authority().or_else(|| request.headers.text(HOST));
        let kept = [
            host.map(str::as_bytes),
            usable_request_id(request).map(str::as_bytes),
            request.headers.get(REFERER),
            request.headers.get(USER_AGENT),
        ];
        let kept = kept.map(|text| text.map(|text| &text[..text.len().min(MAX_KEPT.into())]));
        let lengths = kept.map(|text| text.map(|text| u16::try_from(text.len()).unwrap_or(0)));
        let of_headers: usize = kept.iter().flatten().map(|text| text.len()).sum();
        let mut texts = Vec::with_capacity(target.len() + of_headers);
        texts.extend_from_slice(target);
        kept.into_iter().flatten().for_each(|text| texts.extend_from_slice(text));
        let headers = || Box::new(KeptHeaders::of_head(wanted, &request.headers));
        Self {
            method: request.method.clone(),
            texts,
            target: target.len(),
            lengths,
            protocol: protocol(request),
            tls: session.tls(),
            headers: (!wanted.is_empty()).then(headers),
        }
    }

    pub(super) fn path(&self) -> &str {
        split_query(self.path_and_query()).0
    }

    pub(super) fn query(&self) -> Option<&str> {
        split_query(self.path_and_query()).1
    }

    fn path_and_query(&self) -> &str {
        std::str::from_utf8(&self.texts[..self.target]).unwrap_or("/")
    }

    pub(super) fn host(&self) -> Option<&str> {
        std::str::from_utf8(self.header(0)?).ok()
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        std::str::from_utf8(self.header(1)?).ok()
    }

    pub(super) fn referer(&self) -> Option<&[u8]> {
        self.header(2)
    }

    pub(super) fn user_agent(&self) -> Option<&[u8]> {
        self.header(3)
    }

    fn header(&self, index: usize) -> Option<&[u8]> {
        let length: usize = self.lengths[index]?.into();
        let before =
            self.lengths[..index].iter().flatten().copied().map(usize::from).sum::<usize>();
        self.texts[self.target + before..].get(..length)
    }
}

pub(super) fn protocol(request: &RequestHead) -> &'static str {
    match request.version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}
