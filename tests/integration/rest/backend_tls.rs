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
