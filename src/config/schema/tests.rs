use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use super::*;
use crate::config::load::read_text;
use crate::config::paths::Environment;
use crate::model::HealthCheckOptions;
use crate::model::record::Keys;

const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// The example with every key that it leaves out put in.
fn whole_example() -> String {
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A text in which a domain has its certificate from files.
fn with_files_of_a_certificate(text: &str) -> String {
    let files = "# tls = {";
    assert!(text.contains(files), "{text}");
    text.replace(files, &files[2..]).replace("\ntls = \"auto\"", "")
}

static VALIDATOR: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::validator_for(&schema()).expect("it is a schema"));

/// What the schema has against a text, none when it fits.
fn refusals(text: &str) -> Vec<String> {
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    let value = serde_json::to_value(table).expect("no dates");
    VALIDATOR.iter_errors(&value).map(|error| error.to_string()).collect()
}

fn reads(text: &str) -> bool {
    let environment = Environment::new(&|name| (name == "SET").then(|| "x".to_owned()), 0);
    read_text(Path::new("/etc/vhost.toml"), text, &environment).problems.is_empty()
}

/// Every key with its schema; keys of entries and sections by their path.
fn properties() -> BTreeMap<String, Value> {
    fn walk(schema: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
        let schema =
            schema.get("items").filter(|items| items.get("properties").is_some()).unwrap_or(schema);
        // A value that may be a table.
        let choices = schema["anyOf"].as_array().into_iter().flatten();
        let schema = choices.into_iter().find(|s| s.get("properties").is_some()).unwrap_or(schema);
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            walk(property, &path, found);
            found.insert(path, property.clone());
        }
    }
    let mut found = BTreeMap::new();
    walk(&schema(), "", &mut found);
    found
}

/// Whether it is a key of a table that is an option of an app, a domain or a backend, or of a health check.
fn is_within_an_option(key: &str) -> bool {
    let option = key.split_once('.').and_then(|(of, key)| Some((of, key.split_once('.')?.0)));
    option.is_some_and(|(of, option)| match of {
        "virtual_hosts" => OptionSet::KEYS.contains(&option) || TopOptions::KEYS.contains(&option),
        "backends" => BackendOptions::KEYS.contains(&option),
        "apps" => AppOptions::KEYS.contains(&option),
        "health_check" => HealthCheckOptions::KEYS.contains(&option),
        _ => false,
    })
}

#[test]
fn it_has_the_keys_that_the_reader_knows_and_describes_each() {
    let text = with_files_of_a_certificate(&whole_example());
    let loaded = read_text(Path::new("/etc/vhost.toml"), &text, &Environment::new(&|_| None, 0));
    let known: BTreeSet<_> = loaded
        .known
        .iter()
        .flat_map(|(section, keys)| {
            keys.iter().map(move |key| match *section {
                "" => (*key).to_owned(),
                section => format!("{section}.{key}"),
            })
        })
        .collect();
    let properties = properties();
    // Below an option is what the model knows by itself.
    let own = properties.keys().filter(|key| !is_within_an_option(key));
    assert_eq!(own.cloned().collect::<BTreeSet<_>>(), known);
    for (key, property) in properties {
        let section = property.get("items").unwrap_or(&property);
        let description = property.get("description").or(section.get("description"));
        assert!(
            description.is_some_and(|text| text.as_str().is_some_and(|t| t.len() > 8)),
            "{key}"
        );
        if section.get("properties").is_some() {
            assert_eq!(section["additionalProperties"], false, "{key}");
        }
    }
    assert_eq!(schema()["additionalProperties"], false);
    assert_eq!(schema()["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn the_example_and_an_included_file_fit_it() {
    assert_eq!(refusals(EXAMPLE), [""; 0]);
    assert_eq!(refusals(&whole_example()), [""; 0]);
    assert_eq!(refusals(&with_files_of_a_certificate(&whole_example())), [""; 0]);
    let entries = EXAMPLE.split_once("\n[[virtual_hosts]]\n").expect("it has entries").1;
    assert_eq!(refusals(&format!("[[virtual_hosts]]\n{entries}")), [""; 0]);
    let texts = "[proxy]\nlisten_addr = \"${SET}\"\n[logging]\nlevel = \"${SET}\"\n\
                 [health_check]\npath = \"/${SET}\"\n[[backends]]\nid = \"b-${SET}\"\n\
                 address = \"${SET}:1\"\ntags = [\"${SET}\"]\n";
    assert_eq!(refusals(texts), [""; 0]);
}

#[test]
fn its_defaults_are_those_of_the_settings_and_the_example_shows_them() {
    let properties = properties();
    let default = |key: &str| properties[key].get("default").cloned();
    for (key, value) in [
        ("proxy.idle_timeout_secs", json!(60)),
        ("proxy.max_header_bytes", json!(65_536)),
        ("proxy.trusted_proxies", json!([])),
        ("upstream.max_tries", json!(3)),
        ("health_check.expected_status", json!("200-399")),
        ("logging.format", json!("json")),
        ("access_log.format", json!("json")),
        ("access_log.sample", json!(1.0)),
        ("metrics.listen_addr", json!("0.0.0.0:9090")),
        ("lets_encrypt.staging", json!(false)),
        ("virtual_hosts.http_to_https", json!(true)),
        ("virtual_hosts.tls", json!("auto")),
        ("virtual_hosts.hsts_max_age_secs", json!(0)),
        ("lets_encrypt.challenges", json!(["tls-alpn-01", "http-01"])),
        ("lets_encrypt.fallback", json!([])),
        ("backends.weight", json!(1)),
        ("include", json!([])),
    ] {
        assert_eq!(default(key), Some(value), "{key}");
    }
    for key in ["proxy.threads", "proxy.state_dir", "proxy.listen_addr", "lets_encrypt.cache_dir"] {
        assert_eq!(default(key), None, "{key} depends on the host, or has none");
    }
    for (key, value) in defaults() {
        assert_eq!(default(&key), Some(value), "{key}");
    }
}

#[test]
fn its_ranges_and_words_are_those_of_the_reader() {
    /// A file with one key said.
    fn file(key: &str, value: &str) -> String {
        let proxy = "listen_addr = \"127.0.0.1:1\"\nlisten_addr_http = \"127.0.0.1:2\"\n\
                     trusted_proxies = [\"::1\"]\n";
        let domain = "[[virtual_hosts]]\ndomain = \"example.com\"\nenabled_backends_tag = \"a\"\n";
        let backend = "[[backends]]\nid = \"b\"\naddress = \"127.0.0.1:1\"\ntags = [\"a\"]\n";
        let (section, key) = key.split_once('.').expect("a key of a section");
        let declared = match key {
            "app" => format!("[[apps]]\nname = {value}\n"),
            _ => String::new(),
        };
        let said = match key.strip_prefix("tls_") {
            Some(_) if section == "backends" => format!("scheme = \"h2\"\n{key} = {value}\n"),
            _ => format!("{key} = {value}\n"),
        };
        let of = |name: &str| if name == section { said.as_str() } else { "" };
        let other = match section {
            "proxy" | "virtual_hosts" | "backends" => String::new(),
            "apps" if key == "name" => format!("[[apps]]\n{said}"),
            "apps" => format!("[[apps]]\nname = \"shop\"\n{said}"),
            "lets_encrypt" => {
                let ask = if key.starts_with("on_demand") {
                    "on_demand_ask = \"http://localhost\"\n"
                } else {
                    ""
                };
                let within = match key.strip_prefix("fallback.") {
                    Some(_) => "[[lets_encrypt.fallback]]\ndirectory_url = \"https://a.b/c\"\n",
                    None => "",
                };
                let said = said.strip_prefix("fallback.").unwrap_or(&said);
                format!("[lets_encrypt]\nemail = \"a@b.example\"\n{ask}{within}{said}")
            }
            "metrics" if key == "status_page_token" => {
                format!("[metrics]\nstatus_page = true\n{said}")
            }
            "logging" | "access_log" if key == "output" => {
                format!("[{section}]\nfile_path = \"/log\"\n{said}")
            }
            "notify" | "hooks" => {
                format!("[[{section}]]\nname = \"n\"\nurl = \"http://a\"\n{said}")
            }
            section => format!("[{section}]\n{said}"),
        };
        let (in_proxy, in_domain, in_backend) = (of("proxy"), of("virtual_hosts"), of("backends"));
        format!(
            "[proxy]\n{proxy}{in_proxy}{other}{declared}{domain}{in_domain}{backend}{in_backend}"
        )
    }
    let mut tried = 0;
    for (key, property) in properties() {
        if is_within_an_option(&key) {
            continue;
        }
        let agree = |value: &str, expected: bool| {
            let text = file(&key, value);
            assert_eq!(reads(&text), expected, "{key} = {value}");
            assert_eq!(
                refusals(&text).is_empty(),
                expected,
                "{key} = {value}: {:?}",
                refusals(&text)
            );
        };
        // Sizes and times may be texts as well.
        let may_be_text = property["anyOf"][0].get("minimum").is_some();
        let number = if may_be_text { &property["anyOf"][0] } else { &property };
        if let (Some(from), Some(to)) = (number["minimum"].as_f64(), number["maximum"].as_f64()) {
            for (value, fits) in [(from, true), (to, true), (from - 1.0, false), (to + 1.0, false)]
            {
                agree(&value.to_string(), fits);
            }
            if may_be_text {
                // The range of a text is left to the reader.
                assert_eq!(reads(&file(&key, "\"1\"")), from <= 1.0, "{key}");
            } else {
                agree("\"1\"", false);
            }
            agree("\"much\"", false);
            tried += 1;
        }
        for word in property["anyOf"][0]["enum"].as_array().into_iter().flatten() {
            agree(&word.to_string(), true);
            agree("\"no such word\"", false);
            agree("1", false);
            tried += 1;
        }
        if property["type"] == "boolean" {
            agree("true", true);
            agree("\"true\"", false);
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn what_the_reader_refuses_by_kind_and_range_it_refuses_too() {
    const PROXY: &str = "[proxy]\nlisten_addr = \"127.0.0.1:1\"\n";
    for text in [
        "thread = 1",
        "threads = 1.5",
        "idle_timeout_secs = \"soon\"",
        "max_header_bytes = \"large\"",
        "trusted_proxies = \"10.0.0.0/8\"",
        "trusted_proxies = [\"example.com\"]",
        "proxy_protocol = true",
        "proxy_protocol = true\ntrusted_proxies = []",
        "proxy_protocol_http = true\ntrusted_proxies = [\"::1\"]",
        "state_dir = \"\"",
        "admin_group = \"\"",
        "listen_addr_http = \":80\"",
        "listen_addr_http = \"localhost:80\"",
        "listen_addr_http = 80",
        "listen_addr_http = []",
        "listen_addr_http = [80]",
        "listen_addr_http = [\":80\"]",
        "listen_addr_http = [\"127.0.0.1:80\", \"127.0.0.1:80\"]",
        "[switch]\nfoo = 1",
        "[switches]",
        "[[switch]]",
        "[health_check]\nkind = \"tcp\"\npath = \"/\"",
        "[health_check]\nkind = \"tcp\"\nexpected_status = \"200\"",
        "[health_check]\nkind = \"tcp\"\nhost = \"a\"",
        "[health_check]\npath = \"up\"",
        "[health_check]\nhost = \"a b\"",
        "[health_check]\nexpected_status = \"600\"",
        "[health_check]\nexpected_status = 200",
        "[health_check]\nkind = \"grpc\"\npath = \"/\"",
        "[health_check]\nkind = \"http\"\ngrpc_service = \"a.B\"",
        "[health_check]\npath = \"/\"\ngrpc_service = \"a.B\"",
        "[health_check]\ngrpc_service = \"a b\"",
        "[health_check]\nmethod = \"HEAD\"\nexpect_body = \"a\"",
        "[health_check]\nexpect_body = { regexp = \"a\" }",
        "[health_check]\nexpect_body = \"\"",
        "[[backends]]\nid = \"x\"\naddress = \"[::1]:1\"\ntags = []\nhealth_check = { pth = \"/\" }",
        "[[backends]]\nid = \"x\"\naddress = \"[::1]:1\"\ntags = []\nhealth_check = { path = \"up\" }",
        "[[backends]]\nid = \"x\"\naddress = \"[::1]:1\"\ntags = []\n\
         health_check = { kind = \"tcp\", path = \"/\" }",
        "[logging]\noutput = \"file\"",
        "[access_log]\noutput = \"file\"",
        "[access_log]\nsample = \"1\"",
        "[lets_encrypt]",
        "[lets_encrypt]\nemail = \"admin\"",
        "default_cert = \"/a\"",
        "default_key = \"/a\"",
        "[lets_encrypt]\nemail = \"a@b.c\"\ndirectory_url = \"http://a.b/c\"",
        "[lets_encrypt]\nemail = \"a@b.c\"\ndirectory_url = \"https:///c\"",
        "[lets_encrypt]\nemail = \"a@b.c\"\ndirectory_url = \"https://a.b/c\"\nstaging = true",
        "[lets_encrypt]\nemail = \"a@b.c\"\neab_kid = \"a\"",
        "[lets_encrypt]\nemail = \"a@b.c\"\neab_hmac_key_file = \"a\"",
        "[lets_encrypt]\nemail = \"a@b.c\"\nkey_type = \"rsa\"",
        "[lets_encrypt]\nemail = \"a@b.c\"\nchallenges = []",
        "[lets_encrypt]\nemail = \"a@b.c\"\nchallenges = [\"http-01\", \"http-01\"]",
        "[lets_encrypt]\nemail = \"a@b.c\"\nchallenges = [\"dns-01\"]",
        "[lets_encrypt]\nemail = \"a@b.c\"\nchallenges = \"http-01\"",
        "[lets_encrypt]\nemail = \"a@b.c\"\non_demand_ask = \"a.b/c\"",
        "[lets_encrypt]\nemail = \"a@b.c\"\non_demand_most = 1",
        "[lets_encrypt]\nemail = \"a@b.c\"\n[[lets_encrypt.fallback]]",
        "[lets_encrypt]\nemail = \"a@b.c\"\n[lets_encrypt.fallback]\ndirectory_url = \"https://a.b/c\"",
        "[lets_encrypt]\nemail = \"a@b.c\"\n[[lets_encrypt.fallback]]\ndirectory_url = \"https://a.b/c\"\n\
         dns_hook = \"/a\"",
        "[[virtual_hosts]]\ndomain = \"x\"\nenabled_backends_tag = \"a\"\ntls = { cert = \"a\" }",
        "[[virtual_hosts]]\ndomain = \"x\"\nenabled_backends_tag = \"a\"\n\
         tls = { cert = \"a\", key = \"b\", chain = \"c\" }",
        "[[virtual_hosts]]\ndomain = \"x\"\nenabled_backends_tag = \"a\"\ntls = []",
        "[virtual_hosts]",
        "[[virtual_hosts]]\ndomain = \"example.com:80\"\nenabled_backends_tag = \"a\"",
        "[[virtual_hosts]]\ndomain = \"http://x\"\nenabled_backends_tag = \"a\"",
        "[[virtual_hosts]]\nenabled_backends_tag = \"a\"",
        "[[virtual_hosts]]\ndomain = \"x\"\nenabled_backends_tag = \"a b\"",
        "[[virtual_hosts]]\ndomain = \"x\"\nenabled_backends_tag = \"a\"\naliases = [1]",
        "[[backends]]\nid = \"x\"\naddress = \"localhost\"\ntags = []",
        "[[backends]]\nid = \"x\"\naddress = \"http://localhost:80\"\ntags = []",
        "[[backends]]\nid = \"x\"\naddress = \"unix:app.sock\"\ntags = []",
        "[[backends]]\nid = \"-x\"\naddress = \"[::1]:1\"\ntags = []",
        "[[backends]]\nid = \"x\"\naddress = \"[::1]:1\"",
        "[[backends]]\nid = \"x\"\naddress = \"[::1]:1\"\ntags = \"a\"",
        "[[backends]]\nid = \"x\"\naddress = \"[::1]:1\"\ntags = []\nscheme = \"h2c\"\n\
         send_proxy_protocol = \"v2\"",
        "[[backends]]\nid = \"x\"\naddress = \"[::1]:1\"\ntags = []\nscheme = \"h2\"\n\
         send_proxy_protocol = \"v2\"",
        "[[backends]]\nid = \"x\"\naddress = \"[::1]:1\"\ntags = []\nscheme = \"h2\"\n\
         tls_client_cert_file = \"/a\"",
        "[[backends]]\nid = \"x\"\naddress = \"[::1]:1\"\ntags = []\nscheme = \"h2\"\n\
         tls_client_key_file = \"/a\"",
    ] {
        let text = format!("{PROXY}{text}");
        assert!(!reads(&text), "the reader takes it: {text}");
        assert!(!refusals(&text).is_empty(), "the schema takes it: {text}");
    }
    for text in ["[proxy]\nthreads = 1\n", "[switch]\n", "include = []\n"] {
        assert!(!reads(text) && !refusals(text).is_empty(), "{text}");
    }
    assert!(!refusals(&format!("include = \"conf.d/*.toml\"\n{PROXY}")).is_empty());
}
