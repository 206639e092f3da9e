//! The static part.

use crate::translate::draft::{Domain, text};
use crate::translate::source::Work;
use crate::translate::tree::Node;
use crate::translate::units::network;

/// Reads what is of the whole server.
pub(super) fn read(config: &Node, work: &mut Work<'_>) {
    let empty = Node::default();
    for (_, resolver) in config.get("certificatesResolvers").unwrap_or(&empty).members() {
        let Some(acme) = resolver.get("acme") else { continue };
        if let Some(email) = acme.text_of("email") {
            work.draft.lets_encrypt.set("email", text(email));
        }
        match acme.text_of("caServer") {
            Some(url) if url.contains("staging") => work.draft.lets_encrypt.set("staging", true),
            Some(url) if !url.contains("letsencrypt.org") => {
                work.draft.lets_encrypt.set("directory_url", text(url));
            }
            _ => {}
        }
        if let Some(dns) = acme.get("dnsChallenge") {
            let why = "`dns_hook` of `[lets_encrypt]` is a program of yours, instead of a provider";
            work.findings.warn(dns.place, "dnsChallenge", why);
        }
    }
    if let (None, Some(email)) = (work.draft.lets_encrypt.get("email"), &work.hints.email) {
        work.draft.lets_encrypt.set("email", text(email));
    }
    for (_, point) in config.get("entryPoints").unwrap_or(&empty).members() {
        if let Some(ips) = point.at("forwardedHeaders.trustedIPs") {
            for ip in ips.texts() {
                match network(ip) {
                    Some(network) => work.draft.proxy.push("trusted_proxies", network.to_string()),
                    None => work.unknown(ips.place, format!("trustedIPs: {ip}")),
                }
            }
        }
        if let Some(insecure) = point.at("forwardedHeaders.insecure").filter(|it| it.is_true()) {
            let why = "forwarded headers are believed of proxies that you name: `trusted_proxies` of `[proxy]`";
            work.findings.warn(insecure.place, "forwardedHeaders.insecure", why);
        }
        if let Some(all) = point.at("http.middlewares") {
            work.findings.deny_all(
                all.place,
                "entryPoints: http.middlewares",
                "not in vhost: options are of domains; give each domain what these middlewares do",
            );
        }
    }
    if config.get("accessLog").is_some() {
        work.draft.access_log.set("enabled", true);
    }
    if let Some(metrics) = config.at("metrics.prometheus") {
        work.draft.metrics.set("enabled", true);
        work.draft.metrics.set("listen_addr", "127.0.0.1:9090");
        let why = "the metrics are at an address of their own, with other names";
        work.findings.note(metrics.place, "metrics.prometheus", why);
    }
    if let Some(docker) = config.at("providers.docker").or_else(|| config.at("providers.swarm")) {
        let why = "not in vhost: translate the Compose files too, whose labels say the rest; then `vhost ctl deploy` \
                   after `docker compose up`";
        work.findings.warn(docker.place, "providers.docker", why);
    }
    let clients = config.at("tls.options").unwrap_or(&empty).members();
    for (name, options) in clients {
        if let Some(auth) = options.get("clientAuth") {
            let shown = format!("tls.options.{name}.clientAuth");
            work.findings.deny_all(
                auth.place,
                shown,
                "not in vhost: clients are not asked for certificates",
            );
        }
        if options.text_of("minVersion") == Some("VersionTLS13") {
            work.draft.proxy.set("min_tls_version", "1.3");
        }
    }
}

/// The addresses of the entry points; of HTTPS where a domain is served so.
pub(super) fn listen(config: &Node, work: &mut Work<'_>) {
    let is_tls =
        |domain: &Domain| domain.entry.get("tls").and_then(toml::Value::as_str) != Some("off");
    let has_tls = work.draft.domains.iter().any(is_tls);
    let empty = Node::default();
    let points = config.get("entryPoints").unwrap_or(&empty);
    for (name, point) in points.members() {
        let Some(address) = point.text_of("address") else { continue };
        let address = address.split('/').next().unwrap_or_default();
        let is_secure =
            name.contains("secure") || address.ends_with(":443") || point.at("http.tls").is_some();
        let key = if is_secure { "listen_addr" } else { "listen_addr_http" };
        match address.strip_prefix(':').map(str::parse::<u16>) {
            Some(Ok(port)) => {
                for host in ["0.0.0.0", "[::]"] {
                    work.draft.proxy.push(key, format!("{host}:{port}"));
                }
            }
            _ if address.parse::<std::net::SocketAddr>().is_ok() => {
                work.draft.proxy.push(key, address);
            }
            _ => work.unknown(point.place, format!("entryPoints.{name}.address: {address}")),
        }
    }
    for (key, port, is_used) in [("listen_addr", 443, has_tls), ("listen_addr_http", 80, true)] {
        if is_used && work.draft.proxy.get(key).is_none() {
            for host in ["0.0.0.0", "[::]"] {
                work.draft.proxy.push(key, format!("{host}:{port}"));
            }
        }
    }
}
