//! The sections of the config file, from TOML to settings. `entries` reads what it declares.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::entries::read_declared;
use super::paths::Environment;
use super::problem::{ConfigError, shorten};
use super::reader::Section;
use super::report::{KnownKeys, Report};
use super::settings::{
    Config, HealthCheckSettings, LetsEncryptSettings, LogFormat, LogLevel, LogOutput,
    LoggingSettings, MetricsSettings, ProxySettings, SwitchSettings, UpstreamSettings,
};
use super::value::{
    boolean, choice, email, integer, listen_address, network, parsed, path, seconds, socket_path,
    string,
};
use crate::model::{HealthCheck, HealthCheckKind, HealthPath, StatusRanges};

/// The smallest head that a browser's request fits in, and the largest that Pingora reads.
const HEADER_BYTES: std::ops::RangeInclusive<usize> = 1024..=1024 * 1024;

/// Reads a config file.
///
/// # Errors
/// When the file cannot be read, or with everything that is wrong in it.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let bytes = std::fs::read(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    match String::from_utf8(bytes) {
        Ok(text) => parse(path, &text),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            let report = Report::new(&String::from_utf8_lossy(&bytes[..valid]));
            report.add(&(valid..valid), String::new(), None, "not UTF-8 from here on");
            Err(ConfigError::Invalid { path: path.to_owned(), problems: report.finish().0 })
        }
    }
}

/// Reads the text of a config file; `path` is where it came from. Relative paths in it start at
/// the directory of `path`.
///
/// # Errors
/// With everything that is wrong in it.
pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    parse_within(path, text, &Environment::of_process()).0
}

/// As [`parse`], in any environment, with the keys that were known.
fn parse_within(
    path: &Path,
    text: &str,
    environment: &Environment<'_>,
) -> (Result<Config, ConfigError>, KnownKeys) {
    let report = Report::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut readable = true;
    let mut broken_lines = BTreeSet::new();
    for error in &errors {
        let (message, leaves_rest) = explain(error.message());
        readable &= leaves_rest;
        let span = error.span().unwrap_or(0..0);
        let line = report.line(&span);
        // What follows on the same line is mostly the first mistake's echo.
        if broken_lines.insert(line) {
            let written = text.lines().nth(line - 1).map(|line| shorten(line.trim()));
            report.add(&span, String::new(), written, message);
        }
    }
    let base = path.parent().unwrap_or(Path::new(""));
    let config = readable.then(|| {
        Section::read_root(&report, document.get_ref(), |root| read(root, base, environment))
    });
    let (mut problems, known) = report.finish();
    problems.retain(|p| p.key.is_empty() || !broken_lines.contains(&p.line));
    let result = match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(ConfigError::Invalid { path: path.to_owned(), problems }),
    };
    (result, known)
}

/// What the parser's message means for people, and whether the rest of the file still means what it
/// says. After other mistakes, such as a bracket left open, the parser can only guess.
fn explain(message: &str) -> (String, bool) {
    let is_about_a_value = [
        "string values must be quoted",
        "missing opening quote",
        "invalid float",
        "invalid integer",
        "unexpected leading zero",
    ]
    .iter()
    .any(|start| message.starts_with(start));
    if is_about_a_value {
        (format!("no valid value; a text needs quotes ({message})"), true)
    } else if message.starts_with("duplicate key") {
        ("this key was there before; keep one of the two".to_owned(), true)
    } else {
        (message.to_owned(), false)
    }
}

/// Reads all sections. What is wrong has its default in the answer, and is in the report.
fn read(root: &mut Section<'_, '_>, base: &Path, environment: &Environment<'_>) -> Config {
    let mut listeners = Vec::new();
    let proxy = root.section("proxy", |s| read_proxy(s, &mut listeners, base, environment));
    Config {
        upstream: root.section("upstream", read_upstream),
        switch: root.section("switch", read_switch),
        health_check: root.section("health_check", read_health_check),
        logging: root.section("logging", |s| read_logging(s, base)),
        lets_encrypt: root
            .optional_section("lets_encrypt", |s| read_lets_encrypt(s, base, &proxy.state_dir)),
        metrics: root.section("metrics", |s| read_metrics(s, &mut listeners)),
        declared: read_declared(root),
        effective: Vec::new(),
        proxy,
    }
}

fn read_proxy(
    section: &mut Section<'_, '_>,
    listeners: &mut Listeners,
    base: &Path,
    environment: &Environment<'_>,
) -> ProxySettings {
    let default_state_dir = environment.state_dir();
    let state_dir = section.optional("state_dir", path(base));
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
        admin_socket: section.or("admin_socket", d.admin_socket, socket_path(base)),
        admin_group: section.optional("admin_group", string),
        state_dir: state_dir.unwrap_or(d.state_dir),
        threads: section.or("threads", d.threads, integer(1..=1024)),
        shutdown_timeout: section.or("shutdown_timeout_secs", d.shutdown_timeout, seconds),
        trusted_proxies: section
            .list("trusted_proxies", "[\"10.0.0.0/8\"]", network)
            .map_or(d.trusted_proxies, |list| list.into_iter().map(|(net, _)| net).collect()),
        idle_timeout: section.or("idle_timeout_secs", d.idle_timeout, seconds),
        header_timeout: section.or("header_timeout_secs", d.header_timeout, seconds),
        read_timeout: section.or("read_timeout_secs", d.read_timeout, seconds),
        write_timeout: section.or("write_timeout_secs", d.write_timeout, seconds),
        max_header_bytes: section.or("max_header_bytes", d.max_header_bytes, integer(HEADER_BYTES)),
        websocket_idle_timeout: section.or(
            "websocket_idle_timeout_secs",
            d.websocket_idle_timeout,
            seconds,
        ),
    };
    if !section.has("listen_addr") && !section.has("listen_addr_http") {
        section.problem(
            "",
            "nothing to listen at; add `listen_addr_http = \"0.0.0.0:80\"` for HTTP, or \
             `listen_addr = \"0.0.0.0:443\"` for HTTPS",
        );
    }
    settings
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
    if let Some((_, other)) = listeners.iter().find(|(other, _)| collide(address, *other)) {
        section.problem(key, format!("`{other}` listens there; choose another port"));
    }
    listeners.push((address, section.path_of(key)));
    Some(address)
}

/// Whether the kernel would refuse the second of the two. Port 0 is another port each time.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
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
    let is_http = section.or("kind", true, choice(&[("http", true), ("tcp", false)]));
    let path = section.or("path", HealthPath::default(), parsed);
    let expected = section.or("expected_status", StatusRanges::default(), parsed);
    if !is_http {
        for key in ["path", "expected_status"] {
            if section.has(key) {
                section.problem(key, "only for `kind = \"http\"`; a TCP check just connects");
            }
        }
    }
    let kind =
        if is_http { HealthCheckKind::Http { path, expected } } else { HealthCheckKind::Tcp };
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
    HealthCheckSettings { check, count_5xx: section.or("count_5xx", d.count_5xx, boolean) }
}

fn read_logging(section: &mut Section<'_, '_>, base: &Path) -> LoggingSettings {
    let levels = [
        ("trace", LogLevel::Trace),
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
        ("off", LogLevel::Off),
    ];
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let to_file = section.or("output", false, choice(&[("console", false), ("file", true)]));
    let file_path = section.optional("file_path", path(base));
    if to_file && !section.has("file_path") {
        section.problem(
            "file_path",
            "missing, and `output = \"file\"` needs it; add \
             `file_path = \"/var/log/pingora-proxy/proxy.log\"`",
        );
    }
    LoggingSettings {
        level: section.or("level", LogLevel::default(), choice(&levels)),
        format: section.or("format", LogFormat::default(), choice(&formats)),
        output: file_path.filter(|_| to_file).map_or(LogOutput::Console, LogOutput::File),
    }
}

fn read_lets_encrypt(
    section: &mut Section<'_, '_>,
    base: &Path,
    state_dir: &Path,
) -> LetsEncryptSettings {
    let default_cache: PathBuf = state_dir.join("certs");
    LetsEncryptSettings {
        email: section.required("email", "\"admin@example.com\"", email).unwrap_or_default(),
        staging: section.or("staging", false, boolean),
        cache_dir: section.or("cache_dir", default_cache, path(base)),
    }
}

fn read_metrics(section: &mut Section<'_, '_>, listeners: &mut Listeners) -> MetricsSettings {
    let d = MetricsSettings::default();
    let enabled = section.or("enabled", d.enabled, boolean);
    let listen_addr = if enabled {
        listener(section, "listen_addr", listeners)
    } else {
        section.optional("listen_addr", listen_address)
    };
    MetricsSettings { enabled, listen_addr: listen_addr.unwrap_or(d.listen_addr) }
}

#[cfg(test)]
mod tests;
