//! Why an exchange with a backend failed, in a few words.

use std::error::Error as _;
use std::io;

use pingora::{Error, ErrorType};

use super::answer::BAD_ANSWER;
use crate::model::UpstreamFailure;

/// The short reason of a failed connect or exchange, such as `connection refused`.
pub(crate) fn reason(error: &Error) -> String {
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
        kind if *kind == BAD_ANSWER => format!("the answer is malformed: {}", context_of(error)),
        kind => match io_error(error) {
            // Since TLS 1.3, alerts about our certificate come after the handshake.
            Some(error) if error.to_string().contains(ALERT_PREFIX) => {
                tls_reason(&error.to_string())
            }
            Some(error) => io_reason(error),
            None if error.root_cause().to_string().contains(H2_BROKEN_PIPE) => CLOSED.into(),
            None if is_http2(kind) => format!("HTTP/2 failed: {}", error.root_cause()),
            None => format!("{}: {}", kind.as_str(), error.root_cause()),
        },
    }
}

/// The class of a failed connect or exchange; `answering` is whether the answer had begun.
pub(crate) fn failure(error: &Error, answering: bool) -> UpstreamFailure {
    match error.root_etype() {
        ErrorType::ConnectRefused => UpstreamFailure::ConnectRefused,
        ErrorType::ConnectTimedout => UpstreamFailure::ConnectTimeout,
        // The last is Pingora's error for a Unix socket without permission.
        ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::BindError
        | ErrorType::SocketError
        | ErrorType::ConnectProxyFailure
        | ErrorType::InternalError => UpstreamFailure::ConnectFailed,
        ErrorType::TLSHandshakeFailure if is_untrusted(&error.to_string()) => {
            UpstreamFailure::TlsUntrusted
        }
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
                // Ours, before the upgrade of a WebSocket, or TCP's.
                Some(io::ErrorKind::TimedOut) => UpstreamFailure::Timeout,
                _ => UpstreamFailure::Reset,
            }
        }
        _ => UpstreamFailure::Protocol,
    }
}

/// The prefix of rustls for certificates that can't be verified.
const UNTRUSTED_PREFIX: &str = "invalid peer certificate";

/// The prefix of the reason why no handshake is tried.
pub(super) const NO_HANDSHAKE: &str = "no handshake: ";

/// The backend speaks TLS, but not HTTP/2, which its scheme requires.
pub(super) const NO_HTTP2: ErrorType = ErrorType::Custom("NoHttp2");

/// The prefix of rustls for alerts of the other end.
const ALERT_PREFIX: &str = "received fatal alert";

/// The h2 crate's error for any end of a connection.
const H2_BROKEN_PIPE: &str = "stream closed because of a broken pipe";

const WRONG_PROTOCOL: &str = "it does not offer the HTTP version that its `scheme` wants (ALPN)";

const CLOSED: &str = "closed without an answer";

fn context_of(error: &Error) -> &str {
    error.context.as_ref().map_or("", |context| context.as_str())
}

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

/// Of a failed handshake Pingora only keeps text (`protocols/tls/rustls/client.rs`), so this
/// searches the text for common errors.
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
    let text = handshake_error(text);
    let known = KNOWN.iter().find(|(part, _)| text.contains(part)).map(|(_, words)| *words);
    let words = known.unwrap_or_else(|| text.rsplit("cause: ").next().unwrap_or(text).trim());
    format!("TLS: {words}")
}

/// Rustls's own words in Pingora's. They are followed by the name and, as a separate cause, by the local
/// address. Neither is searched: a name may contain anything.
fn handshake_error(text: &str) -> &str {
    let text = text.rsplit("TLS connect() failed: ").next().unwrap_or(text);
    text.split(", SNI:").next().unwrap_or(text)
}

fn is_untrusted(text: &str) -> bool {
    handshake_error(text).contains(UNTRUSTED_PREFIX)
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

    #[test]
    fn a_certificate_that_is_not_trusted_is_a_reason_of_its_own() {
        for (words, class) in [
            ("invalid peer certificate: Expired", UpstreamFailure::TlsUntrusted),
            ("received fatal alert: HandshakeFailure", UpstreamFailure::TlsFailed),
            ("odd alert, SNI: invalid peer certificate", UpstreamFailure::TlsFailed),
        ] {
            let error =
                Error::explain(TLSHandshakeFailure, format!("TLS connect() failed: {words}"));
            assert_eq!(failure(&error, false), class, "{words}");
        }
    }
}
