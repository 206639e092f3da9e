//! The whole config.

use super::redirects;
use super::scope::Scope;
use super::server::Server;
use super::sites;
use super::upstreams::Upstreams;
use super::whole::Whole;
use crate::translate::blocks::{Blocks, Directive};
use crate::translate::pools::Pools;
use crate::translate::scan::Dialect;
use crate::translate::source::Work;
use crate::translate::units::network;

pub(in crate::translate) const DIALECT: Dialect =
    Dialect { ends_at_line: false, include: "include" };

/// What is ours by itself, or the system's: of the main block and `events`.
const OF_THE_PROCESS: [&str; 15] = [
    "user",
    "pid",
    "daemon",
    "master_process",
    "working_directory",
    "worker_processes",
    "events",
    "worker_cpu_affinity",
    "worker_priority",
    "worker_rlimit_nofile",
    "worker_rlimit_core",
    "load_module",
    "worker_shutdown_timeout",
    "pcre_jit",
    "thread_pool",
];

/// Translates a whole config, or a file of `sites-enabled`.
pub(in crate::translate) fn translate(blocks: &Blocks, work: &mut Work<'_>) {
    let main = blocks.directives.as_slice();
    let of_http = main.iter().filter(|it| it.name == "http").map(Directive::children);
    let mut levels = vec![main];
    levels.extend(of_http);
    for block in &levels {
        for directive in *block {
            look_at(directive, work);
        }
    }
    let upstreams = Upstreams::of(&levels);
    let servers: Vec<_> =
        levels.iter().flat_map(|level| level.iter()).filter(|it| it.name == "server").collect();
    // Of several `http` blocks nginx would take none.
    let mut whole = Whole { http: Scope::new(levels), upstreams, pools: Pools::default() };
    settings(&whole.http, work);
    let servers: Vec<_> =
        servers.into_iter().map(|it| Server::read(it, &whole.http, work)).collect();
    sites::listen(&servers, work);
    let is_redirect = |server: &&Server<'_>| server.redirect().is_some();
    let mut serving: Vec<_> = servers.iter().filter(|server| !is_redirect(server)).collect();
    // The domain is that of the server for HTTPS, where one name has two.
    serving.sort_by_key(|server| server.tls.is_empty());
    for server in serving {
        sites::serve(server, &mut whole, work);
    }
    for server in servers.iter().filter(is_redirect) {
        redirects::add(server, &mut whole, work);
    }
    whole.pools.write(&mut work.draft);
    work.draft.health_check.set("kind", "tcp");
    work.draft.health_check.comment(
        "nginx asked no backend whether it is well. A path that says so is better: path = \"/up\"",
    );
}

/// Looks at what stands in the main block or in `http`.
fn look_at(directive: &Directive, work: &mut Work<'_>) {
    let (place, shown) = (directive.place, directive.shown());
    match directive.name.as_str() {
        "stream" | "mail" => {
            work.findings.warn(place, shown, "not in vhost: HTTP only; leave it to nginx");
        }
        // A WebSocket needs no line.
        "map" if directive.arg(0) == "$http_upgrade" => {}
        "map" | "geo" | "split_clients" | "perl_set" | "js_set" => {
            work.findings.warn(place, shown, "not in vhost: its variable has no value here");
        }
        "limit_conn_zone" | "limit_req_zone" | "log_format" | "upstream" | "server" | "http" => {}
        name if OF_THE_PROCESS.contains(&name) => {}
        _ => super::options::look_at(directive, work),
    }
}

/// What is of the whole server.
fn settings(http: &Scope<'_>, work: &mut Work<'_>) {
    for directive in http.all(&["set_real_ip_from"]) {
        match network(directive.arg(0)) {
            Some(network) => work.draft.proxy.push("trusted_proxies", network.to_string()),
            None => work.findings.warn(
                directive.place,
                directive.shown(),
                "write its networks into `trusted_proxies` of `[proxy]`",
            ),
        }
    }
    if let Some(header) = http.one("real_ip_header") {
        match header.arg(0) {
            "X-Forwarded-For" | "proxy_protocol" => {}
            name => work.draft.proxy.set("client_ip_header", crate::translate::draft::text(name)),
        }
    }
    if let Some(log) = http.one("access_log")
        && log.arg(0) != "off"
    {
        work.draft.access_log.set("enabled", true);
        work.draft.access_log.set("format", "combined");
        work.findings.note(
            log.place,
            log.shown(),
            "the access log goes to standard output; `output = \"file\"` and `file_path` of `[access_log]` \
             name a file",
        );
    }
}
