//! `${NAME}` in the texts of a file: what the environment says takes its place, and nobody is shown it.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::paths::Environment;
use super::value::Read;

/// The texts of one file that refer to the environment, by where they begin.
#[derive(Default)]
pub(super) struct References(BTreeMap<usize, Result<Reference, String>>);

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
        for (_, value) in table.iter_mut() {
            references.follow_value(value, environment);
        }
        references
    }

    fn follow_value(&mut self, value: &mut Spanned<DeValue<'_>>, environment: &Environment<'_>) {
        let start = value.span().start;
        match value.get_mut() {
            DeValue::String(text) if text.contains("${") => {
                let followed = follow(text, environment);
                let reference = followed.map(|(meant, held)| {
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
                    self.follow_value(element, environment);
                }
            }
            DeValue::Table(table) => {
                for (_, value) in table.iter_mut() {
                    self.follow_value(value, environment);
                }
            }
            _ => {}
        }
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
                format!("what it stands for does not fit; {general}")
            }),
        }
    }
}

/// The text with its references replaced, and what took their places.
fn follow(text: &str, environment: &Environment<'_>) -> Result<(String, Vec<String>), String> {
    let (mut meant, mut held) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let after = &from[2..];
        if let Some(before) = before.strip_suffix('$') {
            meant.push_str(before);
            meant.push_str("${");
            rest = after;
            continue;
        }
        meant.push_str(before);
        let name = after.split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
        let Some(name) = name else {
            return Err("write the name of an environment variable between the braces, such as \
                        `${SECRET}`; `$${` stands for `${` itself"
                .to_owned());
        };
        let Some(value) = environment.variable(name) else {
            return Err(format!(
                "the environment variable `{name}` is not set; set it for the server, such as with \
                 `Environment=` or `EnvironmentFile=` in its systemd unit, and for `vhost check`"
            ));
        };
        meant.push_str(&value);
        held.push(value);
        rest = &after[name.len() + 1..];
    }
    meant.push_str(rest);
    Ok((meant, held))
}

/// As POSIX has them: letters, digits and `_`, no digit first.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
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

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(text: &str) -> Result<(String, Vec<String>), String> {
        let variable = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "_b2" => Some("${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        follow(text, &Environment::new(&variable, 0))
    }

    #[test]
    fn references_are_replaced_once_and_the_escape_is_taken_off() {
        for (text, meant, held) in [
            ("${A}", "one", 1),
            ("x-${A}-${A}.y", "x-one-one.y", 2),
            ("${_b2}", "${A}", 1),
            ("${EMPTY}", "", 1),
            ("$${A}", "${A}", 0),
            ("$$${A}", "$${A}", 0),
            ("$${${A}}", "${one}", 1),
            ("$A $ {A} }", "$A $ {A} }", 0),
        ] {
            let (found, values) = followed(text).expect(text);
            assert_eq!((found.as_str(), values.len()), (meant, held), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_says_what_would_be_one() {
        for text in ["${", "${}", "${A B}", "${1}", "x${A", "${A:-b}", "${é}"] {
            assert!(followed(text).expect_err(text).contains("between the braces"), "{text}");
        }
        assert!(followed("${NONE}").expect_err("unset").contains("`NONE` is not set"));
    }
}
