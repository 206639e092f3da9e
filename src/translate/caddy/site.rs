//! A site: the domain that it becomes.

use super::address::Address;
use super::matchers::Matchers;
use super::whole::{Site, Whole};
use super::{access, options, routes, tls};
use crate::translate::blocks::Directive;
use crate::translate::draft::{Domain, text};
use crate::translate::source::Work;
use crate::translate::units::is_loopback;

/// Makes a domain of a site.
pub(super) fn add(block: &Directive, whole: &mut Whole, work: &mut Work<'_>) {
    let words = std::iter::once(&block.name).chain(&block.args);
    let words = words.flat_map(|word| word.split(',')).filter(|word| !word.is_empty());
    let mut plain = Vec::new();
    let mut secure = Vec::new();
    for word in words {
        let Some(address) = Address::read(word) else {
            let why = "not in vhost: a name is exact, or `*.` and a name; or it is no address";
            work.findings.warn(block.place, word, why);
            continue;
        };
        look_at(&address, word, block, whole, work);
        let is_plain = !whole.has_https || address.is_plain(whole.ports.http, whole.ports.https);
        if is_plain { &mut plain } else { &mut secure }.push(address.name);
    }
    // A site over both is one domain that does not redirect.
    let is_both = plain.iter().any(|name| secure.contains(name));
    plain.retain(|name| !secure.contains(name));
    for (mut names, is_plain) in [(secure, false), (plain, true)] {
        names.dedup();
        if !names.is_empty() {
            let matchers = Matchers::of(block.children());
            let site = Site { block, names, is_plain, matchers };
            add_domain(&site, is_both, whole, work);
        }
    }
}

fn look_at(
    address: &Address,
    written: &str,
    block: &Directive,
    whole: &mut Whole,
    work: &mut Work<'_>,
) {
    if !matches!(address.path.as_str(), "" | "/" | "/*") {
        let why = "not in vhost as an address: use `paths` of the domain";
        work.findings.warn(block.place, written, why);
    }
    let Some(port) = address.port else { return };
    if port != whole.ports.http && port != whole.ports.https {
        let key = if address.is_plain(whole.ports.http, whole.ports.https) {
            "listen_addr_http"
        } else {
            "listen_addr"
        };
        for host in ["0.0.0.0", "[::]"] {
            work.draft.proxy.push(key, format!("{host}:{port}"));
        }
        let why = "all domains are served at all addresses of `[proxy]`, so this one is at other ports as well";
        work.findings.warn(block.place, written, why);
    }
}

fn add_domain(site: &Site<'_>, is_both: bool, whole: &mut Whole, work: &mut Work<'_>) {
    // The redirect to HTTPS of all sites.
    let only_redirects =
        site.is_plain
            && site.block.children().iter().all(|it| {
                it.name == "redir" && it.args.iter().any(|arg| arg == "https://{host}{uri}")
            });
    if only_redirects && !site.block.children().is_empty() {
        return;
    }
    let taken: Vec<_> = site.names.iter().filter(|name| is_taken(name, work)).cloned().collect();
    let site = &Site {
        block: site.block,
        names: site.names.iter().filter(|name| !taken.contains(name)).cloned().collect(),
        is_plain: site.is_plain,
        matchers: Matchers::of(site.block.children()),
    };
    if !taken.is_empty() {
        let why = "a domain is the same over HTTP and HTTPS; the first site of this name counts";
        work.findings.deny_all(site.block.place, taken.join(" "), why);
    }
    let Some((first, others)) = site.names.split_first() else { return };
    let mut domain = Domain::default();
    domain.entry.set("domain", text(first));
    if !others.is_empty() {
        domain.entry.set("aliases", others.iter().map(|name| text(name)).collect::<Vec<_>>());
    }
    routes::add(site, whole, &mut domain, work);
    if site.is_plain {
        domain.entry.set("tls", "off");
    } else {
        tls::add(site, whole, &mut domain, work);
        if is_both || !whole.redirects {
            domain.entry.set("http_to_https", false);
        }
    }
    options::add(site, &mut domain, work);
    access::add(site, &mut domain, work);
    bind(site, &mut domain, work);
    work.draft.domains.push(domain);
}

fn is_taken(name: &str, work: &Work<'_>) -> bool {
    let name = text(name);
    work.draft.domains.iter().any(|domain| {
        let aliases = domain.entry.get("aliases").and_then(toml::Value::as_array);
        domain.entry.get("domain") == Some(&name)
            || aliases.is_some_and(|aliases| aliases.contains(&name))
    })
}

/// A site that only some of the machine's addresses have.
fn bind(site: &Site<'_>, domain: &mut Domain, work: &mut Work<'_>) {
    for bind in site.block.children().iter().filter(|it| it.name == "bind") {
        if bind.args.iter().all(|address| is_loopback(address))
            && domain.entry.get("allow").is_none()
        {
            domain.entry.set("allow", vec!["127.0.0.0/8", "::1"]);
            let why = "only this machine could reach it; all domains of vhost are at all addresses, so `allow` says it";
            work.findings.note(bind.place, bind.shown(), why);
        } else {
            domain.is_closed = true;
            let why = "all domains of vhost are at all addresses: name them in `listen_addr` and `listen_addr_http` of \
                       `[proxy]`, or say with `allow` who may reach this one";
            work.findings.deny(bind.place, bind.shown(), why);
        }
    }
}
