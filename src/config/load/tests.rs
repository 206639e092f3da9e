use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::config::settings::{HealthCheckSettings, ListenAddrs, SwitchSettings, UpstreamSettings};
use crate::config::{
    Declared, DeclaredBackend, EabSettings, IssuerSettings, LetsEncryptSettings, MetricsSettings,
    OnDemandSettings, ProxySettings,
};
use crate::model::record::Keys;
use crate::model::{
    AccessFormat, LogFileSettings, LogFormat, LogOutput, LoggingSettings, Rotation,
};
use crate::model::{
    BackendAddr, BackendOptions, BackendState, Balance, ChallengeKind, ForwardedHeaders,
    HealthCheck, HealthCheckOptions, HealthPath, HostOptions, KeyType, LogLevel, OptionSet,
    ProbeKind, Scheme, SendProxyProtocol, TlsMode, UnderscoresInHeaders,
};
use crate::telemetry::AccessLogSettings;

const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// A `[proxy]` that is enough, on lines 1 and 2.
const PROXY: &str = "[proxy]\nlisten_addr_http = \"127.0.0.1:80\"\n";

const BACKENDS: &str = r#"
[[backends]]
id = "one"
address = "127.0.0.1:1"
tags = ["a"]
[[backends]]
id = "two"
address = "127.0.0.1:2"
tags = ["b"]
"#;

fn within(text: &str) -> (Result<Config, ConfigError>, KnownKeys) {
    let path = Path::new("/etc/vhost.toml");
    let variable = |name: &str| (name == "NOTIFY_SECRET").then(|| "of-the-environment".to_owned());
    let loaded = read_text(path, text, &Environment::new(&variable, 0));
    let known = loaded.known.clone();
    (loaded.into_result(path), known)
}

fn valid(text: &str) -> Config {
    within(text).0.unwrap_or_else(|error| panic!("{error}\n--- in ---\n{text}"))
}

fn problems(text: &str) -> Vec<Problem> {
    match within(text).0 {
        Err(ConfigError::Invalid { problems, .. }) => problems,
        other => panic!("{other:?}"),
    }
}

/// The one problem of `[proxy]` followed by `text`, as it is printed.
fn problem(text: &str) -> String {
    let found = problems(&format!("{PROXY}{text}"));
    assert_eq!(found.len(), 1, "{found:#?}\n{text}");
    format!("{}: {}", found[0].line, found[0])
}

/// The example with every key that it leaves out put in.
fn whole_example() -> String {
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_valid_as_shipped() {
    let config = valid(EXAMPLE);
    let addresses = |texts: [&str; 2]| {
        Some(ListenAddrs::from(texts.map(|text| text.parse::<SocketAddr>().unwrap()).to_vec()))
    };
    assert_eq!(config.proxy.listen_addr, addresses(["0.0.0.0:443", "[::]:443"]));
    assert_eq!(config.proxy.listen_addr_http, addresses(["0.0.0.0:80", "[::]:80"]));
    assert_eq!(config.proxy.state_dir, Path::new("/var/lib/vhost"));
    assert_eq!(config.proxy.admin_socket, Path::new("/run/vhost/admin.sock"));
    assert_eq!(config.lets_encrypt, None);
    assert_eq!((config.declared.domains.len(), config.declared.backends.len()), (1, 2));
}

#[test]
fn the_example_shows_every_key_and_every_default() {
    let text = whole_example();
    let (config, known) = within(&text);
    let whole = config.unwrap_or_else(|error| panic!("{error}"));
    let shipped = valid(EXAMPLE);
    assert_eq!(whole.upstream, shipped.upstream);
    assert_eq!(whole.switch, shipped.switch);
    // Some keys of probes have no default to show.
    let mut check = whole.health_check.check.clone();
    assert!(check.host.take().is_some() && check.port.take().is_some());
    assert!(check.headers.take().is_some() && check.expect_body.take().is_some());
    assert_eq!(check.check(), shipped.health_check.check.check());
    let health_check = HealthCheckSettings {
        check: shipped.health_check.check.clone(),
        ..whole.health_check.clone()
    };
    assert_eq!(health_check, shipped.health_check);
    assert_eq!(whole.logging, shipped.logging);
    // Nor have the names of hosts.
    assert_eq!(MetricsSettings { hosts: Vec::new(), ..whole.metrics }, shipped.metrics);
    // What a backend's state and health check are, and what a domain does besides, has no default to show.
    let with_defaults = |declared: &Declared| Declared {
        apps: Vec::new(),
        domains: declared
            .domains
            .iter()
            .map(|d| crate::model::VirtualHost {
                top: TopOptions { app: None, ..d.top.clone() },
                options: HostOptions::default(),
                ..d.clone()
            })
            .collect(),
        backends: declared
            .backends
            .iter()
            .filter(|b| b.id.as_str() != "api-v1")
            .map(|b| {
                let options = BackendOptions { app: None, health_check: None, ..b.options.clone() };
                DeclaredBackend { state: None, options, ..b.clone() }
            })
            .collect(),
    };
    assert_eq!(with_defaults(&whole.declared), shipped.declared);
    assert_eq!(whole.declared.domains[0].options.values().len(), OptionSet::KEYS.len());
    assert_eq!(whole.declared.backends[0].state, Some(BackendState::default()));
    let check = whole.declared.backends[0].options.health_check.as_ref().expect("it is shown");
    assert_eq!(check.path.as_ref().map(HealthPath::as_str), Some("/up"));
    let api = &whole.declared.backends[2];
    assert_eq!(api.options.files().count(), 3);
    assert_eq!(whole.bad_files.len(), 2, "they are not there");
    let by_host = |proxy: &ProxySettings| ProxySettings {
        management_api_addr: None,
        management_api_hosts: Vec::new(),
        admin_group: None,
        pages_dir: None,
        trusted_proxies: Vec::new(),
        client_ip_header: None,
        underscores_in_headers: UnderscoresInHeaders::Drop,
        threads: 0,
        default_cert: None,
        default_key: None,
        ..proxy.clone()
    };
    assert_eq!(by_host(&whole.proxy), by_host(&shipped.proxy));

    let mut section = "";
    let mut shown = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']);
            shown.insert(section.rsplit_once('.').unwrap_or(("", section)));
        } else if let Some((key, _)) = line.split_once(" = ") {
            shown.insert((section, key));
        }
    }
    let known: BTreeSet<_> = known
        .iter()
        .flat_map(|(section, keys)| keys.iter().map(move |key| (*section, *key)))
        .collect();
    assert!(known.len() > 50, "{known:?}");
    assert_eq!(shown, known);
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let config = valid(PROXY);
    let Config { proxy, upstream, switch, health_check, logging, metrics, .. } = config;
    let secs = Duration::from_secs;
    assert_eq!(
        (
            proxy.shutdown_timeout_secs,
            proxy.idle_timeout_secs,
            proxy.header_timeout_secs,
            proxy.read_timeout_secs,
        ),
        (secs(30), secs(60), secs(10), secs(60))
    );
    assert_eq!((proxy.max_header_bytes, proxy.websocket_idle_timeout_secs), (65_536, secs(3600)));
    assert_eq!((upstream.idle_timeout_secs, upstream.max_tries), (secs(4), 3));
    assert_eq!((switch.gate_timeout_secs, switch.drain_timeout_secs), (secs(30), secs(30)));
    assert_eq!(
        (health_check.check.check(), health_check.count_5xx),
        (HealthCheck::default(), false)
    );
    assert_eq!(logging.format, LogFormat::Json);
    assert!(!metrics.enabled);
    assert_eq!(metrics.listen_addr, ListenAddrs::from(SocketAddr::from(([0, 0, 0, 0], 9090))));
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table of all keys")]
fn every_key_is_read_into_its_own_setting() {
    let config = valid(
        r#"
        [proxy]
        listen_addr = "127.0.0.1:1"
        listen_addr_http = "127.0.0.1:2"
        management_api_addr = "127.0.0.1:3"
        management_api_hosts = ["Vhost.example.net."]
        admin_socket = "a.sock"
        admin_group = "deploy"
        state_dir = "/state"
        pages_dir = "pages"
        threads = 3
        shutdown_timeout_secs = 0.25
        trusted_proxies = ["10.1.2.3/8", "::1", "cloudflare"]
        client_ip_header = "CF-Connecting-IP"
        underscores_in_headers = "allow"
        proxy_protocol = true
        proxy_protocol_http = true
        idle_timeout_secs = 1
        header_timeout_secs = 2
        read_timeout_secs = 3
        write_timeout_secs = 4
        half_close_timeout_secs = 9
        max_header_bytes = 1_024
        websocket_idle_timeout_secs = 5
        min_tls_version = "1.3"
        tls_handshake_timeout_secs = 0.5
        max_tls_handshakes = 6
        max_headers = 256
        max_uri_bytes = 64
        max_requests_per_connection = 21
        min_body_bytes_per_sec = 0
        body_grace_secs = 22
        max_connections = 123
        max_connections_per_client = 24
        max_silent_connections = 27
        max_requests_per_client = 28
        max_h2_streams = 25
        max_h2_control_frames_per_sec = 26
        max_buffered_bytes_per_connection = 300000
        max_buffered_bytes_per_client = 300001
        max_buffered_bytes = 300002
        max_h2_send_buffer_bytes = 4097
        default_cert = "default.pem"
        default_key = "/default.key"
        [upstream]
        connect_timeout_secs = 6
        read_timeout_secs = 7
        write_timeout_secs = 8
        idle_timeout_secs = 9
        max_tries = 10
        resolve_interval_secs = 11
        max_requests_per_backend = 31
        queue_size = 0
        queue_timeout_secs = 32
        retry_budget_percent = 33
        forwarded_headers = ["x-real-ip", "forwarded"]
        [switch]
        gate_timeout_secs = 12
        drain_timeout_secs = 13
        min_healthy_percent = 50
        min_capacity_percent = 40
        [health_check]
        kind = "tcp"
        interval_secs = 14
        timeout_secs = 15
        unhealthy_threshold = 16
        healthy_threshold = 17
        count_5xx = true
        slow_start_secs = 18
        max_ejected_percent = 19
        [logging]
        level = "debug"
        format = "text"
        output = "file"
        file_path = "log"
        rotation = "size"
        max_size_mb = 3
        keep_files = 2
        [access_log]
        enabled = true
        format = "combined"
        output = "file"
        file_path = "/access"
        rotation = "daily"
        sample = 0.25
        query = true
        [lets_encrypt]
        email = "a@b.example"
        cache_dir = "certs"
        directory_url = "https://acme.example.com:14000/dir"
        ca_root = "root.pem"
        profile = "shortlived"
        key_type = "p384"
        eab_kid = "kid"
        eab_hmac_key_file = "eab"
        challenges = ["dns-01", "http-01"]
        dns_hook = "hook"
        on_demand_ask = "http://[::1]:3000/allowed"
        on_demand_per_client = 5
        on_demand_per_minute = 2
        on_demand_most = 3
        [[lets_encrypt.fallback]]
        directory_url = "https://b.example/directory"
        email = "b@b.example"
        ca_root = "/b.pem"
        profile = "classic"
        key_type = "p256"
        eab_kid = "b"
        eab_hmac_key_file = "/b"
        challenges = ["tls-alpn-01"]
        [[lets_encrypt.fallback]]
        directory_url = "https://c.example/directory"
        [metrics]
        enabled = true
        listen_addr = "[::1]:4"
        [[virtual_hosts]]
        domain = "*.B.example"
        enabled_backends_tag = "x"
        http_to_https = false
        aliases = ["*"]
        balance = "hash-cookie:session"
        tls = { cert = "tls/b.pem", key = "/b.key" }
        hsts_max_age_secs = 31_536_000
        [[backends]]
        id = "one"
        address = "unix:/run/one"
        tags = ["x", "y"]
        weight = 5
        scheme = "https"
        state = "draining"
        backup = true
        send_proxy_protocol = "v2"
        "#,
    );
    let secs = Duration::from_secs;
    let addr = |text: &str| ListenAddrs::from(text.parse::<SocketAddr>().unwrap());
    let proxy = ProxySettings {
        upgrade_timeout_secs: Duration::from_mins(1),
        upgrade_drain_timeout_secs: Duration::from_hours(1),
        listen_addr: Some(addr("127.0.0.1:1")),
        listen_addr_http: Some(addr("127.0.0.1:2")),
        management_api_addr: Some(addr("127.0.0.1:3")),
        management_api_hosts: vec!["vhost.example.net".parse().unwrap()],
        admin_socket: "/etc/a.sock".into(),
        admin_group: Some("deploy".into()),
        state_dir: "/state".into(),
        pages_dir: Some("/etc/pages".into()),
        threads: 3,
        shutdown_timeout_secs: Duration::from_millis(250),
        trusted_proxies: ["10.0.0.0/8", "::1/128", "cloudflare"]
            .map(|text| text.parse().unwrap())
            .to_vec(),
        client_ip_header: Some("cf-connecting-ip".parse().unwrap()),
        underscores_in_headers: UnderscoresInHeaders::Allow,
        proxy_protocol: true,
        proxy_protocol_http: true,
        idle_timeout_secs: secs(1),
        header_timeout_secs: secs(2),
        read_timeout_secs: secs(3),
        write_timeout_secs: secs(4),
        half_close_timeout_secs: secs(9),
        max_header_bytes: 1024,
        websocket_idle_timeout_secs: secs(5),
        min_tls_version: crate::tls::TlsVersion::Tls13,
        tls_handshake_timeout_secs: Duration::from_millis(500),
        max_tls_handshakes: 6,
        max_headers: 256,
        max_uri_bytes: 64,
        max_requests_per_connection: 21,
        min_body_bytes_per_sec: 0,
        body_grace_secs: secs(22),
        max_connections: 123,
        max_connections_per_client: 24,
        max_silent_connections: 27,
        max_requests_per_client: 28,
        max_h2_streams: 25,
        max_h2_control_frames_per_sec: 26,
        max_buffered_bytes_per_connection: 300_000,
        max_buffered_bytes_per_client: 300_001,
        max_buffered_bytes: 300_002,
        max_h2_send_buffer_bytes: 4097,
        default_cert: Some("/etc/default.pem".into()),
        default_key: Some("/default.key".into()),
    };
    assert_eq!(config.proxy, proxy);
    let upstream = UpstreamSettings {
        connect_timeout_secs: secs(6),
        read_timeout_secs: secs(7),
        write_timeout_secs: secs(8),
        idle_timeout_secs: secs(9),
        max_tries: 10,
        resolve_interval_secs: secs(11),
        max_requests_per_backend: 31,
        queue_size: 0,
        queue_timeout_secs: secs(32),
        retry_budget_percent: 33,
        forwarded_headers: vec![ForwardedHeaders::XRealIp, ForwardedHeaders::Forwarded],
    };
    assert_eq!(config.upstream, upstream);
    let switch = SwitchSettings {
        gate_timeout_secs: secs(12),
        drain_timeout_secs: secs(13),
        min_healthy_percent: 50,
        min_capacity_percent: 40,
    };
    assert_eq!(config.switch, switch);
    let health_check = HealthCheckSettings {
        check: HealthCheckOptions {
            kind: Some(ProbeKind::Tcp),
            interval_secs: 14.0.try_into().ok(),
            timeout_secs: 15.0.try_into().ok(),
            unhealthy_threshold: 16.try_into().ok(),
            healthy_threshold: 17.try_into().ok(),
            ..HealthCheckOptions::default()
        },
        count_5xx: true,
        slow_start_secs: secs(18),
        max_ejected_percent: 19,
    };
    assert_eq!(config.health_check, health_check);
    let logging = LoggingSettings {
        level: LogLevel::Debug,
        format: LogFormat::Text,
        output: LogOutput::File(LogFileSettings {
            path: "/etc/log".into(),
            rotation: Rotation::Size(3 << 20),
            keep: 2,
        }),
    };
    assert_eq!(config.logging, logging);
    let access_log = AccessLogSettings {
        enabled: true,
        format: AccessFormat::Combined,
        fields: None,
        output: LogOutput::File(LogFileSettings {
            path: "/access".into(),
            rotation: Rotation::Daily,
            keep: 7,
        }),
        sample: 0.25,
        query: true,
    };
    assert_eq!(config.access_log, access_log);
    let eab =
        |kid: &str, file: &str| Some(EabSettings { kid: kid.into(), hmac_key_file: file.into() });
    let first = IssuerSettings {
        directory_url: "https://acme.example.com:14000/dir".into(),
        written_url: None,
        written_email: None,
        email: "a@b.example".into(),
        ca_root: Some("/etc/root.pem".into()),
        profile: Some("shortlived".into()),
        key_type: KeyType::P384,
        eab: eab("kid", "/etc/eab"),
        challenges: vec![ChallengeKind::Dns01, ChallengeKind::Http01],
    };
    let second = IssuerSettings {
        directory_url: "https://b.example/directory".into(),
        written_url: None,
        written_email: None,
        email: "b@b.example".into(),
        ca_root: Some("/b.pem".into()),
        profile: Some("classic".into()),
        key_type: KeyType::P256,
        eab: eab("b", "/b"),
        challenges: vec![ChallengeKind::TlsAlpn01],
    };
    let third = IssuerSettings {
        directory_url: "https://c.example/directory".into(),
        ca_root: None,
        profile: None,
        eab: None,
        ..first.clone()
    };
    let on_demand = OnDemandSettings {
        ask: "http://[::1]:3000/allowed".into(),
        per_client: 5,
        per_minute: 2,
        most: 3,
    };
    let lets_encrypt = LetsEncryptSettings {
        issuers: vec![first, second, third],
        dns_hook: Some("/etc/hook".into()),
        on_demand: Some(on_demand),
    };
    assert_eq!(config.lets_encrypt, Some(lets_encrypt));
    assert_eq!(config.cache_dir, Path::new("/etc/certs"));
    assert_eq!(
        config.metrics,
        MetricsSettings {
            enabled: true,
            listen_addr: addr("[::1]:4"),
            ..MetricsSettings::default()
        }
    );
    let domain = &config.declared.domains[0];
    assert_eq!((domain.domain.to_string(), domain.live.as_str()), ("*.b.example".into(), "x"));
    let balance = Balance::HashCookie("session".into());
    assert_eq!((domain.top.http_to_https, &domain.top.balance), (false, &balance));
    assert_eq!(domain.top.aliases[0].to_string(), "*");
    let files = TlsMode::Files { cert: "/etc/tls/b.pem".into(), key: "/b.key".into() };
    assert_eq!((&domain.top.tls, domain.top.hsts_max_age_secs.get()), (&files, 31_536_000));
    let backend = &config.declared.backends[0];
    assert_eq!(backend.address, BackendAddr::Unix(Path::new("/run/one").into()));
    assert_eq!(
        (backend.options.weight.get(), backend.options.scheme, backend.tags.len()),
        (5, Scheme::Https, 2)
    );
    assert_eq!(backend.options.send_proxy_protocol, SendProxyProtocol::V2);
    assert_eq!(backend.state, Some(BackendState::Draining));
}

#[test]
fn sizes_and_times_are_read_as_people_write_them() {
    let config = valid(&format!(
        "{PROXY}max_header_bytes = \"64KiB\"\nmax_buffered_bytes = \"2GB\"\nmax_uri_bytes = \"8192\"\n\
         idle_timeout_secs = \"1h30m\"\nheader_timeout_secs = \"1500ms\"\nbody_grace_secs = \"5\"\n\
         half_close_timeout_secs = \"0\"\n[logging]\nmax_size_mb = \"1GB\"\n[access_log]\nmax_size_mb = \"50\"\n"
    ));
    let ProxySettings { max_header_bytes, max_buffered_bytes, max_uri_bytes, .. } = config.proxy;
    assert_eq!((max_header_bytes, max_buffered_bytes, max_uri_bytes), (64 << 10, 2 << 30, 8192));
    assert_eq!(config.proxy.idle_timeout_secs, Duration::from_mins(90));
    assert_eq!(config.proxy.header_timeout_secs, Duration::from_millis(1500));
    assert_eq!(config.proxy.body_grace_secs, Duration::from_secs(5));
    assert_eq!(config.proxy.half_close_timeout_secs, Duration::ZERO);
    let shown = |key: &str| config.effective.iter().find(|s| s.key == key)?.value.clone();
    assert_eq!(shown("proxy.max_header_bytes"), Some(65_536.into()), "one way");
    assert_eq!(shown("proxy.idle_timeout_secs"), Some(5400.into()));
    assert_eq!(shown("proxy.header_timeout_secs"), Some(1.5.into()));
    assert_eq!(shown("logging.max_size_mb"), Some(1024.into()));
    assert_eq!(shown("access_log.max_size_mb"), Some(50.into()));
}

#[test]
fn a_ca_is_lets_encrypt_unless_the_file_says_otherwise() {
    let read = |text: &str| {
        let config = valid(&format!("{PROXY}[lets_encrypt]\nemail = \"a@b.example\"\n{text}"));
        (config.lets_encrypt.expect("it is there"), config.cache_dir)
    };
    let (plain, cache_dir) = read("");
    assert_eq!(cache_dir, Path::new("/var/lib/vhost/certs"));
    assert_eq!(valid(PROXY).cache_dir, cache_dir, "also without the section");
    assert_eq!((&plain.dns_hook, &plain.on_demand, plain.issuers.len()), (&None, &None, 1));
    let issuer = &plain.issuers[0];
    assert_eq!(issuer.directory_url, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!(issuer.challenges, [ChallengeKind::TlsAlpn01, ChallengeKind::Http01]);
    assert_eq!(issuer.key_type, KeyType::P256);
    let (staging, _) = read("staging = true");
    let directory = &staging.issuers[0].directory_url;
    assert_eq!(directory, "https://acme-staging-v02.api.letsencrypt.org/directory");
    let (hooked, _) = read("dns_hook = \"/hook\"\non_demand_ask = \"https://a.example\"");
    let all = [ChallengeKind::TlsAlpn01, ChallengeKind::Http01, ChallengeKind::Dns01];
    assert_eq!(hooked.issuers[0].challenges, all);
    let on_demand = hooked.on_demand.expect("it is asked");
    let OnDemandSettings { per_client, per_minute, most, .. } = on_demand;
    assert_eq!((per_client, per_minute, most), (10, 10, 1000));
}

#[test]
fn a_domain_says_in_a_word_or_by_files_where_its_certificate_comes_from() {
    let tls = |said: &str| {
        let host = "[[virtual_hosts]]\ndomain = \"x.example\"\nenabled_backends_tag = \"a\"\n";
        valid(&format!("{PROXY}{host}{said}\n{BACKENDS}")).declared.domains.remove(0).top.tls
    };
    assert_eq!(tls(""), TlsMode::Auto);
    assert_eq!(tls("tls = \"auto\""), TlsMode::Auto);
    assert_eq!(tls("tls = \"internal\""), TlsMode::Internal);
    assert_eq!(tls("tls = \"off\""), TlsMode::Off);
    let files = TlsMode::Files { cert: "/etc/a".into(), key: "/etc/b".into() };
    assert_eq!(tls("tls.cert = \"a\"\ntls.key = \"b\""), files, "without a CA");
}

mod fuzz;
mod mistakes;
mod notified;
