//! Sizes as people write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use super::ParseError;

/// A number of bytes. It is read from a number, or from a text such as `10MB`, and written as a number.
///
/// A unit is a power of 1024, whether it is written `M`, `MB` or `MiB`: limits are about memory, and nginx
/// and Apache mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Size(u64);

/// What a text looks like that is a size, or refers to one in the environment.
const PATTERN: &str = r"^([0-9]+ *([KMGTkmgt][Ii]?)?[Bb]?|.*\$\{[A-Za-z_][A-Za-z0-9_]*\}.*)$";

/// The largest: more is no number of TOML, and could not be exported.
const MOST: u64 = i64::MAX as u64;

impl Size {
    /// How a size is written, for messages.
    pub const FORM: &'static str = "use a size such as 10MB or 10485760";

    /// This many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size as people write it, such as `10MB`: in the largest unit of which it is a whole number.
    pub fn in_words(self) -> String {
        const UNITS: [(u32, &str); 4] = [(40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")];
        let bytes = self.0;
        let unit =
            UNITS.into_iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift));
        match unit {
            Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
            None if bytes == 1 => "1 byte".to_owned(),
            None => format!("{bytes} bytes"),
        }
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        bytes(text).map(Self).ok_or_else(|| ParseError::new("size", text, Self::FORM))
    }
}

fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim_start_matches(' ').to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "ki" | "kib" => 1 << 10,
        "m" | "mb" | "mi" | "mib" => 1 << 20,
        "g" | "gb" | "gi" | "gib" => 1 << 30,
        "t" | "tb" | "ti" | "tib" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes <= MOST)
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let size = match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_u64().filter(|bytes| *bytes <= MOST).map(Self),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        size.ok_or_else(|| D::Error::custom(Self::FORM))
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": PATTERN, "examples": ["10MB"] },
        ] })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_unit_is_a_power_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("10485760", 10_485_760),
            ("10MB", 10_485_760),
            ("10m", 10_485_760),
            ("64KiB", 65_536),
            ("64 kb", 65_536),
            ("7B", 7),
            ("2G", 2_147_483_648),
            ("1TiB", 1_099_511_627_776),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
            assert_eq!(serde_json::from_value::<Size>(json!(text)).ok(), Some(Size(bytes)));
        }
        assert_eq!(serde_json::from_value::<Size>(json!(5)).ok(), Some(Size(5)));
        assert_eq!(serde_json::to_value(Size(5)).ok(), Some(json!(5)));
        for text in
            ["", "MB", "-1", "1.5G", "10 MBit", "10MBs", "99999999999999999999", "17179869184G"]
        {
            let error = text.parse::<Size>().expect_err(text);
            assert_eq!(error.reason, "use a size such as 10MB or 10485760");
        }
        for (bytes, words) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1000, "1000 bytes"),
            (1024, "1KB"),
            (1 << 20, "1MB"),
            (10 << 20, "10MB"),
            (1_572_864, "1536KB"),
            (3 << 40, "3TB"),
        ] {
            assert_eq!(Size(bytes).in_words(), words);
            if bytes >= 1024 {
                assert_eq!(words.parse(), Ok(Size(bytes)), "it can be written so");
            }
        }
        for value in [json!(-1), json!(1.5), json!(true), json!([])] {
            let error = serde_json::from_value::<Size>(value).expect_err("no size");
            assert_eq!(error.to_string(), Size::FORM);
        }
    }
}
