//! Which backends a path gets.

use toml::{Table, Value};

use super::matchers::Match;
use super::proxy::Proxy;
use super::whole::{Site, Whole};
use super::{access, options};
use crate::translate::blocks::Directive;
use crate::translate::draft::{Domain, text};
use crate::translate::source::Work;

/// A `reverse_proxy` and the requests that it is for.
struct Route<'t> {
    proxy: &'t Directive,
    matcher: Match,
    strip: bool,
}

/// Gives a domain its tag and its paths.
pub(super) fn add(site: &Site<'_>, whole: &mut Whole, domain: &mut Domain, work: &mut Work<'_>) {
    let mut routes = Vec::new();
    collect(site, site.block.children(), &Match::All, false, &mut routes, domain, work);
    if redirect(site, &routes, whole, domain, work) {
        return;
    }
    let main = routes.iter().position(|route| route.matcher == Match::All);
    let mut main_servers = None;
    let tag = if let Some(route) = main.map(|main| routes.remove(main)) {
        let proxy = Proxy::read(site, route.proxy, true, domain, work);
        main_servers = Some(proxy.servers.clone());
        if route.strip {
            work.unknown(route.proxy.place, route.proxy.shown());
        }
        let name = &site.names[0];
        if proxy.servers.is_empty() {
            whole.pools.missing("Caddy")
        } else {
            whole.pools.tag(if name == "*" { "default" } else { name }, proxy.servers)
        }
    } else {
        let shown = format!("{} {}", site.block.name, site.block.args.join(" "));
        let why = "requests that no `reverse_proxy` gets are answered with 503: vhost serves no files. Let the \
                   application do it, or keep Caddy for them as a backend on another port";
        work.findings.warn(site.block.place, shown.trim_end(), why);
        whole.pools.missing("Caddy")
    };
    domain.entry.set("enabled_backends_tag", tag);
    let mut paths: Vec<Value> = Vec::new();
    for route in routes {
        let (place, shown) = (route.proxy.place, route.proxy.shown());
        let proxy = Proxy::read(site, route.proxy, false, domain, work);
        let Match::Prefixes(prefixes) = &route.matcher else {
            // Two ways to the same backends are one: as for WebSockets.
            if main_servers.as_ref() != Some(&proxy.servers) {
                let why = "not in vhost: a request is routed by its host and the beginning of its path alone";
                work.findings.warn(place, shown, why);
            }
            continue;
        };
        if proxy.servers.is_empty() {
            continue;
        }
        for prefix in prefixes {
            let tag = whole.pools.tag(&format!("{}{prefix}", site.names[0]), proxy.servers.clone());
            let mut path = Table::new();
            path.insert("prefix".to_owned(), text(prefix));
            path.insert("tag".to_owned(), Value::String(tag));
            if route.strip {
                path.insert("strip".to_owned(), Value::Boolean(true));
            }
            let is_new = paths.iter().all(|other| other.get("prefix") != path.get("prefix"));
            if is_new {
                paths.push(Value::Table(path));
            }
        }
    }
    if !paths.is_empty() {
        domain.entry.set("paths", paths);
    }
}

fn collect<'t>(
    site: &Site<'t>,
    directives: &'t [Directive],
    outer: &Match,
    outer_strip: bool,
    routes: &mut Vec<Route<'t>>,
    domain: &mut Domain,
    work: &mut Work<'_>,
) {
    let mut strip = outer_strip;
    for directive in directives {
        if directive.name == "uri"
            && directive.arg(0) == "strip_prefix"
            && matches!(outer, Match::Prefixes(prefixes) if *prefixes == [directive.arg(1)])
        {
            strip = true;
        }
    }
    for directive in directives {
        let (own, _) = site.matchers.split(&directive.args);
        let matcher = if own == Match::All { outer.clone() } else { own.clone() };
        // A path within a path is the inner one, if it is below.
        let matcher = match (&own, outer) {
            (Match::All, _) | (_, Match::All) => matcher,
            (Match::Prefixes(inner), Match::Prefixes(above))
                if inner
                    .iter()
                    .all(|it| above.iter().any(|above| it.starts_with(above.as_str()))) =>
            {
                matcher
            }
            _ => Match::Other,
        };
        match directive.name.as_str() {
            "reverse_proxy" => routes.push(Route { proxy: directive, matcher, strip }),
            "handle" | "route" => {
                collect(site, directive.children(), &matcher, strip, routes, domain, work);
            }
            "handle_path" => {
                let inner = directive.children();
                collect(site, inner, &matcher, true, routes, domain, work);
            }
            _ if *outer != Match::All => {
                access::look_at_inner(directive, domain, work);
                options::look_at_inner(directive, work);
            }
            _ if !std::ptr::eq(directives, site.block.children()) => {
                access::add_one(site, directive, domain, work);
                options::add_one(site, directive, domain, work);
            }
            _ => {}
        }
    }
}

/// A site that only redirects to another host. Returns whether it is one.
fn redirect(
    site: &Site<'_>,
    routes: &[Route<'_>],
    whole: &mut Whole,
    domain: &mut Domain,
    work: &mut Work<'_>,
) -> bool {
    for redir in site.block.children().iter().filter(|it| it.name == "redir") {
        let (matcher, rest) = site.matchers.split(&redir.args);
        let url = rest.first().map(String::as_str).unwrap_or_default();
        let host = url.split_once("://").and_then(|(_, rest)| rest.strip_suffix("{uri}"));
        let others = |hosts: &[String]| {
            let left: Vec<_> = site.names.iter().filter(|name| !hosts.contains(name)).collect();
            left.len() == 1 && Some(left[0].as_str()) == host
        };
        match (host, &matcher) {
            (Some(host), Match::All) if routes.is_empty() && !host.contains('{') => {
                domain.entry.set("enabled_backends_tag", whole.pools.missing("Caddy"));
                domain.entry.set("canonical_host", text(host));
                return true;
            }
            (Some(host), Match::Hosts(hosts)) if others(hosts) => {
                domain.entry.set("canonical_host", text(host));
                if let Some(position) = site.names.iter().position(|name| name == host) {
                    let mut names = site.names.clone();
                    names.swap(0, position);
                    domain.entry.set("domain", text(&names[0]));
                    let aliases = names[1..].iter().map(|name| text(name)).collect::<Vec<_>>();
                    domain.entry.set("aliases", aliases);
                }
            }
            (Some("{host}"), Match::All) => {}
            _ => {
                let why = "not in vhost: `canonical_host` redirects all of a host; single paths are the application's";
                work.findings.warn(redir.place, redir.shown(), why);
            }
        }
    }
    false
}
