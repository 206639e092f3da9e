//! How figures of traffic are asked for.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ParseError, worded};

worded! {
    /// The time that figures cover: the last seconds, or the time since the start. In JSON, the number of seconds
    /// or null.
    #[derive(Default)]
    pub enum StatsWindow {
        /// The last ten seconds.
        TenSecs "10s",
        /// The last minute.
        #[default]
        Minute "60s",
        /// Since the server started.
        Start "start",
    }
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
}

impl FromStr for StatsWindow {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let is_meant =
            |one: &Self| one.as_str() == text || one.as_str().strip_suffix('s') == Some(text);
        let found = Self::ALL.into_iter().find(is_meant);
        found.ok_or_else(|| ParseError::new("window", text, "write `10s`, `60s` or `start`"))
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
        let found = Self::ALL.into_iter().find(|window| window.secs() == secs);
        found.ok_or_else(|| D::Error::custom("a window is 10, 60 or null"))
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

worded! {
    /// The order of rows.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum StatsSort {
        /// The highest rate of requests first.
        #[default]
        Rate "rate",
        /// The most errors first.
        Errors "errors",
        /// The highest p99 of durations first.
        P99 "p99",
        /// The most requests in flight first.
        InFlight "in_flight",
        /// By name.
        Name "name",
    }
}
