//! `[proxy]`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::{Listeners, Listens};
use crate::config::effective::Origin;
use crate::config::kind::{
    AbsoluteFile, Bytes, Choice, File, Host, List, Socket, Text, Time, TrustedProxies, Whole, texts,
};
use crate::config::paths::Environment;
use crate::config::plain::Plain as _;
use crate::config::reader::Section;
use crate::config::table::{RESTART, settings};
use crate::config::value::parsed;
use crate::model::{HeaderField, UnderscoresInHeaders};
use crate::places::share_of;
use crate::tls::{TlsVersion, read_fitting_pair};

settings! {
    /// The side of the clients, and the process. At least one of `listen_addr` and
    /// `listen_addr_http` is required.
    "proxy" => pub(crate) ProxySettings, rules: rules();

    /// The address for HTTPS, or a list of them: HTTP/2 and HTTP/1.1. `0.0.0.0:443` is all IPv4
    /// addresses, `[::]:443` all IPv6 addresses; without an IPv4 address of the same port beside it,
    /// it takes connections over IPv4 as well.
    listen_addr: Option<Listens>, example: ["0.0.0.0:443", "[::]:443"], restart: RESTART;
    /// The address for plain HTTP, or a list of them: HTTP/1.1, and HTTP/2 with prior knowledge.
    listen_addr_http: Option<Listens>, example: ["0.0.0.0:80", "[::]:80"], restart: RESTART;
    /// The address of the REST API, or a list of them. It is off unless this is set.
    management_api_addr: Option<Listens>, example: "127.0.0.1:8080", restart: RESTART;
    /// Further host names of the REST API; its address and `localhost` are always accepted.
    /// Requests for other hosts are refused, because a web page could send them.
    management_api_hosts: List<Host>, example: ["vhost.example.net"], restart: RESTART;
    /// The Unix socket that `vhost ctl` talks to. The default is `admin.sock` in
    /// `$RUNTIME_DIRECTORY` under systemd, else in `/run/vhost` as root, else in
    /// `$XDG_RUNTIME_DIR/vhost`, else in `/tmp/vhost-UID`. `vhost ctl` doesn't read this file: if
    /// you set another path, pass it as `--socket` or `VHOST_SOCKET`.
    admin_socket: Socket, varies: PathBuf::new(), example: "/run/vhost/admin.sock",
        restart: "restart the server; `vhost ctl` then wants the new path";
    /// A group whose members may also use the admin socket. Without it, only root and the server's
    /// own user may. Unless it runs as root or has `CAP_CHOWN`, the server must be in the group
    /// itself: under systemd by `SupplementaryGroups=`.
    admin_group: Option<Text>, example: "deploy", restart: RESTART;
    /// The directory of the state and its history. The default is `$STATE_DIRECTORY` under systemd,
    /// else `/var/lib/vhost` as root, else `$XDG_STATE_HOME/vhost`, else `~/.local/state/vhost`.
    state_dir: File, varies: PathBuf::new(), example: "/var/lib/vhost",
        restart: "stop the server, move the directory there, and start it again";
    /// The directory of the error pages that commands and the REST API may name: they may name no
    /// other files, and none if it is not set. This file may name pages anywhere.
    pages_dir: Option<AbsoluteFile>, example: "/etc/vhost/pages";
    /// The number of threads for traffic. The default is the number of cores.
    threads: Whole<usize, 1, 1024>,
        varies: std::thread::available_parallelism().map_or(1, usize::from), example: 2,
        restart: RESTART;
    /// How long running requests may take to end when the server stops.
    shutdown_timeout_secs: Time = Duration::from_secs(30);
    /// How long the new process of `vhost ctl upgrade` may take until it can serve. After that, the old one
    /// goes on.
    upgrade_timeout_secs: Time = Duration::from_mins(1);
    /// How long the old process then serves what it has: WebSockets, event streams, long downloads.
    upgrade_drain_timeout_secs: Time = Duration::from_hours(1);
    /// Networks or addresses of proxies in front of this one. `X-Forwarded-*` headers are trusted
    /// only if they come from these; those of others are replaced. `private`, `loopback`,
    /// `link-local`, `cloudflare` and `fastly` are lists of networks.
    trusted_proxies: List<TrustedProxies>, example: ["10.0.0.0/8", "fd00::/8"];
    /// The header in which `trusted_proxies` name the client, such as `CF-Connecting-IP`,
    /// `True-Client-IP` or `X-Real-IP`. Without it, or if a request doesn't have it,
    /// `X-Forwarded-For` is used.
    client_ip_header: Option<ClientIpHeader>, example: "CF-Connecting-IP";
    /// Whether to drop request headers with `_` in their name, which applications behind CGI, WSGI,
    /// Rack or PHP read as `-`. `allow` passes them on, except those that could be read as a header
    /// that the proxy writes or removes.
    underscores_in_headers: Choice<UnderscoresInHeaders>;
    /// Whether connections to `listen_addr` begin with a header of the PROXY protocol (version 1 or
    /// 2), which names the client. Then only `trusted_proxies` may connect.
    proxy_protocol: bool;
    /// The same for `listen_addr_http`.
    proxy_protocol_http: bool;
    /// How long a client may keep a connection open between requests, and before the first.
    idle_timeout_secs: Time = Duration::from_mins(1);
    /// How long a client may take to send a request's whole head.
    header_timeout_secs: Time = Duration::from_secs(10);
    /// The longest time that a client may go without sending any of a request's body.
    read_timeout_secs: Time = Duration::from_mins(1);
    /// The longest time that a client may go without reading any of a response.
    write_timeout_secs: Time = Duration::from_mins(1);
    /// How long a client that has ended its side of the connection may wait for its answer. Until
    /// something is written to it, a client that has disconnected cannot be told apart from one
    /// that is still waiting.
    half_close_timeout_secs: Time<true> = Duration::from_secs(10);
    /// The largest request head in bytes. A larger one gets 431.
    // The smallest that a browser's request fits in, and the largest that Pingora reads.
    max_header_bytes: Bytes<usize, 1024, 1_048_576> = 64 << 10;
    /// How long a WebSocket may be silent.
    websocket_idle_timeout_secs: Time = Duration::from_hours(1);
    /// The oldest version of TLS that clients may use. Older ones are refused in the handshake.
    min_tls_version: Choice<TlsVersion>, restart: RESTART;
    /// How long a TLS handshake may take.
    tls_handshake_timeout_secs: Time = Duration::from_secs(10);
    /// The maximum number of concurrent TLS handshakes, counted from the complete client hello.
    /// Above it, the oldest handshake of the client that has the most is closed.
    max_tls_handshakes: Whole<usize, 1, 1_000_000> = 4096;
    /// The maximum number of header fields of a request. One with more gets 431.
    // Pingora's parser takes no more than 256.
    max_headers: Whole<usize, 1, 256> = 100;
    /// The longest request target in bytes. A longer one gets 414.
    // Shorter ones URLs have anyway, and longer ones don't fit into the type of a URI.
    max_uri_bytes: Bytes<usize, 64, 65_534> = 8192;
    /// The maximum number of requests on one connection; then it is closed gracefully.
    max_requests_per_connection: Whole<u32, 1, 1_000_000_000> = 10_000;
    /// The minimum rate of a request body, in bytes a second: a slower one gets 408. 0 means no
    /// minimum. Bodies of gRPC, and bodies whose answer has begun, have no minimum.
    min_body_bytes_per_sec: Bytes<u32, 0, 1_000_000_000> = 100;
    /// How long a body may be slower than `min_body_bytes_per_sec`.
    body_grace_secs: Time = Duration::from_secs(10);
    /// The maximum number of client connections in all. Above it, a silent one is closed, or the
    /// new one if none is silent.
    max_connections: Whole<usize, 1, 10_000_000> = 100_000;
    /// The maximum number of connections of one client address; for IPv6, of one /64; never more
    /// than half of `max_connections`. Further ones are closed at once. One of `trusted_proxies`
    /// may have seven eighths of `max_connections`.
    max_connections_per_client: Whole<u32, 1, 10_000_000> = 4096;
    /// The maximum number of connections that have sent nothing yet: no client hello, no request.
    /// Above it, the oldest connection of the client that has the most is closed.
    max_silent_connections: Whole<usize, 1, 10_000_000> = 8192;
    /// The maximum number of concurrent requests of one client over HTTP/2, on all of its
    /// connections, or through one of `trusted_proxies`. Further ones get 429.
    max_requests_per_client: Whole<u32, 1, 10_000_000> = 4096;
    /// The maximum number of concurrent requests on one HTTP/2 connection.
    max_h2_streams: Whole<u32, 1, 10_000> = 100;
    /// The maximum number of PING, SETTINGS, PRIORITY, CONTINUATION and empty DATA frames of one
    /// HTTP/2 connection in a second; a burst may have twice as many, and `RST_STREAM` counts ten
    /// times. Above it, the connection is closed.
    max_h2_control_frames_per_sec: Whole<u32, 10, 1_000_000> = 1000;
    /// The maximum number of bytes in memory for one connection: answers that its client has not
    /// read, request bodies that no backend has read, and compression. A backend is read no faster.
    // With less, a connection could not hold what one request needs at once.
    max_buffered_bytes_per_connection: Bytes<usize, 262_144, 4_294_967_295> = 2 << 20;
    /// The same for one client, as in `max_connections_per_client`. Above it, each of its
    /// connections has 64 KiB.
    max_buffered_bytes_per_client: Bytes<usize, 262_144, 4_294_967_295> = 64 << 20;
    /// The same in all.
    max_buffered_bytes: Bytes<usize, 262_144, 4_294_967_295> = 1 << 30;
    /// The maximum number of bytes of an answer that wait to be sent on one HTTP/2 stream.
    // A frame needs as much room as the least, and no connection should hold more than the most.
    max_h2_send_buffer_bytes: Bytes<usize, 4096, 16_777_216> = 128 << 10;
    /// The certificate with its chain, PEM, for clients that send no name, or an unknown one.
    /// Without it they are refused.
    default_cert: Option<File>, example: "/etc/ssl/default.pem", restart: RESTART;
    /// The private key of `default_cert`: PEM.
    default_key: Option<File>, example: "/etc/ssl/default.key", restart: RESTART;
}

texts! {
    pub(crate) ClientIpHeader: HeaderField, like "[!#$%&'*+.^`|~0-9A-Za-z-]+", such as "CF-Connecting-IP",
        by |value, _| client_ip_header(value);
}

/// A certificate in files of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    /// The certificate with its chain, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl ProxySettings {
    /// Settings in which everything but the two paths has its default; nothing is listened on.
    pub(crate) fn new(admin_socket: PathBuf, state_dir: PathBuf) -> Self {
        Self { admin_socket, state_dir, ..Self::default() }
    }

    /// The certificate for clients that name no host, or one that nobody has declared.
    pub(crate) fn default_certificate(&self) -> Option<CertificateFiles> {
        let (cert, key) = self.default_cert.clone().zip(self.default_key.clone())?;
        Some(CertificateFiles { cert, key })
    }
}

/// Reads the section; with it, the state directory as it may be shown.
pub(super) fn read(
    section: &mut Section<'_, '_>,
    listeners: &mut Listeners,
    environment: &Environment<'_>,
) -> (ProxySettings, PathBuf) {
    let state_dir = environment.state_dir();
    if state_dir.is_none() && !section.has("state_dir") {
        section.problem(
            "state_dir",
            "missing, and this user has no home directory to keep the state in; \
             add `state_dir = \"/var/lib/vhost\"`",
        );
    }
    let default = ProxySettings::new(environment.admin_socket(), state_dir.unwrap_or_default());
    let origin =
        |by_environment| if by_environment { Origin::Environment } else { Origin::Default };
    let (socket, state) = (default.admin_socket.plain(), default.state_dir.plain());
    section.default_is("admin_socket", socket, origin(environment.decides_admin_socket()));
    section.default_is("state_dir", state, origin(environment.decides_state_dir()));
    let settings = ProxySettings::read(section, default);
    check(section, &settings, listeners);
    let shown = section.written("state_dir").map_or(settings.state_dir.clone(), PathBuf::from);
    (settings, shown)
}

/// What the keys have to say together.
fn check(section: &Section<'_, '_>, settings: &ProxySettings, listeners: &mut Listeners) {
    let ProxySettings { listen_addr, listen_addr_http, management_api_addr, .. } = settings;
    for (key, addresses) in [
        ("listen_addr", listen_addr),
        ("listen_addr_http", listen_addr_http),
        ("management_api_addr", management_api_addr),
    ] {
        if let Some(addresses) = addresses {
            listeners.claim(section, key, addresses);
        }
    }
    if !section.has("listen_addr") && !section.has("listen_addr_http") {
        section.problem(
            "",
            "nothing to listen on; add `listen_addr_http = \"0.0.0.0:80\"` for HTTP, or \
             `listen_addr = \"0.0.0.0:443\"` for HTTPS",
        );
    }
    if settings.client_ip_header.is_some() && section.is_empty_list("trusted_proxies") {
        section.problem(
            "client_ip_header",
            "`trusted_proxies` is empty, and nobody else is trusted; name the proxies that set the \
             header: `trusted_proxies = [\"cloudflare\"]`",
        );
    }
    for (key, is_on, address) in [
        ("proxy_protocol", settings.proxy_protocol, "listen_addr"),
        ("proxy_protocol_http", settings.proxy_protocol_http, "listen_addr_http"),
    ] {
        if is_on && !section.has(address) {
            section.problem(key, format!("there is no `{address}` that it could be for"));
        }
        if is_on && section.is_empty_list("trusted_proxies") {
            section.problem(
                key,
                "`trusted_proxies` is empty, and nobody else may connect then; name the proxies that \
                 send the header: `trusted_proxies = [\"10.0.0.0/8\"]`",
            );
        }
    }
    let (max, share) = (settings.max_connections, share_of(settings.max_connections));
    if section.has("max_connections_per_client")
        && usize::try_from(settings.max_connections_per_client).is_ok_and(|of| of > share)
    {
        section.warn(
            "max_connections_per_client",
            format!(
                "one client could take all of `max_connections` ({max}); it gets half of them at \
                 most, {share}: set that or less, or raise `max_connections`"
            ),
        );
    }
    section.both(
        ("default_cert", "\"/etc/ssl/default.pem\""),
        ("default_key", "\"/etc/ssl/default.key\""),
    );
    if let Some(files) = settings.default_certificate()
        && let Err(error) = read_fitting_pair(&files.cert, &files.key, [])
    {
        section.bad_file("default_cert", format!("{error}; {}", error.hint()));
    }
}

/// The header in which trusted proxies name the client.
fn client_ip_header(value: &DeValue<'_>) -> Result<HeaderField, String> {
    let header = parsed::<HeaderField>(value)?;
    match header.name().as_str() {
        "x-forwarded-for" => Err("it is read without this key; leave the key out".to_owned()),
        "forwarded" => Err("it holds more than one address; name a header such as \
                            `CF-Connecting-IP`, `True-Client-IP` or `X-Real-IP`"
            .to_owned()),
        name if name.contains('_') => {
            Err("write it with `-`: fields with `_` are dropped".to_owned())
        }
        _ => Ok(header),
    }
}

fn rules() -> Json {
    // What a listener needs whose connections begin with a header of the PROXY protocol.
    let announced = |key: &str, address: &str| {
        json!({
            "if": { "properties": { key: { "const": true } }, "required": [key] },
            "then": {
                "properties": { "trusted_proxies": { "minItems": 1 } },
                "required": [address, "trusted_proxies"],
            },
        })
    };
    json!({
        "anyOf": [{ "required": ["listen_addr"] }, { "required": ["listen_addr_http"] }],
        "dependentRequired": {
            "default_cert": ["default_key"], "default_key": ["default_cert"],
        },
        "allOf": [
            announced("proxy_protocol", "listen_addr"),
            announced("proxy_protocol_http", "listen_addr_http"),
        ],
    })
}
