//! `${NAME}` in the texts of a file: what the environment says takes its place, and nobody is shown it.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::paths::Environment;
use super::value::Read;
use crate::model::record::syntax_of;
use crate::model::{Followed, OptionSet, TextSyntax};

/// The texts of one file that refer to the environment, by where they begin.
#[derive(Default)]
pub(super) struct References(BTreeMap<usize, Result<Reference, String>>);

/// Where in a file a value stands.
#[derive(Clone, Copy)]
enum Place {
    /// The list of virtual hosts, or one of them.
    Hosts,
    /// Where texts are read like this.
    In(TextSyntax),
}

impl Place {
    fn within(self, key: &str) -> Self {
        match self {
            Self::Hosts => Self::In(syntax_of::<OptionSet>(key)),
            Self::In(_) => self,
        }
    }

    fn syntax(self) -> TextSyntax {
        match self {
            Self::Hosts => TextSyntax::Plain,
            Self::In(syntax) => syntax,
        }
    }
}

/// A text that refers to the environment.
struct Reference {
    /// As it is written in the file.
    written: String,
    /// What the variables held.
    held: Vec<String>,
}

impl References {
    /// Puts what the environment says in the place of every reference. A text with a reference that
    /// can't be followed stays as it is, and reading it fails.
    pub(super) fn follow(table: &mut DeTable<'_>, environment: &Environment<'_>) -> Self {
        let mut references = Self::default();
        for (key, value) in table.iter_mut() {
            let place = match &**key.get_ref() {
                "virtual_hosts" => Place::Hosts,
                _ => Place::In(TextSyntax::Plain),
            };
            references.follow_value(value, place, environment);
        }
        references
    }

    fn follow_value(
        &mut self,
        value: &mut Spanned<DeValue<'_>>,
        place: Place,
        environment: &Environment<'_>,
    ) {
        let start = value.span().start;
        match value.get_mut() {
            DeValue::String(text) if text.contains("${") => {
                let followed = place.syntax().follow(text, &|name| environment.variable(name));
                let reference = followed.map(|Followed { meant, held }| {
                    let written = std::mem::replace(text, meant.into()).into_owned();
                    Reference { written, held }
                });
                // A text that only writes `${` is as good as one in which nothing stood.
                if reference.as_ref().map_or(true, |reference| !reference.held.is_empty()) {
                    self.0.insert(start, reference);
                }
            }
            DeValue::Array(array) => {
                for element in array.iter_mut() {
                    self.follow_value(element, place, environment);
                }
            }
            DeValue::Table(table) => {
                for (key, value) in table.iter_mut() {
                    self.follow_value(value, place.within(key.get_ref()), environment);
                }
            }
            _ => {}
        }
    }

    /// Whether a value refers to the environment, also to a variable that is not set.
    pub(super) fn is_reference(&self, value: &Spanned<DeValue<'_>>) -> bool {
        self.0.contains_key(&value.span().start)
    }

    /// What is written in the file, where it refers to the environment.
    pub(super) fn written(&self, value: &Spanned<DeValue<'_>>) -> Option<&str> {
        match self.0.get(&value.span().start) {
            Some(Ok(reference)) => Some(&reference.written),
            Some(Err(_)) | None => None,
        }
    }

    /// Reads a value. What is said of one that comes from the environment doesn't repeat it.
    pub(super) fn read<T>(
        &self,
        value: &Spanned<DeValue<'_>>,
        read: &impl Read<T>,
    ) -> Result<T, String> {
        match self.0.get(&value.span().start) {
            None => read(value.get_ref()),
            Some(Err(message)) => Err(message.clone()),
            Some(Ok(reference)) => read(value.get_ref()).map_err(|message| {
                if !repeats(&message, &reference.held) {
                    return message;
                }
                // What is said of a value of another kind is said without looking at it.
                let general = read(&DeValue::Boolean(false)).err().unwrap_or_default();
                format!("the value that it refers to does not fit; {general}")
            }),
        }
    }
}

/// Whether the message has a word of what the variables held.
fn repeats(message: &str, held: &[String]) -> bool {
    let message = message.to_lowercase();
    held.iter().any(|value| {
        let value = value.to_lowercase();
        let mut words = value.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 1);
        words.any(|word| message.contains(word))
    })
}
