//! How a backend failed a request.

use std::fmt;

/// How a backend failed a request. The names are stable: logs, metrics and scripts carry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// It refused the connection.
    ConnectRefused,
    /// The connection did not come about in time.
    ConnectTimeout,
    /// The connection failed otherwise: no route, no such socket, a name that does not resolve.
    ConnectFailed,
    /// The TLS handshake with it failed.
    TlsFailed,
    /// It closed the connection without an answer.
    Closed,
    /// It reset the connection.
    Reset,
    /// It did not answer, or did not take the request, in time.
    Timeout,
    /// Its answer ended before it was complete.
    CutShort,
    /// What it said is not HTTP.
    Protocol,
    /// It answered with a status of 500 or more, where those are counted.
    Status5xx,
}

impl UpstreamFailure {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectFailed,
        Self::TlsFailed,
        Self::Closed,
        Self::Reset,
        Self::Timeout,
        Self::CutShort,
        Self::Protocol,
        Self::Status5xx,
    ];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectFailed => "connect_failed",
            Self::TlsFailed => "tls_failed",
            Self::Closed => "upstream_closed",
            Self::Reset => "upstream_reset",
            Self::Timeout => "upstream_timeout",
            Self::CutShort => "upstream_cut_short",
            Self::Protocol => "upstream_protocol",
            Self::Status5xx => "upstream_5xx",
        }
    }
}

impl fmt::Display for UpstreamFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
