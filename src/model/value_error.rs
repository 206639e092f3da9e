//! Why a value is not what it should be, in words without Rust's types.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::on_one_line;
use super::record::in_words;

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
        reason: on_one_line(&in_words(&error.into_inner().to_string(), None).0),
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
