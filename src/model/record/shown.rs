//! Options as people see them, and as results of methods have them.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Record, optional_keys, values};
use crate::model::shown_in_words;

/// What stands at a key, for people: a list or a table without JSON's marks.
pub fn text(key: &str, value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(elements)) if elements.is_empty() => "none".to_owned(),
        Some(Value::Array(elements)) if elements.iter().all(Value::is_string) => {
            elements.iter().map(|one| text(key, Some(one))).collect::<Vec<_>>().join(",")
        }
        Some(Value::Bool(is)) => is.to_string(),
        // The key has the unit.
        Some(Value::Number(number)) => number.to_string(),
        Some(value) => shown_in_words(key, Some(value)),
    }
}

/// What a result says of the options of a record: also keys that this version doesn't know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown<R> {
    values: Map<String, Value>,
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
        Self { values: values(record), record: PhantomData }
    }
}

impl<R> Serialize for Shown<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.values.serialize(serializer)
    }
}

impl<'de, R> Deserialize<'de> for Shown<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { values: Map::deserialize(deserializer)?, record: PhantomData })
    }
}

impl<R: Record> JsonSchema for Shown<R> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        R::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = R::json_schema(generator);
        let optional = optional_keys::<R>();
        let always = R::KEYS.iter().filter(|key| !optional.contains(key));
        schema.insert("required".to_owned(), always.copied().collect::<Vec<_>>().into());
        schema.remove("additionalProperties");
        without_defaults(&mut schema);
        schema
    }
}

/// Takes the defaults out of a schema's properties.
pub(super) fn without_defaults(schema: &mut Schema) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(Map::values_mut) {
        if let Some(property) = property.as_object_mut() {
            property.remove("default");
        }
    }
}
