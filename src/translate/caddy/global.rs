//! The global options.

use super::whole::Whole;
use crate::translate::blocks::Directive;
use crate::translate::draft::text;
use crate::translate::source::Work;
use crate::translate::units::{network, time};

/// Reads the options at the top of the file.
pub(super) fn read(options: &[Directive], whole: &mut Whole, work: &mut Work<'_>) {
    for option in options {
        let value = option.arg(0);
        let (place, shown) = (option.place, option.shown());
        match option.name.as_str() {
            "email" => {
                whole.email.get_or_insert_with(|| value.to_owned());
            }
            "http_port" => whole.ports.http = value.parse().unwrap_or(80),
            "https_port" => whole.ports.https = value.parse().unwrap_or(443),
            "debug" => work.draft.logging.set("level", "debug"),
            "local_certs" => whole.is_local = true,
            "auto_https" => match value {
                "off" => {
                    whole.has_https = false;
                    let why = "without certificates of its own, a site is served over plain HTTP";
                    work.findings.note(place, shown, why);
                }
                "disable_redirects" => whole.redirects = false,
                _ => work.unknown(place, shown),
            },
            "acme_ca" if value.contains("staging") => work.draft.lets_encrypt.set("staging", true),
            "acme_ca" => work.draft.lets_encrypt.set("directory_url", text(value)),
            "acme_ca_root" => work.draft.lets_encrypt.set("ca_root", text(value)),
            "key_type" if matches!(value, "p256" | "p384") => {
                work.draft.lets_encrypt.set("key_type", value);
            }
            "grace_period" => match time(value, "s") {
                Some(time) => work.draft.proxy.set("shutdown_timeout_secs", time),
                None => work.unknown(place, shown),
            },
            "servers" => option.children().iter().for_each(|it| read_servers(it, work)),
            "metrics" => {
                work.draft.metrics.set("enabled", true);
                work.draft.metrics.set("listen_addr", "127.0.0.1:9090");
                work.findings.note(
                    place,
                    shown,
                    "the metrics are at an address of their own, with other names",
                );
            }
            "admin"
            | "order"
            | "persist_config"
            | "skip_install_trust"
            | "ocsp_stapling"
            | "log"
            | "renew_interval"
            | "storage_clean_interval"
            | "" => {}
            "default_bind" => {
                let why = "name the addresses in `listen_addr` and `listen_addr_http` of `[proxy]`";
                work.findings.deny_all(place, shown, why);
            }
            _ => work.unknown(place, shown),
        }
    }
}

fn read_servers(option: &Directive, work: &mut Work<'_>) {
    match option.name.as_str() {
        "trusted_proxies" if option.arg(0) == "static" => {
            for arg in &option.args[1..] {
                if arg == "private_ranges" {
                    work.draft.proxy.push("trusted_proxies", "private");
                    work.draft.proxy.push("trusted_proxies", "loopback");
                } else if let Some(network) = network(arg) {
                    work.draft.proxy.push("trusted_proxies", network.to_string());
                } else {
                    work.unknown(option.place, option.shown());
                }
            }
        }
        "client_ip_headers" if option.args.len() == 1 && option.arg(0) != "X-Forwarded-For" => {
            work.draft.proxy.set("client_ip_header", text(option.arg(0)));
        }
        "timeouts" => {
            for timeout in option.children() {
                let key = match timeout.name.as_str() {
                    "read_header" => "header_timeout_secs",
                    "read_body" => "read_timeout_secs",
                    "write" => "write_timeout_secs",
                    "idle" => "idle_timeout_secs",
                    _ => continue,
                };
                match time(timeout.arg(0), "s") {
                    Some(time) => work.draft.proxy.set(key, time),
                    None => work.unknown(timeout.place, timeout.shown()),
                }
            }
        }
        "metrics"
        | "name"
        | "trusted_proxies_strict"
        | "enable_full_duplex"
        | "strict_sni_host"
        | "client_ip_headers" => {}
        "protocols" => {
            if option.args.iter().any(|it| it == "h3") {
                work.findings.note(option.place, option.shown(), "HTTP/3 is not in vhost");
            }
        }
        _ => work.unknown(option.place, option.shown()),
    }
}
