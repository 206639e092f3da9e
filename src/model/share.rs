//! Shares of a domain's traffic.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ParseError;

/// A share of a domain's traffic, to the millionth. As text and in JSON it is in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

/// The parts of one per cent.
const PER_CENT: u32 = 10_000;

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(100 * PER_CENT);

    /// That many millionths; what is more than all is all.
    pub fn of_parts(parts: u32) -> Self {
        Self(parts.min(Self::ALL.0))
    }

    /// How many millionths.
    pub fn parts(self) -> u32 {
        self.0
    }

    /// What it leaves of all.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(Self::ALL.0 - self.0)
    }

    /// In percent.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / f64::from(PER_CENT)
    }

    /// As a number from 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ALL.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}%", self.percent()))
    }
}

impl FromStr for Share {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = |reason: &str| ParseError::new("share", text, reason);
        let number = text.strip_suffix('%').unwrap_or(text).trim_end();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let is_number =
            !whole.is_empty() && [whole, decimals].concat().bytes().all(|c| c.is_ascii_digit());
        if !is_number || number.ends_with('.') {
            return Err(wrong("write a number of per cent from 0 to 100, such as `10%` or `0.5%`"));
        }
        if decimals.len() > 4 {
            return Err(wrong("a share has at most four decimals"));
        }
        let decimals: u32 = format!("{decimals:0<4}").parse().unwrap_or_default();
        let parts = whole
            .parse::<u32>()
            .ok()
            .and_then(|whole| whole.checked_mul(PER_CENT)?.checked_add(decimals));
        match parts {
            Some(parts) if parts <= Self::ALL.0 => Ok(Self(parts)),
            _ => Err(wrong("a share is at most 100%")),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(PER_CENT) {
            return (self.0 / PER_CENT).serialize(serializer);
        }
        self.percent().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        // The shortest text of a number is the one that was written.
        percent.to_string().parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Share {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A share of traffic, in percent, with at most four decimals.",
            "type": "number", "minimum": 0, "maximum": 100
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_share_is_in_percent() {
        for (text, parts, shown, value) in [
            ("10", 100_000, "10%", json!(10)),
            ("0.5%", 5_000, "0.5%", json!(0.5)),
            ("0.0001", 1, "0.0001%", json!(0.0001)),
            ("100%", 1_000_000, "100%", json!(100)),
            ("0", 0, "0%", json!(0)),
            ("33.3333", 333_333, "33.3333%", json!(33.3333)),
        ] {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.parts(), share.to_string().as_str()), (parts, shown), "{text}");
            assert_eq!(json!(share), value);
            assert_eq!(serde_json::from_value::<Share>(value).unwrap(), share);
        }
        for wrong in
            ["", "%", "-1", "101", "100.0001", "1.", ".5", "1e1", "0.00001", "ten", "99999999999"]
        {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(parts in 0_u32..=1_000_000) {
            let share = Share::of_parts(parts);
            proptest::prop_assert_eq!(share.to_string().parse::<Share>().unwrap(), share);
            let text = serde_json::to_string(&share).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Share>(&text).unwrap(), share);
        }
    }
}
