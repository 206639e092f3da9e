//! Options of a domain as arguments: `--option KEY=VALUE`.

use serde_json::{Map, Value};

use crate::model::OptionSet;

/// A key with its new value.
pub(super) type Given = (String, Value);

/// Options to set, and keys of options to remove, as a JSON merge patch (RFC 7396).
///
/// # Errors
/// When one is given twice, or both set and removed.
pub(super) fn patch(given: Vec<Given>, taken: Vec<String>) -> Result<Map<String, Value>, String> {
    check_taken(&taken, |key| given.iter().any(|(given, _)| given == key))?;
    let mut patch: Map<String, Value> = taken.into_iter().map(|key| (key, Value::Null)).collect();
    for (key, value) in given {
        join(&mut patch, key.clone(), value, &key)?;
    }
    Ok(patch)
}

/// Checks that a removed key is given once, and not set as well.
///
/// # Errors
/// When it is.
pub(super) fn check_taken(taken: &[String], is_given: impl Fn(&str) -> bool) -> Result<(), String> {
    for (number, key) in taken.iter().enumerate() {
        if is_given(key) {
            return Err(format!(
                "`{key}` is given, and `--no-option {key}` takes it away; keep one"
            ));
        }
        if taken[..number].contains(key) {
            return Err(format!("`--no-option {key}` is there twice; keep one"));
        }
    }
    Ok(())
}

/// `a.b.c=1` and `a.b.d=2` both apply, `a.b=1` and `a.b=2` contradict each other.
fn join(
    into: &mut Map<String, Value>,
    key: String,
    value: Value,
    path: &str,
) -> Result<(), String> {
    match (into.get_mut(&key), value) {
        (Some(Value::Object(there)), Value::Object(more)) => {
            for (key, value) in more {
                let path = format!("{path}.{key}");
                join(there, key, value, &path)?;
            }
        }
        (None, value) => _ = into.insert(key, value),
        (Some(_), _) => return Err(format!("the option `{path}` is given twice; give it once")),
    }
    Ok(())
}

/// Reads `KEY=VALUE` as a line of TOML; a value that is not TOML is a string. A key with dots is a
/// path into tables.
pub(super) fn parse(text: &str) -> Result<Given, String> {
    let (path, value) =
        text.split_once('=').ok_or("write KEY=VALUE, such as `max_body_bytes=1000000`")?;
    let (path, value) = (path.trim(), value.trim());
    let mut keys = path.split('.');
    let first = keys.next().unwrap_or_default();
    if !OptionSet::KEYS.contains(&first) {
        return Err(format!("`{first}` is no option; they are {}", OptionSet::KEYS.join(", ")));
    }
    let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .and_then(|value| serde_json::to_value(value).ok())
        .unwrap_or_else(|| value.into());
    let inner = keys
        .rev()
        .fold(value, |value, key| Value::Object(Map::from_iter([(key.to_owned(), value)])));
    Ok((first.to_owned(), inner))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_as_the_file_has_them() {
        for (text, key, value) in [
            ("max_body_bytes=5", "max_body_bytes", json!(5)),
            ("canonical_host=example.com", "canonical_host", json!("example.com")),
            ("compression = [\"gzip\"]", "compression", json!(["gzip"])),
            (
                "maintenance.message=back at 5=17h",
                "maintenance",
                json!({"message": "back at 5=17h"}),
            ),
            ("paths=[{prefix=\"/a\",tag=\"b\"}]", "paths", json!([{"prefix": "/a", "tag": "b"}])),
        ] {
            assert_eq!(parse(text), Ok((key.to_owned(), value)), "{text}");
        }
        assert!(parse("colour=1").unwrap_err().contains("max_body_bytes"));
        assert!(parse("maintenance").unwrap_err().contains("KEY=VALUE"));
    }

    #[test]
    fn keys_of_one_table_join() {
        let given =
            ["rate_limit.requests=5", "rate_limit.burst=9"].map(|text| parse(text).unwrap());
        let patch = patch(given.to_vec(), vec!["allow".into()]).unwrap();
        let expected = json!({"allow": null, "rate_limit": {"requests": 5, "burst": 9}});
        assert_eq!(Value::Object(patch), expected);
    }

    #[test]
    fn headers_of_one_map_join_and_one_that_is_given_twice_is_refused() {
        let patch = |texts: &[&str]| {
            patch(texts.iter().map(|text| parse(text).unwrap()).collect(), Vec::new())
        };
        let [one, other] = ["request_headers.set.X-A=1", "request_headers.set.X-B=\"2\""];
        let joined = patch(&[one, other, "request_headers.add={X-C=\"3\"}"]).unwrap();
        let expected = json!({"request_headers": {
            "set": {"X-A": 1, "X-B": "2"}, "add": {"X-C": "3"}
        }});
        assert_eq!(Value::Object(joined), expected);
        let error = patch(&[one, other, one]).unwrap_err();
        assert!(error.contains("`request_headers.set.X-A` is given twice"), "{error}");
        assert!(patch(&["max_body_bytes=1", "max_body_bytes=2"]).is_err());
    }

    #[test]
    fn what_is_taken_away_is_not_given_and_is_named_once() {
        let given = |texts: &[&str]| texts.iter().map(|text| parse(text).unwrap()).collect();
        for text in ["maintenance.message=soon", "maintenance={}"] {
            let error = patch(given(&[text]), vec!["maintenance".into()]).unwrap_err();
            assert!(error.contains("`--no-option maintenance` takes it away"), "{error}");
        }
        let error = patch(Vec::new(), vec!["deny".into(), "deny".into()]).unwrap_err();
        assert!(error.contains("twice"), "{error}");
        let both = patch(given(&["max_body_bytes=1"]), vec!["deny".into()]).unwrap();
        assert_eq!(Value::Object(both), json!({"max_body_bytes": 1, "deny": null}));
    }
}
