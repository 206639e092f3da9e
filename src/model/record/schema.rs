//! What a record's JSON Schema says of its keys, down to inner ones.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Record;

/// The JSON Schema of a record, with everything in its place instead of references.
pub fn schema<R: Record>() -> Value {
    let generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    generator.into_generator().into_root_schema_for::<R>().to_value()
}

/// The schema of what stands at a path such as `paths[0].tag`.
pub(super) fn at<'s>(schema: &'s Value, path: &str) -> Option<&'s Value> {
    let mut keys = path.split(['.', '[']).filter(|key| !key.is_empty());
    keys.try_fold(schema, member)
}

/// The schema of a member of a table, of a map or of a list.
pub fn member<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    if key.ends_with(']') {
        return forms(schema).find_map(|form| form.get("items"));
    }
    let named = forms(schema).find_map(|form| form.get("properties")?.get(key));
    named.or_else(|| {
        forms(schema).find_map(|form| form.get("additionalProperties").filter(|of| of.is_object()))
    })
}

/// The members that a table may have, each with its schema.
pub fn members(schema: &Value) -> Vec<(&str, &Value)> {
    let members = forms(schema).filter_map(|form| form.get("properties")?.as_object());
    members.flatten().map(|(key, of)| (key.as_str(), of)).collect()
}

/// The forms that a value may have.
fn forms(schema: &Value) -> impl Iterator<Item = &Value> {
    let mut forms = vec![schema];
    let mut at = 0;
    while let Some(form) = forms.get(at) {
        let more = ["anyOf", "oneOf"].into_iter().filter_map(|word| form.get(word)?.as_array());
        let more: Vec<_> = more.flatten().collect();
        forms.extend(more);
        at += 1;
    }
    forms.into_iter()
}

/// Whether a value may be of this type of JSON.
pub(super) fn takes(schema: &Value, kind: &str) -> bool {
    forms(schema).any(|form| match &form["type"] {
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        one => one == kind,
    })
}

/// The words that a value may be; none where there are more than words.
pub fn finite_values(schema: &Value) -> Vec<&str> {
    let words = forms(schema).flat_map(|form| {
        let one = form.get("const").into_iter();
        one.chain(form.get("enum").and_then(Value::as_array).into_iter().flatten())
    });
    let mut words: Vec<_> = words.filter_map(Value::as_str).collect();
    if forms(schema).any(|form| form["type"] == "boolean" || form["type"][0] == "boolean") {
        words.extend(["true", "false"]);
    }
    words
}

/// What to choose from, where a value is one of some words and nothing else.
pub(super) fn choices(schema: &Value) -> Option<String> {
    let is_word = |form: &Value| form.get("const").is_some() || form.get("enum").is_some();
    let is_choice = |form: &Value| form.get("anyOf").is_some() || form.get("oneOf").is_some();
    if !forms(schema).all(|form| is_word(form) || is_choice(form) || form["type"] == "null") {
        return None;
    }
    let words: Vec<_> = finite_values(schema).into_iter().map(|word| format!("`{word}`")).collect();
    let (last, others) = words.split_last().filter(|(_, others)| !others.is_empty())?;
    Some(format!("choose {} or {last}", others.join(", ")))
}

/// The least and the greatest number.
pub(super) fn bounds(schema: &Value) -> Option<(u64, u64)> {
    let bounds = forms(schema).find(|form| form.get("maximum").is_some())?;
    Some((bounds["minimum"].as_u64().unwrap_or(0), bounds["maximum"].as_u64()?))
}
