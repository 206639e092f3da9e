//! What can be done with any record.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::keys::{Record, defaults, optional_keys, syntax_of, text, values};
use super::written::escaped;
use super::{OptionError, names, wrong};

/// What stands at each key that differs from its default.
pub fn differing<R: Record>(record: &R) -> Map<String, Value> {
    let (mut values, defaults) = (values(record), defaults::<R>());
    values.retain(|key, value| defaults.get(key) != Some(value));
    values
}

/// What a config file has to say of a record, key by key.
pub fn written<R: Record>(record: &R) -> impl Iterator<Item = (&'static str, Value)> {
    let values = differing(record);
    let escaped =
        move |key: &&'static str| Some((*key, escaped(values.get(*key)?, syntax_of::<R>(key))));
    R::KEYS.iter().filter_map(escaped)
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
    wrong::check_shape(&values, R::schema(), "")?;
    let read = serde_path_to_error::deserialize(values);
    read.map_err(|error| wrong::explained::<R>(&error))
}

/// The record with what `patch` says in its place. Null takes away what may be absent and changes
/// nothing else. [`Record::TABLES`] change as a JSON merge patch says (RFC 7396).
///
/// # Errors
/// Of the first key that is unknown, or whose value is of another kind; [`Record::problems`] are the
/// caller's.
pub fn patched<R: Record>(record: &R, patch: Map<String, Value>) -> Result<R, OptionError> {
    let mut values = values(record);
    let optional = optional_keys::<R>();
    for (key, value) in patch {
        if value.is_object() && R::members_of(&key).is_some() {
            let table = values.entry(key).or_insert_with(|| Value::Object(Map::new()));
            json_patch::merge(table, &value);
        } else if !value.is_null() {
            values.insert(key, value);
        } else if optional.contains(&key.as_str()) {
            values.remove(&key);
        } else if !R::KEYS.contains(&key.as_str()) {
            // What is unknown is refused whatever is said of it.
            values.insert(key, value);
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
