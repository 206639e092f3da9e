//! Sizes and times of options, as people write them: by the file, by `vhost ctl`, by the socket and over REST.

use serde_json::{Value, json};

use crate::harness::*;

const SIZE: &str = "use a size such as 10MB or 10485760";
const TIME: &str = "use a time such as 90s, 1h30m or 90 (seconds)";
const WHOLE_TIME: &str = "use a time in whole seconds, such as 90s, 1h30m or 90 (seconds)";

/// Options with units, the same as numbers, and what is refused.
const OPTIONS: [(&str, &str, &str, &str); 9] = [
    ("max_body_bytes", "10MB", "10485760", SIZE),
    ("timeouts.response_secs", "1m30s", "90", TIME),
    ("timeouts.first_byte_secs", "500ms", "0.5", TIME),
    ("timeouts.websocket_idle_secs", "1h", "3600", TIME),
    ("drain.websockets.close_after_secs", "5m", "300", TIME),
    ("maintenance.retry_after_secs", "2h", "7200", WHOLE_TIME),
    ("sticky.max_age_secs", "30d", "2592000", WHOLE_TIME),
    ("pause.max_wait_secs", "5s", "5", WHOLE_TIME),
    ("hsts_max_age_secs", "365d", "31536000", WHOLE_TIME),
];

fn nested(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |value, key| json!({ key: value }))
}

fn at<'v>(domain: &'v Value, path: &str) -> &'v Value {
    let pointer = format!("/{}", path.replace('.', "/"));
    let options = domain.pointer(&format!("/options{pointer}"));
    options.or_else(|| domain.pointer(&pointer)).unwrap_or(&Value::Null)
}

/// The options of `example.com` in a method's parameters.
fn params(path: &str, value: &str) -> Value {
    let options = nested(path, json!(value));
    if path == "hsts_max_age_secs" { options } else { json!({ "options": options }) }
}

#[test]
fn a_file_has_units_and_numbers_are_stored_and_exported() {
    let lines = OPTIONS.map(|(path, text, ..)| format!("{path} = \"{text}\"")).join("\n");
    let limit = "rate_limit = { requests = 9, per_secs = \"1m\" }";
    let times = "connect_timeout_secs = \"1500ms\"";
    let setup = Setup::new()
        .domain_with("example.com", "a", &format!("{lines}\n{limit}"))
        .backend_with("web", refusing_address(), &["a"], times);
    let mut vhost = setup.start();
    for _ in 0..2 {
        let domain = vhost.rpc("domain.show", json!({ "domain": "example.com" })).unwrap();
        for (path, _, number, _) in OPTIONS {
            assert_eq!(at(&domain, path).to_string(), number, "{path}: {domain}");
        }
        assert_eq!(domain["options"]["rate_limit"]["per_secs"], 60);
        assert_eq!(vhost.backend("web")["connect_timeout_secs"], 1.5);
        vhost.kill();
        vhost.restart();
    }
    let exported = vhost.ctl_ok(&["config", "export"]).stdout;
    for line in ["max_body_bytes = 10485760", "max_wait_secs = 5", "connect_timeout_secs = 1.5"] {
        assert!(exported.contains(line), "no `{line}` in\n{exported}");
    }
    // A number instead of a text that means the same is no change.
    let revision = vhost.ctl_json(&["status"])["revision"].clone();
    vhost.write_config(&setup.replace("\"10MB\"", "10485760").replace("\"1500ms\"", "1.5"));
    vhost.ctl_ok(&["reload"]);
    assert_eq!(vhost.ctl_json(&["status"])["revision"], revision);

    for (path, text, _, form) in OPTIONS {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("vhost.toml");
        let wrong = Setup::new()
            .domain_with("example.com", "a", &format!("{path} = \"{text}!\""))
            .backend("web", refusing_address(), &["a"]);
        std::fs::write(&file, wrong.text(directory.path())).unwrap();
        let refused = serve_once(&file);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains(form), "{path}: {refused:?}");
    }
}

#[test]
fn commands_and_methods_have_units() {
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", refusing_address(), &["a"]).start();
    for (path, text, number, form) in OPTIONS {
        let show = || vhost.rpc("domain.show", json!({ "domain": "example.com" })).unwrap();
        let set = |value: &str| {
            vhost.ctl(&["domain", "set", "example.com", "--option", &format!("{path}={value}")])
        };
        assert_eq!(set(text).code, 0, "{path}");
        assert_eq!(at(&show(), path).to_string(), number, "{path}");
        let refused = set("soon");
        assert_ne!(refused.code, 0, "{path}");
        assert!(refused.stderr.contains(form), "{path}: {refused:?}");

        let rpc = |value: &str| {
            let mut params = params(path, value);
            params["domain"] = "example.com".into();
            vhost.rpc("domain.set", params)
        };
        assert_eq!(at(&rpc(text).unwrap(), path).to_string(), number, "{path}");
        let fault = rpc("-1").unwrap_err().whole.to_string();
        assert!(fault.contains(form) || fault.contains("use 0.001 to 86400"), "{path}: {fault}");
    }
    vhost.ctl_ok(&["backend", "set", "web", "--connect-timeout", "1m"]);
    assert_eq!(vhost.backend("web")["connect_timeout_secs"], 60);
    vhost.ctl_ok(&["domain", "set", "example.com", "--hsts-max-age", "1h"]);
    let refused = vhost.ctl(&["domain", "set", "example.com", "--hsts-max-age", "5y"]);
    assert!(refused.stderr.contains("use 0 to 126144000 seconds"), "{refused:?}");
    let refused = vhost.ctl(&["backend", "set", "web", "--connect-timeout", "soon"]);
    assert!(refused.stderr.contains(TIME), "{refused:?}");
}
