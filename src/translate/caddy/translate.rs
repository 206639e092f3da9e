//! The whole Caddyfile.

use super::whole::{Ports, Whole};
use super::{global, site, snippets};
use crate::translate::blocks::{Blocks, Directive};
use crate::translate::scan::Dialect;
use crate::translate::source::Work;

pub(in crate::translate) const DIALECT: Dialect = Dialect { ends_at_line: true, include: "import" };

/// Translates a Caddyfile.
pub(in crate::translate) fn translate(blocks: &Blocks, work: &mut Work<'_>) {
    let directives = snippets::expand(&blocks.directives, work);
    let mut whole = Whole { has_https: true, redirects: true, ..Whole::default() };
    whole.email.clone_from(&work.hints.email);
    for options in directives.iter().filter(|it| it.name.is_empty()) {
        global::read(options.children(), &mut whole, work);
    }
    let sites: Vec<_> = directives.iter().filter(|it| !it.name.is_empty()).collect();
    // Without braces, a file is one site.
    if let Some((first, rest)) = sites.split_first()
        && first.block.is_none()
    {
        let block = rest.iter().map(|&it| it.clone()).collect();
        site::add(&Directive { block: Some(block), ..(*first).clone() }, &mut whole, work);
    } else {
        for block in sites {
            site::add(block, &mut whole, work);
        }
    }
    finish(whole, work);
}

fn finish(whole: Whole, work: &mut Work<'_>) {
    let is_logged =
        |domain: &crate::translate::draft::Domain| domain.entry.get("access_log").is_some();
    if work.draft.domains.iter().any(is_logged) {
        work.draft.access_log.set("enabled", true);
        for domain in &mut work.draft.domains {
            if is_logged(domain) {
                domain.entry.remove("access_log");
            } else {
                domain.entry.set_in("access_log", "enabled", false);
            }
        }
    }
    let has_tls = |domain: &crate::translate::draft::Domain| {
        domain.entry.get("tls").and_then(toml::Value::as_str) != Some("off")
    };
    let Ports { http, https } = whole.ports;
    if work.draft.domains.iter().any(has_tls) {
        for host in ["0.0.0.0", "[::]"] {
            work.draft.proxy.push("listen_addr", format!("{host}:{https}"));
        }
    }
    for host in ["0.0.0.0", "[::]"] {
        work.draft.proxy.push("listen_addr_http", format!("{host}:{http}"));
    }
    whole.pools.write(&mut work.draft);
    work.draft.health_check.set("kind", "tcp");
    work.draft.health_check.comment(
        "Caddy asked the other backends for no path. One that says whether they are well is better: path = \"/up\"",
    );
}
