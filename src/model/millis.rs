//! Durations that were measured, as results have them.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration to the microsecond. In JSON it is a number of milliseconds, with decimals where it needs some.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(Duration);

impl Millis {
    /// The duration.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        let micros = Duration::from_micros(u64::from(duration.subsec_micros()));
        Self(Duration::from_secs(duration.as_secs()) + micros)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_micros().is_multiple_of(1000) {
            return self.0.as_millis().serialize(serializer);
        }
        let millis = self.0.as_secs_f64() * 1000.0;
        ((millis * 1000.0).round() / 1000.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let millis = f64::deserialize(deserializer)?;
        let read = Duration::try_from_secs_f64(millis / 1000.0).map_err(D::Error::custom)?;
        // What was written to the microsecond is read so.
        Ok((read + Duration::from_nanos(500)).into())
    }
}

impl JsonSchema for Millis {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Millis".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0 })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_duration_is_a_number_of_milliseconds() {
        for (micros, written) in [
            (0, json!(0)),
            (412, json!(0.412)),
            (1_000, json!(1)),
            (93_500_000, json!(93_500)),
            (86_400_000_001, json!(86_400_000.001)),
        ] {
            let millis = Millis::from(Duration::from_micros(micros));
            assert_eq!(json!(millis), written);
            assert_eq!(serde_json::from_value::<Millis>(written).unwrap(), millis);
        }
        assert_eq!(json!(Millis::from(Duration::from_nanos(1_999))), json!(0.001));
        for wrong in [json!(-1), json!("1"), json!(null), json!(1e300)] {
            assert!(serde_json::from_value::<Millis>(wrong).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(micros in 0_u64..1 << 50) {
            let millis = Millis::from(Duration::from_micros(micros));
            let text = serde_json::to_string(&millis).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Millis>(&text).unwrap(), millis);
        }
    }
}
