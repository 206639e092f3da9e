//! Routers: a domain for each host, and a path for each prefix.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::middlewares::{self, Applied};
use super::rule::{self, RuleMatch};
use super::services;
use super::whole::Whole;
use crate::model::DomainName;
use crate::translate::draft::{Domain, text};
use crate::translate::finding::Place;
use crate::translate::source::Work;
use crate::translate::tree::Node;

/// A router for one host.
#[derive(Clone)]
struct Route<'t> {
    name: &'t str,
    router: &'t Node,
    prefix: Option<String>,
}

/// Makes the domains.
pub(super) fn add(whole: &mut Whole<'_>, work: &mut Work<'_>) {
    let mut hosts: BTreeMap<String, Vec<Route<'_>>> = BTreeMap::new();
    let empty = Node::default();
    let routers = whole.http.get("routers").unwrap_or(&empty);
    for (name, router) in routers.members() {
        let rule = router.text_of("rule").unwrap_or_default();
        let Some(matches) = rule::read(rule) else {
            refuse(name, rule, router, work);
            continue;
        };
        if router.text_of("service").is_some_and(|it| it.ends_with("@internal")) {
            let why = "Traefik's own dashboard and API are not in vhost: see `status_page` of `[metrics]`, and REST";
            work.findings.warn(router.place, format!("router {name}"), why);
            continue;
        }
        for RuleMatch { host, prefix } in matches {
            let host = host.unwrap_or_else(|| "*".to_owned());
            if host.parse::<DomainName>().is_err() {
                let why = "not in vhost: a name is exact, or `*.` and a name";
                work.findings.warn(router.place, host, why);
                continue;
            }
            hosts.entry(host.to_ascii_lowercase()).or_default().push(Route {
                name,
                router,
                prefix,
            });
        }
    }
    // Hosts of the same routers are one domain.
    let mut groups: Vec<(Vec<String>, Vec<Route<'_>>)> = Vec::new();
    for (host, routes) in hosts {
        let key = |routes: &[Route<'_>]| {
            routes.iter().map(|it| (it.name.to_owned(), it.prefix.clone())).collect::<Vec<_>>()
        };
        let is_wild = host.starts_with('*');
        match groups.iter_mut().find(|(names, other)| {
            key(other) == key(&routes) && !is_wild && !names[0].starts_with('*')
        }) {
            Some((names, _)) => names.push(host),
            None => groups.push((vec![host], routes)),
        }
    }
    for (names, routes) in groups {
        domain(&names, routes, whole, work);
    }
}

/// A rule that can't be said. What limits clients may not be lost.
fn refuse(name: &str, rule: &str, router: &Node, work: &mut Work<'_>) {
    let shown = format!("router {name}: {rule}");
    let place = router.get("rule").map_or(router.place, |it| it.place);
    if rule.contains("ClientIP") {
        let why = "not in vhost as a rule: write the networks into `allow` of the domain";
        work.findings.deny_all(place, shown, why);
    } else {
        let why =
            "not in vhost: a request is routed by its host and the beginning of its path alone";
        work.findings.warn(place, shown, why);
    }
}

fn domain(names: &[String], routes: Vec<Route<'_>>, whole: &mut Whole<'_>, work: &mut Work<'_>) {
    let mut domain = Domain::default();
    let place = routes.first().map_or_else(Place::default, |route| route.router.place);
    domain.entry.set("domain", text(&names[0]));
    if names.len() > 1 {
        domain.entry.set("aliases", names[1..].iter().map(|name| text(name)).collect::<Vec<_>>());
    }
    let is_tls = |route: &Route<'_>| {
        let point =
            |name: &&str| whole.config.at(&format!("entryPoints.{name}.http.tls")).is_some();
        let points = route.router.get("entryPoints").map(Node::texts).unwrap_or_default();
        route.router.get("tls").is_some_and(|tls| !tls.is_false()) || points.iter().any(point)
    };
    let has_tls = routes.iter().any(is_tls);
    // What only redirects to HTTPS is ours by itself.
    let (redirects, mut routes): (Vec<_>, Vec<_>) =
        routes.into_iter().partition(|route| middlewares::redirects(route.router, whole.http));
    if routes.is_empty() {
        routes = redirects;
    }
    let main = routes.iter().position(|it| it.prefix.is_none() && (!has_tls || is_tls(it)));
    let main = main.or_else(|| routes.iter().position(|it| it.prefix.is_none()));
    let main = main.map(|main| routes.remove(main));
    let mut applied = Applied::default();
    let tag = main.as_ref().and_then(|route| {
        applied = middlewares::add(route.router, whole.http, &mut domain, work);
        let service = route.router.get("service");
        let name = service.and_then(Node::text).unwrap_or(route.name);
        services::tag(name, route.router.place, Some(&mut domain), whole, work)
    });
    if main.is_none() {
        let why = "requests that no router gets are answered with 503";
        work.findings.note(place, names[0].as_str(), why);
    }
    domain.entry.set("enabled_backends_tag", tag.unwrap_or_else(|| whole.pools.missing("Traefik")));
    paths(&routes, main.as_ref(), &applied, whole, &mut domain, work);
    certificate(names, place, has_tls, &mut domain, work);
    work.draft.domains.push(domain);
}

fn paths(
    routes: &[Route<'_>],
    main: Option<&Route<'_>>,
    applied: &Applied,
    whole: &mut Whole<'_>,
    domain: &mut Domain,
    work: &mut Work<'_>,
) {
    let mut paths: Vec<Value> = Vec::new();
    for route in routes {
        let place = route.router.place;
        let Some(prefix) = &route.prefix else {
            let same = main.is_some_and(|main| {
                ["service", "middlewares"].iter().all(|key| {
                    let texts = |router: &Node| {
                        router.get(key).map(|it| it.texts().join(",")).unwrap_or_default()
                    };
                    texts(main.router) == texts(route.router)
                })
            });
            if same {
                domain.entry.set("http_to_https", false);
            } else {
                domain.is_closed = true;
                let why = "another router has this host too, and its rules and middlewares can't both be those of the \
                           domain; keep one";
                work.findings.deny(place, format!("router {}", route.name), why);
            }
            continue;
        };
        let trimmed = prefix.trim_end_matches('/');
        let strip = middlewares::of_path(route.router, trimmed, applied, whole.http, domain, work);
        let name = route.router.text_of("service").unwrap_or(route.name);
        let Some(tag) = services::tag(name, place, None, whole, work) else { continue };
        let mut path = Table::new();
        path.insert("prefix".to_owned(), text(trimmed));
        path.insert("tag".to_owned(), Value::String(tag));
        if strip {
            path.insert("strip".to_owned(), Value::Boolean(true));
        }
        if paths.iter().all(|other| other.get("prefix") != path.get("prefix")) {
            paths.push(Value::Table(path));
        }
    }
    if !paths.is_empty() {
        domain.entry.set("paths", paths);
    }
}

fn certificate(
    names: &[String],
    place: Place,
    has_tls: bool,
    domain: &mut Domain,
    work: &mut Work<'_>,
) {
    if !has_tls {
        domain.entry.set("tls", "off");
        return;
    }
    let is_public =
        |name: &String| name.parse::<DomainName>().is_ok_and(|name| name.never_public().is_none());
    if work.draft.lets_encrypt.get("email").is_none() && names.iter().any(is_public) {
        let why = "certificates need an e-mail address: give it with `--email ADDRESS`";
        work.findings.warn(place, names[0].as_str(), why);
    }
}
