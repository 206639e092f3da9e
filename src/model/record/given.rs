//! Options as parameters of methods give them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Record, patched, shown};

/// Options of something new: what is not given has its default.
pub type New<R> = Given<R, true>;

/// Options that change: what is not given stays, and null takes away what may be absent.
pub type Edited<R> = Given<R, false>;

/// Keys of a record, each with what it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given<R, const IS_NEW: bool> {
    pub values: Map<String, Value>,
    record: PhantomData<R>,
}

impl<R, const IS_NEW: bool> From<Map<String, Value>> for Given<R, IS_NEW> {
    fn from(values: Map<String, Value>) -> Self {
        Self { values, record: PhantomData }
    }
}

impl<R, const IS_NEW: bool> Default for Given<R, IS_NEW> {
    fn default() -> Self {
        Map::new().into()
    }
}

impl<R, const IS_NEW: bool> Serialize for Given<R, IS_NEW> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.values.serialize(serializer)
    }
}

impl<'de, R: Record, const IS_NEW: bool> Deserialize<'de> for Given<R, IS_NEW> {
    /// Takes the record's keys alone, so that a struct into which this is flattened can refuse the others.
    /// Each value is of its key's type; whether they fit each other depends on the record that they change.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Map<String, Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Map::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    members.insert(key, value);
                }
                Ok(members)
            }
        }

        let values = deserializer.deserialize_struct("options", R::KEYS, Members)?;
        patched(R::by_default(), values.clone()).map_err(D::Error::custom)?;
        Ok(values.into())
    }
}

impl<R: Record, const IS_NEW: bool> JsonSchema for Given<R, IS_NEW> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        R::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = R::json_schema(generator);
        schema.remove("required");
        if !IS_NEW {
            shown::without_defaults(&mut schema);
        }
        schema
    }
}
