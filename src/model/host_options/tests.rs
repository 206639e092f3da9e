use serde_json::json;

use super::*;

fn read(value: Value) -> Result<HostOptions, OptionError> {
    let Value::Object(values) = value else { panic!("an object") };
    HostOptions::read(values)
}

fn refused(value: Value) -> String {
    read(value).expect_err("it is wrong").to_string()
}

#[test]
fn every_key_is_named() {
    let schema = schemars::schema_for!(OptionSet);
    let mut properties: Vec<_> =
        schema.get("properties").unwrap().as_object().unwrap().keys().cloned().collect();
    let mut keys = OptionSet::KEYS.map(str::to_owned).to_vec();
    properties.sort();
    keys.sort();
    assert_eq!(properties, keys);
}

#[test]
fn what_was_read_comes_back() {
    let value = json!({
        "canonical_host": "example.com",
        "paths": [{"prefix": "/api", "tag": "api", "strip": true}],
        "request_headers": {"set": {"host": "inner"}, "remove": ["x-secret"]},
        "response_headers": {"add": {"x-frame-options": "DENY"}},
        "basic_auth": {"users": {"ann": "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"}},
        "compression": ["zstd", "gzip"],
        "error_pages": {"404": "/srv/404.html", "5xx": "/srv/sorry.html"},
        "maintenance": {"message": "back soon", "retry_after_secs": 60},
        "pause": {"max_wait_secs": 5, "max_waiting": 10},
        "sticky": {"cookie": "at"},
        "max_body_bytes": 1000,
        "rate_limit": {"requests": 10, "burst": 20},
        "client_rate_limit": {"requests": 1, "per_secs": 60},
        "allow": ["10.0.0.0/8"],
        "deny": ["10.0.0.7/32"],
    });
    let options = read(value.clone()).unwrap();
    assert_eq!(Value::Object(options.values()), value);
    assert!(!options.is_empty() && HostOptions::default().is_empty());
    let shown = Value::Object(options.shown());
    assert_eq!(shown["basic_auth"]["users"]["ann"], "(hidden)");
}

#[test]
fn what_is_wrong_is_named() {
    for (value, words) in [
        (json!({"rate_limit": {"requests": 0}}), "rate_limit.requests"),
        (json!({"paths": [{"prefix": "api", "tag": "a"}]}), "paths[0].prefix"),
        (json!({"allow": ["10.0.0.0/33"]}), "allow[0]"),
        (json!({"colour": 1}), "colour"),
        (json!({"canonical_host": "*.example.com"}), "not a wildcard"),
        (json!({"request_headers": {"set": {"content-length": "1"}}}), "leave it out"),
        (json!({"request_headers": {"remove": ["host"]}}), "leave it out"),
        (json!({"compression": ["gzip", "gzip"]}), "stands twice"),
        (json!({"error_pages": {"200": "/x"}}), "400 to 599"),
        (json!({"allow": ["\t10.0.0.0/8"]}), r"`\t10.0.0.0/8`"),
    ] {
        let error = refused(value.clone());
        assert!(error.contains(words), "{value}: {error}");
    }
    let error = refused(json!({"basic_auth": {"users": {"ann": "hunter2"}}}));
    assert!(error.contains("hash-password") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_patch_changes_what_it_names() {
    let before = read(json!({"max_body_bytes": 1, "maintenance": {"message": "x"}})).unwrap();
    let Value::Object(patch) = json!({"maintenance": null, "allow": ["::1/128"]}) else { panic!() };
    let after = before.patched(patch).unwrap();
    assert_eq!(after, read(json!({"max_body_bytes": 1, "allow": ["::1"]})).unwrap());
    let told = before.differences(&after);
    let keys: Vec<_> = told.iter().map(|(key, ..)| *key).collect();
    assert_eq!(keys, ["maintenance", "allow"]);
    assert_eq!(told[1].1, "none");
}

#[test]
fn a_file_moves_only_what_it_changed() {
    let live = read(json!({"maintenance": {}, "max_body_bytes": 7})).unwrap();
    let before = read(json!({"max_body_bytes": 1})).unwrap();
    let file = read(json!({"max_body_bytes": 1, "deny": ["10.0.0.1"]})).unwrap();
    let merged = live.merged(&before, &file);
    let expected = json!({"maintenance": {}, "max_body_bytes": 7, "deny": ["10.0.0.1"]});
    assert_eq!(merged, read(expected).unwrap());
    assert_eq!(live.merged(&file, &file), live);
}

#[test]
fn a_prefix_fits_whole_names() {
    let prefix: PathPrefix = "/api/".parse().unwrap();
    for (path, fits) in
        [("/api", true), ("/api/", true), ("/api/x", true), ("/apis", false), ("/", false)]
    {
        assert_eq!(prefix.fits(path), fits, "{path}");
    }
}
