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

/// Notes what the texts with references stand for; both values have the same shape.
pub(super) fn note(written: &Value, meant: &Value, into: &mut Meant) {
    match (written, meant) {
        (Value::String(text), Value::String(meant)) if refers(text) => {
            into.insert(text.clone(), meant.clone());
        }
        (Value::Array(written), Value::Array(meant)) => {
            written.iter().zip(meant).for_each(|(written, meant)| note(written, meant, into));
        }
        (Value::Object(written), Value::Object(meant)) => {
            for (key, written) in written {
                if let Some(meant) = meant.get(key) {
                    note(written, meant, into);
                }
            }
        }
        _ => {}
    }
}

/// The normal form of a value, with the references of `written` in their places.
pub(super) fn with_references(normal: &Value, written: &Value) -> Value {
    let mut whole = escaped(normal);
    put_references(&mut whole, written);
    // Where the shapes differ, none may get lost: what it stands for would be shown.
    if references(&whole) == references(written) { whole } else { written.clone() }
}

fn put_references(into: &mut Value, written: &Value) {
    match (into, written) {
        (into, Value::String(text)) if refers(text) => into.clone_from(written),
        (Value::Array(into), Value::Array(written)) if into.len() == written.len() => {
            into.iter_mut().zip(written).for_each(|(into, written)| put_references(into, written));
        }
        (Value::Object(into), Value::Object(written)) => {
            for (key, written) in written {
                if let Some(into) = into.get_mut(key) {
                    put_references(into, written);
                }
            }
        }
        _ => {}
    }
}

/// Hides in a value that is shown what stands where `other` has a reference: it was, or became, what a
/// variable holds.
pub(super) fn hide_beside(value: &mut Value, other: &Value) {
    match (value, other) {
        (Value::String(text), Value::String(other))
            if refers(other) && text != other && !refers(text) =>
        {
            HIDDEN.clone_into(text);
        }
        (Value::Array(elements), Value::Array(others)) if elements.len() == others.len() => {
            elements.iter_mut().zip(others).for_each(|(one, other)| hide_beside(one, other));
        }
        (Value::Object(fields), Value::Object(others)) => {
            for (key, other) in others {
                if let Some(value) = fields.get_mut(key) {
                    hide_beside(value, other);
                }
            }
        }
        // Which of them became the reference can't be seen.
        (value, other) if any_reference(other) => {
            *value = map(value, |text| if refers(text) { text } else { HIDDEN }.to_owned());
        }
        _ => {}
    }
}

/// The texts that refer to nothing and stand where `other` has a reference, without their escapes.
pub(super) fn literals_beside(written: &Value, other: &Value, into: &mut Vec<String>) {
    match (written, other) {
        (Value::String(text), Value::String(other)) if refers(other) && !refers(text) => {
            into.push(unescape(text));
        }
        (Value::Array(elements), Value::Array(others)) if elements.len() == others.len() => {
            let pairs = elements.iter().zip(others);
            pairs.for_each(|(element, other)| literals_beside(element, other, into));
        }
        (Value::Object(fields), Value::Object(others)) => {
            for (key, other) in others {
                if let Some(field) = fields.get(key) {
                    literals_beside(field, other, into);
                }
            }
        }
        _ => {}
    }
}

/// Puts the references of `new` in the place of the literals that they took the place of since `old`,
/// where those still stand.
pub(super) fn rewrite(written: &mut Value, old: &Value, new: &Value) {
    match (written, old, new) {
        (Value::String(text), Value::String(old), Value::String(new))
            if refers(new) && !refers(old) && text == old =>
        {
            text.clone_from(new);
        }
        (Value::Array(elements), Value::Array(old), Value::Array(new))
            if elements.len() == old.len() && old.len() == new.len() =>
        {
            let beside = old.iter().zip(new);
            elements.iter_mut().zip(beside).for_each(|(one, (old, new))| rewrite(one, old, new));
        }
        (Value::Object(fields), Value::Object(old), Value::Object(new)) => {
            for (key, new) in new {
                if let (Some(field), Some(old)) = (fields.get_mut(key), old.get(key)) {
                    rewrite(field, old, new);
                }
            }
        }
        _ => {}
    }
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
