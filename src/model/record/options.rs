//! What a record is, and what can be done with any.

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::names::{self, Canonical};
use super::written::escaped;
use super::{OptionError, text, wrong};

/// What [`record!`] knows of a record.
pub trait Keys: Sized {
    /// The keys, in the order in which people meet them.
    const KEYS: &'static [&'static str];

    /// The record of which nothing is given.
    fn by_default() -> &'static Self;
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

    /// What its types can't hold: what is too much, is listed twice, or doesn't go together. It is asked for
    /// where options come in; what is stored already is not refused by a rule that joined later.
    fn problems(&self) -> Vec<OptionError> {
        Vec::new()
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
        }
    };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}
pub(in crate::model) use record;

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

/// What stands at each key that differs from its default.
pub fn differing<R: Record>(record: &R) -> Map<String, Value> {
    let (mut values, defaults) = (values(record), defaults::<R>());
    values.retain(|key, value| defaults.get(key) != Some(value));
    values
}

/// What a config file has to say of a record, key by key.
pub fn written<R: Record>(record: &R) -> impl Iterator<Item = (&'static str, Value)> {
    let values = differing(record);
    R::KEYS.iter().filter_map(move |key| Some((*key, escaped(values.get(*key)?))))
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

/// Reads a record.
///
/// # Errors
/// Of the first key that is unknown, or whose value does not fit.
pub fn read<R: Record>(values: Map<String, Value>) -> Result<R, OptionError> {
    let record: R = typed(values)?;
    match record.problems().into_iter().next() {
        None => Ok(record),
        Some(problem) => Err(problem),
    }
}

/// Reads a record, and leaves [`Record::problems`] to the caller.
///
/// # Errors
/// Of the first key that is unknown, whose value is of another kind, or that has a name twice.
pub fn typed<R: Record>(values: Map<String, Value>) -> Result<R, OptionError> {
    let values = Value::Object(names::alike::<R>(values)?);
    let read = serde_path_to_error::deserialize(values);
    read.map_err(|error| wrong::explained::<R>(&error))
}

/// The record with what `patch` says in its place. Null takes away what may be absent and changes
/// nothing else.
///
/// # Errors
/// Of the first key that is unknown, or whose value is of another kind; [`Record::problems`] are the
/// caller's.
pub fn patched<R: Record>(record: &R, patch: Map<String, Value>) -> Result<R, OptionError> {
    let mut values = values(record);
    let optional = optional_keys::<R>();
    for (key, value) in patch {
        if !value.is_null() {
            values.insert(key, value);
        } else if optional.contains(&key.as_str()) {
            values.remove(&key);
        }
    }
    typed(values)
}

/// What `new` changes about `old`, key by key, put upon `now`.
#[must_use]
pub fn merged<R: Record>(now: &R, old: &R, new: &R) -> R {
    if old == new {
        return now.clone();
    }
    let (mut merged, old, new) = (values(now), values(old), values(new));
    for key in R::KEYS.iter().filter(|key| old.get(**key) != new.get(**key)) {
        match new.get(*key) {
            Some(value) => _ = merged.insert((*key).to_owned(), value.clone()),
            None => _ = merged.remove(*key),
        }
    }
    // Each value is of a record that there is.
    typed(merged).unwrap_or_else(|_| now.clone())
}

/// A key, with what one says of it and what another does, for people.
pub type Differing = (&'static str, String, String);

/// Each key that differs.
pub fn differences<R: Record>(one: &R, other: &R) -> Vec<Differing> {
    if one == other {
        return Vec::new();
    }
    let (one, other) = (values(one), values(other));
    let differing = R::KEYS.iter().filter(|key| one.get(**key) != other.get(**key));
    let text = |values: &Map<_, _>, key| text(key, values.get(key));
    differing.map(|key| (*key, text(&one, key), text(&other, key))).collect()
}

/// Has relative paths of files start at `base`.
pub fn absolute<R: Record>(values: &mut Map<String, Value>, base: &Path) {
    for path in R::FILES {
        if let Some(value) = names::at_mut(values, path) {
            rebase(value, base);
        }
    }
}

fn rebase(value: &mut Value, base: &Path) {
    match value {
        Value::String(path) if !path.is_empty() => {
            *path = crate::model::absolute(base.join(&*path)).to_string_lossy().into_owned();
        }
        Value::Object(files) => {
            files.values_mut().filter(|file| file.is_string()).for_each(|file| rebase(file, base));
        }
        _ => {}
    }
}

/// Writes a record as it is stored: what there is at its keys.
///
/// # Errors
/// When writing fails.
pub fn as_stored<R: Record, S: Serializer>(record: &R, serializer: S) -> Result<S::Ok, S::Error> {
    values(record).serialize(serializer)
}

/// Reads what was stored. Keys that this version doesn't know are left out, keys that have joined since
/// have their defaults, and no rule is asked but the types'.
///
/// # Errors
/// When a value is of another kind.
pub fn from_stored<R: Record>(mut stored: Map<String, Value>) -> Result<R, OptionError> {
    stored.retain(|key, _| R::KEYS.contains(&key.as_str()));
    typed(stored)
}

/// The same, of a struct into which it is flattened.
///
/// # Errors
/// When a value is of another kind.
pub fn stored<'de, R: Record, D: Deserializer<'de>>(deserializer: D) -> Result<R, D::Error> {
    from_stored(Map::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}
