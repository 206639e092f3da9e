//! `reverse_proxy`: backends, how requests are spread, and how they are checked.

use super::whole::Site;
use super::{headers, transport};
use crate::model::BackendAddr;
use crate::translate::blocks::Directive;
use crate::translate::draft::{Domain, Entry, text};
use crate::translate::source::Work;
use crate::translate::units::{host_and_port, time};

/// The backends of a `reverse_proxy`.
pub(super) struct Proxy {
    pub(super) servers: Vec<Entry>,
}

/// What is always so, or of no use here.
const NOT_NEEDED: [&str; 16] = [
    "to",
    "transport",
    "flush_interval",
    "fail_duration",
    "max_fails",
    "lb_try_interval",
    "lb_retries",
    "trusted_proxies",
    "stream_close_delay",
    "health_passes",
    "health_fails",
    "health_follow_redirects",
    "dynamic",
    "lb_policy",
    "verbose_logs",
    "",
];

impl Proxy {
    /// Reads it. Options of the domain are taken from the one that is for all requests alone.
    pub(super) fn read(
        site: &Site<'_>,
        directive: &Directive,
        is_main: bool,
        domain: &mut Domain,
        work: &mut Work<'_>,
    ) -> Self {
        let (_, args) = site.matchers.split(&directive.args);
        let to = directive.children().iter().filter(|it| it.name == "to");
        let addresses: Vec<_> = args.iter().chain(to.flat_map(|it| &it.args)).collect();
        let mut proxy = Self { servers: Vec::new() };
        for address in addresses {
            proxy.add(address, directive, work);
        }
        let health = health_check(directive, work);
        for server in &mut proxy.servers {
            if let Some(health) = &health {
                server.set("health_check", health.clone());
            }
            transport::add(directive, server, work);
        }
        for option in directive.children() {
            proxy.read_option(option, is_main, domain, work);
        }
        if proxy.servers.is_empty() {
            work.findings.warn(
                directive.place,
                directive.shown(),
                "it has no backend that can be said here",
            );
        }
        proxy
    }

    fn add(&mut self, address: &str, directive: &Directive, work: &mut Work<'_>) {
        let mut refuse = |why: &str| work.findings.warn(directive.place, directive.shown(), why);
        if address.contains('{') && !address.contains("{$") {
            return refuse("not in vhost: a backend's address has no placeholders");
        }
        let (scheme, rest) = match address.split_once("://") {
            Some((scheme, rest)) => (scheme, rest.trim_end_matches('/')),
            None => ("http", address),
        };
        let (scheme, rest) = match (scheme, rest.strip_prefix("unix/")) {
            (_, Some(path)) => (scheme, format!("unix:{path}")),
            (_, None) if rest.starts_with("unix+h2c/") => {
                ("h2c", rest.replacen("unix+h2c/", "unix:", 1))
            }
            _ => (scheme, rest.to_owned()),
        };
        let scheme = match scheme {
            "http" | "https" | "h2c" => scheme,
            _ => return refuse("a backend is reached by HTTP or HTTPS; see `scheme`"),
        };
        for address in expand(&rest, scheme) {
            if address.parse::<BackendAddr>().is_err() {
                return refuse(
                    "not an address that a backend can have: `host:port` or `unix:/path`",
                );
            }
            let mut server = Entry::default();
            server.set("address", text(&address));
            if scheme != "http" {
                server.set("scheme", scheme);
            }
            self.servers.push(server);
        }
    }

    fn read_option(
        &mut self,
        option: &Directive,
        is_main: bool,
        domain: &mut Domain,
        work: &mut Work<'_>,
    ) {
        let (place, shown) = (option.place, option.shown());
        match option.name.as_str() {
            "lb_policy" => self.read_policy(option, is_main, domain, work),
            "header_up" | "header_down" if is_main => {
                headers::add(option, &self.servers, domain, work);
            }
            "header_up" | "header_down" => {
                if !headers::is_standard(option) {
                    let why = "not in vhost: headers are those of the domain; give the path a host of its own";
                    work.findings.warn(place, shown, why);
                }
            }
            "lb_try_duration" => work.findings.note(
                place,
                shown,
                "not in vhost: without a healthy backend the answer is 503 at once",
            ),
            "unhealthy_status" => {
                work.findings.note(place, shown, "as `count_5xx` of `[health_check]`");
            }
            "unhealthy_request_count" => match option.arg(0).parse::<i64>() {
                Ok(most) if most > 0 => {
                    for server in &mut self.servers {
                        server.set("max_requests", most);
                    }
                }
                _ => work.unknown(place, shown),
            },
            name if name.starts_with("health_") => {}
            "dynamic" => {
                let (name, port) = (option.arg(1), option.arg(2));
                if option.arg(0) == "a" && !name.is_empty() && !port.is_empty() {
                    self.add(&format!("{name}:{port}"), option, work);
                } else {
                    let why = "not in vhost: write the backends, or add them over the socket";
                    work.findings.warn(place, shown, why);
                }
            }
            name if NOT_NEEDED.contains(&name) => {}
            _ => work.unknown(place, shown),
        }
    }

    fn read_policy(
        &mut self,
        policy: &Directive,
        is_main: bool,
        domain: &mut Domain,
        work: &mut Work<'_>,
    ) {
        let balance = match policy.arg(0) {
            "random" | "round_robin" => return,
            "weighted_round_robin" => {
                for (server, weight) in self.servers.iter_mut().zip(&policy.args[1..]) {
                    match weight.parse::<i64>() {
                        Ok(weight) if (1..=1000).contains(&weight) => server.set("weight", weight),
                        _ => work.findings.warn(
                            policy.place,
                            policy.shown(),
                            "a `weight` is 1 to 1000",
                        ),
                    }
                }
                return;
            }
            "first" => {
                for server in self.servers.iter_mut().skip(1) {
                    server.set("backup", true);
                }
                return;
            }
            "least_conn" | "random_choose" => "least-connections".to_owned(),
            "ip_hash" | "client_ip_hash" => "hash-client".to_owned(),
            "header" if !policy.arg(1).is_empty() => format!("hash-header:{}", policy.arg(1)),
            "cookie" if is_main => {
                let name = if policy.arg(1).is_empty() { "lb" } else { policy.arg(1) };
                return domain.entry.set_in("sticky", "cookie", text(name));
            }
            _ => return work.unknown(policy.place, policy.shown()),
        };
        if is_main {
            domain.entry.set("balance", text(&balance));
        } else {
            let why = "not in vhost: how requests are spread is said of the domain";
            work.findings.warn(policy.place, policy.shown(), why);
        }
    }
}

/// One address for each port, with the port of the scheme where there is none.
fn expand(address: &str, scheme: &str) -> Vec<String> {
    const MAX_PORTS: u16 = 64;
    if address.starts_with("unix:") {
        return vec![address.to_owned()];
    }
    let (host, range) = address.rsplit_once(':').unwrap_or((address, ""));
    let host = if host.is_empty() { "localhost" } else { host };
    if let Some((first, last)) = range.split_once('-')
        && let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>())
        && first <= last
        && last - first < MAX_PORTS
    {
        return (first..=last).map(|port| format!("{host}:{port}")).collect();
    }
    match host_and_port(address) {
        (_, Some(_)) => vec![address.to_owned()],
        _ if address.starts_with(':') => vec![format!("localhost{address}")],
        _ => vec![format!("{address}:{}", if scheme == "https" { 443 } else { 80 })],
    }
}

/// The health check of its backends, if it has one.
fn health_check(directive: &Directive, work: &mut Work<'_>) -> Option<toml::Value> {
    let option = |name: &str| directive.children().iter().find(|it| it.name == name);
    let uri = option("health_uri").or_else(|| option("health_path"))?;
    let mut check = Entry::default();
    check.set_in("it", "kind", "http");
    check.set_in("it", "path", text(uri.arg(0).split('?').next().unwrap_or_default()));
    let status = option("health_status").map_or("200", |it| it.arg(0));
    let status = match status.strip_suffix("xx") {
        Some(class) => format!("{class}00-{class}99"),
        None => status.to_owned(),
    };
    check.set_in("it", "expected_status", text(&status));
    for (name, key) in [("health_interval", "interval_secs"), ("health_timeout", "timeout_secs")] {
        let Some(option) = option(name) else { continue };
        match time(option.arg(0), "s") {
            Some(time) => check.set_in("it", key, time),
            None => work.unknown(option.place, option.shown()),
        }
    }
    if let Some(port) = option("health_port").and_then(|it| it.arg(0).parse::<i64>().ok()) {
        check.set_in("it", "port", port);
    }
    for (name, key) in
        [("health_passes", "healthy_threshold"), ("health_fails", "unhealthy_threshold")]
    {
        if let Some(count) = option(name).and_then(|it| it.arg(0).parse::<i64>().ok()) {
            check.set_in("it", key, count.clamp(1, 1000));
        }
    }
    for name in
        ["health_body", "health_method", "health_headers", "health_upstream", "health_request_body"]
    {
        if let Some(option) = option(name) {
            let why = "see `expect_body`, `method`, `host` and `headers` of `health_check`";
            work.findings.warn(option.place, option.shown(), why);
        }
    }
    check.get("it").cloned()
}
