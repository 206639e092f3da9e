//! Names in maps: however one is written, it is the same name. They are made alike before anything is
//! merged or compared.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Canonical, OptionError, Record};

/// The [`Canonical`] of names that have a type.
pub fn as_written<T: std::str::FromStr + ToString>(text: &str) -> Option<String> {
    text.parse::<T>().ok().map(|name| name.to_string())
}

/// Options, or a patch of them, with the names in their maps made alike.
///
/// # Errors
/// When one map has a name twice, in two ways of writing it.
pub(super) fn alike<R: Record>(
    mut options: Map<String, Value>,
) -> Result<Map<String, Value>, OptionError> {
    for (path, canonical) in R::MAPS {
        if let Some(Value::Object(map)) = at_mut(&mut options, path) {
            let named = std::mem::take(map);
            *map = map_alike(path, *canonical, named)?;
        }
    }
    Ok(options)
}

/// What stands at a path of keys.
pub(super) fn at_mut<'v>(values: &'v mut Map<String, Value>, path: &str) -> Option<&'v mut Value> {
    let mut keys = path.split('.');
    let first = keys.next().and_then(|key| values.get_mut(key));
    keys.fold(first, |value, key| value?.get_mut(key))
}

/// The same, to be looked at.
pub(super) fn at<'v>(values: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let mut keys = path.split('.');
    let first = keys.next().and_then(|key| values.get(key));
    keys.fold(first, |value, key| value?.get(key))
}

fn map_alike(
    path: &str,
    canonical: Canonical,
    named: Map<String, Value>,
) -> Result<Map<String, Value>, OptionError> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut alike = Map::new();
    for (written, value) in named {
        let name = canonical(&written).unwrap_or_else(|| written.clone());
        if let Some(before) = seen.insert(name.clone(), written.clone()) {
            let reason = format!("`{before}` and `{written}` are the same name; keep one of them");
            return Err(OptionError::new(path, reason));
        }
        alike.insert(name, value);
    }
    Ok(alike)
}
