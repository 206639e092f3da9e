//! Where the certificate of a site comes from.

use super::access::refuse;
use super::whole::{Site, Whole};
use crate::model::DomainName;
use crate::translate::blocks::Directive;
use crate::translate::draft::{Domain, text};
use crate::translate::source::Work;

/// Translates `tls` of a site that is served over HTTPS.
pub(super) fn add(site: &Site<'_>, whole: &mut Whole, domain: &mut Domain, work: &mut Work<'_>) {
    let mut is_ordered = !whole.is_local;
    if whole.is_local {
        domain.entry.set("tls", "internal");
    }
    for tls in site.block.children().iter().filter(|it| it.name == "tls") {
        match tls.args.as_slice() {
            [only] if only == "internal" => {
                domain.entry.set("tls", "internal");
                is_ordered = false;
            }
            [email] if email.contains('@') => whole.email = Some(email.clone()),
            [cert, key] => {
                domain.entry.set_in("tls", "cert", text(cert));
                domain.entry.set_in("tls", "key", text(key));
                is_ordered = false;
            }
            _ => {}
        }
        for option in tls.children() {
            read(option, domain, work);
        }
    }
    let names = site.names.iter().filter_map(|name| name.parse::<DomainName>().ok());
    let public: Vec<_> = names.filter(|name| name.never_public().is_none()).collect();
    if !is_ordered || public.is_empty() {
        return;
    }
    let name = public[0].to_string();
    if name.starts_with("*.") {
        let why = "a wildcard's certificate needs a proof by DNS: `dns_hook` of `[lets_encrypt]` is a program of yours";
        work.findings.warn(site.block.place, name.as_str(), why);
    }
    if let Some(email) = &whole.email {
        work.draft.lets_encrypt.set("email", text(email));
    } else {
        let why = "certificates need an e-mail address: give it with `--email ADDRESS`";
        work.findings.warn(site.block.place, name, why);
    }
}

fn read(option: &Directive, domain: &mut Domain, work: &mut Work<'_>) {
    match option.name.as_str() {
        "client_auth" => {
            refuse(option, domain, work, "not in vhost: clients are not asked for certificates");
        }
        "protocols" => {
            if option.arg(0) == "tls1.3" {
                work.draft.proxy.set("min_tls_version", "1.3");
                let why = "`min_tls_version` is for all domains";
                work.findings.note(option.place, option.shown(), why);
            }
        }
        "on_demand" => {
            let why = "see `on_demand_ask` of `[lets_encrypt]`, for the domain `*`";
            work.findings.warn(option.place, option.shown(), why);
        }
        "dns" => {
            let why = "`dns_hook` of `[lets_encrypt]` is a program of yours, instead of a module for each provider";
            work.findings.warn(option.place, option.shown(), why);
        }
        "ciphers" | "curves" | "alpn" | "reuse_private_keys" => {
            work.findings.note(option.place, option.shown(), "not in vhost: fixed");
        }
        _ => work.unknown(option.place, option.shown()),
    }
}
