//! How many times as much.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ParseError;

/// How many times as much, to the hundredth: from 1.01 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u16);

impl Ratio {
    /// One and a half times.
    pub const ONE_AND_A_HALF: Self = Self(150);

    /// As a number.
    pub fn get(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.get().to_string())
    }
}

impl FromStr for Ratio {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || {
            let reason =
                "write a number above 1 and up to 100, with at most two decimals, such as `1.5`";
            ParseError::new("ratio", text, reason)
        };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let is_number = !whole.is_empty()
            && [whole, decimals].concat().bytes().all(|c| c.is_ascii_digit())
            && decimals.len() <= 2
            && !text.ends_with('.');
        let hundredths = || format!("{whole}{decimals:0<2}").parse::<u16>().ok();
        let hundredths = is_number.then(hundredths).flatten();
        hundredths.filter(|number| (101..=10_000).contains(number)).map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer)?.to_string().parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Ratio {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Ratio".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "exclusiveMinimum": 1, "maximum": 100 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_above_one() {
        for (text, shown) in
            [("1.5", "1.5"), ("2", "2"), ("1.01", "1.01"), ("100", "100"), ("3.10", "3.1")]
        {
            let ratio: Ratio = text.parse().unwrap();
            assert_eq!(ratio.to_string(), shown);
            let json = serde_json::to_string(&ratio).unwrap();
            assert_eq!(serde_json::from_str::<Ratio>(&json).unwrap(), ratio);
        }
        for wrong in ["", "1", "0.5", "-2", "100.01", "1.555", "x", "1.", ".5", "1e3"] {
            assert!(wrong.parse::<Ratio>().is_err(), "{wrong}");
        }
    }
}
