//! Services: the backends of a tag.

use super::whole::Whole;
use crate::model::BackendAddr;
use crate::translate::draft::{Domain, Entry, text};
use crate::translate::finding::Place;
use crate::translate::source::Work;
use crate::translate::tree::Node;
use crate::translate::units::{host_and_port, time};

/// The tag of a service; `None` if it has no backends that can be said.
pub(super) fn tag(
    name: &str,
    place: Place,
    domain: Option<&mut Domain>,
    whole: &mut Whole<'_>,
    work: &mut Work<'_>,
) -> Option<String> {
    let short = name.split('@').next().unwrap_or(name);
    let service = whole.http.get("services").and_then(|it| it.get(short));
    let Some(service) = service else {
        work.findings.warn(
            place,
            format!("service: {name}"),
            "there is no such service in these files",
        );
        return None;
    };
    let Some(balancer) = service.get("loadBalancer") else {
        let kind = service.members().first().map_or("it", |(kind, _)| kind.as_str());
        let why = "not in vhost, except `failover`, which is `backup = true` of a backend";
        work.findings.warn(service.place, format!("service {name}: {kind}"), why);
        return None;
    };
    let mut servers = Vec::new();
    let single = balancer.get("server");
    let listed = balancer.get("servers").map(Node::items).unwrap_or_default();
    for server in listed.iter().chain(single) {
        servers.extend(read_server(server, work));
    }
    read_health(balancer, &mut servers, work);
    read_transport(balancer, &mut servers, whole, work);
    if servers.is_empty() {
        work.findings.warn(
            service.place,
            format!("service {name}"),
            "it has no backends that can be said here",
        );
        return None;
    }
    if let Some(domain) = domain {
        options(balancer, &servers, domain, work);
    }
    Some(whole.pools.tag(short, servers))
}

fn read_server(server: &Node, work: &mut Work<'_>) -> Option<Entry> {
    let url = server.get("url")?;
    let place = url.place;
    let shown = url.text().unwrap_or_default();
    let (scheme, rest) = shown.split_once("://").unwrap_or(("http", shown));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let scheme = match scheme {
        "http" | "https" | "h2c" => scheme,
        _ => {
            work.findings.warn(place, shown, "a backend is reached by HTTP or HTTPS; see `scheme`");
            return None;
        }
    };
    if !path.is_empty() {
        work.findings.warn(place, shown, "not in vhost: a backend's address has no path");
    }
    let mut address = authority.to_owned();
    if host_and_port(authority).1.is_none() {
        address.push_str(if scheme == "https" { ":443" } else { ":80" });
    }
    if address.parse::<BackendAddr>().is_err() {
        work.findings.warn(place, shown, "not an address that a backend can have");
        return None;
    }
    let mut entry = Entry::default();
    entry.set("address", text(&address));
    if scheme != "http" {
        entry.set("scheme", scheme);
    }
    if let Some(weight) = server.get("weight") {
        match weight.text().and_then(|it| it.parse::<i64>().ok()) {
            Some(number) if (1..=1000).contains(&number) => entry.set("weight", number),
            _ => work.findings.warn(weight.place, "weight", "a `weight` is 1 to 1000"),
        }
    }
    Some(entry)
}

fn read_health(balancer: &Node, servers: &mut [Entry], work: &mut Work<'_>) {
    let Some(check) = balancer.get("healthCheck") else { return };
    let mut table = Entry::default();
    table.set_in("it", "kind", if check.text_of("mode") == Some("grpc") { "grpc" } else { "http" });
    for (key, node) in check.members() {
        let value = node.text().unwrap_or_default();
        let lower = key.to_ascii_lowercase();
        match lower.as_str() {
            "path" => table.set_in("it", "path", text(value)),
            "hostname" => table.set_in("it", "host", text(value)),
            "method" => table.set_in("it", "method", text(value)),
            "status" => table.set_in("it", "expected_status", text(value)),
            "port" => match value.parse::<i64>() {
                Ok(port) => table.set_in("it", "port", port),
                Err(_) => work.unknown(node.place, format!("healthCheck: {key}")),
            },
            "interval" | "timeout" => match time(value, "s") {
                Some(time) => {
                    let key = if lower == "interval" { "interval_secs" } else { "timeout_secs" };
                    table.set_in("it", key, time);
                }
                None => work.unknown(node.place, format!("healthCheck: {key}")),
            },
            "mode" | "followredirects" | "unhealthyinterval" => {}
            _ => work.unknown(node.place, format!("healthCheck: {key}")),
        }
    }
    for server in servers {
        if let Some(check) = table.get("it") {
            server.set("health_check", check.clone());
        }
    }
}

fn read_transport(balancer: &Node, servers: &mut [Entry], whole: &Whole<'_>, work: &mut Work<'_>) {
    let named = balancer.text_of("serversTransport");
    let Some(name) = named.and_then(|name| name.split('@').next()) else { return };
    let Some(transport) = whole.http.get("serversTransports").and_then(|it| it.get(name)) else {
        return;
    };
    for (key, node) in transport.members() {
        let value = node.texts().first().copied().unwrap_or_default();
        let key = key.to_ascii_lowercase();
        for server in servers.iter_mut() {
            match key.as_str() {
                "servername" => server.set("tls_server_name", text(value)),
                "rootcas" => server.set("tls_ca_file", text(value)),
                "insecureskipverify" if node.is_true() => {
                    server.set("tls_insecure_skip_verify", true);
                }
                "insecureskipverify" | "maxidleconnsperhost" => {}
                _ => work.unknown(node.place, format!("serversTransport: {key}")),
            }
        }
    }
}

/// What a service says of the domain.
fn options(balancer: &Node, servers: &[Entry], domain: &mut Domain, work: &mut Work<'_>) {
    if let Some(cookie) = balancer.at("sticky.cookie") {
        let name = cookie.text_of("name").unwrap_or("_vhost");
        domain.entry.set_in("sticky", "cookie", text(name));
        let age = cookie.text_of("maxAge").and_then(|age| age.parse::<i64>().ok());
        if let Some(age) = age.filter(|age| *age > 0) {
            domain.entry.set_in("sticky", "max_age_secs", age);
        }
    }
    if let Some(strategy) = balancer.get("strategy") {
        match strategy.text() {
            Some("wrr") => {}
            Some("p2c") => domain.entry.set("balance", "least-connections"),
            Some("hrw") => domain.entry.set("balance", "hash-client"),
            Some("leasttime") => domain.entry.set("balance", "least-latency"),
            _ => work.unknown(strategy.place, "strategy".to_owned()),
        }
    }
    if let Some(pass) = balancer.get("passHostHeader").filter(|it| it.is_false()) {
        let address = servers[0].get("address").and_then(toml::Value::as_str);
        match address {
            Some(address) if servers.len() == 1 => {
                let mut host = toml::Table::new();
                host.insert("Host".to_owned(), address.into());
                domain.entry.set_in("request_headers", "set", host);
            }
            _ => work.unknown(pass.place, "passHostHeader: false".to_owned()),
        }
    }
}
