//! Limits, times, compression, pages: the options of a domain, and what is not in vhost.

use std::path::Path;

use super::scope::{Scope, variable};
use super::server::Server;
use crate::translate::blocks::Directive;
use crate::translate::draft::{Domain, Entry, text};
use crate::translate::source::Work;
use crate::translate::units::{size, time};

/// What is read elsewhere, is always so, or is nothing to a proxy that serves no files.
const NOT_NEEDED: &[&str] = &[
    "listen",
    "server_name",
    "location",
    "ssl",
    "http2",
    "server_tokens",
    "sendfile",
    "tcp_nopush",
    "tcp_nodelay",
    "types_hash_max_size",
    "types_hash_bucket_size",
    "server_names_hash_bucket_size",
    "server_names_hash_max_size",
    "variables_hash_max_size",
    "map_hash_bucket_size",
    "default_type",
    "types",
    "charset",
    "keepalive_timeout",
    "keepalive_requests",
    "gzip",
    "gzip_vary",
    "gzip_proxied",
    "gzip_types",
    "gzip_comp_level",
    "gzip_buffers",
    "gzip_http_version",
    "gzip_min_length",
    "gzip_disable",
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_protocols",
    "ssl_ciphers",
    "ssl_prefer_server_ciphers",
    "ssl_session_cache",
    "ssl_session_timeout",
    "ssl_session_tickets",
    "ssl_dhparam",
    "ssl_ecdh_curve",
    "ssl_stapling",
    "ssl_stapling_verify",
    "ssl_trusted_certificate",
    "ssl_buffer_size",
    "ssl_conf_command",
    "ssl_early_data",
    "ssl_reject_handshake",
    "resolver",
    "resolver_timeout",
    "error_log",
    "access_log",
    "log_not_found",
    "client_max_body_size",
    "client_body_timeout",
    "client_header_timeout",
    "client_body_buffer_size",
    "client_header_buffer_size",
    "large_client_header_buffers",
    "send_timeout",
    "set_real_ip_from",
    "real_ip_header",
    "real_ip_recursive",
    "proxy_pass",
    "grpc_pass",
    "proxy_http_version",
    "proxy_set_header",
    "grpc_set_header",
    "proxy_hide_header",
    "proxy_read_timeout",
    "proxy_connect_timeout",
    "proxy_send_timeout",
    "grpc_read_timeout",
    "grpc_send_timeout",
    "proxy_buffering",
    "proxy_buffers",
    "proxy_buffer_size",
    "proxy_busy_buffers_size",
    "proxy_request_buffering",
    "proxy_max_temp_file_size",
    "proxy_next_upstream",
    "proxy_next_upstream_tries",
    "proxy_intercept_errors",
    "proxy_headers_hash_max_size",
    "proxy_headers_hash_bucket_size",
    "proxy_socket_keepalive",
    "proxy_ssl_server_name",
    "proxy_ssl_name",
    "proxy_ssl_verify",
    "proxy_ssl_trusted_certificate",
    "proxy_ssl_certificate",
    "proxy_ssl_certificate_key",
    "proxy_ssl_session_reuse",
    "proxy_ssl_verify_depth",
    "proxy_pass_header",
    "add_header",
    "allow",
    "deny",
    "auth_basic",
    "auth_basic_user_file",
    "satisfy",
    "ssl_verify_client",
    "ssl_client_certificate",
    "ssl_verify_depth",
    "auth_request",
    "auth_jwt",
    "limit_except",
    "if",
    "limit_req",
    "limit_req_status",
    "error_page",
    "recursive_error_pages",
    "internal",
    "merge_slashes",
    "reset_timedout_connection",
    "port_in_redirect",
    "absolute_redirect",
    "server_name_in_redirect",
    "underscores_in_headers",
    "lingering_close",
    "open_file_cache",
    "index",
    "root",
    "break",
    "include",
    "output_buffers",
    "aio",
    "client_body_temp_path",
    "proxy_temp_path",
    "auth_require",
    "auth_oidc",
    "auth_jwt_require",
    "secure_link",
    "secure_link_secret",
    "valid_referers",
    "access_by_lua_block",
    "access_by_lua_file",
];

/// What is of a whole domain, so that a path can't have its own.
const OF_A_DOMAIN: [&str; 8] = [
    "client_max_body_size",
    "proxy_read_timeout",
    "proxy_connect_timeout",
    "limit_req",
    "add_header",
    "proxy_hide_header",
    "error_page",
    "grpc_read_timeout",
];

/// Says what a directive outside of locations lacks.
pub(super) fn look_at(directive: &Directive, work: &mut Work<'_>) {
    let name = directive.name.as_str();
    if NOT_NEEDED.contains(&name) {
        return;
    }
    let (place, shown) = (directive.place, directive.shown());
    match name {
        "proxy_cache" | "proxy_cache_path" | "proxy_cache_valid" | "proxy_cache_key"
        | "proxy_cache_use_stale" | "proxy_cache_bypass" | "proxy_no_cache" => {
            work.findings.warn(place, shown, "not in vhost: it has no cache; put one in front or behind");
        }
        "limit_conn" => work.findings.warn(
            place,
            shown,
            "`max_connections_per_client` and `max_requests_per_client` of `[proxy]`, for all domains",
        ),
        "return" => work.findings.warn(
            place,
            shown,
            "not in vhost: answers of its own and redirects of paths are the application's",
        ),
        _ => work.unknown(place, shown),
    }
}

/// Translates the options of a server for its domain.
pub(super) fn add(server: &Server<'_>, domain: &mut Domain, work: &mut Work<'_>) {
    for directive in server.scope.own() {
        look_at(directive, work);
    }
    let root = server.scope.own().iter().find(|it| it.name == "location" && it.args == ["/"]);
    let scope = root.map_or_else(|| server.scope.clone(), |it| server.scope.with(it.children()));
    add_limits(&scope, domain, work);
    add_times(&scope, domain, work);
    if scope.one("gzip").is_some_and(|gzip| gzip.arg(0) == "on") {
        domain.entry.push("compression", "gzip");
    }
    add_error_pages(&scope, &server.scope, domain, work);
}

/// Says what the location `/` has that a domain can't have.
pub(super) fn add_location(scope: &Scope<'_>, _domain: &mut Domain, work: &mut Work<'_>) {
    for directive in scope.own() {
        look_at(directive, work);
    }
}

/// Says what another location has that a path can't have.
pub(super) fn look_at_location(location: &Directive, work: &mut Work<'_>) {
    if !location.children().iter().any(|it| it.name.ends_with("_pass")) {
        return;
    }
    for directive in location.children() {
        if OF_A_DOMAIN.contains(&directive.name.as_str()) {
            let shown = format!("{}: {}", location.shown(), directive.shown());
            let why = "not in vhost: options are of the domain; give the path a host of its own";
            work.findings.warn(directive.place, shown, why);
        } else if directive.name != "return" && !directive.name.ends_with("_pass") {
            look_at(directive, work);
        }
    }
}

fn add_limits(scope: &Scope<'_>, domain: &mut Domain, work: &mut Work<'_>) {
    match scope.one("client_max_body_size") {
        None => domain.entry.set("max_body_bytes", "1MB"),
        Some(limit) if limit.arg(0) == "0" => {}
        Some(limit) => match size(limit.arg(0)) {
            Some(size) => domain.entry.set("max_body_bytes", size),
            None => work.findings.warn(limit.place, limit.shown(), "write it as `max_body_bytes`"),
        },
    }
    for limit in scope.all(&["limit_req"]) {
        let value = |key: &str| limit.args.iter().find_map(|arg| arg.strip_prefix(key));
        let zone = value("zone=").unwrap_or_default();
        let zone = scope.all(&["limit_req_zone"]).into_iter().find(|it| {
            it.args.iter().any(|arg| {
                arg.strip_prefix("zone=").is_some_and(|arg| arg.split(':').next() == Some(zone))
            })
        });
        let rate = zone.and_then(|zone| zone.args.iter().find_map(|arg| arg.strip_prefix("rate=")));
        let rate = rate.and_then(|rate| {
            let (number, per) = rate.split_once("r/")?;
            let number: i64 =
                number.parse().ok().filter(|number| (1..=1_000_000).contains(number))?;
            Some((number, if per == "m" { 60 } else { 1 }))
        });
        let key = zone.and_then(|zone| variable(zone.arg(0)));
        let option = match key {
            Some("binary_remote_addr" | "remote_addr") => "client_rate_limit",
            Some("server_name" | "host" | "http_host") => "rate_limit",
            _ => "",
        };
        let (Some((number, per)), false) = (rate, option.is_empty()) else {
            let why = "not in vhost by this key: `client_rate_limit` is by client, `rate_limit` for all together";
            work.findings.warn(limit.place, limit.shown(), why);
            continue;
        };
        domain.entry.set_in(option, "requests", number);
        if per != 1 {
            domain.entry.set_in(option, "per_secs", per);
        }
        if let Some(burst) = value("burst=").and_then(|burst| burst.parse::<i64>().ok()) {
            domain.entry.set_in(option, "burst", burst.max(1));
        }
    }
}

fn add_times(scope: &Scope<'_>, domain: &mut Domain, work: &mut Work<'_>) {
    for (directives, key) in [
        (["proxy_read_timeout", "grpc_read_timeout"], "response_secs"),
        (["proxy_connect_timeout", "grpc_connect_timeout"], "connect_secs"),
    ] {
        let Some(directive) = directives.iter().find_map(|name| scope.one(name)) else { continue };
        if let Some(time) = time(directive.arg(0), "s") {
            domain.entry.set_in("timeouts", key, time);
        } else {
            let why = format!("write it as `timeouts.{key}`, up to a day");
            work.findings.warn(directive.place, directive.shown(), why);
        }
    }
}

/// Whether a path is that of an error page, which vhost reads itself.
pub(super) fn is_error_page(path: &str, scope: &Scope<'_>) -> bool {
    scope.all(&["error_page"]).iter().any(|page| page.args.last().is_some_and(|last| last == path))
}

fn add_error_pages(
    scope: &Scope<'_>,
    server: &Scope<'_>,
    domain: &mut Domain,
    work: &mut Work<'_>,
) {
    for page in scope.all(&["error_page"]) {
        let Some((uri, statuses)) = page.args.split_last() else { continue };
        let location =
            server.own().iter().find(|it| it.name == "location" && it.args.last() == Some(uri));
        let inner = location.map_or_else(|| server.clone(), |it| server.with(it.children()));
        let root = inner.one("root").map(|root| root.arg(0));
        let statuses_only = statuses.iter().all(|status| status.parse::<u16>().is_ok());
        let (Some(root), true, true) = (root, uri.starts_with('/'), statuses_only) else {
            let why = "not in vhost as a URL or with another status: `error_pages` has a file or a text for each";
            work.findings.warn(page.place, page.shown(), why);
            continue;
        };
        let file = Path::new(root).join(uri.trim_start_matches('/'));
        for status in statuses {
            domain.entry.set_in("error_pages", status, text(&file.display().to_string()));
        }
    }
}

/// The TLS of backends, as `proxy_ssl_…` has it.
pub(super) fn add_tls_of_backend(
    server: &mut Entry,
    pass: Option<&Directive>,
    scope: &Scope<'_>,
    work: &mut Work<'_>,
) {
    let scheme = server.get("scheme").and_then(toml::Value::as_str);
    if !matches!(scheme, Some("https" | "h2")) {
        return;
    }
    let one = |name: &str| scope.one(name).map(|it| text(it.arg(0)));
    for (name, key) in [
        ("proxy_ssl_trusted_certificate", "tls_ca_file"),
        ("proxy_ssl_certificate", "tls_client_cert_file"),
        ("proxy_ssl_certificate_key", "tls_client_key_file"),
    ] {
        if let Some(file) = one(name) {
            server.set(key, file);
        }
    }
    if let Some(name) = scope.one("proxy_ssl_name") {
        match name.arg(0) {
            value if value.contains('$') => {}
            value => server.set("tls_server_name", text(value)),
        }
    }
    let verify = scope.one("proxy_ssl_verify").map(|it| it.arg(0));
    match (verify, pass) {
        (Some("off"), _) => server.set("tls_insecure_skip_verify", true),
        (None, Some(pass)) => work.findings.note(
            pass.place,
            pass.shown(),
            "the backend's certificate is verified, which nginx did not do: name its CA with `tls_ca_file` if no public \
             one signed it",
        ),
        _ => {}
    }
}
