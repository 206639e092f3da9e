//! Values of a set that grows: what a newer server means is shown as it came.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value in a result, or the name of one that this version doesn't know. In parameters the values
/// themselves stand, so that a server refuses what it doesn't know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Open<T> {
    /// One that this version knows.
    Known(T),
    /// The name of one that a newer server has.
    Other(String),
}

impl<T: Copy> Open<T> {
    /// The value, where this version knows it.
    pub(crate) fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Other(_) => None,
        }
    }
}

impl<T: Default> Default for Open<T> {
    fn default() -> Self {
        Self::Known(T::default())
    }
}

impl<T> From<T> for Open<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: PartialEq> PartialEq<T> for Open<T> {
    fn eq(&self, other: &T) -> bool {
        matches!(self, Self::Known(value) if value == other)
    }
}

impl<T: fmt::Display> fmt::Display for Open<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => value.fmt(f),
            Self::Other(name) => f.pad(name),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Open<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let known = T::deserialize(&value);
        match (known, value) {
            (Ok(known), _) => Ok(Self::Known(known)),
            (Err(_), Value::String(name)) => Ok(Self::Other(name)),
            // One that holds more than its name.
            (Err(error), Value::Object(members)) => match members.into_iter().next() {
                Some((name, _)) => Ok(Self::Other(name)),
                None => Err(D::Error::custom(error)),
            },
            (Err(error), _) => Err(D::Error::custom(error)),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Open<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Balance, TlsMode};

    #[test]
    fn what_a_newer_server_means_is_kept_by_its_name() {
        let balance = |value| serde_json::from_value::<Open<Balance>>(value);
        assert_eq!(balance(json!("round-robin")).unwrap(), Balance::RoundRobin);
        assert_eq!(balance(json!("sticky")).unwrap().to_string(), "sticky");
        assert!(balance(json!(1)).is_err());
        let tls = |value| serde_json::from_value::<Open<TlsMode>>(value);
        let files = json!({"files": {"cert": "/a", "key": "/b"}});
        let known = tls(files.clone()).unwrap();
        assert_eq!(known, TlsMode::Files { cert: "/a".into(), key: "/b".into() });
        assert_eq!(json!(known), files);
        assert_eq!(tls(json!({"vault": {"path": "x"}})).unwrap().to_string(), "vault");
        assert!(tls(json!({})).is_err());
    }
}
