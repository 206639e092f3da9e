//! Why a backend could not be spoken to, in a few words for people.

use std::error::Error as _;
use std::io;

use pingora::{Error, ErrorType};

use crate::model::UpstreamFailure;

/// The short reason of a failed connect or exchange, such as `connection refused`.
pub fn reason(error: &Error) -> String {
    match error.root_etype() {
        ErrorType::ConnectRefused => "connection refused".into(),
        ErrorType::ConnectNoRoute => "no route to host".into(),
        ErrorType::ConnectTimedout => "timed out connecting".into(),
        ErrorType::TLSHandshakeTimedout => "timed out in the TLS handshake".into(),
        ErrorType::ReadTimedout => "timed out waiting for an answer".into(),
        ErrorType::WriteTimedout => "timed out sending the request".into(),
        ErrorType::ConnectionClosed => CLOSED.into(),
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error => "the answer is not HTTP/1".into(),
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert => tls_reason(&error.to_string()),
        kind if *kind == NO_HTTP2 => format!("TLS: {WRONG_PROTOCOL}"),
        kind => match io_error(error) {
            // From TLS 1.3 on, what the other end thinks of our certificate comes after the handshake.
            Some(error) if error.to_string().contains(ALERT) => tls_reason(&error.to_string()),
            Some(error) => io_reason(error),
            None if error.root_cause().to_string().contains(LOST) => CLOSED.into(),
            None if is_http2(kind) => format!("HTTP/2 failed: {}", error.root_cause()),
            None => format!("{}: {}", kind.as_str(), error.root_cause()),
        },
    }
}

/// The class of a failed connect or exchange; `answering` is whether the answer had begun.
pub fn failure(error: &Error, answering: bool) -> UpstreamFailure {
    match error.root_etype() {
        ErrorType::ConnectRefused => UpstreamFailure::ConnectRefused,
        ErrorType::ConnectTimedout => UpstreamFailure::ConnectTimeout,
        // The last is what Pingora makes of a Unix socket that may not be opened.
        ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::BindError
        | ErrorType::SocketError
        | ErrorType::ConnectProxyFailure
        | ErrorType::InternalError => UpstreamFailure::ConnectFailed,
        ErrorType::TLSHandshakeTimedout
        | ErrorType::TLSHandshakeFailure
        | ErrorType::TLSWantX509Lookup
        | ErrorType::InvalidCert => UpstreamFailure::TlsFailed,
        kind if *kind == NO_HTTP2 => UpstreamFailure::TlsFailed,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => UpstreamFailure::Timeout,
        ErrorType::ConnectionClosed if answering => UpstreamFailure::CutShort,
        ErrorType::ConnectionClosed => UpstreamFailure::Closed,
        ErrorType::ReadError | ErrorType::WriteError => {
            match io_error(error).map(io::Error::kind) {
                Some(io::ErrorKind::UnexpectedEof) if answering => UpstreamFailure::CutShort,
                Some(io::ErrorKind::UnexpectedEof) => UpstreamFailure::Closed,
                // Ours, before a WebSocket is one, or TCP's.
                Some(io::ErrorKind::TimedOut) => UpstreamFailure::Timeout,
                _ => UpstreamFailure::Reset,
            }
        }
        _ => UpstreamFailure::Protocol,
    }
}

/// What comes before the reason for which no handshake is tried.
pub(super) const NO_HANDSHAKE: &str = "no handshake: ";

/// The backend speaks TLS, but not HTTP/2, which it has to.
pub(super) const NO_HTTP2: ErrorType = ErrorType::Custom("NoHttp2");

/// How rustls begins what the other end has said.
const ALERT: &str = "received fatal alert";

/// What the h2 crate makes of a connection that ends, whatever for.
const LOST: &str = "stream closed because of a broken pipe";

const WRONG_PROTOCOL: &str = "it does not offer the HTTP version that its `scheme` wants (ALPN)";

const CLOSED: &str = "closed without an answer";

/// The operating system's error in a few words, without its number.
pub(crate) fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such socket".into(),
        io::ErrorKind::UnexpectedEof => CLOSED.into(),
        io::ErrorKind::TimedOut => "timed out waiting for an answer".into(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let mut chars = text.chars();
            chars
                .next()
                .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
        }
    }
}

fn is_http2(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::H2Error
            | ErrorType::H2Downgrade
            | ErrorType::InvalidH2
            | ErrorType::HandshakeError
    )
}

fn io_error(error: &Error) -> Option<&io::Error> {
    let root: &(dyn std::error::Error + 'static) = error.root_cause();
    let mut cause = Some(root);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        cause = error.source();
    }
    error.source().and_then(|source| source.downcast_ref())
}

/// Pingora keeps of a failed handshake nothing but text (`protocols/tls/rustls/client.rs`), so the
/// text is searched for what operators meet.
fn tls_reason(text: &str) -> String {
    const KNOWN: &[(&str, &str)] = &[
        ("UnknownIssuer", "the certificate's issuer is not trusted"),
        ("BadSignature", "the certificate's issuer has the name of a trusted one, but not its key"),
        ("certificate expired", "the certificate has expired"),
        ("certificate not valid yet", "the certificate is not valid yet"),
        ("NotValidForName", "the certificate is for another name"),
        ("not valid for name", "the certificate is for another name"),
        ("CaUsedAsEndEntity", "the certificate is an authority's, not a server's"),
        ("NoApplicationProtocol", WRONG_PROTOCOL),
        ("CertificateRequired", "it wants a client certificate"),
        ("alert: UnknownCA", "it does not trust the client certificate"),
        ("InvalidContentType", "it does not speak TLS"),
        ("eof", CLOSED),
    ];
    if let Some((_, why)) = text.split_once(NO_HANDSHAKE) {
        return format!("TLS: {why}");
    }
    // Behind the name comes the local address, as a cause of its own. Neither is searched: a name
    // may contain anything.
    let text = text.rsplit("TLS connect() failed: ").next().unwrap_or(text);
    let text = text.split(", SNI:").next().unwrap_or(text);
    let known = KNOWN.iter().find(|(part, _)| text.contains(part)).map(|(_, words)| *words);
    let words = known.unwrap_or_else(|| text.rsplit("cause: ").next().unwrap_or(text).trim());
    format!("TLS: {words}")
}

#[cfg(test)]
mod tests {
    use pingora::ErrorType::{self, ConnectError, ConnectRefused, ReadError, TLSHandshakeFailure};

    use super::*;

    #[test]
    fn reasons_are_words() {
        let os = |kind: ErrorType, number| {
            Error::because(kind, "connecting", io::Error::from_raw_os_error(number))
        };
        for (error, words) in [
            (os(ConnectRefused, 111), "connection refused"),
            (os(ConnectError, 2), "no such socket"),
            (os(ReadError, 104), "connection reset by peer"),
            (os(ErrorType::InternalError, 13), "permission denied"),
            (os(ErrorType::InternalError, 13).more_context("to server"), "permission denied"),
            (Error::new(ErrorType::ConnectionClosed), "closed without an answer"),
            (
                Error::explain(
                    TLSHandshakeFailure,
                    "TLS connect() failed: invalid peer certificate: UnknownIssuer, SNI: x",
                ),
                "TLS: the certificate's issuer is not trusted",
            ),
            (
                Error::because(
                    TLSHandshakeFailure,
                    "TLS connect() failed: TLSHandshakeFailure cause: odd alert, SNI: geoffrey.test",
                    // As Pingora adds it to whatever fails once it is connected.
                    "local address 127.0.0.1:40380",
                ),
                "TLS: odd alert",
            ),
        ] {
            assert_eq!(reason(&error), words);
        }
    }
}
