//! The sections of the config file, from TOML to settings. `entries` reads what it declares.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::effective::Origin;
use super::lets_encrypt::read_lets_encrypt;
use super::logging::{read_access_log, read_logging};
use super::paths::Environment;
use super::plain::Plain;
use super::reader::Section;
use super::settings::{
    CertificateFiles, Config, HealthCheckSettings, MetricsSettings, ProxySettings, SwitchSettings,
    UpstreamSettings,
};
use super::value::{
    boolean, choice, host_name, integer, listen_address, parsed, path, seconds, seconds_or_none,
    socket_path, string,
};
use crate::model::{
    DomainName, HeaderField, HealthCheck, HealthCheckKind, HealthPath, StatusRanges, TrustedProxy,
    UnderscoresInHeaders,
};
use crate::places::share_of;
use crate::plain_file::absolute;
use crate::reserved_paths::ReservedPaths;
use crate::tls::read_fitting_pair;

/// The smallest head that a browser's request fits in, and the largest that Pingora reads.
const HEADER_BYTES: std::ops::RangeInclusive<usize> = 1024..=1024 * 1024;

/// Below this a connection could not hold what one request needs at once.
const BUFFERED_BYTES: std::ops::RangeInclusive<usize> = 256 * 1024..=4_294_967_295;

/// Less than a frame has room for, and more than a connection should hold.
const SEND_BUFFER_BYTES: std::ops::RangeInclusive<usize> = 4096..=16 * 1024 * 1024;

/// What Pingora's parser takes at most.
const HEADERS: std::ops::RangeInclusive<usize> = 1..=256;

/// Below what URLs have anyway, and what fits into the type of a URI.
const URI_BYTES: std::ops::RangeInclusive<usize> = 64..=65_534;

/// Reads all sections. What is wrong has its default in the answer, and is in the report.
pub(super) fn read_settings(
    root: &mut Section<'_, '_>,
    base: &Path,
    environment: &Environment<'_>,
) -> Config {
    let mut listeners = Vec::new();
    let (proxy, state_dir) =
        root.section("proxy", |s| read_proxy(s, &mut listeners, base, environment));
    let lets_encrypt =
        root.optional_section("lets_encrypt", |s| read_lets_encrypt(s, base, &proxy, &state_dir));
    let upstream = root.section("upstream", read_upstream);
    let switch = root.section("switch", read_switch);
    let health_check = root.section("health_check", read_health_check);
    let defaults = Config::new(proxy);
    let cache_dir = lets_encrypt.as_ref().map_or(&defaults.cache_dir, |(_, directory)| directory);
    let own = [defaults.proxy.state_dir.clone(), cache_dir.clone()];
    let own = ReservedPaths::new(defaults.proxy.admin_socket.clone(), own.into(), Vec::new());
    let logging = root.section("logging", |s| read_logging(s, base, &own));
    let mut config = Config {
        upstream,
        switch,
        health_check,
        access_log: root.section("access_log", |s| read_access_log(s, base, &own, &logging.output)),
        logging,
        metrics: root.section("metrics", |s| read_metrics(s, &mut listeners)),
        ..defaults
    };
    if let Some((settings, cache_dir)) = lets_encrypt {
        config.lets_encrypt = Some(settings);
        config.cache_dir = cache_dir;
    }
    config
}

/// Reads the section; with it, the state directory as it may be shown.
#[expect(clippy::too_many_lines, reason = "a table: an entry for each key")]
fn read_proxy(
    section: &mut Section<'_, '_>,
    listeners: &mut Listeners,
    base: &Path,
    environment: &Environment<'_>,
) -> (ProxySettings, PathBuf) {
    let by_environment = |is: bool| if is { Origin::Environment } else { Origin::Default };
    let socket_from = by_environment(environment.decides_admin_socket());
    let state_from = by_environment(environment.decides_state_dir());
    let default_state_dir = environment.state_dir();
    if default_state_dir.is_none() && !section.has("state_dir") {
        section.problem(
            "state_dir",
            "missing, and this user has no home directory to keep the state in; \
             add `state_dir = \"/var/lib/vhost\"`",
        );
    }
    let d = ProxySettings::new(environment.admin_socket(), default_state_dir.unwrap_or_default());
    let settings = ProxySettings {
        listen_addr: listener(section, "listen_addr", listeners),
        listen_addr_http: listener(section, "listen_addr_http", listeners),
        management_api_addr: listener(section, "management_api_addr", listeners),
        management_api_hosts: read_own_hosts(
            section,
            "management_api_hosts",
            d.management_api_hosts,
        ),
        admin_socket: section.or_from(
            "admin_socket",
            d.admin_socket,
            socket_from,
            socket_path(base),
        ),
        admin_group: section.optional("admin_group", string),
        state_dir: section.or_from("state_dir", d.state_dir, state_from, path(base)),
        pages_dir: section.optional("pages_dir", path(base)).map(absolute),
        threads: section.or("threads", d.threads, integer(1..=1024)),
        shutdown_timeout: section.or("shutdown_timeout_secs", d.shutdown_timeout, seconds),
        trusted_proxies: read_trusted_proxies(section, d.trusted_proxies),
        client_ip_header: read_client_ip_header(section),
        underscores_in_headers: section.or(
            "underscores_in_headers",
            d.underscores_in_headers,
            choice(&UnderscoresInHeaders::ALL.map(|choice| (choice.as_str(), choice))),
        ),
        proxy_protocol: read_proxy_protocol(section, "proxy_protocol", "listen_addr"),
        proxy_protocol_http: read_proxy_protocol(
            section,
            "proxy_protocol_http",
            "listen_addr_http",
        ),
        idle_timeout: section.or("idle_timeout_secs", d.idle_timeout, seconds),
        header_timeout: section.or("header_timeout_secs", d.header_timeout, seconds),
        read_timeout: section.or("read_timeout_secs", d.read_timeout, seconds),
        write_timeout: section.or("write_timeout_secs", d.write_timeout, seconds),
        half_close_timeout: section.or(
            "half_close_timeout_secs",
            d.half_close_timeout,
            seconds_or_none,
        ),
        max_header_bytes: section.or("max_header_bytes", d.max_header_bytes, integer(HEADER_BYTES)),
        websocket_idle_timeout: section.or(
            "websocket_idle_timeout_secs",
            d.websocket_idle_timeout,
            seconds,
        ),
        tls_handshake_timeout: section.or(
            "tls_handshake_timeout_secs",
            d.tls_handshake_timeout,
            seconds,
        ),
        max_tls_handshakes: section.or(
            "max_tls_handshakes",
            d.max_tls_handshakes,
            integer(1..=1_000_000),
        ),
        max_headers: section.or("max_headers", d.max_headers, integer(HEADERS)),
        max_uri_bytes: section.or("max_uri_bytes", d.max_uri_bytes, integer(URI_BYTES)),
        max_requests_per_connection: section.or(
            "max_requests_per_connection",
            d.max_requests_per_connection,
            integer(1..=1_000_000_000),
        ),
        min_body_bytes_per_sec: section.or(
            "min_body_bytes_per_sec",
            d.min_body_bytes_per_sec,
            integer(0..=1_000_000_000),
        ),
        body_grace: section.or("body_grace_secs", d.body_grace, seconds),
        max_connections: section.or("max_connections", d.max_connections, integer(1..=10_000_000)),
        max_connections_per_client: section.or(
            "max_connections_per_client",
            d.max_connections_per_client,
            integer(1..=10_000_000),
        ),
        max_silent_connections: section.or(
            "max_silent_connections",
            d.max_silent_connections,
            integer(1..=10_000_000),
        ),
        max_requests_per_client: section.or(
            "max_requests_per_client",
            d.max_requests_per_client,
            integer(1..=10_000_000),
        ),
        max_h2_streams: section.or("max_h2_streams", d.max_h2_streams, integer(1..=10_000)),
        max_h2_control_frames_per_sec: section.or(
            "max_h2_control_frames_per_sec",
            d.max_h2_control_frames_per_sec,
            integer(10..=1_000_000),
        ),
        max_buffered_bytes_per_connection: section.or(
            "max_buffered_bytes_per_connection",
            d.max_buffered_bytes_per_connection,
            integer(BUFFERED_BYTES),
        ),
        max_buffered_bytes_per_client: section.or(
            "max_buffered_bytes_per_client",
            d.max_buffered_bytes_per_client,
            integer(BUFFERED_BYTES),
        ),
        max_buffered_bytes: section.or(
            "max_buffered_bytes",
            d.max_buffered_bytes,
            integer(BUFFERED_BYTES),
        ),
        max_h2_send_buffer_bytes: section.or(
            "max_h2_send_buffer_bytes",
            d.max_h2_send_buffer_bytes,
            integer(SEND_BUFFER_BYTES),
        ),
        default_certificate: read_default_certificate(section, base),
    };
    if !section.has("listen_addr") && !section.has("listen_addr_http") {
        section.problem(
            "",
            "nothing to listen at; add `listen_addr_http = \"0.0.0.0:80\"` for HTTP, or \
             `listen_addr = \"0.0.0.0:443\"` for HTTPS",
        );
    }
    let share = share_of(settings.max_connections);
    if section.has("max_connections_per_client")
        && usize::try_from(settings.max_connections_per_client).is_ok_and(|of| of > share)
    {
        let most = settings.max_connections;
        section.warn(
            "max_connections_per_client",
            format!(
                "one client could take all of `max_connections` ({most}); it gets half of them at \
                 most, {share}: set that or less, or raise `max_connections`"
            ),
        );
    }
    let shown = section.written("state_dir").map_or(settings.state_dir.clone(), PathBuf::from);
    (settings, shown)
}

fn read_default_certificate(
    section: &mut Section<'_, '_>,
    base: &Path,
) -> Option<CertificateFiles> {
    let cert = section.optional("default_cert", path(base));
    let key = section.optional("default_key", path(base));
    section.both(
        ("default_cert", "\"/etc/ssl/default.pem\""),
        ("default_key", "\"/etc/ssl/default.key\""),
    );
    let files = CertificateFiles { cert: cert?, key: key? };
    if let Err(error) = read_fitting_pair(&files.cert, &files.key, []) {
        section.bad_file("default_cert", format!("{error}; {}", error.hint()));
    }
    Some(files)
}

fn read_trusted_proxies(
    section: &mut Section<'_, '_>,
    default: Vec<TrustedProxy>,
) -> Vec<TrustedProxy> {
    section.list_default("trusted_proxies", Some(default.plain()), Origin::Default);
    section
        .elements("trusted_proxies", "[\"10.0.0.0/8\"]", parsed::<TrustedProxy>)
        .map_or(default, |list| list.into_iter().map(|(proxy, _)| proxy).collect())
}

/// The header in which trusted proxies name the client.
fn read_client_ip_header(section: &mut Section<'_, '_>) -> Option<HeaderField> {
    const KEY: &str = "client_ip_header";
    let header = section.optional(KEY, |value| {
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
    });
    if header.is_some() && section.is_empty_list("trusted_proxies") {
        section.problem(
            KEY,
            "`trusted_proxies` is empty, and nobody else is believed; name the proxies that set the \
             header: `trusted_proxies = [\"cloudflare\"]`",
        );
    }
    header
}

/// Whether connections to the listener at `address` begin with a header of the PROXY protocol.
fn read_proxy_protocol(
    section: &mut Section<'_, '_>,
    key: &'static str,
    address: &'static str,
) -> bool {
    let is_on = section.or(key, false, boolean);
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
    is_on
}

/// Reads the names by which something of the server's own may be called.
fn read_own_hosts(
    section: &mut Section<'_, '_>,
    key: &'static str,
    default: Vec<DomainName>,
) -> Vec<DomainName> {
    section.list_default(key, Some(default.plain()), Origin::Default);
    section
        .elements(key, "[\"vhost.example.net\"]", host_name)
        .map_or(default, |list| list.into_iter().map(|(name, _)| name).collect())
}

/// The addresses that are listened at, with the keys that say so.
type Listeners = Vec<(SocketAddr, String)>;

/// Reads an address to listen at, which no other listener may have.
fn listener(
    section: &mut Section<'_, '_>,
    key: &'static str,
    listeners: &mut Listeners,
) -> Option<SocketAddr> {
    let address = section.optional(key, listen_address)?;
    claim_listener(section, key, address, listeners);
    Some(address)
}

/// Makes sure that an address is listened at once.
fn claim_listener(
    section: &Section<'_, '_>,
    key: &str,
    address: SocketAddr,
    listeners: &mut Listeners,
) {
    if let Some((_, other)) = listeners.iter().find(|(other, _)| collide(address, *other)) {
        section.problem(key, format!("`{other}` listens there; choose another port"));
    }
    listeners.push((address, section.path_of(key)));
}

/// Whether the kernel would refuse the second of the two. Port 0 is another port each time.
pub(super) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let either_is_any =
        a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified());
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || either_is_any)
}

fn read_upstream(section: &mut Section<'_, '_>) -> UpstreamSettings {
    let d = UpstreamSettings::default();
    UpstreamSettings {
        connect_timeout: section.or("connect_timeout_secs", d.connect_timeout, seconds),
        read_timeout: section.or("read_timeout_secs", d.read_timeout, seconds),
        write_timeout: section.or("write_timeout_secs", d.write_timeout, seconds),
        idle_timeout: section.or("idle_timeout_secs", d.idle_timeout, seconds),
        max_tries: section.or("max_tries", d.max_tries, integer(1..=10)),
        resolve_interval: section.or("resolve_interval_secs", d.resolve_interval, seconds),
        max_requests_per_backend: section.or(
            "max_requests_per_backend",
            d.max_requests_per_backend,
            integer(0..=1_000_000),
        ),
        queue_size: section.or("queue_size", d.queue_size, integer(0..=1_000_000)),
        queue_timeout: section.or("queue_timeout_secs", d.queue_timeout, seconds),
        retry_budget_percent: section.or(
            "retry_budget_percent",
            d.retry_budget_percent,
            integer(0..=100),
        ),
    }
}

fn read_switch(section: &mut Section<'_, '_>) -> SwitchSettings {
    let d = SwitchSettings::default();
    SwitchSettings {
        gate_timeout: section.or("gate_timeout_secs", d.gate_timeout, seconds),
        drain_timeout: section.or("drain_timeout_secs", d.drain_timeout, seconds),
        min_healthy_percent: section.or(
            "min_healthy_percent",
            d.min_healthy_percent,
            integer(1..=100),
        ),
    }
}

fn read_health_check(section: &mut Section<'_, '_>) -> HealthCheckSettings {
    let d = HealthCheckSettings::default();
    let kinds = ["http", "tcp"];
    let is_http = section.or("kind", kinds[0], choice(&kinds.map(|kind| (kind, kind)))) == "http";
    let path = section.or("path", HealthPath::default(), parsed);
    let host = section.optional("host", parsed);
    let expected = section.or("expected_status", StatusRanges::default(), parsed);
    if !is_http {
        for key in ["path", "host", "expected_status"] {
            if section.has(key) {
                section.problem(key, "only for `kind = \"http\"`; a TCP check just connects");
            }
        }
    }
    let kind =
        if is_http { HealthCheckKind::Http { path, host, expected } } else { HealthCheckKind::Tcp };
    let check = HealthCheck {
        kind,
        interval: section.or("interval_secs", d.check.interval, seconds),
        timeout: section.or("timeout_secs", d.check.timeout, seconds),
        unhealthy_threshold: section.or(
            "unhealthy_threshold",
            d.check.unhealthy_threshold,
            integer(1..=1000),
        ),
        healthy_threshold: section.or(
            "healthy_threshold",
            d.check.healthy_threshold,
            integer(1..=1000),
        ),
    };
    HealthCheckSettings {
        check,
        count_5xx: section.or("count_5xx", d.count_5xx, boolean),
        slow_start: section.or("slow_start_secs", d.slow_start, seconds_or_none),
        max_ejected_percent: section.or(
            "max_ejected_percent",
            d.max_ejected_percent,
            integer(0..=100),
        ),
    }
}

fn read_metrics(section: &mut Section<'_, '_>, listeners: &mut Listeners) -> MetricsSettings {
    let d = MetricsSettings::default();
    let enabled = section.or("enabled", d.enabled, boolean);
    let listen_addr = section.or("listen_addr", d.listen_addr, listen_address);
    if enabled && section.has("listen_addr") {
        claim_listener(section, "listen_addr", listen_addr, listeners);
    }
    let per_domain_limit =
        section.or("per_domain_limit", d.per_domain_limit, integer(0..=1_000_000));
    let status_page = section.or("status_page", d.status_page, boolean);
    let hosts = read_own_hosts(section, "hosts", d.hosts);
    MetricsSettings { enabled, listen_addr, per_domain_limit, status_page, hosts }
}
