//! What the body of a healthy answer must hold.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{ParseError, is_obeyed};

/// How much of a body is looked at: one that goes on is none the better for it.
pub const MAX_BODY_LOOKED_AT: usize = 64 * 1024;

/// The longest text or pattern.
const MAX_BYTES: usize = 512;

/// The memory that a compiled pattern may take, and what matching it may remember: time grows with both.
const MAX_COMPILED_BYTES: usize = 256 * 1024;

/// What the body of a healthy answer must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedBody {
    /// This text, anywhere.
    Text(Arc<str>),
    /// Something that this regular expression matches.
    Regex(Arc<str>),
}

/// Compiles a pattern, within bounds of memory and so of time.
///
/// # Errors
/// When it is no regular expression, or too large a one.
pub fn compile(pattern: &str) -> Result<Regex, ParseError> {
    let compiled = RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .build();
    compiled.map_err(|error| {
        let reason = match error {
            regex::Error::CompiledTooBig(_) => {
                "it takes too much memory; write a simpler one, with smaller repetitions".to_owned()
            }
            // The pattern with marks stands above the reason.
            error => match error.to_string().rsplit_once("error: ") {
                Some((_, reason)) => {
                    format!("{reason}; write a regular expression of Rust's `regex` crate")
                }
                None => "write a regular expression of Rust's `regex` crate".to_owned(),
            },
        };
        ParseError::new("regular expression", pattern, reason)
    })
}

impl ExpectedBody {
    fn text(text: &str) -> Result<Self, ParseError> {
        check_text("text of a body", text)?;
        Ok(Self::Text(text.into()))
    }

    fn regex(pattern: &str) -> Result<Self, ParseError> {
        check_text("regular expression", pattern)?;
        compile(pattern)?;
        Ok(Self::Regex(pattern.into()))
    }
}

fn check_text(what: &'static str, text: &str) -> Result<(), ParseError> {
    let fail = |reason: String| Err(ParseError::new(what, text, reason));
    if text.is_empty() {
        return fail("it is empty, which any body has; write what must be there".to_owned());
    }
    if text.len() > MAX_BYTES {
        return fail(format!("it has more than {MAX_BYTES} bytes; write a part that tells enough"));
    }
    Ok(())
}

impl fmt::Display for ExpectedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, text) = match self {
            Self::Text(text) => ("", text),
            Self::Regex(pattern) => ("regex ", pattern),
        };
        let mut shown: String = text.chars().take(80).collect();
        shown.retain(|c| !is_obeyed(c));
        let cut = if text.chars().nth(80).is_some() { "…" } else { "" };
        write!(f, "{before}`{shown}{cut}`")
    }
}

impl Serialize for ExpectedBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Regex(pattern) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("regex", &**pattern)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for ExpectedBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Given;

        impl<'de> Visitor<'de> for Given {
            type Value = ExpectedBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes, or `{ regex = \"…\" }`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ExpectedBody, E> {
                ExpectedBody::text(text).map_err(E::custom)
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<ExpectedBody, M::Error> {
                let mut pattern = None;
                while let Some(key) = map.next_key::<Cow<'_, str>>()? {
                    if key != "regex" {
                        return Err(de::Error::unknown_field(&key, &["regex"]));
                    }
                    pattern = Some(map.next_value::<Cow<'_, str>>()?);
                }
                let pattern = pattern.ok_or_else(|| de::Error::missing_field("regex"))?;
                ExpectedBody::regex(&pattern).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(Given)
    }
}

impl JsonSchema for ExpectedBody {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ExpectedBody".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "minLength": 1, "maxLength": MAX_BYTES },
                {
                    "type": "object",
                    "properties": {
                        "regex": {
                            "type": "string",
                            "description": "A regular expression of Rust's `regex` crate that matches somewhere \
                                in the body.",
                            "minLength": 1,
                            "maxLength": MAX_BYTES,
                        },
                    },
                    "required": ["regex"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<ExpectedBody, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_body_is_expected_by_a_text_or_by_a_pattern() {
        for (value, shown) in [
            (json!("ok"), "`ok`"),
            (json!("/not a pattern/"), "`/not a pattern/`"),
            (json!({"regex": r#""status":\s*"(ok|up)""#}), r#"regex `"status":\s*"(ok|up)"`"#),
        ] {
            let body = read(value.clone()).expect("it is one");
            assert_eq!(serde_json::to_value(&body).unwrap(), value);
            assert_eq!(body.to_string(), shown);
        }
        let long = read(json!(format!("\u{1b}[2J{}", "x".repeat(100)))).unwrap().to_string();
        assert_eq!(long.chars().count(), 82, "{long}");
    }

    #[test]
    fn what_is_no_text_and_no_pattern_is_refused_with_what_would_be_right() {
        for (value, said) in [
            (json!(""), "it is empty"),
            (json!("x".repeat(513)), "more than 512 bytes"),
            (json!(7), "a text in quotes, or `{ regex"),
            (json!({}), "missing field `regex`"),
            (json!({"regexp": "a"}), "unknown field `regexp`"),
            (json!({"regex": "("}), "is not a valid regular expression: unclosed group"),
            (json!({"regex": ""}), "it is empty"),
            (json!({"regex": "a".repeat(513)}), "more than 512 bytes"),
            (json!({"regex": r"(\w{1000}){1000}"}), "too much memory"),
        ] {
            let error = read(value.clone()).expect_err(&value.to_string());
            assert!(error.contains(said) && !error.contains('\n'), "{value}: {error}");
        }
    }
}
