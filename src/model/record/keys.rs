//! What a record is, and what stands at its keys.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::OptionError;
use crate::model::{TextSyntax, shown_in_words};

/// The one way of writing a name; `None` where it is none, which whoever reads the map says.
pub type Canonical = fn(&str) -> Option<String>;

/// What [`record!`] knows of a record.
pub trait Keys: Sized {
    /// The keys, in the order in which people meet them.
    const KEYS: &'static [&'static str];

    /// The record of which nothing is given.
    fn by_default() -> &'static Self;

    /// Its JSON Schema.
    fn schema() -> &'static Value;
}

/// Options that are declared once: what is not given has its default.
pub trait Record:
    Keys
    + Default
    + Clone
    + PartialEq
    + Serialize
    + DeserializeOwned
    + JsonSchema
    + Send
    + Sync
    + 'static
{
    /// The maps in it whose names can be written in more than one way, by their paths.
    const MAPS: &'static [(&'static str, Canonical)] = &[];
    /// The paths of texts, and of maps of texts, that nobody is shown.
    const SECRETS: &'static [&'static str] = &[];
    /// The paths of files, and of maps of files.
    const FILES: &'static [&'static str] = &[];
    /// The keys of tables that change member by member, each with its members, which have flags of their own.
    const TABLES: &'static [(&'static str, &'static [&'static str])] = &[];

    /// The members of one of [`Self::TABLES`].
    fn members_of(key: &str) -> Option<&'static [&'static str]> {
        Self::TABLES.iter().find(|(table, _)| *table == key).map(|(_, members)| *members)
    }

    /// The keys whose texts may have variables of requests in them.
    const OF_REQUESTS: &'static [&'static str] = &[];

    /// What its types can't hold: what is too much, is listed twice, or doesn't go together. It is asked for
    /// where options come in; what is stored already is not refused by a rule that joined later.
    fn problems(&self) -> Vec<OptionError> {
        Vec::new()
    }

    /// What is most probably not what was meant. A command is refused for it; a config file may have been so
    /// for long, and gets a warning.
    fn doubts(&self) -> Vec<OptionError> {
        Vec::new()
    }

    /// The same without those that there were before.
    fn new_doubts(&self, before: &Self) -> Vec<OptionError> {
        let old = before.doubts();
        self.doubts().into_iter().filter(|doubt| !old.contains(doubt)).collect()
    }
}

/// Declares a record: a struct whose fields are the keys. A field may have a default of its own.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$attribute:meta])* pub $field:ident: $type:ty $(= $default:expr)?,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$attribute])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::model::record::record!(@default $($default)?),)* }
            }
        }

        impl $crate::model::record::Keys for $name {
            const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn by_default() -> &'static Self {
                static BY_DEFAULT: std::sync::LazyLock<$name> =
                    std::sync::LazyLock::new($name::default);
                &BY_DEFAULT
            }

            fn schema() -> &'static serde_json::Value {
                static SCHEMA: std::sync::LazyLock<serde_json::Value> =
                    std::sync::LazyLock::new($crate::model::record::schema::<$name>);
                &SCHEMA
            }
        }
    };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}
pub(in crate::model) use record;

/// What `${` means in the texts of a key, or at a path that begins with one.
pub fn syntax_of<R: Record>(path: &str) -> TextSyntax {
    let key = path.split('.').next().unwrap_or_default();
    if R::OF_REQUESTS.contains(&key) { TextSyntax::OfRequests } else { TextSyntax::Plain }
}

/// What stands at each key; none where there is nothing.
pub fn values<R: Record>(record: &R) -> Map<String, Value> {
    match serde_json::to_value(record) {
        Ok(Value::Object(mut values)) => {
            values.retain(|_, value| !value.is_null());
            values
        }
        // Every key is a string, and nothing in it can fail.
        _ => Map::new(),
    }
}

/// What stands at each key that has a default.
pub fn defaults<R: Record>() -> Map<String, Value> {
    values(R::by_default())
}

/// The keys at which there may be nothing, so that they can be taken away.
pub fn optional_keys<R: Record>() -> Vec<&'static str> {
    let defaults = defaults::<R>();
    R::KEYS.iter().copied().filter(|key| !defaults.contains_key(*key)).collect()
}

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
