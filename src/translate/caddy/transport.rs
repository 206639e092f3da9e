//! `transport http`: the connections with backends.

use crate::translate::blocks::Directive;
use crate::translate::draft::{Entry, text};
use crate::translate::source::Work;
use crate::translate::units::time;

/// Gives a backend what its `transport` says.
pub(super) fn add(proxy: &Directive, server: &mut Entry, work: &mut Work<'_>) {
    for transport in proxy.children().iter().filter(|it| it.name == "transport") {
        if transport.arg(0) != "http" {
            work.findings.warn(
                transport.place,
                transport.shown(),
                "not in vhost: a backend must speak HTTP",
            );
            continue;
        }
        for option in transport.children() {
            read(option, server, work);
        }
    }
}

fn read(option: &Directive, server: &mut Entry, work: &mut Work<'_>) {
    let value = option.arg(0);
    match option.name.as_str() {
        "tls" => server.set("scheme", "https"),
        "tls_insecure_skip_verify" => {
            server.set("scheme", "https");
            server.set("tls_insecure_skip_verify", true);
        }
        "tls_server_name" if !value.contains('{') => server.set("tls_server_name", text(value)),
        "tls_trusted_ca_certs" => server.set("tls_ca_file", text(value)),
        "tls_trust_pool" if value == "file" && option.args.len() == 2 => {
            server.set("tls_ca_file", text(option.arg(1)));
        }
        "tls_client_auth" if option.args.len() == 2 => {
            server.set("tls_client_cert_file", text(value));
            server.set("tls_client_key_file", text(option.arg(1)));
        }
        "dial_timeout" => match time(value, "s") {
            Some(time) => server.set("connect_timeout_secs", time),
            None => work.unknown(option.place, option.shown()),
        },
        "max_conns_per_host" => match value.parse::<i64>() {
            Ok(most) if most > 0 => server.set("max_requests", most),
            _ => work.unknown(option.place, option.shown()),
        },
        "proxy_protocol" if matches!(value, "v1" | "v2") => {
            server.set("send_proxy_protocol", value);
        }
        "versions" => match option.args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["h2c"] => server.set("scheme", "h2c"),
            ["2"] => server.set("scheme", "h2"),
            ["1.1"] | ["1.1", "2"] | ["2", "1.1"] => {}
            _ => work.unknown(option.place, option.shown()),
        },
        "keepalive"
        | "keepalive_idle_conns"
        | "keepalive_idle_conns_per_host"
        | "keepalive_interval"
        | "compression"
        | "read_buffer"
        | "write_buffer"
        | "dial_fallback_delay"
        | "tls_timeout"
        | "max_response_header"
        | "expect_continue_timeout" => {}
        "response_header_timeout" | "read_timeout" | "write_timeout" => {
            let why = "see `timeouts` of the domain: `first_byte_secs`, `between_bytes_secs`";
            work.findings.warn(option.place, option.shown(), why);
        }
        _ => work.unknown(option.place, option.shown()),
    }
}
