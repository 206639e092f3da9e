use std::path::Path;

use super::*;
use crate::config::load::{Loaded, read_text};
use crate::config::paths::Environment;

const SECRET: &str = "s3cr3t-word";

fn loaded(text: &str) -> Loaded {
    let variable = |name: &str| match name {
        "SECRET" => Some(SECRET.to_owned()),
        "PORT" => Some("8443".to_owned()),
        "TAG" => Some("blue".to_owned()),
        "HOST" => Some("shop.example".to_owned()),
        "STATE_DIRECTORY" => Some("/var/lib/edge".to_owned()),
        _ => None,
    };
    read_text(Path::new("/etc/vhost.toml"), text, &Environment::new(&variable, 0))
}

fn settings(text: &str) -> Vec<Setting> {
    loaded(text).into_result(Path::new("")).unwrap_or_else(|error| panic!("{error}")).effective
}

/// A key's value, as TOML, and where it came from.
fn told(settings: &[Setting], key: &str) -> (String, String) {
    let setting = settings.iter().find(|setting| setting.key == key);
    let setting = setting.unwrap_or_else(|| panic!("no `{key}`"));
    let value = setting.value.as_ref().map(ToString::to_string).unwrap_or_default();
    (value, setting.from.to_string())
}

#[test]
fn every_key_says_its_value_and_where_it_came_from() {
    let settings = settings(
        "[proxy]\nlisten_addr_http = \"127.0.0.1:${PORT}\"\nidle_timeout_secs = 0.5\n\
         trusted_proxies = [\"10.1.2.3/8\"]\n[logging]\nlevel = \"warn\"\n\
         [lets_encrypt]\nemail = \"a@b.example\"\n",
    );
    for (key, value, from) in [
        ("include", "[]", "default"),
        ("proxy.listen_addr", "", "default"),
        ("proxy.listen_addr_http", "\"127.0.0.1:${PORT}\"", "environment"),
        ("proxy.admin_socket", "\"/run/vhost/admin.sock\"", "default"),
        ("proxy.state_dir", "\"/var/lib/edge\"", "environment"),
        ("proxy.idle_timeout_secs", "0.5", "/etc/vhost.toml:3"),
        ("proxy.trusted_proxies", "[\"10.0.0.0/8\"]", "/etc/vhost.toml:4"),
        ("proxy.header_timeout_secs", "10", "default"),
        ("health_check.kind", "\"http\"", "default"),
        ("health_check.expected_status", "\"200-399\"", "default"),
        ("logging.level", "\"warn\"", "/etc/vhost.toml:6"),
        ("logging.file_path", "", "default"),
        ("lets_encrypt.cache_dir", "\"/var/lib/edge/certs\"", "default"),
        ("metrics.listen_addr", "\"0.0.0.0:9090\"", "default"),
    ] {
        assert_eq!(told(&settings, key), (value.to_owned(), from.to_owned()), "{key}");
    }
    let mut keys: Vec<_> = settings.iter().map(|setting| &setting.key).collect();
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all, "no key is told twice");
}

#[test]
fn the_fallbacks_are_one_setting_that_says_what_the_file_says_of_them() {
    let text = "[proxy]\nlisten_addr = \"127.0.0.1:1\"\n[lets_encrypt]\nemail = \"a@b.example\"\n";
    let none = settings(text);
    assert_eq!(told(&none, "lets_encrypt.fallback"), ("[]".into(), "default".into()));
    let challenges = "[\"tls-alpn-01\",\"http-01\"]";
    assert_eq!(told(&none, "lets_encrypt.challenges"), (challenges.into(), "default".into()));
    let fallback = "[[lets_encrypt.fallback]]\ndirectory_url = \"https://c.example\"\n\
                    ca_root = \"c.pem\"\n";
    let listed = "[{\"ca_root\":\"/etc/c.pem\",\"directory_url\":\"https://c.example\"}]";
    assert_eq!(
        told(&settings(&format!("{text}{fallback}")), "lets_encrypt.fallback"),
        (listed.into(), "/etc/vhost.toml:5".into())
    );
    let refers = settings(&format!(
        "{text}{fallback}eab_hmac_key_file = \"/${{SECRET}}\"\neab_kid = \"a\"\n"
    ));
    let (value, from) = told(&refers, "lets_encrypt.fallback");
    assert_eq!(from, "environment");
    assert!(value.contains("/${SECRET}") && !value.contains(SECRET), "{value}");
}

#[test]
fn a_value_is_listed_so_that_a_file_with_it_means_the_same() {
    let text = "[proxy]\nlisten_addr = \"127.0.0.1:1\"\nadmin_group = \"a$${TAG}\"\n\
                state_dir = \"/$${TAG}/${TAG}\"\n";
    let settings = settings(text);
    assert_eq!(told(&settings, "proxy.admin_group").0, "\"a$${TAG}\"");
    assert_eq!(told(&settings, "proxy.state_dir").0, "\"/$${TAG}/${TAG}\"");
}

#[test]
fn the_list_has_every_key_that_the_sections_know() {
    let text = include_str!("../../../config.example.toml").replace("\n#[lets", "\n[lets");
    let text = text.replacen("\n#email", "\nemail", 1);
    let loaded = loaded(&text);
    let known: Vec<_> = loaded
        .known
        .iter()
        .filter(|(section, _)| !["", "virtual_hosts", "backends"].contains(section))
        .filter(|(section, _)| !section.contains('.'))
        .flat_map(|(section, keys)| keys.iter().map(move |key| format!("{section}.{key}")))
        .collect();
    let settings = loaded.into_result(Path::new("")).unwrap_or_else(|e| panic!("{e}")).effective;
    assert!(known.len() > 40);
    for key in known {
        assert!(settings.iter().any(|setting| setting.key == key), "`{key}` is not listed");
    }
}

#[test]
fn what_the_environment_holds_is_never_told() {
    let text = "[proxy]\nlisten_addr = \"localhost:${PORT}\"\nlisten_addr_http = \":${PORT}\"\n\
                admin_group = \"${SECRET}\"\ntrusted_proxies = [\"${SECRET}\"]\n\
                management_api_addr = \"${SECRET}\"\n\
                [health_check]\nkind = \"${SECRET}\"\npath = \"${SECRET}\"\n\
                [[virtual_hosts]]\ndomain = \"${SECRET}.-x.example\"\nenabled_backends_tag = \"a\"\n\
                [[virtual_hosts]]\ndomain = \"${HOST}\"\naliases = [\"${HOST}\"]\n\
                enabled_backends_tag = \"c\"\n\
                [[backends]]\nid = \"${SECRET}\"\naddress = \"${SECRET}\"\ntags = [\"${TAG}\"]\n\
                [[backends]]\nid = \"${SECRET}\"\naddress = \"http://${SECRET}:1\"\ntags = [\"${TAG}\"]\n";
    let problems = loaded(text).problems;
    assert!(problems.len() >= 11, "{problems:#?}");
    for problem in problems {
        let told = format!("{problem} {problem:?}").to_lowercase();
        for held in [SECRET, "s3cr3t", "8443", "blue", "shop.example"] {
            assert!(!told.contains(held), "{problem}");
        }
        assert!(problem.message.len() > 10, "{problem}");
    }
    let shown = loaded(
        "[proxy]\nlisten_addr = \"127.0.0.1:1\"\nadmin_group = \"${SECRET}\"\nstate_dir = \"/${SECRET}\"\n\
         trusted_proxies = [\"::1\"]\n[lets_encrypt]\nemail = \"a@${HOST}\"\n",
    );
    let shown = shown.into_result(Path::new("")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(shown.proxy.state_dir, Path::new("/s3cr3t-word"));
    let listed = format!("{:?}", shown.effective);
    assert!(listed.contains("${SECRET}/certs"), "{listed}");
    assert!(!listed.contains(SECRET) && !listed.contains("shop.example"), "{listed}");
}

#[test]
fn a_reference_that_cannot_be_followed_names_key_variable_and_remedy() {
    let text = "[proxy]\nlisten_addr_http = \"127.0.0.1:1\"\nadmin_group = \"${NONE}\"\n\
                trusted_proxies = [\"::1\", \"${}\"]\nthreads = \"${PORT}\"\n\
                [[backends]]\nid = \"x\"\naddress = \"${UNSET}:1\"\ntags = [\"$${a}\"]\n";
    let told: Vec<_> = loaded(text).problems.iter().map(ToString::to_string).collect();
    for (told, expected) in told.iter().zip([
        "proxy.admin_group: `${NONE}`: the environment variable `NONE` is not set; set it",
        "proxy.trusted_proxies[1]: `${}`: write the name of an environment variable",
        "proxy.threads: `${PORT}`: write a whole number",
        "backends[\"x\"].address: `${UNSET}:1`: the environment variable `UNSET`",
        "backends[\"x\"].tags[0]: `${a}`: start with a letter",
    ]) {
        assert!(told.starts_with(expected), "   found: {told}\nexpected: {expected}");
    }
    assert_eq!(told.len(), 5, "{told:#?}");
}
