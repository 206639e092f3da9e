//! The domains that servers become, and where they are served.

use std::collections::BTreeSet;

use super::scope::variable;
use super::server::Server;
use super::whole::Whole;
use super::{access, options, routes};
use crate::translate::draft::{Domain, text};
use crate::translate::source::Work;
use crate::translate::units::host_and_port;

/// Whether only this machine reaches an address.
fn is_local(address: &str) -> bool {
    crate::translate::units::is_loopback(host_and_port(address).0)
}

/// Gives all domains all addresses, and says whom that reaches.
pub(super) fn listen(servers: &[Server<'_>], work: &mut Work<'_>) {
    let plain: BTreeSet<_> = servers.iter().flat_map(|server| &server.plain).collect();
    let tls: BTreeSet<_> = servers.iter().flat_map(|server| &server.tls).collect();
    for (key, addresses) in [("listen_addr", tls), ("listen_addr_http", plain)] {
        for address in &addresses {
            work.draft.proxy.push(key, address.as_str());
        }
    }
}

/// Makes a domain of a server that passes requests on.
pub(super) fn serve(server: &Server<'_>, whole: &mut Whole<'_>, work: &mut Work<'_>) {
    let names: Vec<_> = server.names.iter().filter(|name| !name.is_empty()).cloned().collect();
    let free: Vec<_> = names.iter().filter(|name| !is_taken(name, work)).cloned().collect();
    if free.len() < names.len() {
        join(server, &names, whole, work);
    }
    let Some((first, others)) = free.split_first() else { return };
    let mut domain = Domain::default();
    domain.entry.set("domain", text(first));
    if !others.is_empty() {
        domain.entry.set("aliases", others.iter().map(|name| text(name)).collect::<Vec<_>>());
    }
    routes::add(server, first, whole, &mut domain, work);
    options::add(server, &mut domain, work);
    access::add(&server.scope, &mut domain, work);
    add_tls(server, &mut domain, work);
    look_at_listeners(server, &mut domain, work);
    work.draft.domains.push(domain);
}

fn is_taken(name: &str, work: &Work<'_>) -> bool {
    find(name, work).is_some()
}

/// The domain that has a name.
pub(super) fn find(name: &str, work: &Work<'_>) -> Option<usize> {
    let name = text(name);
    work.draft.domains.iter().position(|domain| {
        let aliases = domain.entry.get("aliases").and_then(toml::Value::as_array);
        domain.entry.get("domain") == Some(&name)
            || aliases.is_some_and(|aliases| aliases.contains(&name))
    })
}

/// A second server for names that have a domain already: over plain HTTP, beside HTTPS.
fn join(server: &Server<'_>, names: &[String], whole: &mut Whole<'_>, work: &mut Work<'_>) {
    let mut other = Domain::default();
    let first = names.first().map(String::as_str).unwrap_or_default();
    routes::add(server, first, whole, &mut other, work);
    access::add(&server.scope, &mut other, work);
    for index in names.iter().filter_map(|name| find(name, work)).collect::<BTreeSet<_>>() {
        let domain = &mut work.draft.domains[index];
        let same = ["enabled_backends_tag", "paths", "allow", "deny", "basic_auth"]
            .iter()
            .all(|key| domain.entry.get(key) == other.entry.get(key));
        domain.is_closed |= other.is_closed;
        if same {
            domain.entry.set("http_to_https", false);
        } else {
            let shown = format!("server {}", names.join(" "));
            let why = "a domain is the same over HTTP and HTTPS; that of the other `server` of this name counts";
            work.findings.warn(server.place, shown, why);
        }
    }
}

fn add_tls(server: &Server<'_>, domain: &mut Domain, work: &mut Work<'_>) {
    if server.tls.is_empty() {
        domain.entry.set("tls", "off");
        return;
    }
    if !server.plain.is_empty() {
        domain.entry.set("http_to_https", false);
    }
    let certificate = server.scope.one("ssl_certificate");
    let key = server.scope.one("ssl_certificate_key");
    let Some((certificate, key)) = certificate.zip(key) else { return };
    let (file, key) = (certificate.arg(0), key.arg(0));
    let is_ordered =
        ["letsencrypt", "acme", "certbot", "dehydrated"].iter().any(|it| file.contains(it));
    if let (true, Some(email)) = (is_ordered, &work.hints.email) {
        work.draft.lets_encrypt.set("email", text(email));
        let why = "`vhost` orders the certificate itself; import this one first, to have it at the first start: \
                   `vhost ctl cert import`";
        work.findings.note(certificate.place, certificate.shown(), why);
    } else if variable(file).is_some() || file.contains('$') {
        let why = "not in vhost: a file name has no variables";
        work.findings.warn(certificate.place, certificate.shown(), why);
    } else if domain.entry.get("domain").and_then(toml::Value::as_str) == Some("*") {
        work.draft.proxy.set("default_cert", text(file));
        work.draft.proxy.set("default_key", text(key));
    } else {
        domain.entry.set_in("tls", "cert", text(file));
        domain.entry.set_in("tls", "key", text(key));
        if is_ordered {
            let why = "the file is used as it is, and something else has to renew it; with `--email ADDRESS`, \
                       `vhost` orders certificates itself";
            work.findings.note(certificate.place, certificate.shown(), why);
        }
    }
}

/// All domains are served at all addresses: a server that others could not reach is not opened to them.
fn look_at_listeners(server: &Server<'_>, domain: &mut Domain, work: &mut Work<'_>) {
    let key = if server.tls.is_empty() { "listen_addr_http" } else { "listen_addr" };
    let own = if server.tls.is_empty() { &server.plain } else { &server.tls };
    let all =
        work.draft.proxy.get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let others: Vec<_> = all.iter().filter_map(toml::Value::as_str).collect();
    let others = others.into_iter().filter(|address| !own.contains(*address) && !is_local(address));
    let others: Vec<_> = others.collect();
    let port = |address: &str| host_and_port(address).1;
    let shown = format!("listen {}", own.iter().cloned().collect::<Vec<_>>().join(", "));
    if own.iter().all(|address| is_local(address)) && !others.is_empty() {
        let is_free = domain.entry.get("allow").is_none()
            && work.draft.proxy.get("trusted_proxies").is_none();
        if is_free {
            domain.entry.set("allow", vec!["127.0.0.0/8", "::1"]);
            let why = "only this machine could reach it; all domains of vhost are at all addresses, so `allow` says it";
            work.findings.note(server.place, shown, why);
        } else {
            domain.is_closed = true;
            let why = "only this machine could reach it, but all domains of vhost are at all addresses; run a second \
                       vhost for it";
            work.findings.deny(server.place, shown, why);
        }
    } else if others.iter().any(|other| !own.iter().any(|address| port(address) == port(other))) {
        let why = format!(
            "it is served at {} as well: all domains are at all addresses",
            others.join(", ")
        );
        work.findings.warn(server.place, shown, why);
    }
}
