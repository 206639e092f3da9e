//! `upstream` blocks, and the addresses that `proxy_pass` names.

use std::collections::BTreeMap;

use crate::model::BackendAddr;
use crate::translate::blocks::Directive;
use crate::translate::draft::{Entry, text};
use crate::translate::finding::Place;
use crate::translate::source::Work;
use crate::translate::units::{host_and_port, time};

/// The `upstream` blocks by name.
pub(super) struct Upstreams<'t> {
    by_name: BTreeMap<&'t str, &'t Directive>,
}

/// Where requests are passed to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    /// What its tag is best called, where it is an `upstream`.
    pub(super) name: Option<String>,
    pub(super) servers: Vec<Entry>,
    /// What the backends get as `Host` unless the config says otherwise.
    pub(super) host: String,
    /// The path of the URL, if it has one.
    pub(super) path: Option<String>,
    /// How requests are spread.
    pub(super) balance: Option<String>,
    pub(super) sticky: Option<String>,
}

impl<'t> Upstreams<'t> {
    pub(super) fn of(levels: &[&'t [Directive]]) -> Self {
        let all = levels.iter().flat_map(|level| level.iter()).filter(|it| it.name == "upstream");
        Self { by_name: all.map(|it| (it.arg(0), it)).collect() }
    }

    /// Reads a `proxy_pass` or `grpc_pass`. `None` if it can't be translated, which is then said.
    pub(super) fn target(&self, pass: &Directive, work: &mut Work<'_>) -> Option<Target> {
        let url = pass.arg(0);
        let mut refuse = |why: &str| {
            work.findings.warn(pass.place, pass.shown(), why);
            None
        };
        if url.contains('$') {
            return refuse("not in vhost: a backend's address has no variables; write it out");
        }
        let (scheme, rest) = match url.split_once("://") {
            Some(("http", rest)) => (if pass.name == "grpc_pass" { "h2c" } else { "http" }, rest),
            Some(("https", rest)) => ("https", rest),
            Some(("grpc", rest)) => ("h2c", rest),
            Some(("grpcs", rest)) => ("h2", rest),
            None if pass.name == "grpc_pass" => ("h2c", url),
            _ => return refuse("a backend is reached by HTTP or HTTPS; see `scheme`"),
        };
        let (authority, path) = split_path(rest);
        let path = path.map(str::to_owned);
        let upstream = self.by_name.get(authority).copied();
        let mut target = Target {
            name: upstream.map(|_| authority.to_owned()),
            servers: Vec::new(),
            host: authority.to_owned(),
            path,
            balance: None,
            sticky: None,
        };
        if let Some(upstream) = upstream {
            read_upstream(upstream, scheme, &mut target, work);
        } else {
            let Some(server) = server(authority, scheme) else {
                return refuse(
                    "not an address that a backend can have: `host:port` or `unix:/path`",
                );
            };
            target.servers.push(server);
        }
        if target.servers.is_empty() {
            let why = "none of its servers can be translated";
            work.findings.warn(pass.place, pass.shown(), why);
            return None;
        }
        Some(target)
    }
}

/// Takes the path from what follows the scheme. A socket ends with a colon.
fn split_path(rest: &str) -> (&str, Option<&str>) {
    if let Some(socket) = rest.strip_prefix("unix:") {
        return match socket.find(':') {
            Some(end) => {
                let path = &socket[end + 1..];
                (&rest[.."unix:".len() + end], (!path.is_empty()).then_some(path))
            }
            None => (rest, None),
        };
    }
    match rest.find('/') {
        Some(start) => (&rest[..start], Some(&rest[start..])),
        None => (rest, None),
    }
}

/// A backend at an address, with the port of its scheme.
fn server(address: &str, scheme: &str) -> Option<Entry> {
    let mut address = address.to_owned();
    if !address.starts_with("unix:") && host_and_port(&address).1.is_none() {
        address.push_str(if scheme == "https" || scheme == "h2" { ":443" } else { ":80" });
    }
    address.parse::<BackendAddr>().ok()?;
    let mut server = Entry::default();
    server.set("address", text(&address));
    if scheme != "http" {
        server.set("scheme", scheme);
    }
    Some(server)
}

fn read_upstream(upstream: &Directive, scheme: &str, target: &mut Target, work: &mut Work<'_>) {
    for directive in upstream.children() {
        let (place, shown) = (directive.place, directive.shown());
        match directive.name.as_str() {
            "server" => read_server(directive, scheme, target, work),
            "least_conn" => target.balance = Some("least-connections".to_owned()),
            "ip_hash" => target.balance = Some("hash-client".to_owned()),
            "least_time" => target.balance = Some("least-latency".to_owned()),
            "random" if directive.args.iter().any(|arg| arg.starts_with("least_conn")) => {
                target.balance = Some("least-connections".to_owned());
            }
            "hash" => match hash(directive.arg(0)) {
                Some(balance) => target.balance = Some(balance),
                None => work.findings.warn(
                    place,
                    shown,
                    "not in vhost by this key; requests are in turn. `balance` can hash by client, header or \
                     cookie",
                ),
            },
            "sticky" if directive.arg(0) == "cookie" => {
                target.sticky = Some(directive.arg(1).to_owned());
            }
            "keepalive" | "keepalive_timeout" | "keepalive_requests" | "keepalive_time" | "zone"
            | "state" | "resolver" | "resolver_timeout" => {}
            "random" => work.findings.note(place, shown, "requests are in turn, by weight"),
            "queue" => work.findings.note(
                place,
                shown,
                "as `queue_size` and `queue_timeout_secs` of `[upstream]`",
            ),
            _ => work.unknown(place, shown),
        }
    }
}

fn hash(key: &str) -> Option<String> {
    let key = super::scope::variable(key)?;
    match key {
        "remote_addr" | "binary_remote_addr" => Some("hash-client".to_owned()),
        _ => {
            let cookie = key.strip_prefix("cookie_").map(|name| format!("hash-cookie:{name}"));
            let header = || key.strip_prefix("http_").map(|name| name.replace('_', "-"));
            cookie.or_else(|| header().map(|name| format!("hash-header:{name}")))
        }
    }
}

fn read_server(directive: &Directive, scheme: &str, target: &mut Target, work: &mut Work<'_>) {
    let (place, shown) = (directive.place, directive.shown());
    // The port of an upstream's server is 80, whatever the scheme.
    let address = directive.arg(0);
    let with_port = match host_and_port(address).1 {
        None if !address.starts_with("unix:") => format!("{address}:80"),
        _ => address.to_owned(),
    };
    let Some(mut server) = server(&with_port, scheme) else {
        let why = "not an address that a backend can have: `host:port` or `unix:/path`";
        work.findings.warn(place, shown, why);
        return;
    };
    for arg in directive.args.iter().skip(1) {
        read_parameter(arg, &mut server, place, &shown, work);
    }
    target.servers.push(server);
}

fn read_parameter(arg: &str, server: &mut Entry, place: Place, shown: &str, work: &mut Work<'_>) {
    let (key, value) = arg.split_once('=').unwrap_or((arg, ""));
    match key {
        "weight" => match value.parse::<i64>() {
            Ok(weight) if (1..=1000).contains(&weight) => server.set("weight", weight),
            _ => work.findings.warn(place, shown, "a `weight` is 1 to 1000"),
        },
        "max_conns" => match value.parse::<i64>() {
            Ok(0) => {}
            Ok(most) if most > 0 => server.set("max_requests", most),
            _ => work.findings.warn(place, shown, "`max_conns` is no number"),
        },
        "backup" => server.set("backup", true),
        "down" => server.set("state", "disabled"),
        "drain" => server.set("state", "draining"),
        "slow_start" => {
            let seconds = time(value, "s").unwrap_or_default();
            let why = format!(
                "as `slow_start_secs = \"{seconds}\"` of `[health_check]`, for all backends"
            );
            work.findings.note(place, shown, why);
        }
        // Failed connections count, and a probe brings a backend back.
        "max_fails" | "fail_timeout" | "resolve" => {}
        _ => work.unknown(place, shown.to_owned()),
    }
}
