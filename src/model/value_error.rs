//! Why a value is not what it should be, in words without Rust's types.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::on_one_line;

/// Why a value can't be read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueError {
    /// The place in the value, such as `domains[0]`; `.` is the whole.
    pub path: String,
    /// What is wrong there, and what would be right.
    pub reason: String,
}

/// Reads a value as what it should be.
///
/// # Errors
/// When it is something else.
pub fn read_value<T: DeserializeOwned>(value: Value) -> Result<T, ValueError> {
    serde_path_to_error::deserialize(value).map_err(|error| ValueError {
        path: on_one_line(&error.path().to_string()),
        reason: on_one_line(&in_words(&error.into_inner().to_string())),
    })
}

impl std::error::Error for ValueError {}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, reason } = self;
        // It has the name in it, so the place is the struct.
        let is_unknown = reason.starts_with("unknown field");
        let path =
            if is_unknown { path.rsplit_once('.').map_or(".", |(path, _)| path) } else { path };
        if matches!(path, "." | "") { f.write_str(reason) } else { write!(f, "`{path}`: {reason}") }
    }
}

/// What serde says of a value of the wrong kind, without the names of Rust's types.
fn in_words(reason: &str) -> String {
    if reason.contains("did not match any variant of") {
        return "the value is of the wrong kind".to_owned();
    }
    let Some((found, expected)) =
        reason.rsplit_once(", expected ").filter(|_| reason.starts_with("invalid "))
    else {
        return reason.to_owned();
    };
    let kind = expected.split(' ').next().unwrap_or_default();
    let right = match expected {
        "a map" => "a table, such as `{ key = value }`",
        "a sequence" => "a list, such as `[\"one\", \"two\"]`",
        "a boolean" => "`true` or `false`",
        "a string" => "a text",
        _ if kind == "struct" => "a table, such as `{ key = value }`",
        _ if expected.contains("nonzero") => "a whole number from 1 on",
        _ if matches!(kind, "u8" | "u16" | "u32" | "u64" | "usize") => "a whole number from 0 on",
        _ if matches!(kind, "i8" | "i16" | "i32" | "i64" | "isize") => "a whole number",
        _ if matches!(kind, "f32" | "f64") => "a number",
        other => other,
    };
    let found = match found {
        "invalid type: map" => "a table",
        "invalid type: sequence" => "a list",
        found => found.split_once(": ").map_or(found, |(_, value)| value),
    };
    format!("{found} doesn't fit here; write {right}")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_said_without_types() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "they are read to be refused")]
        struct Params {
            timeout_ms: Option<u64>,
            names: Vec<String>,
            inner: Option<Box<Params>>,
        }

        for (value, words) in [
            (
                json!({"names": [], "timeout_ms": "x"}),
                "`timeout_ms`: string \"x\" doesn't fit here; write a whole number from 0 on",
            ),
            (json!({"names": [1]}), "`names[0]`: integer `1` doesn't fit here; write a text"),
            (json!({}), "missing field `names`"),
            (json!({"names": [], "name": 1}), "unknown field `name`, expected one of"),
            (
                json!({"names": [], "inner": {"names": [], "name": 1}}),
                "`inner`: unknown field `name`, expected one of",
            ),
        ] {
            let error = read_value::<Params>(value).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
