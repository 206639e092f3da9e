//! Why requests and connections are refused, or fail: one table, which the answers to clients, the logs,
//! the metrics and the documents read.

use std::fmt;

use http::StatusCode;

use super::worded;

worded! {
    /// Who caused a failure.
    pub enum Blame {
        /// The client; scans by strangers count here too.
        Client "client",
        /// The operator, by a pause or by maintenance.
        Operator "operator",
        /// A backend, or a lack of backends.
        Backend "backend",
        /// The proxy itself.
        Proxy "proxy",
    }
}

/// What the table says of a reason.
#[derive(Debug, Clone, Copy)]
pub struct ReasonRow {
    /// The stable name: logs, metrics and scripts use it.
    pub name: &'static str,
    /// Who caused it.
    pub blame: Blame,
    /// The status and the body of the answer; `None` if the client is gone or does not speak HTTP yet.
    pub answer: Option<(StatusCode, &'static str)>,
    /// What it means, for people.
    pub meaning: &'static str,
    /// What they can do about it.
    pub remedy: &'static str,
}

/// Makes an enum of a table's rows:
/// `Variant "name" Blame [status "body"] "meaning" "remedy";`. Reasons of another table can be a
/// variant of it.
macro_rules! reasons {
    (
        $(#[$attribute:meta])* $table:ident $(, and $(#[$with_attribute:meta])* $with:ident($others:ident))?;
        $($variant:ident $name:literal $blame:ident [$($status:ident $body:literal)?]
            $meaning:literal $remedy:literal;)+
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $table {
            $(#[doc = $meaning] $variant,)+
            $($(#[$with_attribute])* $with($others),)?
        }

        impl $table {
            /// The variants of its own rows.
            const ROWS: &[Self] = &[$(Self::$variant),+];

            /// What the table says of it.
            pub fn row(self) -> &'static ReasonRow {
                match self {
                    $(Self::$variant => &ReasonRow {
                        name: $name,
                        blame: Blame::$blame,
                        answer: reasons!(@answer $($status $body)?),
                        meaning: $meaning,
                        remedy: $remedy,
                    },)+
                    $(Self::$with(other) => other.row(),)?
                }
            }

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                self.row().name
            }
        }

        impl fmt::Display for $table {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
    (@answer) => { None };
    (@answer $status:ident $body:literal) => { Some((StatusCode::$status, concat!($body, "\n"))) };
}

reasons! {
    /// How a backend failed a request.
    UpstreamFailure;

    ConnectRefused "connect_refused" Backend [BAD_GATEWAY "the server behind this proxy failed"]
        "the backend refused the connection"
        "is it running, and at this port?";
    ConnectTimeout "connect_timeout" Backend [BAD_GATEWAY "the server behind this proxy failed"]
        "there was no connection within `connect_timeout_secs` of the backend, else [`timeouts`](hosts.md#timeouts) of the domain or its app, else `connect_timeout_secs` of `[upstream]`"
        "is the host up, and does a firewall drop packets?";
    ConnectFailed "connect_failed" Backend [BAD_GATEWAY "the server behind this proxy failed"]
        "the connection failed for another reason: no route, no such socket, a name that does not resolve"
        "the log line has the system's message";
    TlsUntrusted "tls_untrusted" Backend [BAD_GATEWAY "the server behind this proxy failed"]
        "the backend's certificate is not trusted, is for another name, or has expired"
        "`error` says which; renew it, or set `tls_ca_file` or `tls_server_name`";
    TlsFailed "tls_failed" Backend [BAD_GATEWAY "the server behind this proxy failed"]
        "the TLS handshake with the backend failed for another reason, or it does not offer HTTP/2 although its scheme needs it"
        "`error` says why; [http.md](http.md#backends-behind-tls) says what to do";
    Closed "upstream_closed" Backend [BAD_GATEWAY "the server behind this proxy failed"]
        "the backend closed the connection without an answer"
        "did it crash? Is its keep-alive time below `upstream.idle_timeout_secs`?";
    Reset "upstream_reset" Backend [BAD_GATEWAY "the server behind this proxy failed"]
        "the backend reset the connection"
        "as above";
    Timeout "upstream_timeout" Backend [GATEWAY_TIMEOUT "the server behind this proxy did not answer in time"]
        "the backend sent nothing for `upstream.read_timeout_secs`, or read nothing for `upstream.write_timeout_secs`, in place of which a domain or its app may have [`timeouts`](hosts.md#timeouts) of its own"
        "find out what takes so long, or raise the limit";
    CutShort "upstream_cut_short" Backend [BAD_GATEWAY "the server behind this proxy failed"]
        "the backend's answer ended before it was complete; the client got a part of it"
        "did it crash, or was it stopped before its requests had ended?";
    Protocol "upstream_protocol" Backend [BAD_GATEWAY "the server behind this proxy failed"]
        "the backend's answer is not valid HTTP"
        "is `scheme` right: `http`, `https`, `h2`, `h2c`?";
    Status5xx "upstream_5xx" Backend [BAD_GATEWAY "the server behind this proxy failed"]
        "the backend answered with a 5xx, and `health_check.count_5xx` counts that against its health"
        "look at its own log. Only the counters of backends have this reason, no log line does";
}

impl UpstreamFailure {
    /// How many there are.
    pub const COUNT: usize = Self::ROWS.len();

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ROWS.iter().copied()
    }
}

reasons! {
    /// Why a request was refused, or failed; or a connection, before there was a request.
    Reason, and
    /// The last backend that it was tried on failed.
    Upstream(UpstreamFailure);

    // Of requests.
    UnknownHost "unknown_host" Client [NOT_FOUND "no site is served under this name"]
        "no domain or alias matches its host"
        "add the domain or an alias; often it is only a scan";
    BadHost "bad_host" Client [BAD_REQUEST "the Host header is missing or not a host name"]
        "its host is missing, or is not a host name"
        "nothing: a broken client, or a scan";
    BadRequest "bad_request" Client [BAD_REQUEST "the request is malformed"]
        "it is not HTTP, or its framing is wrong"
        "nothing; if the client is yours, look at what it sends";
    MethodRefused "method_refused" Client [METHOD_NOT_ALLOWED "this method is not allowed"]
        "TRACE and CONNECT are never proxied"
        "nothing";
    HeadTooLarge "head_too_large" Client [REQUEST_HEADER_FIELDS_TOO_LARGE "the request headers are too large"]
        "its head exceeds `proxy.max_header_bytes`"
        "raise it, or find out what sets such large cookies";
    BodyTimeout "body_timeout" Client [REQUEST_TIMEOUT "the request did not arrive in time"]
        "its body paused for longer than `proxy.read_timeout_secs`"
        "raise it if your clients upload over bad networks";
    ClientGone "client_gone" Client []
        "the client closed the connection, or reset its stream, before its answer was complete"
        "look at `duration_ms`: visitors leave slow pages";
    UnknownChallenge "unknown_challenge" Client [NOT_FOUND "no certificate is being ordered with this token"]
        "it asks for the answer to an ACME challenge, but no order has that challenge"
        "nothing, unless a CA reports a failure: then the order is another server's";
    UriTooLong "uri_too_long" Client [URI_TOO_LONG "the address of the request is too long"]
        "the target is longer than `proxy.max_uri_bytes`"
        "raise it, if your application needs such long targets";
    TooManyHeaders "too_many_headers" Client [REQUEST_HEADER_FIELDS_TOO_LARGE "the request headers are too large"]
        "more header fields than `proxy.max_headers`"
        "as above";
    BodyTooLarge "body_too_large" Client [PAYLOAD_TOO_LARGE "the request body is too large"]
        "the body is larger than `max_body_bytes` of the domain or its app"
        "raise it, if uploads may be so large";
    Denied "denied" Client [FORBIDDEN "this client is not served"]
        "the domain's `allow` or `deny` refuses the client"
        "nothing, or change the lists";
    TooManyClientRequests "too_many_client_requests" Client [TOO_MANY_REQUESTS "too many requests"]
        "its client had `proxy.max_requests_per_client` requests at once"
        "nothing, or raise it";
    UnknownClient "unknown_client" Client [FORBIDDEN "this client is not served"]
        "the client that a trusted proxy names can't be read, and the domain has `allow`, `deny` or `client_rate_limit`"
        "look at what the proxy at `peer_ip` writes into `X-Forwarded-For`, or into `proxy.client_ip_header` ([http.md](http.md#who-the-client-is))";
    RateLimited "rate_limited" Client [TOO_MANY_REQUESTS "too many requests"]
        "the domain's `rate_limit` or `client_rate_limit` was reached"
        "nothing, or raise it ([limits.md](limits.md))";
    QueueFull "queue_full" Backend [SERVICE_UNAVAILABLE "no server can take this request now"]
        "every backend had as many requests as it may (its own `max_requests`, else its app's, else `upstream.max_requests_per_backend`) and `upstream.queue_size` requests were waiting; the last one of the client with the most is refused"
        "add backends, or raise the limits";
    QueueTimeout "queue_timeout" Backend [SERVICE_UNAVAILABLE "no server can take this request now"]
        "it waited for longer than `upstream.queue_timeout_secs`"
        "as above";
    Maintenance "maintenance" Operator [SERVICE_UNAVAILABLE "this site is under maintenance"]
        "the domain is under maintenance"
        "`vhost ctl domain maintenance DOMAIN off`";
    Unauthorized "unauthorized" Client [UNAUTHORIZED "this site requires a name and a password"]
        "it has no name and password for the domain's `basic_auth`, or wrong ones"
        "nothing, or set a new password with `vhost hash-password`";
    TooManyLogins "too_many_logins" Client [SERVICE_UNAVAILABLE "too many passwords are being checked now"]
        "too many passwords were being checked at once"
        "nothing: somebody is guessing passwords";
    Paused "paused" Operator [SERVICE_UNAVAILABLE "this site is paused"]
        "the domain is paused, and the request waited for `max_wait_secs`, or the queue was full"
        "`vhost ctl domain resume DOMAIN`";
    Misdirected "misdirected" Client [MISDIRECTED_REQUEST "this connection is not for this site"]
        "the TLS connection is not for the request's host"
        "nothing: the client tries again over another connection";
    LoopDetected "loop_detected" Client [LOOP_DETECTED "this request runs in a loop"]
        "its `Via` shows that it has passed this server four times"
        "check the address of the backend: it leads back to this server ([http.md](http.md#what-is-changed-on-the-way))";
    NoBackend "no_backend" Backend [SERVICE_UNAVAILABLE "no server can take this request now"]
        "no backend of the tag that serves it can take it"
        "`vhost ctl explain URL` says why";
    Internal "internal" Proxy [INTERNAL_SERVER_ERROR "the proxy failed"]
        "a bug in `vhost`"
        "report it, with the log line";
    Shutdown "shutdown" Proxy []
        "the server was stopping, and the request had not ended after `proxy.shutdown_timeout_secs`"
        "raise it for long downloads; WebSockets always end like this. The line has no `status` and no bytes";

    // Of connections.
    HeadTimeout "head_timeout" Client [REQUEST_TIMEOUT "the request did not arrive in time"]
        "its head took longer than `proxy.header_timeout_secs`"
        "nothing: a slow network, or a slow-request attack";
    UnknownServerName "unknown_server_name" Client []
        "a TLS client asked for a name that no domain serves over HTTPS, or for none"
        "nothing, or set `proxy.default_cert`";
    NoCertificate "no_certificate" Client []
        "there is no certificate for the name"
        "`vhost ctl cert show NAME` says why";
    HandshakeFailed "handshake_failed" Client []
        "the TLS handshake failed"
        "nothing: the client is too old, or does not trust the certificate";
    HandshakeTimeout "handshake_timeout" Client []
        "the TLS handshake took longer than `proxy.tls_handshake_timeout_secs`"
        "nothing";
    TooManyConnections "too_many_connections" Client []
        "`proxy.max_connections` connections were open"
        "raise it, if the machine has the memory";
    TooManyClientConnections "too_many_client_connections" Client []
        "its client had `proxy.max_connections_per_client` connections, or a trusted proxy had seven eighths of `proxy.max_connections`"
        "nothing, or raise it";
    TooManySilentConnections "too_many_silent_connections" Client []
        "`proxy.max_silent_connections` silent connections were open, and this was the oldest of the client with the most"
        "nothing: an attack, or browsers that connect in advance";
    H2Flood "h2_flood" Client []
        "an HTTP/2 connection sent more control frames than `proxy.max_h2_control_frames_per_sec`, or exceeded another limit on floods ([limits.md](limits.md))"
        "nothing: an attack, or a broken client";
    UntrustedProxy "untrusted_proxy" Client []
        "a client that is not in `proxy.trusted_proxies` connected to a listener with the PROXY protocol"
        "nothing, or add the proxy to that list";
    BadProxyHeader "bad_proxy_header" Client []
        "a trusted proxy did not send a valid PROXY protocol header; `error` says what is wrong"
        "make it send one (`send-proxy`), or set `proxy.proxy_protocol` to false";
    ProxyHeaderTimeout "proxy_header_timeout" Client []
        "the PROXY protocol header did not come within `proxy.header_timeout_secs`"
        "make the proxy send one: it may be waiting for the server to send first";
    TooManyHandshakes "too_many_handshakes" Client []
        "`proxy.max_tls_handshakes` handshakes were running, and this was the oldest of the client with the most"
        "raise it, if the machine has the cores";
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = Self::ROWS.len() + UpstreamFailure::COUNT;

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ROWS.iter().copied().chain(UpstreamFailure::all().map(Self::Upstream))
    }

    /// Its position in `all`. A linear search is enough: only failures look it up.
    pub fn index(self) -> usize {
        Self::all().position(|reason| reason == self).unwrap_or_default()
    }

    /// Whether it ends a connection before there is a request.
    pub fn is_of_connection(self) -> bool {
        let first = Self::HeadTimeout.index();
        (first..Self::ROWS.len()).contains(&self.index())
    }
}
