//! `[lets_encrypt]` and `[[lets_encrypt.fallback]]`: the CAs, and how they are dealt with.

use std::path::{Path, PathBuf};

use super::effective::Origin;
use super::plain::Plain;
use super::reader::Section;
use super::settings::{
    EabSettings, IssuerSettings, LetsEncryptSettings, OnDemandSettings, ProxySettings,
};
use super::value::{boolean, choice, email, integer, path, string, url};
use crate::model::{ChallengeKind, KeyType};

/// The directories of Let's Encrypt.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

const A_DIRECTORY: &str = "https://acme.example.com/directory";

/// Names that may be asked about in a minute, and that may have a certificate, when nobody says.
const ON_DEMAND_PER_CLIENT: u32 = 10;
const ON_DEMAND_PER_MINUTE: u32 = 10;
const ON_DEMAND_MOST: usize = 1000;

/// What holds for a CA that doesn't say.
#[derive(Clone)]
struct Common {
    email: String,
    written_email: Option<String>,
    key_type: KeyType,
    challenges: Vec<ChallengeKind>,
    has_dns_hook: bool,
}

/// Reads the section; with it, where certificates are kept. `shown_state_dir` is the state directory as
/// it may be shown.
pub(super) fn read_lets_encrypt(
    section: &mut Section<'_, '_>,
    base: &Path,
    proxy: &ProxySettings,
    shown_state_dir: &Path,
) -> (LetsEncryptSettings, PathBuf) {
    let below = |state_dir: &Path| state_dir.join("certs");
    let email = section.required("email", "\"admin@example.com\"", email).unwrap_or_default();
    let staging = section.or("staging", false, boolean);
    let shown = below(shown_state_dir).plain();
    section.list_default("cache_dir", Some(shown), Origin::Default);
    let cache_dir = section.take("cache_dir", &path(base));
    let directory_url = section.optional("directory_url", url(&["https://"], A_DIRECTORY));
    if staging && section.has("directory_url") {
        section.problem(
            "directory_url",
            "`staging = true` is a CA of its own, the staging service of Let's Encrypt; keep one of \
             the two",
        );
    }
    let lets_encrypt = if staging { LETS_ENCRYPT_STAGING } else { LETS_ENCRYPT };
    let directory_url = directory_url.unwrap_or_else(|| lets_encrypt.to_owned());
    let dns_hook = section.optional("dns_hook", path(base));

    let has_dns_hook = section.has("dns_hook");
    let mut challenges = vec![ChallengeKind::TlsAlpn01, ChallengeKind::Http01];
    challenges.extend(has_dns_hook.then_some(ChallengeKind::Dns01));
    let written_email = section.written("email").map(str::to_owned);
    let mut common =
        Common { email, written_email, key_type: KeyType::default(), challenges, has_dns_hook };
    let first = read_issuer(section, base, directory_url, &common);
    // Where this server can be reached, and what its clients understand, is no matter of the CA.
    common.key_type = first.key_type;
    common.challenges.clone_from(&first.challenges);
    let on_demand = read_on_demand(section);
    let mut tried = vec![first.directory_url.clone()];
    let fallback = section.listed_entries("lets_encrypt.fallback", "directory_url", |entry| {
        let issuer = read_fallback(entry, base, &common);
        if tried.contains(&issuer.directory_url) {
            entry.problem("directory_url", "this CA is tried already; name each once");
        }
        tried.push(issuer.directory_url.clone());
        issuer
    });
    let issuers = std::iter::once(first).chain(fallback).collect();
    let settings = LetsEncryptSettings { issuers, dns_hook, on_demand };
    (settings, cache_dir.unwrap_or_else(|| below(&proxy.state_dir)))
}

fn read_fallback(entry: &mut Section<'_, '_>, base: &Path, common: &Common) -> IssuerSettings {
    let example = "\"https://acme.example.com/directory\"";
    let directory_url = entry.required("directory_url", example, url(&["https://"], A_DIRECTORY));
    // One that is wrong is like no other.
    let directory_url = directory_url.unwrap_or_else(|| entry.path_of("directory_url"));
    let mut common = common.clone();
    if let Some(email) = entry.optional("email", email) {
        common.email = email;
        common.written_email = entry.written("email").map(str::to_owned);
    }
    read_issuer(entry, base, directory_url, &common)
}

/// Reads what a CA's own section and a fallback's entry have alike.
fn read_issuer(
    section: &mut Section<'_, '_>,
    base: &Path,
    directory_url: String,
    common: &Common,
) -> IssuerSettings {
    let key_types = KeyType::ALL.map(|kind| (kind.as_str(), kind));
    IssuerSettings {
        directory_url,
        written_url: section.written("directory_url").map(str::to_owned),
        email: common.email.clone(),
        written_email: common.written_email.clone(),
        ca_root: section.optional("ca_root", path(base)),
        profile: section.optional("profile", string),
        key_type: section.or("key_type", common.key_type, choice(&key_types)),
        eab: read_eab(section, base),
        challenges: read_challenges(section, common),
    }
}

fn read_eab(section: &mut Section<'_, '_>, base: &Path) -> Option<EabSettings> {
    let kid = section.optional("eab_kid", string);
    let hmac_key_file = section.optional("eab_hmac_key_file", path(base));
    section.both(("eab_kid", "\"the key's id\""), ("eab_hmac_key_file", "\"/etc/vhost/eab-key\""));
    Some(EabSettings { kid: kid?, hmac_key_file: hmac_key_file? })
}

fn read_challenges(section: &mut Section<'_, '_>, common: &Common) -> Vec<ChallengeKind> {
    const KEY: &str = "challenges";
    section.list_default(KEY, Some(common.challenges.plain()), Origin::Default);
    let kinds = ChallengeKind::ALL.map(|kind| (kind.as_str(), kind));
    let example = "[\"tls-alpn-01\", \"http-01\"]";
    let Some(given) = section.elements(KEY, example, choice(&kinds)) else {
        return common.challenges.clone();
    };
    if given.is_empty() {
        let message = format!("it is empty; name at least one, `{example}`, or leave the key out");
        section.problem(KEY, message);
    }
    let mut challenges = Vec::new();
    for (index, (challenge, span)) in given.into_iter().enumerate() {
        let path = format!("{}[{index}]", section.path_of(KEY));
        let problem = if challenges.contains(&challenge) {
            "it is there already; name each once"
        } else if challenge == ChallengeKind::Dns01 && !common.has_dns_hook {
            "it needs a program that sets DNS records; add `dns_hook = \"/etc/vhost/dns-hook\"` to \
             `[lets_encrypt]`"
        } else {
            challenges.push(challenge);
            continue;
        };
        let shown = section.shown_element(KEY, index);
        section.report().add(&span, path, shown, problem);
    }
    challenges
}

fn read_on_demand(section: &mut Section<'_, '_>) -> Option<OnDemandSettings> {
    let example = "http://127.0.0.1:3000/allowed";
    let ask = section.optional("on_demand_ask", url(&["https://", "http://"], example));
    let per_client =
        section.or("on_demand_per_client", ON_DEMAND_PER_CLIENT, integer(1..=1_000_000));
    let per_minute =
        section.or("on_demand_per_minute", ON_DEMAND_PER_MINUTE, integer(1..=1_000_000));
    let most = section.or("on_demand_most", ON_DEMAND_MOST, integer(1..=1_000_000));
    for key in ["on_demand_per_client", "on_demand_per_minute", "on_demand_most"] {
        if section.has(key) && !section.has("on_demand_ask") {
            let message = format!(
                "only with `on_demand_ask`, which says who is asked; add `on_demand_ask = \
                 \"{example}\"`"
            );
            section.problem(key, message);
        }
    }
    Some(OnDemandSettings { ask: ask?, per_client, per_minute, most })
}
