//! Times as people write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;

use super::ParseError;

/// How long something may take. It is read from a number of seconds, whole or with decimals, or from a text
/// such as `90s` or `1h30m`, and written as a number.
///
/// It has a millisecond to a day: a longer time is a mistyped unit, and time-outs that a day does not
/// suffice for would keep dead peers. With `OR_NONE` it may be 0 too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds<const OR_NONE: bool = false>(Duration);

/// A time in whole seconds, for protocols that know no other. It is read and written as [`Seconds`] are, but
/// may be longer than a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WholeSeconds<const MIN: u32 = 0, const MAX: u32 = { u32::MAX }>(u32);

/// The bounds, in seconds.
const MIN_SECS: f64 = 0.001;
const MAX_SECS: f64 = 86_400.0;

/// How a time is written, for messages.
const FORM: &str = "use a time such as 90s, 1h30m or 90 (seconds)";
const WHOLE_FORM: &str = "use a time in whole seconds, such as 90s, 1h30m or 90 (seconds)";

/// What a text looks like that is a time, or refers to one in the environment.
const PATTERN: &str = r"^([0-9][0-9A-Za-z. ]*|.*\$\{[A-Za-z_][A-Za-z0-9_]*\}.*)$";

impl<const OR_NONE: bool> Seconds<OR_NONE> {
    /// How a time is written, for messages.
    pub const FORM: &'static str = FORM;

    /// A time that is within the bounds.
    pub(super) const fn of(time: Duration) -> Self {
        Self(time)
    }

    /// The time.
    pub fn get(self) -> Duration {
        self.0
    }
}

/// A time as a number of seconds, whole where it can be.
pub fn seconds_as_json(time: Duration) -> Value {
    match time.subsec_nanos() {
        0 => time.as_secs().into(),
        _ => time.as_secs_f64().into(),
    }
}

impl<const OR_NONE: bool> TryFrom<f64> for Seconds<OR_NONE> {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        if (MIN_SECS..=MAX_SECS).contains(&seconds) || (OR_NONE && seconds == 0.0) {
            Ok(Self(Duration::from_secs_f64(seconds)))
        } else {
            Err(format!("use {MIN_SECS} to {MAX_SECS} seconds (a day)"))
        }
    }
}

impl<const OR_NONE: bool> FromStr for Seconds<OR_NONE> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let seconds = match text.parse::<f64>() {
            Ok(seconds) => Some(seconds),
            Err(_) => humantime::parse_duration(text).ok().map(|time| time.as_secs_f64()),
        };
        let read = seconds.ok_or_else(|| FORM.to_owned()).and_then(Self::try_from);
        read.map_err(|reason| ParseError::new("time", text, reason))
    }
}

impl<const OR_NONE: bool> Serialize for Seconds<OR_NONE> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        seconds_as_json(self.0).serialize(serializer)
    }
}

impl<'de, const OR_NONE: bool> Deserialize<'de> for Seconds<OR_NONE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = match Value::deserialize(deserializer)? {
            Value::Number(number) => Self::try_from(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => {
                return text.parse().map_err(|error: ParseError| D::Error::custom(error.reason));
            }
            _ => Err(FORM.to_owned()),
        };
        read.map_err(D::Error::custom)
    }
}

impl<const OR_NONE: bool> JsonSchema for Seconds<OR_NONE> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let from = if OR_NONE { 0.0 } else { MIN_SECS };
        json_schema!({ "anyOf": [
            { "type": "number", "minimum": from, "maximum": MAX_SECS },
            { "type": "string", "pattern": PATTERN, "examples": ["90s"] },
        ] })
    }
}

impl<const MIN: u32, const MAX: u32> WholeSeconds<MIN, MAX> {
    /// The shortest.
    pub const MIN: Self = Self(MIN);

    /// The number of seconds.
    pub const fn get(self) -> u32 {
        self.0
    }

    fn read(value: &Value) -> Result<Self, String> {
        let seconds = match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok().or_else(|| {
                let time = humantime::parse_duration(text).ok()?;
                (time.subsec_nanos() == 0).then_some(time.as_secs())
            }),
            _ => None,
        };
        let fits = |seconds: &u32| (MIN..=MAX).contains(seconds);
        let seconds = u32::try_from(seconds.ok_or(WHOLE_FORM)?).ok().filter(fits);
        seconds.map(Self).ok_or_else(|| format!("use {MIN} to {MAX} seconds"))
    }
}

impl<const MIN: u32, const MAX: u32> FromStr for WholeSeconds<MIN, MAX> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::read(&text.into()).map_err(|reason| ParseError::new("time", text, reason))
    }
}

impl From<u32> for WholeSeconds {
    fn from(seconds: u32) -> Self {
        Self(seconds)
    }
}

impl<const MAX: u32> Default for WholeSeconds<0, MAX> {
    fn default() -> Self {
        Self::MIN
    }
}

impl<const MIN: u32, const MAX: u32> fmt::Display for WholeSeconds<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for WholeSeconds<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for WholeSeconds<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "WholeSeconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut number = json_schema!({ "type": "integer", "minimum": MIN });
        if MAX < u32::MAX {
            number.insert("maximum".to_owned(), MAX.into());
        }
        json_schema!({ "anyOf": [
            number,
            { "type": "string", "pattern": PATTERN, "examples": ["90s"] },
        ] })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_a_number_of_seconds_or_has_units() {
        const RANGE: &str = "use 0.001 to 86400 seconds (a day)";
        for (value, millis) in [
            (json!(90), 90_000),
            (json!(0.5), 500),
            (json!("90s"), 90_000),
            (json!("1h30m"), 5_400_000),
            (json!("1m 30s"), 90_000),
            (json!("500ms"), 500),
            (json!("90"), 90_000),
        ] {
            let read = serde_json::from_value::<Seconds>(value.clone()).expect("a time");
            assert_eq!(read.get(), Duration::from_millis(millis), "{value}");
        }
        let written = |text: &str| serde_json::to_value(text.parse::<Seconds>().expect(text)).ok();
        assert_eq!((written("1m30s"), written("1500ms")), (Some(json!(90)), Some(json!(1.5))));
        for (value, reason) in [
            (json!("soon"), FORM),
            (json!(true), FORM),
            (json!(0), RANGE),
            (json!("2d"), RANGE),
            (json!("-1"), RANGE),
            (json!("nan"), RANGE),
        ] {
            let error = serde_json::from_value::<Seconds>(value.clone()).expect_err("no time");
            assert_eq!(error.to_string(), reason, "{value}");
        }
        assert_eq!("0".parse::<Seconds<true>>().map(Seconds::get), Ok(Duration::ZERO));
        assert!("0.0001".parse::<Seconds<true>>().is_err());
    }

    #[test]
    fn a_time_in_whole_seconds_may_be_long() {
        type Age = WholeSeconds<1, 126_144_000>;
        const RANGE: &str = "use 1 to 126144000 seconds";
        for (value, seconds) in [
            (json!(90), 90),
            (json!("90"), 90),
            (json!("90s"), 90),
            (json!("1h30m"), 5400),
            (json!("365d"), 31_536_000),
        ] {
            let read = serde_json::from_value::<Age>(value.clone()).expect("a time");
            assert_eq!(read.get(), seconds, "{value}");
            assert_eq!(serde_json::to_value(read).ok(), Some(json!(seconds)), "{value}");
        }
        for (value, reason) in [
            (json!("soon"), WHOLE_FORM),
            (json!(""), WHOLE_FORM),
            (json!("1500ms"), WHOLE_FORM),
            (json!("-1"), WHOLE_FORM),
            (json!(-1), WHOLE_FORM),
            (json!(0.5), WHOLE_FORM),
            (json!(true), WHOLE_FORM),
            (json!(0), RANGE),
            (json!("5y"), RANGE),
            (json!(u64::MAX), RANGE),
        ] {
            let error = serde_json::from_value::<Age>(value.clone()).expect_err("no time");
            assert_eq!(error.to_string(), reason, "{value}");
        }
    }
}
