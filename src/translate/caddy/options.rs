//! The other directives of a site.

use super::headers;
use super::matchers::Match;
use super::whole::Site;
use crate::translate::blocks::Directive;
use crate::translate::draft::Domain;
use crate::translate::source::Work;
use crate::translate::units::size;

/// The directives of Caddy's standard modules that limit nothing, or are looked at elsewhere.
pub(super) const KNOWN: &[&str] = &[
    "abort",
    "acme_server",
    "basic_auth",
    "basicauth",
    "bind",
    "encode",
    "error",
    "file_server",
    "forward_auth",
    "fs",
    "handle",
    "handle_errors",
    "handle_path",
    "header",
    "import",
    "intercept",
    "invoke",
    "log",
    "log_append",
    "log_name",
    "log_skip",
    "skip_log",
    "map",
    "method",
    "metrics",
    "php_fastcgi",
    "push",
    "redir",
    "request_body",
    "request_header",
    "respond",
    "reverse_proxy",
    "rewrite",
    "root",
    "route",
    "templates",
    "tls",
    "tracing",
    "try_files",
    "uri",
    "vars",
    "copy_response",
    "copy_response_headers",
];

/// Translates the options of a site.
pub(super) fn add(site: &Site<'_>, domain: &mut Domain, work: &mut Work<'_>) {
    for directive in site.block.children() {
        add_one(site, directive, domain, work);
    }
}

/// Translates one directive that is for all of a site.
pub(super) fn add_one(
    site: &Site<'_>,
    directive: &Directive,
    domain: &mut Domain,
    work: &mut Work<'_>,
) {
    let (matcher, args) = site.matchers.split(&directive.args);
    let is_for_all = matcher == Match::All;
    let (place, shown) = (directive.place, directive.shown());
    match directive.name.as_str() {
        "header" if is_for_all => add_headers("response_headers", directive, args, domain, work),
        "request_header" if is_for_all => {
            headers::edit("request_headers", directive, args, domain, work);
        }
        "encode" if is_for_all => add_encodings(directive, args, domain, work),
        "request_body" if is_for_all => {
            for option in directive.children() {
                match (option.name.as_str(), size(option.arg(0))) {
                    ("max_size", Some(limit)) => domain.entry.set("max_body_bytes", limit),
                    _ => work.unknown(option.place, option.shown()),
                }
            }
        }
        "log" => {
            domain.entry.set_in("access_log", "enabled", true);
            if !directive.children().is_empty() {
                let why = "there is one access log, as JSON to standard output; `[access_log]` has file, format and fields";
                work.findings.note(place, shown, why);
            }
        }
        "log_skip" | "skip_log" if is_for_all => {
            domain.entry.set_in("access_log", "enabled", false);
        }
        "header" | "request_header" | "encode" | "request_body" => {
            let why = "not in vhost: options are of the domain, for all of its requests";
            work.findings.warn(place, shown, why);
        }
        // Looked at elsewhere, or taken into account.
        "abort" | "basic_auth" | "basicauth" | "bind" | "forward_auth" | "handle"
        | "handle_path" | "redir" | "reverse_proxy" | "route" | "tls" | "root" => {}
        "respond" | "error" if is_for_all && site_has_proxy(site) => {}
        "respond" | "error" if matches!(matcher, Match::Clients(_) | Match::OtherClients(_)) => {}
        "respond" | "error" => look_at_inner(directive, work),
        "uri" if directive.arg(0) == "strip_prefix" => {}
        name if KNOWN.contains(&name) => look_at_inner(directive, work),
        _ => {}
    }
}

/// Says what a path can't have.
pub(super) fn look_at_inner(directive: &Directive, work: &mut Work<'_>) {
    let (place, shown) = (directive.place, directive.shown());
    let why = match directive.name.as_str() {
        "file_server" | "php_fastcgi" | "try_files" | "templates" => {
            "not in vhost: it serves no files; let the application do it, or keep Caddy for them as a backend on \
             another port"
        }
        "header" | "request_header" | "encode" | "request_body" => {
            "not in vhost: options are of the domain; give the path a host of its own"
        }
        "respond" | "error" | "redir" | "rewrite" => {
            "not in vhost: answers and redirects of paths are the application's"
        }
        "root" | "basic_auth" | "basicauth" | "forward_auth" | "log_skip" | "skip_log" => return,
        "uri" if directive.arg(0) == "strip_prefix" => return,
        name if !KNOWN.contains(&name) => return,
        _ => return work.unknown(place, shown),
    };
    work.findings.warn(place, shown, why);
}

fn site_has_proxy(site: &Site<'_>) -> bool {
    site.block
        .children()
        .iter()
        .any(|it| matches!(it.name.as_str(), "reverse_proxy" | "handle" | "handle_path"))
}

fn add_headers(
    key: &'static str,
    directive: &Directive,
    args: &[String],
    domain: &mut Domain,
    work: &mut Work<'_>,
) {
    if !args.is_empty() {
        headers::edit(key, directive, args, domain, work);
    }
    for line in directive.children() {
        if line.name != "defer" && line.name != "match" {
            let words: Vec<_> = std::iter::once(&line.name).chain(&line.args).cloned().collect();
            headers::edit(key, line, &words, domain, work);
        }
    }
}

fn add_encodings(directive: &Directive, args: &[String], domain: &mut Domain, work: &mut Work<'_>) {
    let mut names: Vec<_> = args.iter().map(String::as_str).collect();
    let inner = directive.children().iter().map(|it| it.name.as_str());
    names.extend(inner.filter(|name| !matches!(*name, "minimum_length" | "match")));
    if names.is_empty() {
        names = vec!["zstd", "gzip"];
    }
    for name in names {
        match name {
            "zstd" | "br" | "gzip" => domain.entry.push("compression", name),
            _ => work.unknown(directive.place, directive.shown()),
        }
    }
}
