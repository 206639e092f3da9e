//! Headers of requests and answers.

use std::collections::BTreeMap;

use super::scope::Scope;
use super::upstreams::Target;
use crate::translate::blocks::Directive;
use crate::translate::draft::{Domain, escaped, text};
use crate::translate::source::Work;

/// What is sent to backends: the headers that are set, those that are removed (`None`), and those of
/// `forwarded_headers`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RequestHeaders {
    set: BTreeMap<String, Option<String>>,
    forwarded: Vec<&'static str>,
}

impl RequestHeaders {
    /// Whether they differ in more than what nginx sends by itself, and who the client is.
    pub(super) fn differs_in_what_was_asked_for(&self, other: &Self) -> bool {
        let asked = |it: &Self| {
            let mut set = it.set.clone();
            set.remove("Host");
            set
        };
        asked(self) != asked(other)
    }
}

/// What becomes of `proxy_set_header`. What can't be translated is said.
pub(super) fn of_requests(
    scope: &Scope<'_>,
    target: Option<&Target>,
    work: &mut Work<'_>,
) -> RequestHeaders {
    let mut headers = RequestHeaders::default();
    let directives = scope.all(&["proxy_set_header", "grpc_set_header"]);
    let names_host = directives.iter().any(|it| it.arg(0).eq_ignore_ascii_case("host"));
    if let (Some(target), false) = (target, names_host) {
        // nginx sends the host of the URL.
        headers.set.insert("Host".to_owned(), Some(escaped(&target.host)));
    }
    for directive in directives {
        read(directive, target, &mut headers, work);
    }
    headers
}

fn read(
    directive: &Directive,
    target: Option<&Target>,
    headers: &mut RequestHeaders,
    work: &mut Work<'_>,
) {
    let (name, value) = (directive.arg(0), directive.arg(1));
    let lower = name.to_ascii_lowercase();
    if is_sent_anyway(&lower, value) {
        return;
    }
    match (lower.as_str(), value) {
        ("host", "$proxy_host") => {
            let host = target.map(|target| escaped(&target.host));
            headers.set.insert("Host".to_owned(), host);
        }
        ("x-real-ip", "$remote_addr" | "$realip_remote_addr" | "$http_x_real_ip") => {
            headers.forwarded.push("x-real-ip");
        }
        ("x-forwarded-port", "$server_port") => headers.forwarded.push("x-forwarded-port"),
        (_, "") => {
            headers.set.insert(name.to_owned(), None);
        }
        _ => match value_of(value) {
            Some(value) => {
                headers.set.insert(name.to_owned(), Some(value));
            }
            None => work.findings.warn(
                directive.place,
                directive.shown(),
                "not in vhost: it has no such variable; docs/hosts.md lists those of headers",
            ),
        },
    }
    headers.forwarded.sort_unstable();
    headers.forwarded.dedup();
}

/// Whether backends get a header without being asked for it, or can't get another.
fn is_sent_anyway(name: &str, value: &str) -> bool {
    match name {
        "host" => matches!(value, "$host" | "$http_host" | "$host:$server_port" | "$server_name"),
        // Ours are those of a connection, whatever a client says.
        "connection" | "upgrade" | "keep-alive" | "te" | "transfer-encoding" => true,
        "x-forwarded-for" => {
            matches!(value, "$proxy_add_x_forwarded_for" | "$remote_addr" | "$http_x_forwarded_for")
        }
        "x-forwarded-proto" => matches!(value, "$scheme" | "$http_x_forwarded_proto"),
        "x-forwarded-host" => matches!(value, "$host" | "$http_host" | "$server_name"),
        "x-request-id" => matches!(value, "$request_id" | "$http_x_request_id"),
        _ => false,
    }
}

/// A value with our variables in the place of nginx's, if there are such.
pub(super) fn value_of(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        value.push_str(&escaped(&rest[..at]));
        let after = &rest[at + 1..];
        let (name, left) = if let Some(inner) = after.strip_prefix('{') {
            inner.split_once('}')?
        } else {
            let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            after.split_at(after.find(is_end).unwrap_or(after.len()))
        };
        value.push_str(match name {
            "remote_addr" | "realip_remote_addr" => "${client_ip}",
            "host" | "http_host" => "${host}",
            "scheme" => "${scheme}",
            "request_id" => "${request_id}",
            "request_method" => "${method}",
            "server_protocol" => "${protocol}",
            "ssl_protocol" => "${tls_version}",
            "ssl_server_name" => "${tls_sni}",
            "server_name" => "${domain}",
            _ => return None,
        });
        rest = left;
    }
    value.push_str(&escaped(rest));
    Some(value)
}

/// Writes both kinds into a domain.
pub(super) fn add(
    scope: &Scope<'_>,
    target: Option<&Target>,
    domain: &mut Domain,
    work: &mut Work<'_>,
) {
    let headers = of_requests(scope, target, work);
    for kind in &headers.forwarded {
        if work.draft.upstream.get("forwarded_headers").is_none() {
            work.draft.upstream.push("forwarded_headers", "x-forwarded");
        }
        work.draft.upstream.push("forwarded_headers", *kind);
    }
    let mut set = toml::Table::new();
    let mut removed = Vec::new();
    for (name, value) in headers.set {
        match value {
            Some(value) => drop(set.insert(name, value.into())),
            None => removed.push(text(&name)),
        }
    }
    if !set.is_empty() {
        domain.entry.set_in("request_headers", "set", set);
    }
    if !removed.is_empty() {
        domain.entry.set_in("request_headers", "remove", removed);
    }
    of_answers(scope, domain, work);
}

fn of_answers(scope: &Scope<'_>, domain: &mut Domain, work: &mut Work<'_>) {
    let (mut set, mut added) = (toml::Table::new(), toml::Table::new());
    for directive in scope.all(&["add_header"]) {
        let (name, value) = (directive.arg(0), directive.arg(1));
        let is_hsts = name.eq_ignore_ascii_case("strict-transport-security");
        let age = value.trim_end_matches(';').strip_prefix("max-age=");
        if let (true, Some(age)) = (is_hsts, age.and_then(|age| age.parse::<i64>().ok())) {
            domain.entry.set("hsts_max_age_secs", age.clamp(0, 126_144_000));
            continue;
        }
        match value_of(value) {
            Some(_) if value.is_empty() => {}
            Some(value) if set.contains_key(name) => {
                drop(added.insert(name.to_owned(), value.into()));
            }
            Some(value) => drop(set.insert(name.to_owned(), value.into())),
            None => work.findings.warn(
                directive.place,
                directive.shown(),
                "not in vhost: it has no such variable; docs/hosts.md lists those of headers",
            ),
        }
    }
    if !set.is_empty() {
        domain.entry.set_in("response_headers", "set", set);
    }
    if !added.is_empty() {
        domain.entry.set_in("response_headers", "add", added);
    }
    let hidden: Vec<_> =
        scope.all(&["proxy_hide_header"]).iter().map(|it| text(it.arg(0))).collect();
    if !hidden.is_empty() {
        domain.entry.set_in("response_headers", "remove", hidden);
    }
}
