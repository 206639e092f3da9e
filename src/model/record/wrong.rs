//! What serde has against options, in the words of the file instead of Rust's.

use serde_json::Value;

use super::schema;
use super::{OptionError, Record};
use crate::model::on_one_line;

/// What serde has against a value.
pub(super) fn explained<R: Record>(
    error: &serde_path_to_error::Error<serde_json::Error>,
) -> OptionError {
    let path = on_one_line(&error.path().to_string());
    let said = error.inner().to_string();
    let (reason, remedy) = in_words(&said, schema::at(R::schema(), &path));
    OptionError {
        path,
        reason: on_one_line(&reason),
        remedy: remedy.map(|remedy| on_one_line(&remedy)),
    }
}

/// Checks that no list stands where there should be a table, whose members serde would take its elements
/// for, and no table where there should be a word.
pub(super) fn check_shape(value: &Value, schema: &Value, path: &str) -> Result<(), OptionError> {
    let inner = |key: &str, value: &Value, path: String| {
        schema::member(schema, key).map_or(Ok(()), |schema| check_shape(value, schema, &path))
    };
    match value {
        Value::Array(elements) if schema::takes(schema, "array") => {
            let mut elements = elements.iter().enumerate();
            elements.try_for_each(|(at, one)| inner("]", one, format!("{path}[{at}]")))
        }
        Value::Array(_) if schema::takes(schema, "object") => {
            let reason = "a list doesn't fit here; write a table, such as `{ key = value }`";
            Err(OptionError::new(path, reason))
        }
        Value::Object(members) => match schema::choices(schema) {
            Some(choices) => {
                let reason = format!("a table doesn't fit here; {choices}");
                Err(OptionError::new(path, reason))
            }
            None => members.iter().try_for_each(|(key, one)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                inner(key, one, path)
            }),
        },
        _ => Ok(()),
    }
}

/// What serde says of a value, without the names of Rust's types: what is wrong, and what alone would be
/// right. The schema of the value, where there is one, names choices and bounds.
pub(in crate::model) fn in_words(said: &str, schema: Option<&Value>) -> (String, Option<String>) {
    if said.contains("did not match any variant of") {
        return ("the value is of the wrong kind".to_owned(), None);
    }
    // A value that could not be parsed says what it was.
    if let Some((_, right)) =
        said.split_once("` is not a valid ").and_then(|(_, s)| s.split_once(": "))
    {
        return (said.to_owned(), Some(right.to_owned()));
    }
    let choices = schema.and_then(schema::choices);
    if let Some(rest) = said.strip_prefix("unknown variant ") {
        let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
        let right =
            choices.unwrap_or_else(|| format!("choose {}", expected.trim_start_matches("one of ")));
        return (format!("{found} doesn't fit here; {right}"), Some(right));
    }
    let Some((found, expected)) =
        said.rsplit_once(", expected ").filter(|_| said.starts_with("invalid "))
    else {
        return (said.to_owned(), None);
    };
    let kind = expected.split(' ').next().unwrap_or_default();
    let bounds = schema.and_then(schema::bounds).map(|(from, to)| format!("from {from} to {to}"));
    let whole = |least: &str| {
        let range = bounds.clone().unwrap_or_else(|| least.to_owned());
        format!("write a whole number {range}, without quotes")
    };
    let right = match expected {
        _ if choices.is_some() => choices.unwrap_or_default(),
        "a map" => "write a table, such as `{ key = value }`".to_owned(),
        "a sequence" => "write a list, such as `[\"one\", \"two\"]`".to_owned(),
        "a boolean" => "write `true` or `false`, without quotes".to_owned(),
        "a string" | "path string" => "write a text in quotes".to_owned(),
        _ if kind == "struct" => "write a table, such as `{ key = value }`".to_owned(),
        _ if expected.contains("nonzero") => whole("from 1 on"),
        _ if matches!(kind, "u8" | "u16" | "u32" | "u64" | "usize") => whole("from 0 on"),
        _ if matches!(kind, "i8" | "i16" | "i32" | "i64" | "isize") => {
            "write a whole number".to_owned()
        }
        "a JSON number" | "f32" | "f64" => "write a number, without quotes".to_owned(),
        other => format!("write {other}"),
    };
    let found = match found {
        "invalid type: map" => "a table",
        "invalid type: sequence" => "a list",
        found => found.split_once(": ").map_or(found, |(_, value)| value),
    };
    (format!("{found} doesn't fit here; {right}"), Some(right))
}
