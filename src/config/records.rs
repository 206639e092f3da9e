//! The records of the model as the file has them: how their keys are read, and their schemas.

use serde_json::{Map, Value, json};

use super::effective::Origin;
use super::kind::{REFERENCE, text_or_reference};
use super::reader::Section;
use super::table::Row;
use crate::model::OptionError;
use crate::model::record::{self, Record};

/// What a section or an entry gives of a record.
pub(super) struct ReadRecord<R> {
    pub(super) record: R,
    /// What stands at each key that is given.
    pub(super) values: Map<String, Value>,
    /// The same of the keys that refer to the environment, as the file writes them.
    pub(super) written: Map<String, Value>,
}

/// What becomes of references to the environment in a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum References {
    /// They stay, and what they stand for is nobody's to see.
    Kept,
    /// What they stand for takes their place.
    Followed,
}

/// Reads the keys of a record; nothing when one is wrong. Each that is wrong is reported.
pub(super) fn read_record<R: Record>(
    entry: &mut Section<'_, '_>,
    references: References,
) -> Option<ReadRecord<R>> {
    let (mut values, mut written, mut wrong) = (Map::new(), Map::new(), Vec::new());
    for key in R::KEYS {
        let Some(value) = entry.plain_value(key) else {
            wrong.extend(entry.has(key).then_some(*key));
            continue;
        };
        let alone = Map::from_iter([((*key).to_owned(), value.clone())]);
        match record::typed::<R>(alone) {
            Ok(one) => {
                let syntax = record::syntax_of::<R>(key);
                entry.list_plain(key, syntax, || Some(record::written(&one).next()?.1));
            }
            Err(error) => {
                wrong.push(*key);
                if entry.refers(key) {
                    entry.problem(key, "the value that it refers to does not fit");
                } else {
                    note(entry, &error);
                }
                continue;
            }
        }
        values.insert((*key).to_owned(), value);
        if entry.refers(key) {
            let value = entry.plain_written(key, record::syntax_of::<R>(key));
            written.extend(value.map(|value| ((*key).to_owned(), value)));
        }
    }
    if references == References::Followed {
        record::absolute::<R>(&mut values, entry.report().directory());
    }
    // Each has been read alone.
    let record: R = record::typed(values.clone()).unwrap_or_default();
    let problems = record.problems();
    // What can't be read has been reported already.
    for problem in problems.iter().filter(|problem| !wrong.contains(&problem.key())) {
        if references == References::Kept && entry.refers(problem.key()) {
            entry.problem(problem.key(), "the value that it refers to does not fit");
        } else {
            note(entry, problem);
        }
    }
    for doubt in record.doubts() {
        entry.warn(doubt.key(), doubt.to_string());
    }
    let is_right = wrong.is_empty() && problems.is_empty();
    is_right.then_some(ReadRecord { record, values, written })
}

/// Notes a problem of an option. What its value is stands there already, unless it is a table or a list.
pub(super) fn note(entry: &Section<'_, '_>, error: &OptionError) {
    let OptionError { path, reason, remedy } = error;
    let key = error.key();
    if path == key {
        let remedy = remedy.as_ref().filter(|_| entry.shows(key));
        entry.problem(key, remedy.unwrap_or(reason).as_str());
    } else {
        entry.problem(key, format!("`{path}`: {reason}"));
    }
}

/// Reads the keys of a record that are a section's. What is wrong is as by default in the answer, and in the
/// report. `defaults` is what holds for the keys of a record where they are not given.
pub(super) fn read_settings<R: Record>(
    section: &mut Section<'_, '_>,
    defaults: impl FnOnce(&R) -> Map<String, Value>,
) -> R {
    let read = read_record::<R>(section, References::Followed);
    let record = read.map(|read| read.record).unwrap_or_default();
    let defaults = defaults(&record);
    for key in R::KEYS {
        section.list_default(key, defaults.get(*key).cloned(), Origin::Default);
    }
    record
}

/// The keys of a record as rows of a section, with examples for those that have no default to show.
pub(super) fn rows<R: Record>(
    defaults: &Map<String, Value>,
    examples: &[(&str, Value)],
) -> Vec<Row> {
    let row = |key: &'static str| {
        let mut schema = record::member(R::schema(), key).cloned().unwrap_or_default();
        forget_defaults(&mut schema);
        texts_may_refer(&mut schema);
        as_file(&mut schema);
        let about = schema.as_object_mut().and_then(|schema| {
            schema.remove("default");
            schema.remove("description")
        });
        let about = about.as_ref().and_then(Value::as_str).unwrap_or_default();
        let example = examples.iter().find(|(other, _)| *other == key);
        Row {
            key,
            about: about.split_whitespace().collect::<Vec<_>>().join(" ").into(),
            required: false,
            schema,
            default: defaults.get(key).cloned().unwrap_or_default(),
            example: example.map(|(_, example)| example.clone()).unwrap_or_default(),
            remedy: None,
        }
    };
    R::KEYS.iter().copied().map(row).collect()
}

/// Lets texts of records that look like something be references to the environment.
pub(super) fn texts_may_refer(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(pattern)) = fields.get_mut("pattern")
                && !pattern.contains(REFERENCE)
            {
                *pattern = format!("{pattern}|{REFERENCE}");
            }
            fields.values_mut().for_each(texts_may_refer);
        }
        Value::Array(items) => items.iter_mut().for_each(texts_may_refer),
        _ => {}
    }
}

/// Makes a schema of JSON one of the file: nothing is null there, and a word may be a reference to the
/// environment.
pub(super) fn as_file(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(kinds)) = fields.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [kind] = kinds.as_slice() {
                    let kind = kind.clone();
                    fields.insert("type".to_owned(), kind);
                }
            }
            for choice in ["anyOf", "oneOf"] {
                let Some(Value::Array(choices)) = fields.get_mut(choice) else { continue };
                choices.retain(|choice| choice["type"] != "null");
                let words: Option<Vec<Value>> =
                    choices.iter().map(|choice| choice.get("const").cloned()).collect();
                if let Some(words) = words {
                    fields.remove(choice);
                    let schema = text_or_reference(&json!({ "enum": words }));
                    fields.extend(schema.as_object().cloned().unwrap_or_default());
                } else if let [only] = choices.as_mut_slice() {
                    let only = std::mem::take(only);
                    fields.remove(choice);
                    if let Value::Object(only) = only {
                        only.into_iter().for_each(|(key, of)| _ = fields.entry(key).or_insert(of));
                    }
                }
            }
            fields.values_mut().for_each(as_file);
        }
        Value::Array(items) => items.iter_mut().for_each(as_file),
        _ => {}
    }
}

/// Takes out the defaults of Rust's types, which aren't the file's.
pub(super) fn forget_defaults(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                for property in properties.values_mut().filter_map(Value::as_object_mut) {
                    property.remove("default");
                }
            }
            fields.values_mut().for_each(forget_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_defaults),
        _ => {}
    }
}
