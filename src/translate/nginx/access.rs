//! What limits who may reach a domain. What can't be translated closes it.

use std::collections::BTreeSet;
use std::path::Path;

use ipnet::IpNet;

use super::scope::Scope;
use crate::translate::blocks::Directive;
use crate::translate::draft::{Domain, EVERYBODY, text};
use crate::translate::source::Work;
use crate::translate::units::network;

/// What limits access in modules of any kind, and is not translated.
fn is_untranslated(name: &str) -> bool {
    const TRANSLATED: [&str; 2] = ["auth_basic", "auth_basic_user_file"];
    // They change nothing by themselves.
    const HELPERS: [&str; 6] = [
        "auth_request_set",
        "auth_delay",
        "auth_jwt_key_file",
        "auth_jwt_key_request",
        "auth_jwt_type",
        "secure_link_md5",
    ];
    const STARTS: [&str; 12] = [
        "auth_",
        "jwt",
        "oidc",
        "secure_link",
        "valid_referers",
        "access_by_",
        "modsecurity",
        "naxsi",
        "app_protect",
        "SecRulesEnabled",
        "spnego",
        "geoip2_deny",
    ];
    STARTS.iter().any(|start| name.starts_with(start))
        && !TRANSLATED.contains(&name)
        && !HELPERS.contains(&name)
}

/// Translates what limits access at a place, for a whole domain.
pub(super) fn add(scope: &Scope<'_>, domain: &mut Domain, work: &mut Work<'_>) {
    let names: BTreeSet<_> = scope.names().filter(|name| is_untranslated(name)).collect();
    for name in names {
        if let Some(directive) = scope.one(name).filter(|it| it.arg(0) != "off") {
            let why = "not in vhost: put the check in the application, or a proxy that does it as the backend";
            refuse(directive, domain, work, why);
        }
    }
    if let Some(verify) = scope.one("ssl_verify_client").filter(|it| it.arg(0) != "off") {
        refuse(verify, domain, work, "not in vhost: clients are not asked for certificates");
    }
    add_conditions(scope, domain, work);
    let rules = scope.all(&["allow", "deny"]);
    let auth = scope.one("auth_basic").filter(|it| it.arg(0) != "off");
    if let Some(satisfy) = scope.one("satisfy").filter(|it| it.arg(0) == "any")
        && auth.is_some()
        && !rules.is_empty()
    {
        refuse(
            satisfy,
            domain,
            work,
            "not in vhost: `allow`, `deny` and `basic_auth` must all be met",
        );
        return;
    }
    add_rules(&rules, domain, work);
    if let Some(auth) = auth {
        add_passwords(auth, scope, domain, work);
    }
}

/// Looks at a location that is no domain of its own.
pub(super) fn look_at_location(
    location: &Directive,
    scope: &Scope<'_>,
    outer: &Scope<'_>,
    domain: &mut Domain,
    work: &mut Work<'_>,
) {
    for directive in location.children() {
        let opens = matches!(directive.arg(0), "off" | "all") && directive.name != "deny";
        let limits = match directive.name.as_str() {
            "allow" | "deny" | "auth_basic" | "satisfy" | "limit_except" => true,
            "internal" => super::scope::passed(scope).is_some(),
            "if" => refuses(directive),
            name => is_untranslated(name),
        };
        if !limits {
            continue;
        }
        let shown = format!("{}: {}", location.shown(), directive.shown());
        if !opens {
            domain.is_closed = true;
            let why = "not in vhost: who may reach a path is said of its domain as a whole; give the path a host of its \
                       own, or put the check in the application";
            work.findings.deny(directive.place, shown, why);
        } else if !outer.all(&[directive.name.as_str()]).is_empty() {
            let why = "not in vhost: the path is as closed as the rest of its domain; give it a host of its own";
            work.findings.warn(directive.place, shown, why);
        }
    }
}

/// Whether an `if` refuses requests.
fn refuses(condition: &Directive) -> bool {
    condition.children().iter().any(|it| {
        let refuses =
            it.name == "return" && matches!(it.arg(0), "401" | "403" | "404" | "444" | "410");
        refuses || it.name == "deny"
    })
}

fn add_conditions(scope: &Scope<'_>, domain: &mut Domain, work: &mut Work<'_>) {
    for condition in scope.own().iter().filter(|it| it.name == "if") {
        if refuses(condition) {
            refuse(
                condition,
                domain,
                work,
                "not in vhost: requests are not refused by conditions; let the application do \
                                             it",
            );
        } else if !condition.children().iter().all(|it| it.name == "return") {
            work.findings.warn(
                condition.place,
                condition.shown(),
                "not in vhost: it has no conditions",
            );
        }
    }
    let first = scope.own().iter().find(|it| it.name == "limit_except");
    if let Some(limit) = first {
        refuse(limit, domain, work, "not in vhost: methods are the application's to refuse");
    }
}

/// nginx goes by the first rule that matches; ours is: in `allow`, if there is one, and not in `deny`.
fn add_rules(rules: &[&Directive], domain: &mut Domain, work: &mut Work<'_>) {
    let (mut allowed, mut denied): (Vec<IpNet>, Vec<IpNet>) = (Vec::new(), Vec::new());
    let mut closed_at_end = false;
    for rule in rules {
        let is_allow = rule.name == "allow";
        if rule.arg(0) == "all" {
            closed_at_end = !is_allow;
            break;
        }
        let Some(network) = network(rule.arg(0)) else {
            refuse(rule, domain, work, "write the address or network that it stands for");
            return;
        };
        let overlaps = |other: &IpNet| other.contains(&network) || network.contains(other);
        // An exemption: the earlier rule counts, which ours can't say.
        if !is_allow && allowed.iter().any(overlaps) {
            refuse(
                rule,
                domain,
                work,
                "not in vhost: an address of `deny` is refused even if `allow` has it; write the \
                                        networks without overlap",
            );
            return;
        }
        if is_allow { &mut allowed } else { &mut denied }.push(network);
    }
    let list = |networks: &[IpNet]| networks.iter().map(ToString::to_string).collect::<Vec<_>>();
    if closed_at_end && allowed.is_empty() {
        domain.entry.set("deny", EVERYBODY.to_vec());
        return;
    }
    if closed_at_end {
        domain.entry.set("allow", list(&allowed));
    }
    if !denied.is_empty() {
        domain.entry.set("deny", list(&denied));
    }
}

fn add_passwords(auth: &Directive, scope: &Scope<'_>, domain: &mut Domain, work: &mut Work<'_>) {
    let Some(file) = scope.one("auth_basic_user_file") else {
        refuse(auth, domain, work, "there is no `auth_basic_user_file`");
        return;
    };
    let base = work.findings.file(0);
    let base = base.parent().unwrap_or(Path::new(""));
    let text_of_file = match work.reader.matching(&base.join(file.arg(0))) {
        Ok(found) if found.len() == 1 => found.into_iter().next().map(|(_, text)| text),
        Ok(_) => None,
        Err(error) => {
            let why = format!("cannot read it ({error}); write its users into `basic_auth`");
            refuse(file, domain, work, &why);
            return;
        }
    };
    let mut users = toml::Table::new();
    for line in text_of_file.unwrap_or_default().lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (user, hash) = line.split_once(':').unwrap_or((line, ""));
        let hash = hash.split(':').next().unwrap_or_default();
        if !(hash.starts_with("$2") || hash.starts_with("$argon2")) {
            let why = format!(
                "the password of `{user}` is no bcrypt or argon2 hash; make one with `vhost hash-password` or \
                 `htpasswd -B`"
            );
            refuse(file, domain, work, &why);
            return;
        }
        users.insert(user.to_owned(), text(hash));
    }
    domain.entry.set_in("basic_auth", "realm", text(auth.arg(0)));
    domain.entry.set_in("basic_auth", "users", users);
}

fn refuse(directive: &Directive, domain: &mut Domain, work: &mut Work<'_>, why: &str) {
    domain.is_closed = true;
    work.findings.deny(directive.place, directive.shown(), why);
}
