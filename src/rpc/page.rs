//! Lists that are answered page by page.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Entries on a page when no limit is given, and at most. An answer stays small enough to be read, and
/// written, in one go, however much there is.
pub(crate) const PAGE: usize = 1000;

/// What a list is of.
pub(crate) trait Listed: Serialize + DeserializeOwned + JsonSchema + Send {
    /// The member of a page that has its entries.
    const MEMBER: &'static str;
    /// The name of a page in documents.
    const PAGE_NAME: &'static str;
    /// What the list is sorted by.
    type Key: Clone + Serialize + DeserializeOwned + JsonSchema + Send;
}

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageParams<K> {
    /// Start after this one: the `next` of the previous page. It need not exist any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<K>,
    /// The maximum number of entries: up to 1000, which is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// One page of a list. Each page shows the state when it was requested.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page<T: Listed> {
    /// The revision of the state that was listed.
    pub revision: u64,
    /// In their order.
    pub entries: Vec<T>,
    /// The key of the last entry, if there are more: the `after` of the next page.
    pub next: Option<T::Key>,
}

impl<K> Default for PageParams<K> {
    fn default() -> Self {
        Self { after: None, limit: None }
    }
}

impl<K> PageParams<K> {
    /// The page of `rest`, which is what comes after [`Self::after`], and the key of the next one.
    pub(super) fn take<N>(
        &self,
        mut rest: impl Iterator<Item = N>,
        key: impl FnOnce(&N) -> K,
    ) -> (Vec<N>, Option<K>) {
        let page: Vec<N> = rest.by_ref().take(self.limit.unwrap_or(PAGE).clamp(1, PAGE)).collect();
        let goes_on = rest.next().is_some();
        let next = page.last().filter(|_| goes_on).map(key);
        (page, next)
    }
}

impl<T: Listed> Serialize for Page<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut page = serializer.serialize_map(None)?;
        page.serialize_entry("revision", &self.revision)?;
        page.serialize_entry(T::MEMBER, &self.entries)?;
        if let Some(next) = &self.next {
            page.serialize_entry("next", next)?;
        }
        page.end()
    }
}

impl<'de, T: Listed> Deserialize<'de> for Page<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn read<T: DeserializeOwned, E: serde::de::Error>(value: Option<Value>) -> Result<T, E> {
            serde_json::from_value(value.unwrap_or_default()).map_err(E::custom)
        }

        let mut page = Map::<String, Value>::deserialize(deserializer)?;
        let entries = page.remove(T::MEMBER);
        if entries.is_none() {
            return Err(D::Error::missing_field(T::MEMBER));
        }
        // Pages of certificates had no revision once.
        let revision: Option<u64> = read(page.remove("revision"))?;
        let (entries, next) = (read(entries)?, read(page.remove("next"))?);
        Ok(Self { revision: revision.unwrap_or_default(), entries, next })
    }
}

impl<T: Listed> JsonSchema for Page<T> {
    fn schema_name() -> Cow<'static, str> {
        T::PAGE_NAME.into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "One page of a list. Each page shows the state when it was requested.",
            "properties": {
                "revision": {
                    "description": "The revision of the state that was listed.",
                    "type": "integer", "format": "uint64", "minimum": 0,
                },
                (T::MEMBER): {
                    "description": "The entries, in their order.",
                    "type": "array", "items": generator.subschema_for::<T>(),
                },
                "next": {
                    "description":
                        "The key of the last entry, if there are more: the `after` of the next page.",
                    "anyOf": [generator.subschema_for::<T::Key>(), { "type": "null" }],
                },
            },
            "required": ["revision", T::MEMBER],
        })
    }
}
