//! What each room goes by of a config, and a reload's settings put into effect.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::logs::{Logs, log_doubts};
use super::upgrade::UpgradeTimes;
use crate::certs::Certificates;
use crate::config::{Config, Origin};
use crate::control::{ControlOptions, ControlPlane, Reach, Settle};
use crate::health::{Checker, HealthSettings};
use crate::model::TrustedProxy;
use crate::notify::{self, Notifier};
use crate::proxy::{
    ConnectionLimits, HandshakeLimits, MemoryLimits, PageRules, Pages, ProxyOptions, RequestLimits,
    UpstreamOptions, forwarded_names,
};
use crate::reserved_paths::ReservedPaths;
use crate::telemetry::AccessLog;

/// Puts what a config says into effect, as far as that is possible without a restart.
pub(super) fn settle(
    options: Arc<ArcSwap<ProxyOptions>>,
    plane: &ControlPlane,
    checker: &Checker,
    logs: &Logs,
    shutdown_timeout: &Arc<ArcSwap<Duration>>,
    pages: Pages,
    reserved_paths: ReservedPaths,
) -> Settle {
    let (plane, checker, logs) = (plane.clone(), checker.clone(), logs.clone());
    let shutdown_timeout = Arc::clone(shutdown_timeout);
    Box::new(move |config| {
        options.store(Arc::new(proxy_options(config, logs.access_log())));
        // They are where they were at the start, whatever the file says now.
        let reserved_paths = reserved_paths.clone();
        plane.set_options(control_options(config, reserved_paths.clone()));
        checker.set(health_settings(config));
        shutdown_timeout.store(Arc::new(config.proxy.shutdown_timeout_secs));
        pages.set_rules(page_rules(config, reserved_paths));
        logs.set(config);
        log_doubts(config);
    })
}

/// Has what failed for a file of this machine tried again as well.
pub(super) fn and_try_files_again(settle: Settle, certificates: Certificates) -> Settle {
    Box::new(move |config| {
        settle(config);
        certificates.reloaded();
    })
}

/// Has upgrades take as long as the config says.
pub(super) fn and_upgrade_so(settle: Settle, times: &Arc<ArcSwap<UpgradeTimes>>) -> Settle {
    let times = Arc::clone(times);
    Box::new(move |config| {
        settle(config);
        times.store(Arc::new(upgrade_times(config)));
    })
}

/// Has those notified of events that the config says.
pub(super) fn and_notify(settle: Settle, notifier: &Notifier) -> Settle {
    let notifier = notifier.clone();
    Box::new(move |config| {
        settle(config);
        notifier.set(config.notify.clone());
    })
}

pub(super) fn upgrade_times(config: &Config) -> UpgradeTimes {
    UpgradeTimes {
        takes_over: config.proxy.upgrade_timeout_secs,
        drain: config.proxy.upgrade_drain_timeout_secs,
    }
}

pub(super) fn health_settings(config: &Config) -> HealthSettings {
    HealthSettings {
        check: config.health_check.check.clone(),
        resolve_interval: config.upstream.resolve_interval_secs,
        max_ejected_percent: config.health_check.max_ejected_percent,
    }
}

pub(super) fn control_options(config: &Config, reserved_paths: ReservedPaths) -> ControlOptions {
    let referring = config.effective.iter().filter(|setting| setting.from == Origin::Environment);
    let of_check = referring.filter_map(|setting| {
        let key = setting.key.strip_prefix("health_check.")?;
        Some((key.to_owned(), setting.value.clone()?))
    });
    ControlOptions {
        gate_timeout: config.switch.gate_timeout_secs,
        drain_timeout: config.switch.drain_timeout_secs,
        min_healthy_percent: config.switch.min_healthy_percent,
        min_capacity_percent: config.switch.min_capacity_percent,
        max_requests_per_backend: NonZeroUsize::new(config.upstream.max_requests_per_backend),
        health_check: config.health_check.check.clone(),
        health_check_written: of_check.collect(),
        reach: Reach { pages_dir: config.proxy.pages_dir.clone(), reserved_paths },
        hooks: notify::hooks(&config.hooks),
    }
}

pub(super) fn page_rules(config: &Config, reserved_paths: ReservedPaths) -> PageRules {
    PageRules {
        directory: config.proxy.pages_dir.clone(),
        named: config.named_pages.clone(),
        reserved_paths,
    }
}

pub(super) fn proxy_options(config: &Config, access_log: AccessLog) -> ProxyOptions {
    let proxy = &config.proxy;
    let upstream = &config.upstream;
    ProxyOptions {
        threads: proxy.threads,
        idle_timeout: proxy.idle_timeout_secs,
        header_timeout: proxy.header_timeout_secs,
        read_timeout: proxy.read_timeout_secs,
        write_timeout: proxy.write_timeout_secs,
        half_close_timeout: proxy.half_close_timeout_secs,
        websocket_idle_timeout: proxy.websocket_idle_timeout_secs,
        max_header_bytes: proxy.max_header_bytes,
        handshakes: HandshakeLimits {
            total: proxy.tls_handshake_timeout_secs,
            at_once: proxy.max_tls_handshakes,
        },
        trusted_proxies: proxy.trusted_proxies.iter().flat_map(TrustedProxy::networks).collect(),
        client_ip_header: proxy.client_ip_header.as_ref().map(|field| field.name().clone()),
        underscores_in_headers: proxy.underscores_in_headers,
        forwarded_headers: forwarded_names(&upstream.forwarded_headers),
        proxy_protocol: proxy.proxy_protocol,
        proxy_protocol_http: proxy.proxy_protocol_http,
        limits: RequestLimits {
            headers: proxy.max_headers,
            uri_bytes: proxy.max_uri_bytes,
            body_bytes_per_sec: proxy.min_body_bytes_per_sec,
            body_grace: proxy.body_grace_secs,
        },
        connections: ConnectionLimits {
            in_all: proxy.max_connections,
            per_client: proxy.max_connections_per_client,
            silent: proxy.max_silent_connections,
            client_requests: proxy.max_requests_per_client,
            requests: proxy.max_requests_per_connection,
            h2_streams: proxy.max_h2_streams,
            h2_control_frames_per_sec: proxy.max_h2_control_frames_per_sec,
        },
        memory: MemoryLimits {
            per_connection: proxy.max_buffered_bytes_per_connection,
            per_client: proxy.max_buffered_bytes_per_client,
            in_all: proxy.max_buffered_bytes,
            h2_send_buffer: proxy.max_h2_send_buffer_bytes,
        },
        access_log,
        upstream: UpstreamOptions {
            connect_timeout: upstream.connect_timeout_secs,
            read_timeout: upstream.read_timeout_secs,
            write_timeout: upstream.write_timeout_secs,
            idle_timeout: upstream.idle_timeout_secs,
            max_tries: upstream.max_tries,
            count_5xx: config.health_check.count_5xx,
            max_requests: NonZeroUsize::new(upstream.max_requests_per_backend),
            queue_size: upstream.queue_size,
            queue_timeout: upstream.queue_timeout_secs,
            retry_budget_percent: upstream.retry_budget_percent,
            slow_start: config.health_check.slow_start_secs,
        },
    }
}
