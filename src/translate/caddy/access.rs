//! What limits who may reach a site. What can't be translated closes its domain.

use super::matchers::Match;
use super::options::KNOWN;
use super::whole::Site;
use crate::translate::blocks::Directive;
use crate::translate::draft::{Domain, text};
use crate::translate::source::Work;
use crate::translate::units::network;

/// Translates what limits access to a site.
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
    match directive.name.as_str() {
        "basic_auth" | "basicauth" => add_passwords(directive, &matcher, args, domain, work),
        "forward_auth" => refuse(
            directive,
            domain,
            work,
            "not in vhost: put the check in the application, or a proxy that does it as the backend",
        ),
        "abort" | "error" | "respond" if refuses(directive, args) => match matcher {
            Match::Clients(clients) => add_clients("deny", &clients, directive, domain, work),
            Match::OtherClients(clients) => add_clients("allow", &clients, directive, domain, work),
            // Everything that no backend gets.
            Match::All => {}
            _ => refuse(
                directive,
                domain,
                work,
                "not in vhost: only clients are refused, by `allow` and `deny`; let the application refuse the rest",
            ),
        },
        name if !KNOWN.contains(&name) && !name.starts_with('@') => refuse(
            directive,
            domain,
            work,
            "not of Caddy's standard modules; it may limit who may reach the site",
        ),
        _ => {}
    }
}

/// Looks at a directive that is for some of the paths.
pub(super) fn look_at_inner(directive: &Directive, domain: &mut Domain, work: &mut Work<'_>) {
    let name = directive.name.as_str();
    let refuses =
        matches!(name, "abort" | "error" | "respond") && refuses(directive, &directive.args);
    if refuses
        || matches!(name, "basic_auth" | "basicauth" | "forward_auth")
        || !KNOWN.contains(&name)
    {
        let why = "not in vhost: who may reach a path is said of its domain as a whole; give the path a host of its own, \
                   or put the check in the application";
        refuse(directive, domain, work, why);
    }
}

/// Whether a directive answers with a refusal.
fn refuses(directive: &Directive, args: &[String]) -> bool {
    directive.name == "abort"
        || args.iter().any(|arg| matches!(arg.as_str(), "401" | "403" | "404" | "410"))
        || directive.children().iter().any(|it| it.name == "close")
}

fn add_clients(
    key: &'static str,
    clients: &[String],
    directive: &Directive,
    domain: &mut Domain,
    work: &mut Work<'_>,
) {
    let networks: Option<Vec<_>> = clients.iter().map(|client| network(client)).collect();
    match networks {
        Some(networks) if !networks.is_empty() && domain.entry.get(key).is_none() => {
            let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
            domain.entry.set(key, networks);
        }
        _ => refuse(
            directive,
            domain,
            work,
            "write the networks into `allow` or `deny` of the domain",
        ),
    }
}

fn add_passwords(
    directive: &Directive,
    matcher: &Match,
    args: &[String],
    domain: &mut Domain,
    work: &mut Work<'_>,
) {
    if *matcher != Match::All {
        let why =
            "not in vhost: passwords are for all of a domain; give the path a host of its own";
        return refuse(directive, domain, work, why);
    }
    let mut users = toml::Table::new();
    for user in directive.children() {
        let hash = user.arg(0);
        if !(hash.starts_with("$2") || hash.starts_with("$argon2")) {
            let why = format!(
                "the password of `{}` is no bcrypt or argon2 hash; make one with `vhost hash-password`",
                user.name
            );
            return refuse(directive, domain, work, &why);
        }
        users.insert(user.name.clone(), text(hash));
    }
    if users.is_empty() {
        return refuse(directive, domain, work, "it has no users");
    }
    if let Some(realm) = args.iter().find(|arg| !matches!(arg.as_str(), "bcrypt" | "argon2id")) {
        domain.entry.set_in("basic_auth", "realm", text(realm));
    }
    domain.entry.set_in("basic_auth", "users", users);
}

/// Says so, and closes the domain.
pub(super) fn refuse(directive: &Directive, domain: &mut Domain, work: &mut Work<'_>, why: &str) {
    domain.is_closed = true;
    work.findings.deny(directive.place, directive.shown(), why);
}
