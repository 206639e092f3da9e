//! Headers of requests and answers.

use crate::translate::blocks::Directive;
use crate::translate::draft::{Domain, Entry, escaped, text};
use crate::translate::source::Work;

/// A `header_up` that backends get anyway.
pub(super) fn is_standard(header: &Directive) -> bool {
    let name = header.arg(0).to_ascii_lowercase();
    header.name == "header_up"
        && match name.as_str() {
            "host" => matches!(header.arg(1), "{host}" | "{http.request.host}" | "{hostport}"),
            "x-forwarded-for" => {
                matches!(
                    header.arg(1),
                    "{remote_host}" | "{client_ip}" | "{http.request.remote.host}"
                )
            }
            "x-forwarded-proto" => matches!(header.arg(1), "{scheme}" | "{http.request.scheme}"),
            "x-forwarded-host" => matches!(header.arg(1), "{host}" | "{http.request.host}"),
            "connection" | "upgrade" => true,
            _ => false,
        }
}

/// Translates `header_up` and `header_down`.
pub(super) fn add(header: &Directive, servers: &[Entry], domain: &mut Domain, work: &mut Work<'_>) {
    if is_standard(header) {
        return;
    }
    let is_up = header.name == "header_up";
    let name = header.arg(0).to_ascii_lowercase();
    let is_client =
        matches!(header.arg(1), "{remote_host}" | "{client_ip}" | "{http.request.remote.host}");
    if is_up && name == "x-real-ip" && is_client {
        work.draft.upstream.push("forwarded_headers", "x-forwarded");
        work.draft.upstream.push("forwarded_headers", "x-real-ip");
        return;
    }
    let names_upstream =
        matches!(header.arg(1), "{upstream_hostport}" | "{http.reverse_proxy.upstream.hostport}");
    if is_up && name == "host" && names_upstream {
        let address = servers.first().and_then(|server| server.get("address")).cloned();
        match address {
            Some(address) if servers.len() == 1 => {
                let host = address.as_str().unwrap_or_default().trim_end_matches(":443");
                domain.entry.set_in("request_headers", "set", host_header(host));
            }
            _ => work.unknown(header.place, header.shown()),
        }
        return;
    }
    let key = if is_up { "request_headers" } else { "response_headers" };
    edit(key, header, &header.args, domain, work);
}

fn host_header(host: &str) -> toml::Table {
    let mut table = toml::Table::new();
    table.insert("Host".to_owned(), host.into());
    table
}

/// Translates one edit, in the words of `header`.
pub(super) fn edit(
    key: &'static str,
    directive: &Directive,
    words: &[String],
    domain: &mut Domain,
    work: &mut Work<'_>,
) {
    let name = words.first().map(String::as_str).unwrap_or_default();
    let value = words.get(1).map(String::as_str);
    let shown = words.join(" ");
    let (what, name) = match name.chars().next() {
        Some('-') => ("remove", &name[1..]),
        Some('+') => ("add", &name[1..]),
        Some('?' | '>') => ("", name),
        _ => ("set", name),
    };
    if what.is_empty() || words.len() > 2 || name.contains('*') || name.is_empty() {
        let why = "not in vhost: headers are set, added or removed by their whole names";
        return work.findings.warn(directive.place, shown, why);
    }
    if what == "remove" {
        let mut removed = match domain.entry.get(key).and_then(|it| it.get("remove")) {
            Some(toml::Value::Array(removed)) => removed.clone(),
            _ => Vec::new(),
        };
        removed.push(text(name));
        return domain.entry.set_in(key, "remove", removed);
    }
    let is_hsts = name.eq_ignore_ascii_case("strict-transport-security") && what == "set";
    let age = value.and_then(|value| value.trim_end_matches(';').strip_prefix("max-age="));
    if let (true, Some(age)) = (is_hsts, age.and_then(|age| age.parse::<i64>().ok())) {
        return domain.entry.set("hsts_max_age_secs", age.clamp(0, 126_144_000));
    }
    let Some(value) = value.and_then(value_of) else {
        let why = "not in vhost: it has no such placeholder; docs/hosts.md lists the variables of headers";
        return work.findings.warn(directive.place, shown, why);
    };
    let mut table = match domain.entry.get(key).and_then(|it| it.get(what)) {
        Some(toml::Value::Table(table)) => table.clone(),
        _ => toml::Table::new(),
    };
    table.insert(name.to_owned(), value.into());
    domain.entry.set_in(key, what, table);
}

/// A value with our variables in the place of placeholders, if there are such.
fn value_of(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        value.push_str(&escaped(&rest[..at]));
        let (name, left) = rest[at + 1..].split_once('}')?;
        if let Some(variable) = name.strip_prefix("$").or_else(|| name.strip_prefix("env.")) {
            let name = variable.split(':').next().unwrap_or_default();
            value.extend(["${", name, "}"]);
        } else {
            value.push_str(match name {
                "remote_host"
                | "client_ip"
                | "http.request.remote.host"
                | "http.vars.client_ip" => "${client_ip}",
                "host" | "http.request.host" => "${host}",
                "scheme" | "http.request.scheme" => "${scheme}",
                "method" | "http.request.method" => "${method}",
                "path" | "http.request.uri.path" => "${path}",
                "uuid" | "http.request.uuid" => "${request_id}",
                "tls_version" => "${tls_version}",
                _ => return None,
            });
        }
        rest = left;
    }
    value.push_str(&escaped(rest));
    Some(value)
}
