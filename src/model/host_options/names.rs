//! Names in maps: however one is written, it is the same name. They are made alike before anything is
//! merged or compared.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{HeaderField, OptionError, PageFor, UserName};

/// The one way of writing a name; `None` where it is none, which whoever reads the map says.
type Canonical = fn(&str) -> Option<String>;

/// Every map of the options, by its path.
pub(super) const MAPS: [(&str, Canonical); 6] = [
    ("request_headers.set", as_written::<HeaderField>),
    ("request_headers.add", as_written::<HeaderField>),
    ("response_headers.set", as_written::<HeaderField>),
    ("response_headers.add", as_written::<HeaderField>),
    ("basic_auth.users", as_written::<UserName>),
    ("error_pages", as_written::<PageFor>),
];

fn as_written<T: std::str::FromStr + ToString>(text: &str) -> Option<String> {
    text.parse::<T>().ok().map(|name| name.to_string())
}

/// Options, or a patch of them, with the names in their maps made alike.
///
/// # Errors
/// When one map has a name twice, in two ways of writing it.
pub(super) fn alike(mut options: Map<String, Value>) -> Result<Map<String, Value>, OptionError> {
    for (path, canonical) in MAPS {
        let mut keys = path.split('.');
        let first = keys.next().and_then(|key| options.get_mut(key));
        let found = keys.fold(first, |value, key| value?.get_mut(key));
        if let Some(Value::Object(map)) = found {
            let named = std::mem::take(map);
            *map = map_alike(path, canonical, named)?;
        }
    }
    Ok(options)
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
            return Err(OptionError { path: path.to_owned(), reason });
        }
        alike.insert(name, value);
    }
    Ok(alike)
}
