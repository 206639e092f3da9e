//! How backends behind TLS are declared over REST.

use serde_json::{Value, json};

use super::{Api, json_of};
use crate::harness::*;

#[test]
fn the_keys_of_a_backend_behind_tls_are_set_changed_and_taken_away() {
    let api = Api::start();
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = authority.write_to(directory.path());
    let backend = Backend::builder("api").tls(authority.serves("api.internal", &["h2"])).start();
    let new = json!({
        "id": "api", "address": backend.address(), "tags": ["c"], "scheme": "h2",
        "tls_server_name": "api.internal", "tls_ca_file": ca,
    });
    let added = api.ask("POST", "/api/v1/backends", Some(&new));
    assert_eq!(added.status, 201, "{}", added.text());
    api.vhost.wait_for_health("api", "healthy");
    let put = |body: Value| api.ask("PUT", "/api/v1/backends/api", Some(&body));
    for (body, part) in [
        (json!({ "tls_ca_file": "/nowhere/ca.pem" }), "`tls_ca_file` `/nowhere/ca.pem`"),
        (json!({ "tls_client_key_file": ca }), "`tls_client_cert_file`"),
        (json!({ "tls_insecure_skip_verify": true }), "`tls_ca_file`"),
        (json!({ "scheme": "h2c" }), "`tls_server_name`"),
        (json!({ "weight": null }), "`weight` can't be null"),
    ] {
        let refused = put(body);
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert!(refused.text().contains(part), "{}", refused.text());
    }
    assert_eq!(api.vhost.backend("api")["health"]["status"], "healthy", "nothing has changed");
    let lax = put(json!({ "tls_ca_file": null, "tls_insecure_skip_verify": true }));
    assert_eq!(lax.status, 200, "{}", lax.text());
    let shown = json_of(&lax);
    assert_eq!(
        (&shown["tls_ca_file"], &shown["tls_insecure_skip_verify"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(shown["tls_server_name"], "api.internal", "what is not given stays");
    api.vhost.wait_for_health("api", "healthy");
}

#[test]
fn a_token_learns_nothing_of_files_by_naming_them() {
    let api = Api::start();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("text"), "no PEM").unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    let names = ["missing", "text", "folder", "text/below"];
    let told = |method: &str, at: &str, body: Value, name: &str| {
        let refused = api.ask(method, at, Some(&body));
        assert_eq!(refused.status, 422, "{}", refused.text());
        let problem = json_of(&refused);
        let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
        (text("detail") + &text("hint")).replace(&path(name), "FILE")
    };
    let ca = |name: &str| {
        let body = json!({ "scheme": "https", "tls_ca_file": path(name) });
        told("PUT", "/api/v1/backends/web-b", body, name)
    };
    let pair = |name: &str| {
        let body = json!({ "tls": { "files": { "cert": path(name), "key": path(name) } } });
        told("PUT", "/api/v1/domains/example.com", body, name)
    };
    for name in names {
        assert_eq!(ca(name), ca(names[0]), "{name}");
        assert_eq!(pair(name), pair(names[0]), "{name}");
    }
    assert!(api.vhost.log().contains("there is no such file"), "the log has the reason");
    // Who may use the admin socket is told.
    let set = json!({ "id": "web-b", "scheme": "https", "tls_ca_file": path("missing") });
    let fault = api.vhost.rpc("backend.set", set).unwrap_err();
    assert!(fault.whole.to_string().contains("there is no such file"), "{fault:?}");
}

#[test]
fn a_null_that_takes_nothing_away_is_refused_and_shapes_are_hinted_at() {
    let api = Api::start();
    let put = |path: &str, body: Value| api.ask("PUT", path, Some(&body));
    let (domain, backend) = ("/api/v1/domains/example.com", "/api/v1/backends/web-a");
    let refused = |path: &str, body: Value, words: &str| {
        let response = put(path, body);
        assert_eq!(response.status, 422, "{}", response.text());
        assert!(response.text().contains(words), "{words}: {}", response.text());
    };
    for key in ["aliases", "http_to_https", "balance", "tls", "hsts_max_age_secs", "options"] {
        refused(domain, json!({ key: null }), &format!("`{key}` can't be null"));
    }
    for key in ["address", "tags", "weight", "scheme", "backup", "state", "send_proxy_protocol"] {
        refused(backend, json!({ key: null }), &format!("`{key}` can't be null"));
    }
    assert_eq!(put(backend, json!({ "tls_ca_file": null })).status, 200);
    assert_eq!(put(domain, json!({ "options": { "deny": null } })).status, 200);
    for tls in [json!({ "cert": "/a" }), json!("files"), json!(5), json!({ "files": {} })] {
        refused(domain, json!({ "tls": tls }), "or name the files of a certificate");
    }
}
