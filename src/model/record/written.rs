//! Values as a config file writes them, with their references to the environment, beside what they
//! stand for.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::OptionError;
use crate::model::{HIDDEN, TextSyntax, on_one_line};

/// What each text with a reference stands for, by the text.
pub(super) type Meant = BTreeMap<String, String>;

/// Whether any text in a value is so.
pub(super) fn any(value: &Value, is_so: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_so(text),
        Value::Array(elements) => elements.iter().any(|one| any(one, is_so)),
        Value::Object(fields) => fields.values().any(|one| any(one, is_so)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether any text in a value refers to the environment.
pub(super) fn any_reference(written: &Value, syntax: TextSyntax) -> bool {
    any(written, &|text| syntax.refers(text))
}

/// How many texts in a value refer to the environment.
fn references(written: &Value, syntax: TextSyntax) -> usize {
    match written {
        Value::String(text) => usize::from(syntax.refers(text)),
        Value::Array(elements) => elements.iter().map(|one| references(one, syntax)).sum(),
        Value::Object(fields) => fields.values().map(|one| references(one, syntax)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// A value with each of its texts made anew.
pub(super) fn try_map<E>(
    value: &Value,
    text: &mut dyn FnMut(&str) -> Result<String, E>,
) -> Result<Value, E> {
    Ok(match value {
        Value::String(one) => Value::String(text(one)?),
        Value::Array(elements) => {
            let elements = elements.iter().map(|element| try_map(element, text));
            Value::Array(elements.collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| Ok((key.clone(), try_map(value, text)?)));
            Value::Object(fields.collect::<Result<_, E>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

fn map(value: &Value, text: impl Fn(&str) -> String) -> Value {
    let mapped = try_map::<std::convert::Infallible>(value, &mut |one| Ok(text(one)));
    match mapped {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

/// A value that refers to nothing, as a file writes it.
pub(super) fn escaped(value: &Value, syntax: TextSyntax) -> Value {
    map(value, |text| syntax.escape(text))
}

/// A value of a file for people: references as they are written.
pub(super) fn shown(written: &Value, syntax: TextSyntax) -> Value {
    map(written, |text| if syntax.refers(text) { text.to_owned() } else { syntax.unescape(text) })
}

/// As [`shown`], without the texts that refer to nothing: they are secrets.
pub(super) fn shown_references(written: &Value, syntax: TextSyntax) -> Value {
    map(written, |text| if syntax.refers(text) { text } else { HIDDEN }.to_owned())
}

/// Visits what stands at one place of a value and of others: from the outside in, until `visit` is done with a
/// place. Lists of other lengths have no places in common.
fn beside<const N: usize>(
    value: &mut Value,
    others: [&Value; N],
    visit: &mut dyn FnMut(&mut Value, [&Value; N]) -> bool,
) {
    if visit(value, others) {
        return;
    }
    match value {
        Value::Array(elements) => {
            let is_as_long =
                |other: &&Value| other.as_array().map(Vec::len) == Some(elements.len());
            if others.iter().all(is_as_long) {
                for (at, element) in elements.iter_mut().enumerate() {
                    beside(element, others.map(|other| &other[at]), visit);
                }
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                beside(field, others.map(|other| &other[key.as_str()]), visit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The same for texts, with those of one other value.
fn texts_beside(value: &Value, other: &Value, mut visit: impl FnMut(&str, &str)) {
    beside(&mut value.clone(), [other], &mut |value, [other]| {
        if let (Value::String(text), Value::String(other)) = (value, other) {
            visit(text, other);
        }
        false
    });
}

/// Notes what the texts with references stand for; both values have the same shape.
pub(super) fn note(written: &Value, meant: &Value, syntax: TextSyntax, into: &mut Meant) {
    texts_beside(written, meant, |text, meant| {
        if syntax.refers(text) {
            into.insert(text.to_owned(), meant.to_owned());
        }
    });
}

/// The normal form of a value, with the references of `written` in their places.
pub(super) fn with_references(normal: &Value, written: &Value, syntax: TextSyntax) -> Value {
    let mut whole = escaped(normal, syntax);
    beside(&mut whole, [written], &mut |into, [written]| {
        let is_reference = written.as_str().is_some_and(|text| syntax.refers(text));
        if is_reference {
            into.clone_from(written);
        }
        is_reference
    });
    // Where the shapes differ, none may get lost: what it stands for would be shown.
    let is_whole = references(&whole, syntax) == references(written, syntax);
    if is_whole { whole } else { written.clone() }
}

/// Hides in a value that is shown what stands where `other` has a reference: it was, or became, what a
/// variable holds.
pub(super) fn hide_beside(value: &mut Value, other: &Value, syntax: TextSyntax) {
    beside(value, [other], &mut |value, [other]| {
        let goes_on = match (&*value, other) {
            (Value::Array(elements), Value::Array(others)) => elements.len() == others.len(),
            (Value::Object(_), Value::Object(_)) => true,
            _ => false,
        };
        // Where the shapes differ, which text became the reference can't be seen.
        if !goes_on && any_reference(other, syntax) {
            *value = shown_references(value, syntax);
        }
        !goes_on
    });
}

/// The texts that refer to nothing and stand where `other` has a reference, without their escapes.
pub(super) fn literals_beside(
    written: &Value,
    other: &Value,
    syntax: TextSyntax,
    into: &mut Vec<String>,
) {
    texts_beside(written, other, |text, other| {
        if syntax.refers(other) && !syntax.refers(text) {
            into.push(syntax.unescape(text));
        }
    });
}

/// Puts the references of `new` in the place of the literals that they took the place of since `old`,
/// where those still stand.
pub(super) fn rewrite(written: &mut Value, old: &Value, new: &Value, syntax: TextSyntax) {
    beside(written, [old, new], &mut |value, [old, new]| {
        let became = new.as_str().is_some_and(|new| syntax.refers(new))
            && old.as_str().is_some_and(|old| !syntax.refers(old));
        if became && value == old {
            value.clone_from(new);
        }
        false
    });
}

/// What a command gives, as a file writes it. A text that is given as it is shown now keeps what it
/// stands for; `shown` and `written` are what stands there.
///
/// # Errors
/// Of a new reference, by its path: only the config file may refer to the environment, or whoever may
/// change an option could read all of it.
pub(super) fn given(
    path: &str,
    value: &Value,
    syntax: TextSyntax,
    shown: Option<&Value>,
    written: Option<&Value>,
) -> Result<Value, OptionError> {
    match value {
        Value::String(_) if Some(value) == shown && written.is_some_and(Value::is_string) => {
            Ok(written.cloned().unwrap_or_default())
        }
        Value::String(text) => match syntax.problem_of_command(text) {
            Some(problem) => Err(OptionError::new(on_one_line(path), on_one_line(&problem))),
            None => Ok(syntax.escape(text).into()),
        },
        Value::Array(elements) => {
            let there = |element: &Value| {
                let at = shown?.as_array()?.iter().position(|shown| shown == element)?;
                written?.as_array()?.get(at)
            };
            let elements = elements.iter().enumerate().map(|(index, element)| {
                let path = format!("{path}[{index}]");
                given(&path, element, syntax, Some(element), there(element))
            });
            elements.collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(fields) => {
            let at = |value: Option<&Value>, key| value.and_then(|value| value.get(key)).cloned();
            let fields = fields.iter().map(|(key, value)| {
                let (shown, written) = (at(shown, key), at(written, key));
                let path = format!("{path}.{key}");
                let given = given(&path, value, syntax, shown.as_ref(), written.as_ref())?;
                Ok((key.clone(), given))
            });
            fields.collect::<Result<_, _>>().map(Value::Object)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

/// Whether a patch of a table takes members out of it, and does nothing else.
pub(super) fn only_removes(patch: &Value) -> bool {
    let Value::Object(members) = patch else { return false };
    !members.is_empty() && members.values().all(|one| one.is_null() || only_removes(one))
}

/// Puts what there is at a key in the place of what was there.
pub(super) fn put(values: &mut Map<String, Value>, key: &str, value: Option<&Value>) {
    match value {
        Some(value) => _ = values.insert(key.to_owned(), value.clone()),
        None => _ = values.remove(key),
    }
}
