//! The options of a virtual host, with what of them refers to the environment.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::written::{self, Meant};
use super::{OptionError, OptionSet, names};
use crate::model::reference::{Variables, escape, follow, refers};
use crate::model::value_error::{ValueError, read_value};
use crate::model::{on_one_line, shown_in_words};
use crate::plain_file::absolute;

/// The options of a virtual host. Takes no room to speak of where it has none.
///
/// What refers to the environment is stored and shown as it is written; what it stands for is in memory
/// alone. So options that were stored must be resolved before they are used.
#[derive(Clone, Default)]
pub struct HostOptions(Option<Box<Held>>);

#[derive(Clone, Default)]
struct Held {
    set: OptionSet,
    /// The keys that refer to the environment, as a config file writes them.
    written: Map<String, Value>,
    /// What the references stand for. Where one is missing, `set` lacks its key.
    meant: Meant,
}

/// The member of the stored form that has the keys with references; no option has this name.
const WRITTEN: &str = "written";

impl Held {
    /// Whether some reference of the key has not been followed.
    fn is_pending(&self, key: &str) -> bool {
        let mut check = |text: &str| {
            let is_followed = !refers(text) || self.meant.contains_key(text);
            if is_followed { Ok(String::new()) } else { Err(()) }
        };
        self.written.get(key).is_some_and(|written| written::try_map(written, &mut check).is_err())
    }
}

impl HostOptions {
    fn hold(held: Held) -> Self {
        let is_empty = held.written.is_empty() && held.set == OptionSet::default();
        Self((!is_empty).then(|| Box::new(held)))
    }

    fn held(&self) -> &Held {
        static NONE: LazyLock<Held> = LazyLock::new(Held::default);
        self.0.as_deref().unwrap_or(&NONE)
    }

    /// The options.
    pub fn get(&self) -> &OptionSet {
        &self.held().set
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What stands at each key that is given, secrets included.
    pub fn values(&self) -> Map<String, Value> {
        self.get().values()
    }

    /// What stands at each key that is given as a config file writes it, with its references. Hashes
    /// are in it.
    pub fn written(&self) -> Map<String, Value> {
        let mut values = self.values();
        for value in values.values_mut() {
            *value = written::escaped(value);
        }
        values.extend(self.held().written.clone());
        values
    }

    /// The files of error pages, each with its path for people to see: as it is written where it refers
    /// to something.
    pub fn shown_pages(&self) -> Vec<(PathBuf, String)> {
        let written = self.held().written.get("error_pages").map(written::shown);
        let files = self.get().error_pages.files();
        let shown = files.map(|(status, path)| {
            let written =
                written.as_ref().and_then(|pages| pages.get(status.to_string())?.as_str());
            let shown = written.map_or_else(|| path.display().to_string(), str::to_owned);
            (path.to_owned(), shown)
        });
        shown.collect()
    }

    /// The same for people to see: without what must stay secret.
    pub fn shown(&self) -> Map<String, Value> {
        let mut options = self.get().clone();
        if let Some(auth) = &mut options.basic_auth {
            auth.hide_hashes();
        }
        let mut shown = options.values();
        for (key, value) in &self.held().written {
            let mut value = written::shown(value);
            if key == "basic_auth"
                && let Some(users) = value.get_mut("users")
            {
                *users = written::shown_references(&self.held().written[key]["users"]);
            }
            shown.insert(key.clone(), value);
        }
        shown
    }

    /// What stood in these options where those of `file` have references now: what the environment said
    /// when they were stored, maybe.
    pub fn literals_beside(&self, file: &Self) -> Vec<String> {
        let mut literals = Vec::new();
        if file.held().written.is_empty() {
            return literals;
        }
        let written = self.written();
        for (key, referring) in &file.held().written {
            if let Some(written) = written.get(key) {
                written::literals_beside(written, referring, &mut literals);
            }
        }
        literals
    }

    /// What the references stand for.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.held().meant.values().map(String::as_str)
    }

    /// Relative paths in them start at `base`.
    pub fn start_at(&mut self, base: &Path) {
        let Some(held) = &mut self.0 else { return };
        held.set.error_pages.start_at(base);
        let Some(Value::Object(pages)) = held.written.get_mut("error_pages") else { return };
        let base = absolute(base);
        for page in pages.values_mut() {
            let Value::String(text) = page else { continue };
            let meant = held.meant.get(text.as_str()).filter(|path| Path::new(path).is_relative());
            if let Some(meant) = meant {
                let meant = base.join(meant).display().to_string();
                *text = format!("{}/{text}", escape(&base.display().to_string()));
                held.meant.insert(text.clone(), meant);
            }
        }
    }

    /// Reads options.
    ///
    /// # Errors
    /// Of the first key that is unknown or whose value does not fit.
    pub fn read(values: Map<String, Value>) -> Result<Self, OptionError> {
        Ok(read_set(names::alike(values)?)?.into())
    }

    /// These options, where `written` is how a config file writes the keys that refer to the environment,
    /// and `meant` the same with the references followed.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn with_references(
        self,
        written: Map<String, Value>,
        meant: &Map<String, Value>,
    ) -> Result<Self, OptionError> {
        let mut held = Held { set: self.get().clone(), ..Held::default() };
        for (key, value) in &written {
            if let Some(meant) = meant.get(key) {
                written::note(value, meant, &mut held.meant);
            }
        }
        held.keep_references(names::alike(written)?);
        Ok(Self::hold(held))
    }

    /// Follows the references of options that were stored.
    ///
    /// # Errors
    /// Of the first key with a variable that is not set, or whose value does not fit.
    pub fn resolve(&mut self, variable: &Variables<'_>) -> Result<(), OptionError> {
        let Some(held) = &mut self.0 else { return Ok(()) };
        let mut values = held.set.values();
        let mut meant = Meant::new();
        for (key, written) in &held.written {
            let mut look = |text: &str| {
                let followed = follow(text, variable)?;
                if refers(text) {
                    meant.insert(text.to_owned(), followed.meant.clone());
                }
                Ok(followed.meant)
            };
            let value = written::try_map::<String>(written, &mut look);
            let value = value.map_err(|reason| OptionError { path: key.clone(), reason })?;
            // Alone first, so that what is wrong is said of it, and not in its words.
            read_set(Map::from_iter([(key.clone(), value.clone())])).map_err(|_| OptionError {
                path: key.clone(),
                reason: "what it stands for does not fit".to_owned(),
            })?;
            values.insert(key.clone(), value);
        }
        held.set = read_set(values)?;
        held.meant = meant;
        Ok(())
    }

    /// Whether there are references that have not been followed.
    pub fn is_pending(&self) -> bool {
        let held = self.held();
        held.written.keys().any(|key| held.is_pending(key))
    }

    /// These options with those of `patch` in their place, as a JSON merge patch says (RFC 7396): null
    /// takes one away. What is given as it is shown stays what it is.
    ///
    /// # Errors
    /// Of the first key that is unknown or whose value does not fit.
    pub fn patched(&self, patch: Map<String, Value>) -> Result<Self, OptionError> {
        let (shown, mut written) = (self.shown(), self.written());
        let mut as_written = Map::new();
        for (key, value) in names::alike(patch)? {
            let given = written::given(&key, &value, shown.get(&key), written.get(&key));
            let given = given.map_err(|path| OptionError {
                path: on_one_line(&path),
                reason: "only the config file can refer to the environment; write `${…}` there"
                    .to_owned(),
            })?;
            as_written.insert(key, given);
        }
        let mut merged = Value::Object(std::mem::take(&mut written));
        json_patch::merge(&mut merged, &Value::Object(as_written));
        let Value::Object(merged) = merged else { return Ok(Self::default()) };
        let (mut values, mut held) = (Map::new(), Held::default());
        for (key, value) in &merged {
            let mut look = |text: &str| match self.held().meant.get(text) {
                Some(meant) => {
                    held.meant.insert(text.to_owned(), meant.clone());
                    Ok(meant.clone())
                }
                None => follow(text, &|_| None).map(|followed| followed.meant),
            };
            let value = written::try_map(value, &mut look);
            let value = value.map_err(|reason| OptionError { path: key.clone(), reason })?;
            values.insert(key.clone(), value);
        }
        held.set = read_set(values)?;
        held.keep_references(merged);
        Ok(Self::hold(held))
    }

    /// What `file` changes about `before`, key by key, put upon these.
    #[must_use]
    pub fn merged(&self, before: &Self, file: &Self) -> Self {
        if before == file {
            return self.clone();
        }
        let (live, old, new) = (self.written(), before.written(), file.written());
        let (old_values, new_values) = (before.values(), file.values());
        let (mut values, mut held) = (self.values(), self.held().clone());
        held.meant.extend(file.held().meant.clone());
        for key in OptionSet::KEYS {
            if old.get(key) == new.get(key) {
                continue;
            }
            // Only the way of writing differs: what a command has made of it since stays, and where it
            // still says what the file said, it is written as the file writes it now.
            let is_rewritten = new.contains_key(key) && old_values.get(key) == new_values.get(key);
            if is_rewritten && values.get(key) != new_values.get(key) {
                let written = held.written.get(key).or_else(|| live.get(key));
                if let (Some(written), Some(old), Some(new)) = (written, old.get(key), new.get(key))
                {
                    let mut written = written.clone();
                    written::rewrite(&mut written, old, new);
                    if written::any_reference(&written) {
                        held.written.insert(key.to_owned(), written);
                    }
                }
                continue;
            }
            match new_values.get(key) {
                Some(value) => _ = values.insert(key.to_owned(), value.clone()),
                None => _ = values.remove(key),
            }
            match file.held().written.get(key) {
                Some(value) => _ = held.written.insert(key.to_owned(), value.clone()),
                None => _ = held.written.remove(key),
            }
        }
        // Each key has been read before, and none depends on another.
        let Ok(set) = read_set(values) else { return self.clone() };
        held.set = set;
        Self::hold(held)
    }

    /// Each key that differs, with what both say of it, as people may see it.
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        if self == other {
            return Vec::new();
        }
        let (one, two) = (self.written(), other.written());
        let (mut shown_one, mut shown_two) = (self.shown(), other.shown());
        for (shown, written) in [(&mut shown_one, &two), (&mut shown_two, &one)] {
            for (key, written) in written {
                if let Some(value) = shown.get_mut(key) {
                    written::hide_beside(value, written);
                }
            }
        }
        let text = |shown: &Map<String, Value>, key| shown_in_words(key, shown.get(key));
        OptionSet::KEYS
            .into_iter()
            .filter(|key| one.get(*key) != two.get(*key))
            .map(|key| (key, text(&shown_one, key), text(&shown_two, key)))
            .collect()
    }
}

impl Held {
    /// Keeps of `written` the keys that refer to the environment, in the normal form of their values.
    fn keep_references(&mut self, written: Map<String, Value>) {
        let values = self.set.values();
        for (key, value) in written {
            if !written::any_reference(&value) {
                continue;
            }
            let normal = values.get(&key).map(|normal| written::with_references(normal, &value));
            self.written.insert(key, normal.unwrap_or(value));
        }
    }
}

fn read_set(values: Map<String, Value>) -> Result<OptionSet, OptionError> {
    let options: OptionSet = read_value(Value::Object(values))
        .map_err(|ValueError { path, reason }| OptionError { path, reason })?;
    options.check()?;
    Ok(options)
}

impl From<OptionSet> for HostOptions {
    fn from(set: OptionSet) -> Self {
        Self::hold(Held { set, ..Held::default() })
    }
}

impl PartialEq for HostOptions {
    /// They are written the same.
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (self.held(), other.held());
        if one.written.is_empty() && two.written.is_empty() {
            return one.set == two.set;
        }
        self.written() == other.written()
    }
}

impl Eq for HostOptions {}

impl fmt::Debug for HostOptions {
    /// As people may see them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown(), f)
    }
}

impl Serialize for HostOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Held { set, written, .. } = self.held();
        if written.is_empty() {
            return set.serialize(serializer);
        }
        let mut stored = set.values();
        stored.retain(|key, _| !written.contains_key(key));
        stored.insert(WRITTEN.to_owned(), Value::Object(written.clone()));
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for HostOptions {
    /// Reads what was stored. Its references are followed by [`Self::resolve`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut stored = Map::deserialize(deserializer)?;
        let written = match stored.remove(WRITTEN) {
            Some(Value::Object(written)) => written,
            _ => Map::new(),
        };
        let set = read_set(stored).map_err(serde::de::Error::custom)?;
        Ok(Self::hold(Held { set, written, meant: Meant::new() }))
    }
}

impl JsonSchema for HostOptions {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HostOptions".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        OptionSet::json_schema(generator)
    }
}
