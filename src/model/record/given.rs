//! Options as parameters of methods give them, as results have them, and as people see them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Record, optional_keys, patched, text, values};

const NEW: u8 = 0;
const EDITED: u8 = 1;
const SHOWN: u8 = 2;

/// Options of something new: what is not given has its default.
pub type New<R> = Given<R, NEW>;

/// Options that change: what is not given stays, and null takes away what may be absent.
pub type Edited<R> = Given<R, EDITED>;

/// What a result says of the options of a record: also keys that this version doesn't know.
pub type Shown<R> = Given<R, SHOWN>;

/// Keys of a record, each with what it is, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given<R, const AS: u8> {
    pub values: Map<String, Value>,
    record: PhantomData<R>,
}

impl<R: Record> Shown<R> {
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// What stands at a key, for people.
    pub fn text(&self, key: &str) -> String {
        text(key, self.get(key))
    }

    /// The keys that this version knows, each with what stands there.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        R::KEYS.iter().filter_map(|key| Some((*key, self.values.get(*key)?)))
    }
}

impl<R: Record> From<&R> for Shown<R> {
    fn from(record: &R) -> Self {
        values(record).into()
    }
}

impl<R, const AS: u8> From<Map<String, Value>> for Given<R, AS> {
    fn from(values: Map<String, Value>) -> Self {
        Self { values, record: PhantomData }
    }
}

impl<R, const AS: u8> Default for Given<R, AS> {
    fn default() -> Self {
        Map::new().into()
    }
}

impl<R, const AS: u8> Serialize for Given<R, AS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.values.serialize(serializer)
    }
}

impl<'de, R: Record, const AS: u8> Deserialize<'de> for Given<R, AS> {
    /// Takes of parameters the record's keys alone, so that a struct into which this is flattened can refuse the
    /// others. Each value is of its key's type; whether they fit each other depends on the record that they
    /// change.
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

        if AS == SHOWN {
            return Map::deserialize(deserializer).map(Into::into);
        }
        let values = deserializer.deserialize_struct("options", R::KEYS, Members)?;
        patched(R::by_default(), values.clone()).map_err(D::Error::custom)?;
        Ok(values.into())
    }
}

impl<R: Record, const AS: u8> JsonSchema for Given<R, AS> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        R::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = R::json_schema(generator);
        schema.remove("required");
        if AS == SHOWN {
            let optional = optional_keys::<R>();
            let always = R::KEYS.iter().filter(|key| !optional.contains(key));
            schema.insert("required".to_owned(), always.copied().collect::<Vec<_>>().into());
            schema.remove("additionalProperties");
        }
        if AS != NEW {
            let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
            for property in properties.into_iter().flat_map(Map::values_mut) {
                property.as_object_mut().and_then(|property| property.remove("default"));
            }
        }
        schema
    }
}
