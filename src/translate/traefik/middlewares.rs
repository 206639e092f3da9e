//! Middlewares: the options of a domain. What limits access and can't be translated closes it.

use crate::translate::draft::{Domain, escaped, text};
use crate::translate::source::Work;
use crate::translate::tree::Node;
use crate::translate::units::{network, size, time};

/// How deep chains may be in each other.
const MAX_CHAIN: usize = 8;

/// The middlewares that a domain has.
#[derive(Debug, Default)]
pub(super) struct Applied(Vec<String>);

/// The middlewares of a router, chains taken apart; those that are not there are `None`.
fn of_router<'t>(router: &'t Node, http: &'t Node) -> Vec<(String, Option<&'t Node>)> {
    let names = router.get("middlewares").map(Node::texts).unwrap_or_default();
    let mut found = Vec::new();
    for name in names {
        collect(name, http, &mut found, 0);
    }
    found
}

fn collect<'t>(
    name: &str,
    http: &'t Node,
    found: &mut Vec<(String, Option<&'t Node>)>,
    depth: usize,
) {
    let short = name.split('@').next().unwrap_or(name);
    let middleware = http.get("middlewares").and_then(|it| it.get(short));
    let chain = middleware.and_then(|it| it.at("chain.middlewares"));
    match chain {
        Some(chain) if depth < MAX_CHAIN && found.len() < 100 => {
            for name in chain.texts() {
                collect(name, http, found, depth + 1);
            }
        }
        Some(_) => found.push((name.to_owned(), None)),
        None => found.push((short.to_owned(), middleware)),
    }
}

/// Whether a router only redirects to HTTPS.
pub(super) fn redirects(router: &Node, http: &Node) -> bool {
    let found = of_router(router, http);
    found.iter().any(|(_, it)| it.is_some_and(|it| it.get("redirectScheme").is_some()))
}

/// Gives a domain the middlewares of its router.
pub(super) fn add(router: &Node, http: &Node, domain: &mut Domain, work: &mut Work<'_>) -> Applied {
    let mut applied = Applied::default();
    for (name, middleware) in of_router(router, http) {
        if let Some(middleware) = middleware {
            for (kind, node) in middleware.members() {
                translate(&name, kind, node, domain, work);
            }
        } else {
            let why =
                "there is no such middleware in these files; it may limit who may reach the domain";
            refuse(router, format!("middleware {name}"), why, domain, work);
        }
        applied.0.push(name);
    }
    applied
}

/// Looks at the middlewares of a path. Returns whether its prefix is taken away.
pub(super) fn of_path(
    router: &Node,
    prefix: &str,
    applied: &Applied,
    http: &Node,
    domain: &mut Domain,
    work: &mut Work<'_>,
) -> bool {
    let mut strips = false;
    let found = of_router(router, http);
    for (name, middleware) in &found {
        let stripped = middleware.and_then(|it| it.at("stripPrefix.prefixes")).map(Node::texts);
        if stripped.is_some_and(|it| it.iter().any(|it| it.trim_end_matches('/') == prefix)) {
            strips = true;
        } else if !applied.0.contains(name) {
            let shown = format!("middleware {name}");
            let limits = |it: &Node| it.members().iter().any(|(kind, _)| limits_access(kind));
            let why = "not in vhost: options are of the domain; give the path a host of its own";
            if middleware.is_none_or(limits) {
                refuse(router, shown, why, domain, work);
            } else {
                work.findings.warn(router.place, shown, why);
            }
        }
    }
    for name in applied.0.iter().filter(|name| !found.iter().any(|(it, _)| it == *name)) {
        let why = format!("it is for the path `{prefix}` as well: options are of the domain");
        work.findings.note(router.place, format!("middleware {name}"), why);
    }
    strips
}

fn limits_access(kind: &str) -> bool {
    const KINDS: [&str; 8] = [
        "basicauth",
        "digestauth",
        "forwardauth",
        "ipallowlist",
        "ipwhitelist",
        "plugin",
        "passtlsclientcert",
        "jwt",
    ];
    KINDS.contains(&kind.to_ascii_lowercase().as_str())
}

fn refuse(router: &Node, shown: String, why: &str, domain: &mut Domain, work: &mut Work<'_>) {
    domain.is_closed = true;
    work.findings.deny(router.place, shown, why);
}

fn translate(name: &str, kind: &str, node: &Node, domain: &mut Domain, work: &mut Work<'_>) {
    let shown = format!("middleware {name}: {kind}");
    match kind.to_ascii_lowercase().as_str() {
        "basicauth" => passwords(node, &shown, domain, work),
        "ipallowlist" | "ipwhitelist" => {
            let texts = node.get("sourceRange").map(Node::texts).unwrap_or_default();
            let networks: Option<Vec<_>> =
                texts.iter().map(|it| network(it).map(|it| it.to_string())).collect();
            match networks {
                Some(networks) if !networks.is_empty() && node.get("ipStrategy").is_none() => {
                    domain.entry.set("allow", networks);
                }
                _ => refuse(
                    node,
                    shown,
                    "write the networks into `allow` of the domain",
                    domain,
                    work,
                ),
            }
        }
        "compress" => {
            let encodings = node.get("encodings").map(Node::texts).unwrap_or_default();
            let encodings =
                if encodings.is_empty() { vec!["zstd", "br", "gzip"] } else { encodings };
            for encoding in encodings.into_iter().filter(|it| matches!(*it, "zstd" | "br" | "gzip"))
            {
                domain.entry.push("compression", encoding);
            }
        }
        "ratelimit" => rate(node, &shown, domain, work),
        "headers" => headers(node, &shown, domain, work),
        "buffering" => {
            let limit = node.text_of("maxRequestBodyBytes").and_then(size);
            match limit {
                Some(limit) => domain.entry.set("max_body_bytes", limit),
                None => work.unknown(node.place, shown),
            }
        }
        "redirectscheme" | "contenttype" => {}
        "retry" => work.findings.note(node.place, shown, "as `max_tries` of `[upstream]`"),
        _ if limits_access(kind) => {
            let why = "not in vhost: put the check in the application, or a proxy that does it as the backend";
            refuse(node, shown, why, domain, work);
        }
        _ => work.unknown(node.place, shown),
    }
}

fn passwords(node: &Node, shown: &str, domain: &mut Domain, work: &mut Work<'_>) {
    let mut users = toml::Table::new();
    let listed = node.get("users").map(Node::texts).unwrap_or_default();
    for user in &listed {
        // Compose files write `$$` for `$`.
        let user = user.replace("$$", "$");
        let (name, hash) = user.split_once(':').unwrap_or((&user, ""));
        if !(hash.starts_with("$2") || hash.starts_with("$argon2")) {
            let why = format!(
                "the password of `{name}` is no bcrypt or argon2 hash; make one with `vhost hash-password` or \
                 `htpasswd -B`"
            );
            return refuse(node, shown.to_owned(), &why, domain, work);
        }
        users.insert(name.to_owned(), text(hash));
    }
    if users.is_empty() || node.get("usersFile").is_some() {
        let why = "write its users into `basic_auth` of the domain";
        return refuse(node, shown.to_owned(), why, domain, work);
    }
    if let Some(realm) = node.text_of("realm") {
        domain.entry.set_in("basic_auth", "realm", text(realm));
    }
    domain.entry.set_in("basic_auth", "users", users);
    if node.get("removeHeader").is_some_and(Node::is_true) {
        domain.entry.set_in("request_headers", "remove", vec!["Authorization"]);
    }
}

fn rate(node: &Node, shown: &str, domain: &mut Domain, work: &mut Work<'_>) {
    let number = |key: &str| node.text_of(key).and_then(|it| it.parse::<i64>().ok());
    let average = number("average").filter(|it| *it > 0);
    let (Some(average), None) = (average, node.get("sourceCriterion")) else {
        return work.unknown(node.place, shown.to_owned());
    };
    domain.entry.set_in("client_rate_limit", "requests", average);
    if let Some(period) = node.text_of("period").and_then(|it| time(it, "s")) {
        domain.entry.set_in("client_rate_limit", "per_secs", period);
    }
    if let Some(burst) = number("burst").filter(|it| *it > 0) {
        domain.entry.set_in("client_rate_limit", "burst", burst);
    }
}

fn headers(node: &Node, shown: &str, domain: &mut Domain, work: &mut Work<'_>) {
    let mut set = toml::Table::new();
    for (key, value) in node.members() {
        let written = value.text().unwrap_or_default();
        let fixed = match key.to_ascii_lowercase().as_str() {
            "customrequestheaders" => {
                custom("request_headers", value, domain);
                continue;
            }
            "customresponseheaders" => {
                custom("response_headers", value, domain);
                continue;
            }
            "stsseconds" => {
                if let Ok(seconds) = written.parse::<i64>() {
                    domain.entry.set("hsts_max_age_secs", seconds.clamp(0, 126_144_000));
                }
                continue;
            }
            "forcestsheader" | "isdevelopment" | "allowedhosts" | "hostsproxyheaders"
            | "sslproxyheaders" => {
                continue;
            }
            "framedeny" if value.is_true() => ("X-Frame-Options", "DENY"),
            "contenttypenosniff" if value.is_true() => ("X-Content-Type-Options", "nosniff"),
            "browserxssfilter" if value.is_true() => ("X-XSS-Protection", "1; mode=block"),
            "customframeoptionsvalue" => ("X-Frame-Options", written),
            "contentsecuritypolicy" => ("Content-Security-Policy", written),
            "referrerpolicy" => ("Referrer-Policy", written),
            "permissionspolicy" => ("Permissions-Policy", written),
            "stsincludesubdomains" | "stspreload" if value.is_true() => {
                let why = "write the whole header: `response_headers = { set = { Strict-Transport-Security = \"…\" } }`";
                work.findings.warn(value.place, format!("{shown}: {key}"), why);
                continue;
            }
            _ if value.is_false() => continue,
            _ => {
                work.unknown(value.place, format!("{shown}: {key}"));
                continue;
            }
        };
        set.insert(fixed.0.to_owned(), escaped(fixed.1).into());
    }
    merge("response_headers", set, domain);
}

/// Headers by name; an empty value removes one.
fn custom(key: &'static str, node: &Node, domain: &mut Domain) {
    let mut set = toml::Table::new();
    let mut removed = Vec::new();
    for (name, value) in node.members() {
        match value.text() {
            Some(value) if !value.is_empty() => drop(set.insert(name.clone(), text(value))),
            _ => removed.push(text(name)),
        }
    }
    if !removed.is_empty() {
        domain.entry.set_in(key, "remove", removed);
    }
    merge(key, set, domain);
}

fn merge(key: &'static str, new: toml::Table, domain: &mut Domain) {
    if new.is_empty() {
        return;
    }
    let mut set = match domain.entry.get(key).and_then(|it| it.get("set")) {
        Some(toml::Value::Table(set)) => set.clone(),
        _ => toml::Table::new(),
    };
    set.extend(new);
    domain.entry.set_in(key, "set", set);
}
