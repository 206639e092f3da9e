//! Locations: which backends a path gets.

use toml::{Table, Value};

use super::scope::{Scope, passed};
use super::server::Server;
use super::upstreams::Target;
use super::whole::Whole;
use super::{access, headers, options};
use crate::translate::blocks::Directive;
use crate::translate::draft::{Domain, text};
use crate::translate::source::Work;

/// How deep locations may be in each other.
const MAX_NESTING: usize = 8;

/// Gives a domain its tag and its paths.
pub(super) fn add(
    server: &Server<'_>,
    name: &str,
    whole: &mut Whole<'_>,
    domain: &mut Domain,
    work: &mut Work<'_>,
) {
    let mut locations = Vec::new();
    collect(&server.scope, &mut locations, 0);
    let root = locations.iter().position(Location::is_root);
    let main = root.map(|root| locations.remove(root));
    let main_scope = main.as_ref().map_or(&server.scope, |main| &main.scope);
    let pass = main.as_ref().and_then(|main| passed(&main.scope)).or_else(|| passed(&server.scope));
    let target = pass.and_then(|pass| whole.upstreams.target(pass, work));
    if pass.is_none() {
        let shown = format!("server {}", server.names.join(" "));
        let why = "requests that no `location` passes on get 503: vhost serves no files. Let the application do it, \
                   or keep nginx for them on another port, as a backend";
        work.findings.warn(server.place, shown, why);
    }
    let tag = match &target {
        Some(target) => {
            let is_replaced = target.path.as_deref().is_some_and(|path| path != "/");
            if let Some(pass) = pass.filter(|_| is_replaced) {
                let why = "not in vhost: a path is not replaced by another; requests keep theirs";
                work.findings.warn(pass.place, pass.shown(), why);
            }
            if let Some(balance) = &target.balance {
                domain.entry.set("balance", text(balance));
            }
            if let Some(cookie) = &target.sticky {
                domain.entry.set_in("sticky", "cookie", text(cookie));
            }
            tag_of(target, pass, name, main_scope, whole, work)
        }
        None => whole.pools.missing("nginx"),
    };
    domain.entry.set("enabled_backends_tag", tag.as_str());
    headers::add(main_scope, target.as_ref(), domain, work);
    if let Some(main) = &main {
        access::add(&main.scope, domain, work);
        options::add_location(&main.scope, domain, work);
    }
    let mut paths = Vec::new();
    for location in &locations {
        let request_headers = headers::of_requests(main_scope, target.as_ref(), work);
        if let Some(path) = route(location, name, whole, domain, work) {
            let own = passed(&location.scope).and_then(|pass| whole.upstreams.target(pass, work));
            let others = headers::of_requests(&location.scope, own.as_ref(), work);
            let (place, shown) = (location.directive.place, location.directive.shown());
            if others.differs_in_what_was_asked_for(&request_headers) {
                let why = "its request headers are not those of `location /`, which the whole domain gets; give the \
                           path a host of its own if it needs others";
                work.findings.warn(place, shown, why);
            } else if others != request_headers {
                let why = "its backends get the headers about the client and `Host` that those of the whole domain get";
                work.findings.note(place, shown, why);
            }
            paths.push(Value::Table(path));
        }
        access::look_at_location(location.directive, &location.scope, &server.scope, domain, work);
        options::look_at_location(location.directive, work);
    }
    if !paths.is_empty() {
        domain.entry.set("paths", paths);
    }
}

/// A location, wherever it stands.
struct Location<'t> {
    directive: &'t Directive,
    scope: Scope<'t>,
}

impl Location<'_> {
    fn is_root(&self) -> bool {
        matches!(self.directive.args.as_slice(), [path] if path == "/")
            || matches!(self.directive.args.as_slice(), [how, path] if how == "^~" && path == "/")
    }

    /// The prefix, where it is one.
    fn prefix(&self) -> Option<&str> {
        match self.directive.args.as_slice() {
            [path] if path.starts_with('/') => Some(path),
            [how, path] if how == "^~" && path.starts_with('/') => Some(path),
            _ => None,
        }
    }
}

fn collect<'t>(scope: &Scope<'t>, locations: &mut Vec<Location<'t>>, depth: usize) {
    let found = scope.own().iter().filter(|it| it.name == "location");
    for directive in found {
        let inner = scope.with(directive.children());
        if depth < MAX_NESTING {
            collect(&inner, locations, depth + 1);
        }
        locations.push(Location { directive, scope: inner });
    }
}

/// The path of a location that passes requests on.
fn route(
    location: &Location<'_>,
    name: &str,
    whole: &mut Whole<'_>,
    domain: &mut Domain,
    work: &mut Work<'_>,
) -> Option<Table> {
    let (place, shown) = (location.directive.place, location.directive.shown());
    let Some(pass) = passed(&location.scope) else {
        look_at_unpassed(location, domain, work);
        return None;
    };
    let Some(prefix) = location.prefix() else {
        let why = "not in vhost: paths are prefixes; these requests go where the longest prefix sends them";
        work.findings.warn(place, shown, why);
        return None;
    };
    let target = whole.upstreams.target(pass, work)?;
    let trimmed = prefix.trim_end_matches('/');
    let strip = match target.path.as_deref() {
        None => false,
        Some("/") if !trimmed.is_empty() => true,
        Some(path) if path == prefix || path.trim_end_matches('/') == trimmed => false,
        Some(_) => {
            let why = "not in vhost: a prefix is kept or taken away, not replaced by another; these requests go where \
                       the rest of the domain goes";
            work.findings.warn(pass.place, pass.shown(), why);
            return None;
        }
    };
    if prefix.len() > 1 && !prefix.ends_with('/') {
        let why =
            format!("the path `{trimmed}` matches `{trimmed}` and `{trimmed}/…`, not `{trimmed}x`");
        work.findings.note(place, shown, why);
    }
    let wish = format!("{name}{trimmed}");
    let tag = tag_of(&target, Some(pass), &wish, &location.scope, whole, work);
    let mut path = Table::new();
    path.insert("prefix".to_owned(), text(trimmed));
    path.insert("tag".to_owned(), Value::String(tag));
    if strip {
        path.insert("strip".to_owned(), Value::Boolean(true));
    }
    Some(path)
}

/// A location that passes nothing on: files, answers of its own, or nothing at all.
fn look_at_unpassed(location: &Location<'_>, domain: &mut Domain, work: &mut Work<'_>) {
    let directive = location.directive;
    let own = directive.children();
    let (place, shown) = (directive.place, directive.shown());
    let path = directive.args.last().map(String::as_str).unwrap_or_default();
    // Answers to ACME challenges are vhost's own business.
    if path.contains(".well-known/acme-challenge") || options::is_error_page(path, &location.scope)
    {
        return;
    }
    let has = |name: &str| own.iter().find(|it| it.name == name || it.name.starts_with(name));
    if let Some(pass) = own.iter().find(|it| it.name.ends_with("_pass")) {
        let why = "not in vhost: a backend must speak HTTP; these requests go where the rest of the domain goes";
        work.findings.warn(pass.place, pass.shown(), why);
    } else if let Some(returned) = has("return") {
        let refuses = matches!(returned.arg(0), "401" | "403" | "444" | "404" | "410");
        let both = format!("{shown}: {}", returned.shown());
        if refuses {
            domain.is_closed = true;
            let why = "not in vhost: these paths would reach the backends; let the application refuse them";
            work.findings.deny(place, both, why);
        } else {
            let why = "not in vhost: answers and redirects of single paths are the application's";
            work.findings.warn(place, both, why);
        }
    } else if [
        "root",
        "alias",
        "try_files",
        "index",
        "expires",
        "autoindex",
        "stub_status",
        "rewrite",
    ]
    .iter()
    .any(|name| has(name).is_some())
    {
        let why = "not in vhost: it serves no files and rewrites no paths; these requests go where the rest of the \
                   domain goes";
        work.findings.warn(place, shown, why);
    }
}

fn tag_of(
    target: &Target,
    pass: Option<&Directive>,
    wish: &str,
    scope: &Scope<'_>,
    whole: &mut Whole<'_>,
    work: &mut Work<'_>,
) -> String {
    let mut servers = target.servers.clone();
    for server in &mut servers {
        options::add_tls_of_backend(server, pass, scope, work);
    }
    whole.pools.tag(target.name.as_deref().unwrap_or(wish), servers)
}
