//! Values as a config file writes them, with their references to the environment, beside what they
//! stand for.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::reference::{HIDDEN, escape, refers, unescape};

/// What each text with a reference stands for, by the text.
pub(super) type Meant = BTreeMap<String, String>;

/// Whether any text in a value refers to the environment.
pub(super) fn any_reference(written: &Value) -> bool {
    references(written) > 0
}

/// How many texts in a value refer to the environment.
fn references(written: &Value) -> usize {
    match written {
        Value::String(text) => usize::from(refers(text)),
        Value::Array(elements) => elements.iter().map(references).sum(),
        Value::Object(fields) => fields.values().map(references).sum(),
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
pub(super) fn escaped(value: &Value) -> Value {
    map(value, escape)
}

/// A value of a file for people: references as they are written.
pub(super) fn shown(written: &Value) -> Value {
    map(written, |text| if refers(text) { text.to_owned() } else { unescape(text) })
}

/// As [`shown`], without the texts that refer to nothing: they are secrets.
pub(super) fn shown_references(written: &Value) -> Value {
    map(written, |text| if refers(text) { text } else { HIDDEN }.to_owned())
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
pub(super) fn note(written: &Value, meant: &Value, into: &mut Meant) {
    texts_beside(written, meant, |text, meant| {
        if refers(text) {
            into.insert(text.to_owned(), meant.to_owned());
        }
    });
}

/// The normal form of a value, with the references of `written` in their places.
pub(super) fn with_references(normal: &Value, written: &Value) -> Value {
    let mut whole = escaped(normal);
    beside(&mut whole, [written], &mut |into, [written]| {
        let is_reference = written.as_str().is_some_and(refers);
        if is_reference {
            into.clone_from(written);
        }
        is_reference
    });
    // Where the shapes differ, none may get lost: what it stands for would be shown.
    if references(&whole) == references(written) { whole } else { written.clone() }
}

/// Hides in a value that is shown what stands where `other` has a reference: it was, or became, what a
/// variable holds.
pub(super) fn hide_beside(value: &mut Value, other: &Value) {
    beside(value, [other], &mut |value, [other]| {
        let goes_on = match (&*value, other) {
            (Value::Array(elements), Value::Array(others)) => elements.len() == others.len(),
            (Value::Object(_), Value::Object(_)) => true,
            _ => false,
        };
        // Where the shapes differ, which text became the reference can't be seen.
        if !goes_on && any_reference(other) {
            *value = shown_references(value);
        }
        !goes_on
    });
}

/// The texts that refer to nothing and stand where `other` has a reference, without their escapes.
pub(super) fn literals_beside(written: &Value, other: &Value, into: &mut Vec<String>) {
    texts_beside(written, other, |text, other| {
        if refers(other) && !refers(text) {
            into.push(unescape(text));
        }
    });
}

/// Puts the references of `new` in the place of the literals that they took the place of since `old`,
/// where those still stand.
pub(super) fn rewrite(written: &mut Value, old: &Value, new: &Value) {
    beside(written, [old, new], &mut |value, [old, new]| {
        let became =
            new.as_str().is_some_and(refers) && old.as_str().is_some_and(|old| !refers(old));
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
/// With the path of a new reference: only the config file may refer to the environment, or whoever may
/// change an option could read all of it.
pub(super) fn given(
    path: &str,
    value: &Value,
    shown: Option<&Value>,
    written: Option<&Value>,
) -> Result<Value, String> {
    match value {
        Value::String(_) if Some(value) == shown && written.is_some_and(Value::is_string) => {
            Ok(written.cloned().unwrap_or_default())
        }
        Value::String(text) if refers(text) => Err(path.to_owned()),
        Value::String(text) => Ok(escape(text).into()),
        Value::Array(elements) => {
            let there = |element: &Value| {
                let at = shown?.as_array()?.iter().position(|shown| shown == element)?;
                written?.as_array()?.get(at)
            };
            let elements = elements.iter().enumerate().map(|(index, element)| {
                let path = format!("{path}[{index}]");
                given(&path, element, Some(element), there(element))
            });
            elements.collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(fields) => {
            let at = |value: Option<&Value>, key| value.and_then(|value| value.get(key)).cloned();
            let fields = fields.iter().map(|(key, value)| {
                let (shown, written) = (at(shown, key), at(written, key));
                let path = format!("{path}.{key}");
                Ok((key.clone(), given(&path, value, shown.as_ref(), written.as_ref())?))
            });
            fields.collect::<Result<_, _>>().map(Value::Object)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}
