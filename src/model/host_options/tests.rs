use serde_json::{Value, json};

use super::*;
use crate::model::OptionError;
use crate::model::record::{Keys, Record};

fn read(value: Value) -> Result<HostOptions, OptionError> {
    let Value::Object(values) = value else { panic!("an object") };
    HostOptions::read(values)
}

fn refused(value: Value) -> String {
    read(value).expect_err("it is wrong").to_string()
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
        (json!({"compression": ["gzip", "gzip"]}), "is listed twice"),
        (json!({"error_pages": {"200": "/x"}}), "400 to 599"),
        (json!({"allow": ["\t10.0.0.0/8"]}), r"`\t10.0.0.0/8`"),
        (json!({"max_body_bytes": 1_u64 << 63}), "use a size"),
        (json!({"max_body_bytes": "8388608T"}), "use a size"),
        // Serde takes the elements of a list for a struct's fields, and a table of one member for a word.
        (json!({"maintenance": []}), "`maintenance`: a list doesn't fit here; write a table"),
        (json!({"timeouts": [5]}), "a list doesn't fit here"),
        (json!({"rate_limit": [5, 6, 7]}), "a list doesn't fit here"),
        (json!({"paths": [["/x", "a", true]]}), "paths[0]"),
        (json!({"request_headers": [{"a": "b"}]}), "a list doesn't fit here"),
        (json!({"compression": [{"gzip": null}]}), "choose `"),
    ] {
        let error = refused(value.clone());
        assert!(error.contains(words), "{value}: {error}");
    }
    let error = refused(json!({"basic_auth": {"users": {"ann": "hunter2"}}}));
    assert!(error.contains("hash-password") && !error.contains("hunter2"), "{error}");
}

#[test]
fn what_is_of_the_wrong_kind_is_told_without_the_words_of_rust() {
    let values = [json!(3), json!(0), json!(-1), json!(1.5), json!("x"), json!(true), json!([])];
    let values: Vec<_> =
        values.into_iter().chain([json!({}), json!([[]]), json!([{}]), json!({"x": 1})]).collect();
    let told = |value: &Value, key: &str| {
        let Err(error) = read(json!({key: value})) else { return };
        let error = error.to_string();
        for word in ["struct", "u32", "u64", "u8", "enum", "expected a map", "variant of"] {
            assert!(!error.contains(word), "{key} = {value}: {error}");
        }
    };
    for key in OptionSet::KEYS {
        for value in &values {
            told(value, key);
        }
    }
    let error = refused(json!({"rate_limit": 3}));
    assert!(error.contains("integer `3` doesn't fit here; write a table"), "{error}");
    let error = refused(json!({"rate_limit": {"requests": 0}}));
    assert!(error.contains("integer `0` doesn't fit here; write a whole number from 1"), "{error}");
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

const SECRET: &str = "s3cr3t";

fn from_file(written: &Value, variable: &str) -> HostOptions {
    let Value::Object(written) = written.clone() else { panic!("an object") };
    let mut held = serde_json::Map::new();
    held.insert("written".to_owned(), Value::Object(written));
    let mut options: HostOptions = serde_json::from_value(Value::Object(held)).unwrap();
    options.resolve(&|name| (name == "KEY").then(|| variable.to_owned())).unwrap();
    options
}

fn with_key() -> HostOptions {
    from_file(
        &json!({
            "request_headers": {"set": {"x-key": "${KEY}", "x-plain": "$${KEY}"}},
            "allow": ["10.0.0.1/32"],
            "basic_auth": {"realm": "${KEY}", "users": {"ann": HASH}},
        }),
        SECRET,
    )
}

const HASH: &str = "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234";

#[test]
fn a_reference_is_kept_and_shown_as_it_is_written() {
    let options = with_key();
    let set = &options.get().request_headers.set;
    let value = |name: &str| set[&name.parse::<HeaderField>().unwrap()].to_string();
    assert_eq!((value("x-key").as_str(), value("x-plain").as_str()), (SECRET, "$${KEY}"));
    let stored = serde_json::to_string(&options).unwrap();
    for text in [&stored, &format!("{options:?}"), &json!(options.shown()).to_string()] {
        assert!(!text.contains(SECRET), "{text}");
        assert!(text.contains("${KEY}"), "{text}");
    }
    assert!(!json!(options.shown()).to_string().contains(HASH));
    let mut again: HostOptions = serde_json::from_str(&stored).unwrap();
    assert!(again.is_pending() && again == options);
    assert!(again.resolve(&|_| None).unwrap_err().reason.contains("`KEY` is not set"));
    assert!(again.is_pending());
    again.resolve(&|_| Some("other".to_owned())).unwrap();
    assert!(!again.is_pending() && again == options, "it is written the same");
    let refused = from_file_refused(&json!({"allow": ["${KEY}"]}));
    assert!(!refused.contains(SECRET) && refused.contains("does not fit"), "{refused}");
}

fn from_file_refused(written: &Value) -> String {
    let mut options: HostOptions = serde_json::from_value(json!({"written": written})).unwrap();
    let error = options.resolve(&|_| Some(SECRET.to_owned())).unwrap_err();
    format!("{error}")
}

#[test]
fn a_patch_keeps_the_references_that_it_does_not_touch() {
    let options = with_key();
    let patched = |patch: Value| {
        let Value::Object(patch) = patch else { panic!("an object") };
        options.patched(patch)
    };
    let after = patched(json!({"request_headers": {"set": {"X-More": "1"}}})).unwrap();
    assert_eq!(after.shown()["request_headers"]["set"]["x-key"], "${KEY}");
    assert_eq!(after.values()["request_headers"]["set"]["x-key"], SECRET);
    let after = patched(json!({"request_headers": {"set": {"X-KEY": "mine"}}})).unwrap();
    assert_eq!(after.shown()["request_headers"]["set"]["x-key"], "mine");
    assert!(!serde_json::to_string(&after).unwrap().contains("x-key\":\"${KEY}"));
    // All that is shown, given back.
    let after = patched(Value::Object(options.shown())).unwrap();
    assert_eq!(after, options);
    assert_eq!(after.values(), options.values());
    for new in [json!({"maintenance": {"message": "${KEY}"}}), json!({"allow": ["${KEY}"]})] {
        assert!(patched(new).unwrap_err().reason.contains("only the config file"));
    }
    let literal = json!({"maintenance": {"message": "$${KEY} ${ $"}});
    let after = patched(literal).unwrap();
    assert_eq!(after.values()["maintenance"]["message"], "$${KEY} ${ $");
}

#[test]
fn another_programs_variable_is_refused_where_it_is_new() {
    let before = read(json!({"request_headers": {"set": {"x-old": "$remote_addr"}}})).unwrap();
    let patched = |header: &str, text: &str| {
        let patch = json!({"request_headers": {"set": {header: text}}});
        before.patched(patch.as_object().unwrap().clone())
    };
    assert!(patched("x-new", "${client_ip}").is_ok());
    let refused = patched("x-new", "$host").unwrap_err();
    assert_eq!(refused.path, "request_headers.set.x-new");
    assert!(refused.reason.contains("write `${host}`"), "{refused}");
    let refused = patched("x-old", "$scheme").unwrap_err();
    assert!(refused.reason.contains("write `${scheme}`"), "{refused}");
    let unknown = patched("x-new", "${hots}").unwrap_err();
    assert!(unknown.reason.contains("did you mean `${host}`?"), "{unknown}");
}

#[test]
fn a_difference_never_says_what_a_reference_stands_for() {
    let (options, none) = (with_key(), HostOptions::default());
    let mut expanded = options.values();
    expanded.remove("basic_auth");
    // As a version before stored it.
    let old = HostOptions::read(expanded).unwrap();
    for (one, two) in [(&options, &none), (&none, &options), (&old, &options), (&options, &old)] {
        let told = format!("{:?}", one.differences(two));
        assert!(!told.contains(SECRET) && !told.contains(HASH), "{told}");
        assert!(told.contains("request_headers"), "{told}");
    }
}

#[test]
fn an_old_store_gets_the_references_and_keeps_what_commands_did() {
    let file = from_file(&json!({"request_headers": {"set": {"x-key": "${KEY}"}}}), SECRET);
    let expanded = HostOptions::read(file.values()).unwrap();
    let live = expanded.merged(&expanded, &file);
    assert_eq!(live, file, "the reference takes the place of what it stands for");
    let changed = read(json!({"request_headers": {"set": {"x-key": "mine"}}})).unwrap();
    assert_eq!(changed.merged(&expanded, &file), changed);
    assert_eq!(changed.merged(&file, &file), changed);
    let mut pending: HostOptions =
        serde_json::from_value(serde_json::to_value(&file).unwrap()).unwrap();
    assert_eq!(pending.merged(&pending.clone(), &file), file);
    pending.resolve(&|_| Some(SECRET.to_owned())).unwrap();
    let other = from_file(&json!({"request_headers": {"set": {"x-key": "a-${KEY}"}}}), SECRET);
    let merged = pending.merged(&file, &other);
    assert_eq!((&merged, merged.values()), (&other, other.values()));
}

#[test]
fn names_in_maps_are_made_alike_before_they_are_merged() {
    let before = read(json!({"request_headers": {"set": {"x-key": "old"}}})).unwrap();
    let Value::Object(patch) = json!({"request_headers": {"set": {"X-Key": "new"}}}) else {
        panic!()
    };
    let after = before.patched(patch).unwrap();
    assert_eq!(after.values()["request_headers"]["set"], json!({"x-key": "new"}));
    for (map, path) in [
        (json!({"request_headers": {"set": {"X-Key": "1", "x-key": "2"}}}), "request_headers.set"),
        (json!({"response_headers": {"add": {"a-B": "1", "A-b": "2"}}}), "response_headers.add"),
        (json!({"error_pages": {"404": "/a", "+404": "/b"}}), "error_pages"),
    ] {
        let refused = read(map.clone()).expect_err("twice");
        assert_eq!(refused.path, path);
        assert!(refused.reason.contains("are the same name"), "{refused}");
        let Value::Object(map) = map else { panic!() };
        assert_eq!(before.patched(map).expect_err("twice"), refused);
    }
}

#[test]
fn every_map_has_its_way_of_writing_names() {
    let schema = json!(schemars::schema_for!(OptionSet));
    let definitions = schema["$defs"].clone();
    let mut found = Vec::new();
    walk(&schema, &definitions, "", &mut found);
    let mut known = OptionSet::MAPS.iter().map(|(path, _)| (*path).to_owned()).collect::<Vec<_>>();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

/// The paths of the objects whose keys are not fixed.
fn walk(schema: &Value, definitions: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return walk(&definitions[name], definitions, path, found);
    }
    let open = ["additionalProperties", "patternProperties"].map(|key| &schema[key]);
    if open.iter().any(|open| open.is_object()) {
        found.push(path.to_owned());
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        for schema in schema[choice].as_array().into_iter().flatten() {
            walk(schema, definitions, path, found);
        }
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        walk(schema, definitions, &path, found);
    }
    if schema["items"].is_object() {
        walk(&schema["items"], definitions, &format!("{path}[]"), found);
    }
}

#[test]
fn a_patch_takes_away_what_is_there_and_nothing_else() {
    let patch = |options: &HostOptions, patch: Value| {
        let Value::Object(patch) = patch else { panic!("an object") };
        options.patched(patch)
    };
    let none = HostOptions::default();
    for value in [
        json!({"maintenance": {"message": null}}),
        json!({"pause": {"max_waiting": null}}),
        json!({"request_headers": {"set": {"x-a": null}}}),
        json!({"maintenance": null}),
    ] {
        let patched = patch(&none, value.clone()).unwrap();
        assert!(patched.is_empty(), "{value} switches nothing on");
    }
    assert!(!patch(&none, json!({"maintenance": {}})).unwrap().is_empty());
    let on = read(json!({"maintenance": {"message": "soon"}})).unwrap();
    let silent = patch(&on, json!({"maintenance": {"message": null}})).unwrap();
    assert_eq!(Value::Object(silent.values()), json!({"maintenance": {}}));
    let error = patch(&on, json!({"maintenence": null})).expect_err("a name that there is not");
    assert!(error.to_string().contains("maintenence"), "{error}");
}

#[test]
fn networks_of_ipv4_are_the_same_however_they_are_written() {
    for (mapped, plain) in [
        ("::ffff:10.0.0.7", "10.0.0.7/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("fd00::/8", "fd00::/8"),
        ("::/0", "::/0"),
    ] {
        let network: Network = mapped.parse().unwrap();
        assert_eq!(network.to_string(), plain);
    }
}
