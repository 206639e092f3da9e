//! How many of many are taken.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// The share of a whole that is taken, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct SampleRate(f64);

/// It is a number.
impl Eq for SampleRate {}

impl SampleRate {
    /// How a share is written, for messages.
    pub const FORM: &'static str = "write a share from 0 to 1, without quotes, such as 0.1";

    /// The share.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for SampleRate {
    type Error = &'static str;

    fn try_from(share: f64) -> Result<Self, Self::Error> {
        // Not -0: it is written in another way than 0.
        (0.0..=1.0).contains(&share).then_some(Self(share.abs())).ok_or(Self::FORM)
    }
}

impl<'de> Deserialize<'de> for SampleRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for SampleRate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SampleRate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        for (value, share) in
            [(json!(0), 0.0), (json!(1), 1.0), (json!(0.1), 0.1), (json!(-0.0), 0.0)]
        {
            let read: SampleRate = serde_json::from_value(value.clone()).expect("a share");
            assert_eq!(read.get().to_bits(), f64::to_bits(share), "{value}");
        }
        for value in [json!(1.1), json!(-0.1), json!("0.1"), json!(null)] {
            assert!(serde_json::from_value::<SampleRate>(value.clone()).is_err(), "{value}");
        }
        assert!(SampleRate::try_from(f64::NAN).is_err());
    }
}
