//! One request of a probe, and what its answer says.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, TE,
    USER_AGENT,
};
use http::{HeaderMap, Method};
use pingora::connectors::http::v2::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use tokio::time::timeout;

use super::grpc::{self, bounded};
use super::patterns::Patterns;
use crate::model::{
    ExpectedBody, GrpcCheck, HeaderField, HttpCheck, MAX_BODY_LOOKED_AT, ProbeHeader, ProbeMethod,
    ProxyHeader, SendProxyProtocol, UpstreamFailure as Failure,
};
use crate::state::BackendNode;
use crate::upstream;

/// How long an answer may go on after all that counts was read.
const DRAIN_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

const USER_AGENT_VALUE: &str = concat!("vhost-health/", env!("CARGO_PKG_VERSION"));

/// What was seen of an answer so far, also of one that never ends.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The HTTP status.
    pub(super) status: Option<u16>,
}

/// A request to be made, on a connection of its own.
pub(super) struct Exchange<'p> {
    pub(super) connector: &'p Connector,
    pub(super) patterns: &'p Patterns,
    pub(super) node: &'p BackendNode,
    pub(super) peer: HttpPeer,
    /// Whether the connection begins with a PROXY header.
    pub(super) announce: SendProxyProtocol,
    pub(super) seen: &'p mut Seen,
}

impl Exchange<'_> {
    /// Sends the request of an HTTP check; `host` is what it asks for where the check doesn't say.
    pub(super) async fn request(
        &mut self,
        check: &HttpCheck,
        host: impl FnOnce() -> String,
    ) -> Result<(), String> {
        let mut request = request(
            check.method.as_str(),
            check.path.as_str(),
            check.host.as_ref().map_or_else(host, |host| host.as_str().to_owned()),
            &check.headers,
        )?;
        if check.method == ProbeMethod::Post {
            // Without it some servers answer 411 (RFC 9110 §8.6).
            request.insert_header(CONTENT_LENGTH, "0").map_err(in_words)?;
        }
        let mut session = self.connect().await?;
        let is_http1 = session.as_http1().is_some();
        if is_http1 {
            upstream::check_http1(self.node.backend.options.scheme).map_err(in_words)?;
            // Not allowed in HTTP/2 (RFC 9113 §8.2.2), where dropping the session is enough.
            request.insert_header(CONNECTION, "close").map_err(in_words)?;
        } else {
            upstream::to_http2(&mut request, self.peer.is_tls()).map_err(in_words)?;
        }
        self.send(&mut session, request, None).await?;
        let status = loop {
            let status = self.read_status(&mut session).await?;
            // Over HTTP/2 Pingora has removed them, and panics if asked again.
            if !(is_http1 && (100..200).contains(&status) && status != 101) {
                break status;
            }
        };
        self.seen.status = Some(status);
        let expected = &check.expected_status;
        let verdict = match &check.expect_body {
            _ if !expected.contains(status) => Err(format!("status {status}, expected {expected}")),
            Some(body) => self.look_for(body, &mut session).await,
            None => Ok(()),
        };
        tokio::spawn(drain(session));
        verdict
    }

    /// Makes the call of a gRPC check.
    pub(super) async fn call(
        &mut self,
        check: &GrpcCheck,
        host: impl FnOnce() -> String,
    ) -> Result<(), String> {
        // Whatever the traffic is: with prior knowledge where there is no TLS (RFC 9113 §3.3).
        self.peer.options.set_http_version(2, 2);
        let host = check.host.as_ref().map_or_else(host, |host| host.as_str().to_owned());
        let mut request = request(Method::POST.as_str(), grpc::CHECK_PATH, host, &check.headers)?;
        request.insert_header(CONTENT_TYPE, "application/grpc").map_err(in_words)?;
        request.insert_header(TE, "trailers").map_err(in_words)?;
        let mut session = self.connect().await?;
        if session.as_http2().is_none() {
            return Err("TLS: it does not offer HTTP/2 (ALPN), which gRPC needs".to_owned());
        }
        upstream::to_http2(&mut request, self.peer.is_tls()).map_err(in_words)?;
        let message = Bytes::from(grpc::request(check.service.as_str()));
        self.send(&mut session, request, Some(message)).await?;
        let status = self.read_status(&mut session).await?;
        self.seen.status = Some(status);
        let head = session.response_header().map(|head| &head.headers);
        let kind = head.and_then(|head| text(head, &CONTENT_TYPE));
        let is_grpc = kind.as_deref().is_some_and(|kind| kind.starts_with("application/grpc"));
        if status != 200 {
            return Err(format!("status {status}, expected 200 of a gRPC server"));
        }
        if !is_grpc {
            let kind =
                kind.as_deref().map_or("none".to_owned(), |kind| format!("`{}`", bounded(kind)));
            return Err(format!("the answer is not gRPC: its content-type is {kind}"));
        }
        // An answer without a message has its trailers in its head.
        if let Some(failure) = head.and_then(failure_of) {
            return Err(failure);
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.read_body(&mut session).await? {
            body.extend_from_slice(&chunk);
            if body.len() > grpc::MAX_ANSWER_BYTES {
                return Err(format!("the answer has more than {} bytes", grpc::MAX_ANSWER_BYTES));
            }
        }
        let trailers = match &mut session {
            HttpSession::H2(session) => session.read_trailers().await.map_err(in_words)?,
            _ => None,
        };
        match trailers {
            Some(trailers) => failure_of(&trailers).map_or(Ok(()), Err)?,
            None => return Err("the answer has no grpc-status".to_owned()),
        }
        grpc::check_answer(&body)
    }

    async fn connect(&mut self) -> Result<HttpSession, String> {
        // With room for one stream the connector doesn't put the connection into its pool.
        self.peer.options.max_h2_streams = 1;
        upstream::announce(&mut self.peer, self.announce, || ProxyHeader::Local);
        self.connector.new_http_session(&self.peer).await.map_err(in_words)
    }

    async fn send(
        &self,
        session: &mut HttpSession,
        request: RequestHeader,
        body: Option<Bytes>,
    ) -> Result<(), String> {
        let words = |error: pingora::BError| self.in_words(&error);
        session.write_request_header(Box::new(request)).await.map_err(words)?;
        match body {
            Some(body) => session.write_request_body(body, true).await.map_err(words),
            None => session.finish_request_body().await.map_err(words),
        }
    }

    async fn read_status(&self, session: &mut HttpSession) -> Result<u16, String> {
        session.read_response_header().await.map_err(|error| self.in_words(&error))?;
        let head = session.response_header();
        head.map(|head| head.status.as_u16()).ok_or_else(|| "closed without an answer".to_owned())
    }

    async fn read_body(&self, session: &mut HttpSession) -> Result<Option<Bytes>, String> {
        let read = session.read_response_body().await;
        read.map_err(|error| format!("the body broke off: {}", self.in_words(&error)))
    }

    /// Reads the body until it has what is expected, or can't have it any more.
    async fn look_for(
        &self,
        expected: &ExpectedBody,
        session: &mut HttpSession,
    ) -> Result<(), String> {
        let mut body = Vec::new();
        let mut is_whole = false;
        let is_found = loop {
            let looked_at = body.len();
            match self.read_body(session).await? {
                Some(chunk) => {
                    let room = MAX_BODY_LOOKED_AT - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                None => is_whole = true,
            }
            let is_end = is_whole || body.len() == MAX_BODY_LOOKED_AT;
            match expected {
                ExpectedBody::Text(text) => {
                    // It may have begun in what was there before.
                    let from = looked_at.saturating_sub(text.len() - 1);
                    let is_here = memchr::memmem::find(&body[from..], text.as_bytes()).is_some();
                    if is_here || is_end {
                        break is_here;
                    }
                }
                ExpectedBody::Regex(pattern) if is_end => {
                    let pattern = self.patterns.get(pattern).map_err(|error| error.to_string())?;
                    let looked_at = std::mem::take(&mut body);
                    // It may take a moment, which others here should not wait for.
                    let search = tokio::task::spawn_blocking(move || {
                        (pattern.is_match(&looked_at), looked_at)
                    });
                    let (is_match, looked_at) = search.await.map_err(|error| error.to_string())?;
                    body = looked_at;
                    break is_match;
                }
                ExpectedBody::Regex(_) => {}
            }
        };
        if is_found {
            return Ok(());
        }
        let head = session.response_header().map(|head| &head.headers);
        let coding = head.and_then(|head| text(head, &CONTENT_ENCODING));
        let coding = coding.filter(|coding| !coding.eq_ignore_ascii_case("identity"));
        Err(lacks(expected, &body, is_whole, coding.as_deref()))
    }

    /// The error of a new connection. TLS alerts about a client certificate come only now, and are lost
    /// over HTTP/2 (the h2 crate keeps no cause).
    fn in_words(&self, error: &pingora::Error) -> String {
        let reason = upstream::reason(error);
        let ended = matches!(upstream::failure(error, false), Failure::Reset | Failure::Closed);
        match self.node.tls() {
            Ok(Some(tls)) if ended && !reason.starts_with("TLS") => {
                match tls.client_certificate() {
                    None => format!("{reason}; it may want a client certificate"),
                    Some(_) => format!("{reason}; it may not trust the client certificate"),
                }
            }
            _ => reason,
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the argument of `map_err`")]
fn in_words(error: pingora::BError) -> String {
    upstream::reason(&error)
}

/// What was expected of a body, and what came.
fn lacks(expected: &ExpectedBody, body: &[u8], is_whole: bool, coding: Option<&str>) -> String {
    let where_ = if is_whole { "the body" } else { "the first 64 KiB of the body" };
    let lacks = match expected {
        ExpectedBody::Text(_) => format!("{where_} lacks {expected}"),
        ExpectedBody::Regex(_) => format!("{where_} doesn't match {expected}"),
    };
    match (coding, body) {
        (Some(coding), _) => format!("{lacks}; it is encoded (`{}`)", bounded(coding)),
        (None, []) => format!("{lacks}; it is empty"),
        (None, body) => {
            let start = &body[..body.len().min(200)];
            let start = String::from_utf8_lossy(start);
            let start = start.split_whitespace().collect::<Vec<_>>().join(" ");
            format!(
                "{lacks}; it begins `{}`",
                crate::model::shorten(&crate::model::printable(&start), 60)
            )
        }
    }
}

fn text(head: &HeaderMap, name: &HeaderName) -> Option<String> {
    head.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Why a call failed, by the trailers of its answer; nothing where it has not, or they don't say.
fn failure_of(trailers: &HeaderMap) -> Option<String> {
    let get = |name: &'static str| text(trailers, &HeaderName::from_static(name));
    let code = get("grpc-status").filter(|code| code != "0")?;
    Some(grpc::failure(&code, get("grpc-message").as_deref()))
}

/// The head of a request. The headers of the check take the place of ours.
fn request(
    method: &str,
    path: &str,
    host: String,
    headers: &BTreeMap<HeaderField, ProbeHeader>,
) -> Result<RequestHeader, String> {
    let build = || {
        let mut request = RequestHeader::build(method, path.as_bytes(), None)?;
        request.insert_header(HOST, host)?;
        request.insert_header(USER_AGENT, USER_AGENT_VALUE)?;
        request.insert_header(ACCEPT, "*/*")?;
        for (field, text) in headers {
            request.insert_header(field.name().clone(), text.value().clone())?;
        }
        Ok(request)
    };
    build().map_err(|error: pingora::BError| format!("the request cannot be made: {error}"))
}

/// Reads the rest of a small answer before the connection closes: closing with unread bytes resets
/// it, which many servers log as an error at every probe.
async fn drain(mut session: HttpSession) {
    let rest = async {
        let mut read = 0;
        while let Ok(Some(chunk)) = session.read_response_body().await {
            read += chunk.len();
            if read > MAX_BODY_LOOKED_AT {
                break;
            }
        }
    };
    let _ = timeout(DRAIN_TIMEOUT, rest).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_body_lacks_is_said_on_one_short_line() {
        let expected = |value| serde_json::from_value::<ExpectedBody>(value).unwrap();
        let ok = expected(serde_json::json!("ok"));
        for (body, is_whole, coding, said) in [
            (
                &b"{\n  \"status\": \"down\"\n}"[..],
                true,
                None,
                "the body lacks `ok`; it begins `{ \"status\": \"down\" }`",
            ),
            (b"", true, None, "the body lacks `ok`; it is empty"),
            (b"\x1f\x8b", true, Some("gzip"), "the body lacks `ok`; it is encoded (`gzip`)"),
            (b"x", false, None, "the first 64 KiB of the body lacks `ok`; it begins `x`"),
        ] {
            assert_eq!(lacks(&ok, body, is_whole, coding), said);
        }
        let pattern = expected(serde_json::json!({"regex": "^ok$"}));
        let hostile = lacks(&pattern, &b"\x1b[2J\xff".repeat(1000), true, None);
        assert!(
            hostile.starts_with("the body doesn't match regex `^ok$`; it begins `"),
            "{hostile}"
        );
        assert!(!hostile.contains('\u{1b}') && hostile.chars().count() < 140, "{hostile}");
    }
}
