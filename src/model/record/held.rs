//! A record whose texts may refer to the environment.

use std::fmt;
use std::path::Path;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::written::{self, Meant};
use super::{Differing, OptionError, Record, differing, names, options, syntax_of, typed};
use crate::model::reference::{Variables, escape};
use crate::model::{absolute, shown_in_words};

/// A record with what of it refers to the environment. Takes no room to speak of where all is as by default.
///
/// What refers to the environment is stored and shown as it is written; what it stands for is in memory
/// alone. So options that were stored must be resolved before they are used.
#[derive(Clone, Default)]
pub struct Held<R>(Option<Box<Parts<R>>>);

#[derive(Clone, Default)]
struct Parts<R> {
    set: R,
    /// The keys that refer to the environment, as a config file writes them.
    written: Map<String, Value>,
    /// What the references stand for. Where one is missing, `set` lacks its key.
    meant: Meant,
}

/// The member of the stored form that has the keys with references; no option has this name.
const WRITTEN: &str = "written";

impl<R: Record> Held<R> {
    fn hold(parts: Parts<R>) -> Self {
        let is_empty = parts.written.is_empty() && parts.set == *R::by_default();
        Self((!is_empty).then(|| Box::new(parts)))
    }

    /// The options.
    pub fn get(&self) -> &R {
        match &self.0 {
            Some(parts) => &parts.set,
            None => R::by_default(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The keys that refer to the environment, as a config file writes them.
    fn referring(&self) -> &Map<String, Value> {
        static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        self.0.as_deref().map_or(&NONE, |parts| &parts.written)
    }

    /// What a reference stands for.
    fn meaning(&self, text: &str) -> Option<&String> {
        self.0.as_deref()?.meant.get(text)
    }

    /// What stands at each key that is given, secrets included.
    pub fn values(&self) -> Map<String, Value> {
        differing(self.get())
    }

    /// What stands at each key that is given as a config file writes it, with its references. Secrets
    /// are in it.
    pub fn written(&self) -> Map<String, Value> {
        let mut values = self.values();
        for (key, value) in &mut values {
            *value = written::escaped(value, syntax_of::<R>(key));
        }
        values.extend(self.referring().clone());
        values
    }

    /// The same without secrets, and whether there were any. A reference is none.
    pub fn written_without_secrets(&self) -> (Map<String, Value>, bool) {
        let mut values = self.written();
        let mut hidden = false;
        for path in R::SECRETS {
            if let Some(secret) = names::at_mut(&mut values, path) {
                let shown = written::shown_references(secret, syntax_of::<R>(path));
                hidden |= shown != *secret;
                *secret = shown;
            }
        }
        (values, hidden)
    }

    /// What stands at each key that is given, for people to see: without what must stay secret.
    pub fn shown(&self) -> Map<String, Value> {
        let mut shown = self.values();
        let referring = self.referring();
        let as_shown = |(key, value): (&String, &Value)| {
            (key.clone(), written::shown(value, syntax_of::<R>(key)))
        };
        shown.extend(referring.iter().map(as_shown));
        for path in R::SECRETS {
            if let Some(secret) = names::at_mut(&mut shown, path) {
                let written = names::at(referring, path).unwrap_or(secret);
                *secret = written::shown_references(written, syntax_of::<R>(path));
            }
        }
        shown
    }

    /// What stood in these options where those of `file` have references now: what the environment said
    /// when they were stored, maybe.
    pub fn literals_beside(&self, file: &Self) -> Vec<String> {
        let mut literals = Vec::new();
        if file.referring().is_empty() {
            return literals;
        }
        let written = self.written();
        for (key, referring) in file.referring() {
            if let Some(written) = written.get(key) {
                let syntax = syntax_of::<R>(key);
                written::literals_beside(written, referring, syntax, &mut literals);
            }
        }
        literals
    }

    /// What the references stand for.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|parts| parts.meant.values()).map(String::as_str)
    }

    /// Has relative paths of files start at `base`.
    pub fn start_at(&mut self, base: &Path) {
        let Some(parts) = &mut self.0 else { return };
        let base = absolute(base);
        let mut values = differing(&parts.set);
        options::absolute::<R>(&mut values, &base);
        // A path is as good an option as the one that it was.
        if let Ok(set) = typed(values) {
            parts.set = set;
        }
        for path in R::FILES {
            let files = names::at_mut(&mut parts.written, path).into_iter();
            let files = files.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
            for file in files {
                let Value::String(text) = file else { continue };
                let meant = parts.meant.get(text.as_str());
                if let Some(meant) = meant.filter(|path| Path::new(path).is_relative()) {
                    let meant = base.join(meant).display().to_string();
                    *text = format!("{}/{text}", escape(&base.display().to_string()));
                    parts.meant.insert(text.clone(), meant);
                }
            }
        }
    }

    /// Reads options.
    ///
    /// # Errors
    /// Of the first key that is unknown or whose value does not fit.
    pub fn read(values: Map<String, Value>) -> Result<Self, OptionError> {
        options::read(values).map(|set: R| set.into())
    }

    /// These options, where `written` is how a config file writes the keys that refer to the environment,
    /// and `meant` the same with the references followed.
    ///
    /// # Errors
    /// When a map has a name twice.
    pub fn with_references(
        self,
        written: Map<String, Value>,
        meant: &Map<String, Value>,
    ) -> Result<Self, OptionError> {
        let mut parts = Parts { set: self.get().clone(), ..Parts::default() };
        for (key, value) in &written {
            if let Some(meant) = meant.get(key) {
                written::note(value, meant, syntax_of::<R>(key), &mut parts.meant);
            }
        }
        parts.keep_references(names::alike::<R>(written)?);
        Ok(Self::hold(parts))
    }

    /// Follows the references of options that were stored.
    ///
    /// # Errors
    /// Of the first key with a variable that is not set, or whose value does not fit.
    pub fn resolve(&mut self, variable: &Variables<'_>) -> Result<(), OptionError> {
        let Some(parts) = &mut self.0 else { return Ok(()) };
        let mut values = differing(&parts.set);
        let mut meant = Meant::new();
        for (key, written) in &parts.written {
            let syntax = syntax_of::<R>(key);
            let mut look = |text: &str| {
                let followed = syntax.follow(text, variable)?;
                if syntax.refers(text) {
                    meant.insert(text.to_owned(), followed.meant.clone());
                }
                Ok(followed.meant)
            };
            let value = written::try_map::<String>(written, &mut look);
            let value = value.map_err(|reason| OptionError::new(key, reason))?;
            // Alone first, so that what is wrong is said of it, and not in its words.
            let alone = typed::<R>(Map::from_iter([(key.clone(), value.clone())]));
            alone.map_err(|_| OptionError::new(key, "the value that it refers to does not fit"))?;
            values.insert(key.clone(), value);
        }
        parts.set = typed(values)?;
        parts.meant = meant;
        Ok(())
    }

    /// Whether there are references that have not been followed.
    pub fn is_pending(&self) -> bool {
        self.referring().iter().any(|(key, written)| {
            let syntax = syntax_of::<R>(key);
            written::any(written, &|text| syntax.refers(text) && self.meaning(text).is_none())
        })
    }

    /// These options with those of `patch` in their place, as a JSON merge patch says (RFC 7396): null
    /// takes one away. What is given as it is shown stays what it is.
    ///
    /// # Errors
    /// Of the first key that is unknown or whose value does not fit.
    pub fn patched(&self, patch: Map<String, Value>) -> Result<Self, OptionError> {
        let (shown, written) = (self.shown(), self.written());
        let mut given = Map::new();
        for (key, value) in names::alike::<R>(patch)? {
            let syntax = syntax_of::<R>(&key);
            let one = written::given(&key, &value, syntax, shown.get(&key), written.get(&key))?;
            given.insert(key, one);
        }
        // Nothing is taken out of what is not there: that would switch it on.
        given.retain(|key, one| written.contains_key(key) || !written::only_removes(one));
        let mut merged = Value::Object(written);
        let patch = Value::Object(given);
        json_patch::merge(&mut merged, &patch);
        let Value::Object(mut merged) = merged else { return Ok(Self::default()) };
        // What is unknown is refused whatever is said of it.
        let unknown = patch.as_object().into_iter().flat_map(Map::keys);
        let unknown = unknown.filter(|key| !R::KEYS.contains(&key.as_str()));
        merged.extend(unknown.map(|key| (key.clone(), patch[key].clone())));
        let (mut values, mut parts) = (Map::new(), Parts::<R>::default());
        for (key, value) in &merged {
            let syntax = syntax_of::<R>(key);
            let mut look = |text: &str| match self.meaning(text) {
                Some(meant) => {
                    parts.meant.insert(text.to_owned(), meant.clone());
                    Ok(meant.clone())
                }
                None => syntax.follow(text, &|_| None).map(|followed| followed.meant),
            };
            let value = written::try_map(value, &mut look);
            values.insert(key.clone(), value.map_err(|reason| OptionError::new(key, reason))?);
        }
        parts.set = typed(values)?;
        // What stood here before is no concern of this change.
        let mut problems = parts.set.problems().into_iter().chain(parts.set.new_doubts(self.get()));
        if let Some(problem) = problems.find(|problem| patch.get(problem.key()).is_some()) {
            return Err(problem);
        }
        parts.keep_references(merged);
        Ok(Self::hold(parts))
    }

    /// What `file` changes about `before`, key by key, put upon these.
    #[must_use]
    pub fn merged(&self, before: &Self, file: &Self) -> Self {
        if before == file {
            return self.clone();
        }
        let (live, old, new) = (self.written(), before.written(), file.written());
        let (old_values, new_values) = (before.values(), file.values());
        let mut parts = self.0.as_deref().cloned().unwrap_or_default();
        let mut values = self.values();
        parts.meant.extend(file.0.iter().flat_map(|file| file.meant.clone()));
        for key in R::KEYS.iter().copied().filter(|key| old.get(*key) != new.get(*key)) {
            // Only the way of writing differs: what a command has made of it since stays, and where it
            // still says what the file said, it is written as the file writes it now.
            let is_rewritten = new.contains_key(key) && old_values.get(key) == new_values.get(key);
            if is_rewritten && values.get(key) != new_values.get(key) {
                if let (Some(live), Some(old), Some(new)) =
                    (live.get(key), old.get(key), new.get(key))
                {
                    let (mut written, syntax) = (live.clone(), syntax_of::<R>(key));
                    written::rewrite(&mut written, old, new, syntax);
                    if written::any_reference(&written, syntax) {
                        parts.written.insert(key.to_owned(), written);
                    }
                }
                continue;
            }
            written::put(&mut values, key, new_values.get(key));
            written::put(&mut parts.written, key, file.referring().get(key));
        }
        // Each key has been read before, and none depends on another.
        let Ok(set) = typed(values) else { return self.clone() };
        parts.set = set;
        Self::hold(parts)
    }

    /// Each key that differs, with what both say of it, as people may see it.
    pub fn differences(&self, other: &Self) -> Vec<Differing> {
        if self == other {
            return Vec::new();
        }
        let (one, two) = (self.written(), other.written());
        let (mut shown_one, mut shown_two) = (self.shown(), other.shown());
        for (shown, written) in [(&mut shown_one, &two), (&mut shown_two, &one)] {
            for (key, written) in written {
                if let Some(value) = shown.get_mut(key) {
                    written::hide_beside(value, written, syntax_of::<R>(key));
                }
            }
        }
        let text = |shown: &Map<String, Value>, key| shown_in_words(key, shown.get(key));
        let differing = R::KEYS.iter().copied().filter(|key| one.get(*key) != two.get(*key));
        differing.map(|key| (key, text(&shown_one, key), text(&shown_two, key))).collect()
    }
}

impl<R: Record> Parts<R> {
    /// Keeps of `written` the keys that refer to the environment, in the normal form of their values.
    fn keep_references(&mut self, written: Map<String, Value>) {
        let values = differing(&self.set);
        for (key, value) in written {
            let syntax = syntax_of::<R>(&key);
            if !written::any_reference(&value, syntax) {
                continue;
            }
            let normal = values.get(&key);
            let normal = normal.map(|normal| written::with_references(normal, &value, syntax));
            self.written.insert(key, normal.unwrap_or(value));
        }
    }
}

impl<R: Record> From<R> for Held<R> {
    fn from(set: R) -> Self {
        Self::hold(Parts { set, ..Parts::default() })
    }
}

impl<R: Record> PartialEq for Held<R> {
    /// They are written the same.
    fn eq(&self, other: &Self) -> bool {
        if self.referring().is_empty() && other.referring().is_empty() {
            return self.get() == other.get();
        }
        self.written() == other.written()
    }
}

impl<R: Record> Eq for Held<R> {}

impl<R: Record> fmt::Debug for Held<R> {
    /// As people may see them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown(), f)
    }
}

impl<R: Record> Serialize for Held<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut stored = self.values();
        let referring = self.referring();
        if !referring.is_empty() {
            stored.retain(|key, _| !referring.contains_key(key));
            stored.insert(WRITTEN.to_owned(), Value::Object(referring.clone()));
        }
        stored.serialize(serializer)
    }
}

impl<'de, R: Record> Deserialize<'de> for Held<R> {
    /// Reads what was stored. Its references are followed by [`Self::resolve`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut stored = Map::deserialize(deserializer)?;
        let written = match stored.remove(WRITTEN) {
            Some(Value::Object(written)) => written,
            _ => Map::new(),
        };
        let set = typed(stored).map_err(serde::de::Error::custom)?;
        Ok(Self::hold(Parts { set, written, meant: Meant::new() }))
    }
}

impl<R: Record> JsonSchema for Held<R> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        R::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        R::json_schema(generator)
    }
}
