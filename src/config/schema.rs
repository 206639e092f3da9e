//! The JSON Schema of the file: what it may say, for editors and the manual page.
//!
//! The sections are those of their tables. The structs are the shapes of the entries and nothing else;
//! nobody fills them.

mod kinds;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::kind::{like, text_or_reference};
use super::load::defaults;
use super::settings::tables;
use crate::model::{BackendOptions, OptionSet, TopOptions};
use kinds::{BackendAddress, Id, StateWord, TagText};

/// The JSON Schema (draft 2020-12) of the config file, which also fits the files that it includes.
pub(crate) fn schema() -> Value {
    let mut properties = Map::from_iter([
        (
            "include".to_owned(),
            json!({
                "description": "Files to include: names, or patterns such as `conf.d/*.toml`. They \
                    contain only `[[virtual_hosts]]` and `[[backends]]`.",
                "type": "array",
                "items": like(".+"),
                "default": [],
                "examples": [["conf.d/*.toml"]],
            }),
        ),
        ("virtual_hosts".to_owned(), list::<VirtualHost>("The domains.")),
        ("backends".to_owned(), list::<Backend>("The backends.")),
    ]);
    let sections = tables().into_iter().filter(|table| !table.name.contains('.'));
    properties.extend(sections.map(|table| (table.name.to_owned(), table.schema())));
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vhost config",
        "description": "The config file of vhost. Times are numbers of seconds, or texts such as `90s`; \
            sizes are numbers of bytes, or texts such as `10MB`, whose units are powers of 1024. Relative \
            paths start at the file's directory. In every string, `${NAME}` stands for the value of the \
            environment variable NAME.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        // A file that is included has no sections.
        "anyOf": [
            { "required": ["proxy"] },
            { "propertyNames": { "enum": ["virtual_hosts", "backends"] } },
        ],
    });
    for (key, value) in defaults() {
        if let Some(Value::Object(found)) = property(&mut schema, &key) {
            found.insert("default".to_owned(), value);
        }
    }
    schema
}

/// The schema of a list of entries.
fn list<T: JsonSchema>(about: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut entry = generator.into_generator().into_root_schema_for::<T>().to_value();
    forget_defaults(&mut entry);
    if let Some(entry) = entry.as_object_mut() {
        entry.retain(|key, _| key != "$schema" && key != "title");
    }
    as_file(&mut entry);
    json!({ "type": "array", "description": about, "items": entry })
}

/// Makes a schema of JSON one of the file: nothing is null there, and a word may be a reference to the
/// environment.
fn as_file(schema: &mut Value) {
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

/// The property that a path such as `proxy.threads` or `backends.weight` leads to.
fn property<'s>(schema: &'s mut Value, path: &str) -> Option<&'s mut Value> {
    path.split('.').try_fold(schema, |schema, key| {
        let schema = if schema.get("items").is_some() { schema.get_mut("items")? } else { schema };
        schema.get_mut("properties")?.get_mut(key)
    })
}

/// Takes out the defaults of Rust's types, which aren't the file's.
fn forget_defaults(schema: &mut Value) {
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

/// A domain. vhost applies what changed here since the file was last applied; changes made with
/// `vhost ctl`, such as a switch, stay.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is a shape")]
struct VirtualHost {
    /// An exact name, a wildcard for one label (`*.example.com`), or `*` for every other host.
    domain: kinds::Domain,
    /// The tag that serves the domain. At least one backend must carry it.
    enabled_backends_tag: TagText,
    #[schemars(flatten)]
    top: TopOptions,
    #[schemars(flatten)]
    options: OptionSet,
}

/// A backend: a server that answers requests.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(extend(
    "if" = { "properties": { "scheme": { "enum": ["h2", "h2c"] } }, "required": ["scheme"] },
    "then" = { "properties": { "send_proxy_protocol": { "const": "off" } } },
))]
#[schemars(extend("dependentRequired" = {
    "tls_client_cert_file": ["tls_client_key_file"],
    "tls_client_key_file": ["tls_client_cert_file"],
}))]
#[expect(dead_code, reason = "it is a shape")]
struct Backend {
    /// Unique. Don't reuse it for another server: history and metrics refer to it.
    id: Id,
    /// `address:port`, `name:port` (resolved again as its records change) or `unix:/path`.
    address: BackendAddress,
    /// Its tags: the pools that it belongs to.
    tags: Vec<TagText>,
    /// `ready`, `draining` (no new requests) or `disabled` (not probed either). Without this key a
    /// new backend is ready, and changes by `vhost ctl backend drain` and the like stay.
    #[schemars(default)]
    state: StateWord,
    #[schemars(flatten)]
    options: BackendOptions,
}

#[cfg(test)]
mod tests;
