//! How figures of traffic are asked for.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ParseError;

/// The time that figures cover: the last seconds, or the time since the start. In JSON, the number of seconds
/// or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatsWindow {
    /// The last ten seconds.
    TenSecs,
    /// The last minute.
    #[default]
    Minute,
    /// Since the server started.
    Start,
}

impl StatsWindow {
    /// Its length; nothing where it goes back to the start.
    pub fn secs(self) -> Option<u64> {
        match self {
            Self::TenSecs => Some(10),
            Self::Minute => Some(60),
            Self::Start => None,
        }
    }

    fn of(secs: Option<u64>) -> Option<Self> {
        [Self::TenSecs, Self::Minute, Self::Start].into_iter().find(|window| window.secs() == secs)
    }
}

impl FromStr for StatsWindow {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "10s" | "10" => Ok(Self::TenSecs),
            "60s" | "60" => Ok(Self::Minute),
            "start" => Ok(Self::Start),
            _ => Err(ParseError::new("window", text, "write `10s`, `60s` or `start`")),
        }
    }
}

impl fmt::Display for StatsWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TenSecs => "10s",
            Self::Minute => "60s",
            Self::Start => "start",
        })
    }
}

impl Serialize for StatsWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.secs().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StatsWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secs = Option::deserialize(deserializer)?;
        Self::of(secs).ok_or_else(|| D::Error::custom("a window is 10, 60 or null"))
    }
}

impl JsonSchema for StatsWindow {
    fn schema_name() -> Cow<'static, str> {
        "StatsWindow".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The time that figures are of, in seconds; null for all since the start.",
            "enum": [10, 60, null],
        })
    }
}

/// The order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatsSort {
    /// The highest rate of requests first.
    #[default]
    Rate,
    /// The most errors first.
    Errors,
    /// The highest p99 of durations first.
    P99,
    /// The most requests in flight first.
    InFlight,
    /// By name.
    Name,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_one_of_three() {
        for (text, json) in [("10s", "10"), ("60s", "60"), ("start", "null")] {
            let window: StatsWindow = text.parse().unwrap();
            assert_eq!(window.to_string(), text);
            assert_eq!(serde_json::to_string(&window).unwrap(), json);
            assert_eq!(serde_json::from_str::<StatsWindow>(json).unwrap(), window);
        }
        assert!("5m".parse::<StatsWindow>().is_err());
        let error = serde_json::from_str::<StatsWindow>("30").unwrap_err();
        assert!(error.to_string().contains("10, 60 or null"), "{error}");
    }
}
