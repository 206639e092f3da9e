//! `[lets_encrypt]` and `[[lets_encrypt.fallback]]`.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::config::effective::Origin;
use crate::config::kind::{
    Choice, Email, Entries, File, HttpUrl, HttpsUrl, Kind as _, List, Text, Whole,
};
use crate::config::plain::Plain;
use crate::config::reader::Section;
use crate::config::table::{RESTART, settings};
use crate::model::{ChallengeKind, KeyType};

settings! {
    /// Certificates from Let's Encrypt, or another ACME CA. Without this section none are ordered;
    /// files, the server's own CA and `vhost ctl cert import` work without it.
    "lets_encrypt" => pub(super) LetsEncryptSection, restart: RESTART, rules: rules();

    /// The e-mail address for the CA's messages about the account and its certificates.
    email: Option<Email>, required: true, example: "admin@example.com";
    /// Whether to use the staging service: its limits are generous, but browsers do not trust it.
    staging: bool;
    /// The directory of certificates, keys and accounts, and of imported certificates. The default
    /// is `certs` in the state directory, also without this section.
    cache_dir: Option<File>, example: "/etc/pingora-ssl/certs";
    /// The directory URL of another CA (RFC 8555). The default is Let's Encrypt's. Not with
    /// `staging = true`.
    directory_url: Option<HttpsUrl>, example: "https://acme.example.com/directory";
    /// The root certificates for the CA's own HTTPS, PEM, for example of a company's CA. The
    /// default is the system's roots.
    ca_root: Option<File>, example: "/etc/ssl/company-root.pem";
    /// The certificate profile, such as `shortlived`. The default is the CA's choice.
    profile: Option<Text>, example: "shortlived";
    /// The key type of certificates: ECDSA on P-256 or P-384.
    key_type: Choice<KeyType>;
    /// The key id for external account binding, which links the account to your existing one at the
    /// CA. With `eab_hmac_key_file`.
    eab_kid: Option<Text>, example: "kid-1";
    /// The file with the key of `eab_kid`, in base64url.
    eab_hmac_key_file: Option<File>, example: "/etc/vhost/eab-key";
    /// The ACME challenges, in the order in which they are tried: `tls-alpn-01` (at port 443),
    /// `http-01` (at port 80), `dns-01` (uses `dns_hook`; included by default if that is set),
    /// `dns-persist-01` (uses a permanent DNS record: see `vhost ctl cert account`).
    challenges: List<Choice<ChallengeKind>, true> = vec![ChallengeKind::TlsAlpn01, ChallengeKind::Http01];
    /// The program that sets and clears DNS records for `dns-01`, which wildcards need. It is called
    /// with `present NAME VALUE` and `cleanup NAME VALUE`.
    dns_hook: Option<File>, example: "/etc/vhost/dns-hook";
    /// The URL of a service of yours that decides which undeclared names get a certificate. When
    /// such a name is first requested, the server sends `GET URL?domain=NAME`: status 200 allows
    /// the name, any other status refuses it. Allowed names are served by the domain `*`. Off
    /// unless set.
    on_demand_ask: Option<HttpUrl>, example: "http://127.0.0.1:3000/allowed";
    /// The maximum number of names of one client that are checked in a minute. With
    /// `on_demand_ask`.
    on_demand_per_client: Whole<u32, 1, 1_000_000> = 10;
    /// The maximum number of orders for new names in a minute. With `on_demand_ask`.
    on_demand_per_minute: Whole<u32, 1, 1_000_000> = 10;
    /// The maximum number of names with a certificate on demand. With `on_demand_ask`.
    on_demand_most: Whole<usize, 1, 1_000_000> = 1000;
    /// CAs that are tried, in this order, if the previous one keeps failing.
    fallback: Entries<Fallback>;
}

settings! {
    /// A CA that is tried if the previous ones keep failing.
    "lets_encrypt.fallback" => pub(super) Fallback, rules: eab_rules();

    /// Its directory URL (RFC 8555).
    directory_url: Option<HttpsUrl>, required: true, example: "https://acme.example.net/directory";
    /// The e-mail address for its messages. The default is the `email` of `[lets_encrypt]`.
    email: Option<Email>, example: "admin@example.com";
    /// The root certificates for its own HTTPS, PEM. The default is the system's roots.
    ca_root: Option<File>, example: "/etc/ssl/other-root.pem";
    /// The certificate profile. The default is the CA's choice.
    profile: Option<Text>, example: "classic";
    /// The key type of its certificates. The default is that of `[lets_encrypt]`.
    key_type: Option<Choice<KeyType>>, example: "p256";
    /// The key id for external account binding, which links the account to your existing one at the
    /// CA. With `eab_hmac_key_file`.
    eab_kid: Option<Text>, example: "kid-2";
    /// The file with the key of `eab_kid`, in base64url.
    eab_hmac_key_file: Option<File>, example: "/etc/vhost/other-eab-key";
    /// The ACME challenges. The default is those of `[lets_encrypt]`.
    challenges: Option<List<Choice<ChallengeKind>, true>>, example: ["http-01"];
}

/// The directories of Let's Encrypt.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// Certificates from ACME CAs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LetsEncryptSettings {
    /// The CA, and those that are tried when it fails, in order. Never empty.
    pub issuers: Vec<IssuerSettings>,
    /// The program that sets and clears DNS records: `present NAME VALUE` and `cleanup NAME VALUE`.
    pub dns_hook: Option<PathBuf>,
    /// Certificates for names that nobody has declared, where wanted.
    pub on_demand: Option<OnDemandSettings>,
}

/// One ACME CA, and how it is dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssuerSettings {
    /// Its directory (RFC 8555 §7.1.1).
    pub directory_url: String,
    /// As the file has that, where it refers to the environment: it is what people are shown.
    pub written_url: Option<String>,
    /// Whom it may write to.
    pub email: String,
    /// As the file has that, where it refers to the environment.
    pub written_email: Option<String>,
    /// The roots that its own HTTPS is trusted by, PEM; the system's when not given.
    pub ca_root: Option<PathBuf>,
    /// The profile that is asked for.
    pub profile: Option<String>,
    /// The kind of key that certificates have.
    pub key_type: KeyType,
    /// The binding to an account that exists outside of ACME (RFC 8555 §7.3.4).
    pub eab: Option<EabSettings>,
    /// The challenges that may be used, in the order in which they are tried.
    pub challenges: Vec<ChallengeKind>,
}

impl IssuerSettings {
    /// Its directory as people are shown it.
    pub(crate) fn shown_url(&self) -> &str {
        self.written_url.as_ref().unwrap_or(&self.directory_url)
    }
}

/// A binding to an account that exists outside of ACME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EabSettings {
    /// The key's id.
    pub kid: String,
    /// A file with the key, in base64url.
    pub hmac_key_file: PathBuf,
}

/// `on_demand_ask` and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnDemandSettings {
    /// The URL that is asked with `?domain=NAME`, and allows a name by the status 200.
    pub ask: String,
    /// Names that one client may have asked about in a minute.
    pub per_client: u32,
    /// Names that are new and may be ordered for in a minute.
    pub per_minute: u32,
    /// Names that may have a certificate this way, in all.
    pub most: usize,
}

/// Reads the section; with it, where certificates are kept, if it says so. `shown_state_dir` is the state
/// directory as it may be shown.
pub(super) fn read(
    section: &mut Section<'_, '_>,
    shown_state_dir: &Path,
) -> (LetsEncryptSettings, Option<PathBuf>) {
    let mut default = LetsEncryptSection::default();
    let has_dns_hook = section.has("dns_hook");
    default.challenges.extend(has_dns_hook.then_some(ChallengeKind::Dns01));
    section.default_is("cache_dir", shown_state_dir.join("certs").plain(), Origin::Default);
    let said = LetsEncryptSection::read(section, default);
    if said.staging && section.has("directory_url") {
        section.problem(
            "directory_url",
            "`staging = true` is a CA of its own, the staging service of Let's Encrypt; keep one of \
             the two",
        );
    }
    let has_ask = section.has("on_demand_ask");
    for key in ["on_demand_per_client", "on_demand_per_minute", "on_demand_most"] {
        if section.has(key) && !has_ask {
            let message = format!(
                "only with `on_demand_ask`, which says who is asked; add `on_demand_ask = {}`",
                HttpUrl::example()
            );
            section.problem(key, message);
        }
    }
    check_issuer(section, &said.challenges, has_dns_hook);
    let of_lets_encrypt = if said.staging { LETS_ENCRYPT_STAGING } else { LETS_ENCRYPT };
    let first = IssuerSettings {
        directory_url: said.directory_url.unwrap_or_else(|| of_lets_encrypt.to_owned()),
        written_url: section.written("directory_url").map(str::to_owned),
        email: said.email.unwrap_or_default(),
        written_email: section.written("email").map(str::to_owned),
        ca_root: said.ca_root,
        profile: said.profile,
        key_type: said.key_type,
        eab: eab(said.eab_kid, said.eab_hmac_key_file),
        challenges: said.challenges,
    };
    let mut issuers = vec![first];
    section.listed_entries("lets_encrypt.fallback", "directory_url", |entry| {
        let issuer = read_fallback(entry, &issuers[0], has_dns_hook);
        if issuers.iter().any(|tried| tried.directory_url == issuer.directory_url) {
            entry.problem("directory_url", "this CA is tried already; name each once");
        }
        issuers.push(issuer);
    });
    let on_demand = said.on_demand_ask.map(|ask| OnDemandSettings {
        ask,
        per_client: said.on_demand_per_client,
        per_minute: said.on_demand_per_minute,
        most: said.on_demand_most,
    });
    (LetsEncryptSettings { issuers, dns_hook: said.dns_hook, on_demand }, said.cache_dir)
}

/// Reads a fallback. Where the server can be reached, and what its clients understand, is no matter of the
/// CA: that is as it is for the first.
fn read_fallback(
    entry: &mut Section<'_, '_>,
    first: &IssuerSettings,
    has_dns_hook: bool,
) -> IssuerSettings {
    let said = Fallback::read(entry, Fallback::default());
    check_issuer(entry, said.challenges.as_deref().unwrap_or_default(), has_dns_hook);
    let (email, written_email) = match said.email {
        Some(email) => (email, entry.written("email").map(str::to_owned)),
        None => (first.email.clone(), first.written_email.clone()),
    };
    IssuerSettings {
        // One that is wrong is like no other.
        directory_url: said.directory_url.unwrap_or_else(|| entry.path_of("directory_url")),
        written_url: entry.written("directory_url").map(str::to_owned),
        email,
        written_email,
        ca_root: said.ca_root,
        profile: said.profile,
        key_type: said.key_type.unwrap_or(first.key_type),
        eab: eab(said.eab_kid, said.eab_hmac_key_file),
        challenges: said.challenges.unwrap_or_else(|| first.challenges.clone()),
    }
}

fn eab(kid: Option<String>, hmac_key_file: Option<PathBuf>) -> Option<EabSettings> {
    Some(EabSettings { kid: kid?, hmac_key_file: hmac_key_file? })
}

/// What the keys that every CA has have to say together.
fn check_issuer(section: &Section<'_, '_>, challenges: &[ChallengeKind], has_dns_hook: bool) {
    section.both(("eab_kid", "\"the key's id\""), ("eab_hmac_key_file", "\"/etc/vhost/eab-key\""));
    let dns = challenges.iter().position(|challenge| *challenge == ChallengeKind::Dns01);
    if let Some(index) = dns.filter(|_| !has_dns_hook) {
        section.element_problem(
            "challenges",
            index,
            "it needs a program that sets DNS records; add `dns_hook = \"/etc/vhost/dns-hook\"` to \
             `[lets_encrypt]`",
        );
    }
}

fn eab_rules() -> Json {
    json!({ "dependentRequired": {
        "eab_kid": ["eab_hmac_key_file"], "eab_hmac_key_file": ["eab_kid"],
    } })
}

fn rules() -> Json {
    json!({
        "if": { "properties": { "staging": { "const": true } }, "required": ["staging"] },
        "then": { "properties": { "directory_url": false } },
        "allOf": [{
            "if": {
                "properties": { "challenges": { "contains": { "const": "dns-01" } } },
                "required": ["challenges"],
            },
            "then": { "required": ["dns_hook"] },
        }],
        "dependentRequired": {
            "eab_kid": ["eab_hmac_key_file"], "eab_hmac_key_file": ["eab_kid"],
            "on_demand_per_client": ["on_demand_ask"], "on_demand_per_minute": ["on_demand_ask"],
            "on_demand_most": ["on_demand_ask"],
        },
    })
}
