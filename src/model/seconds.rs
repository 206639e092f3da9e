//! Times of options, in seconds as people write them.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::ParseError;

/// A time of at most a day, in seconds, whole or with decimals. A longer one is a mistyped unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Number", into = "serde_json::Number")]
pub struct Seconds(Duration);

const MIN_SECS: f64 = 0.001;
const MAX_SECS: f64 = 86_400.0;

impl Seconds {
    /// The time.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<serde_json::Number> for Seconds {
    type Error = ParseError;

    fn try_from(number: serde_json::Number) -> Result<Self, ParseError> {
        let seconds = number.as_f64().filter(|secs| (MIN_SECS..=MAX_SECS).contains(secs));
        seconds.map(|secs| Self(Duration::from_secs_f64(secs))).ok_or_else(|| {
            let reason = "use 0.001 to 86400 seconds (a day)";
            ParseError::new("time", &number.to_string(), reason)
        })
    }
}

impl From<Seconds> for serde_json::Number {
    fn from(Seconds(time): Seconds) -> Self {
        match time.subsec_nanos() {
            0 => time.as_secs().into(),
            _ => Self::from_f64(time.as_secs_f64()).unwrap_or_else(|| time.as_secs().into()),
        }
    }
}

impl JsonSchema for Seconds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": MIN_SECS, "maximum": 86_400 })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_comes_back_as_it_was_written() {
        for value in [json!(1), json!(0.25), json!(86_400)] {
            let time: Seconds = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(json!(time), value);
        }
        for value in [json!(0), json!(-1), json!(86_401)] {
            let error = serde_json::from_value::<Seconds>(value).unwrap_err().to_string();
            assert!(error.contains("use 0.001 to 86400 seconds"), "{error}");
        }
        assert!(serde_json::from_value::<Seconds>(json!("1")).is_err());
    }
}
