//! A backend's share of traffic.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ParseError;

/// A backend's share of its pool's traffic, relative to the others': 1 to 1000.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "u64", into = "u64")]
#[schemars(extend("minimum" = 1, "maximum" = 1000))]
pub struct Weight(u16);

impl Weight {
    /// The weight as a number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u64> for Weight {
    type Error = ParseError;

    fn try_from(number: u64) -> Result<Self, ParseError> {
        u16::try_from(number).ok().filter(|n| (1..=1000).contains(n)).map(Self).ok_or_else(|| {
            ParseError::new(
                "weight",
                &number.to_string(),
                "use 1 to 1000; to send no traffic, disable the backend",
            )
        })
    }
}

impl From<Weight> for u64 {
    fn from(weight: Weight) -> Self {
        weight.0.into()
    }
}

impl FromStr for Weight {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let number: u64 =
            text.parse().map_err(|_| ParseError::new("weight", text, "use 1 to 1000"))?;
        number.try_into()
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
