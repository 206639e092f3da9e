//! Options of a domain as arguments: `--option KEY=VALUE`.

use serde_json::{Map, Value};

use crate::model::OptionSet;

/// A key with what it is to be.
pub(super) type Given = (String, Value);

/// Options that are given, and keys of those that are taken away, as a JSON merge patch (RFC 7396).
pub(super) fn patch(given: Vec<Given>, taken: Vec<String>) -> Map<String, Value> {
    let mut patch: Map<String, Value> = taken.into_iter().map(|key| (key, Value::Null)).collect();
    for (key, value) in given {
        // `a.b=1` and `a.c=2` are both meant.
        match (patch.get_mut(&key), value) {
            (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
            (_, value) => _ = patch.insert(key, value),
        }
    }
    patch
}

/// Reads `KEY=VALUE` as a line of TOML; a value that is none is a text. A key with dots is a way into
/// tables.
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
        let patch = patch(given.to_vec(), vec!["allow".into()]);
        let expected = json!({"allow": null, "rate_limit": {"requests": 5, "burst": 9}});
        assert_eq!(Value::Object(patch), expected);
    }
}
