//! Servers that only redirect, or refuse.

use super::server::{Redirect, Server};
use super::sites::find;
use super::whole::Whole;
use crate::translate::draft::{Domain, text};
use crate::translate::source::Work;

/// What becomes of such a server.
pub(super) fn add(server: &Server<'_>, whole: &mut Whole<'_>, work: &mut Work<'_>) {
    let names: Vec<_> = server.names.iter().filter(|name| !name.is_empty()).collect();
    let shown =
        format!("server {}", names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "));
    let left: Vec<_> = names.into_iter().filter(|name| find(name, work).is_none()).collect();
    match server.redirect() {
        None | Some(Redirect::Nothing) => {}
        Some(Redirect::Https) => {
            // The default server for plain HTTP sends everybody to HTTPS, known or not.
            let unknown: Vec<_> = left.iter().filter(|name| name.as_str() != "*").collect();
            if !unknown.is_empty() {
                let why =
                    "nothing serves these names over HTTPS, so there is nothing to redirect to";
                work.findings.warn(server.place, shown, why);
            }
        }
        Some(Redirect::Host(host)) => redirect(server, host, &left, &shown, whole, work),
    }
}

fn redirect(
    server: &Server<'_>,
    host: &str,
    names: &[&String],
    shown: &str,
    whole: &mut Whole<'_>,
    work: &mut Work<'_>,
) {
    if names.is_empty() {
        return;
    }
    let Some(index) = find(host, work) else {
        let tag = whole.pools.missing("nginx");
        add_domain(server, host, names, &tag, work);
        return;
    };
    let target = &mut work.draft.domains[index].entry;
    let is_alone = target.get("aliases").is_none() || target.get("canonical_host").is_some();
    let has_no_files = !matches!(target.get("tls"), Some(toml::Value::Table(_)));
    let is_exact = target.get("domain") == Some(&text(host)) && !host.starts_with('*');
    if is_alone && has_no_files && is_exact && !names.iter().any(|name| name.as_str() == "*") {
        for name in names {
            target.push("aliases", text(name));
        }
        target.set("canonical_host", text(host));
        return;
    }
    let tag = target.get("enabled_backends_tag").and_then(toml::Value::as_str).unwrap_or_default();
    let tag = tag.to_owned();
    add_domain(server, host, names, &tag, work);
    if !server.tls.is_empty() && server.scope.one("ssl_certificate").is_some() {
        let why = "the redirect has no certificate here unless `[lets_encrypt]` orders one; name its files with \
                   `tls`";
        work.findings.note(server.place, shown, why);
    }
}

/// A domain of its own that only redirects.
fn add_domain(server: &Server<'_>, host: &str, names: &[&String], tag: &str, work: &mut Work<'_>) {
    let Some((first, others)) = names.split_first() else { return };
    let mut domain = Domain::default();
    domain.entry.set("domain", text(first));
    if !others.is_empty() {
        domain.entry.set("aliases", others.iter().map(|name| text(name)).collect::<Vec<_>>());
    }
    domain.entry.set("enabled_backends_tag", tag);
    domain.entry.set("canonical_host", text(host));
    if server.tls.is_empty() {
        domain.entry.set("tls", "off");
    }
    work.draft.domains.push(domain);
}
