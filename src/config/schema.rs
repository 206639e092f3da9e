//! The JSON Schema of the file: what it may say, for editors and the manual page.
//!
//! The sections are those of their tables, and the options of entries those of their records.

use serde_json::{Map, Value, json};

use super::include::INCLUDED_KEYS;
use super::kind::{like, text_or_reference};
use super::load::defaults;
use super::records::{as_file, forget_defaults, texts_may_refer};
use super::settings::{health_check_rules, tables};
use crate::model::{AppOptions, BackendOptions, BackendState, OptionSet, TopOptions, record};

/// The JSON Schema (draft 2020-12) of the config file, which also fits the files that it includes.
pub(crate) fn schema() -> Value {
    let mut properties = Map::from_iter([
        (
            "include".to_owned(),
            json!({
                "description": "Files to include: names, or patterns such as `conf.d/*.toml`. They \
                    contain only `[[apps]]`, `[[virtual_hosts]]` and `[[backends]]`.",
                "type": "array",
                "items": like(".+"),
                "default": [],
                "examples": [["conf.d/*.toml"]],
            }),
        ),
        ("apps".to_owned(), apps()),
        ("virtual_hosts".to_owned(), domains()),
        ("backends".to_owned(), backends()),
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
            { "propertyNames": { "enum": INCLUDED_KEYS } },
        ],
    });
    for (key, value) in defaults() {
        if let Some(Value::Object(found)) = property(&mut schema, &key) {
            found.insert("default".to_owned(), value);
        }
    }
    schema
}

/// The schema of a list of entries: what is theirs alone, and the options of records.
fn list(about: &str, mut entry: Value, records: &[Value]) -> Value {
    if let Some(Value::Object(properties)) = entry.get_mut("properties") {
        let of_records = records.iter().filter_map(|record| record["properties"].as_object());
        properties.extend(of_records.flatten().map(|(key, of)| {
            let mut of = of.clone();
            texts_may_refer(&mut of);
            (key.clone(), of)
        }));
    }
    forget_defaults(&mut entry);
    as_file(&mut entry);
    json!({ "type": "array", "description": about, "items": entry })
}

fn apps() -> Value {
    let entry = json!({
        "description": "An app: what is deployed as one thing. Its domains and backends name it, and tags \
            are looked up within it.",
        "type": "object",
        "properties": {
            "name": described(like("[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"), "Unique: lower-case letters, \
                digits, `-` and `_`."),
        },
        "required": ["name"],
        "additionalProperties": false,
    });
    list("The apps.", entry, &[record::schema::<AppOptions>()])
}

fn domains() -> Value {
    let domain = like(r"\*|(\*\.)?([^\s*/:]+|\[[0-9A-Fa-f:.]+\])");
    let entry = json!({
        "description": "A domain. vhost applies what changed here since the file was last applied; \
            changes made with `vhost ctl`, such as a switch, stay.",
        "type": "object",
        "properties": {
            "domain": described(domain, "An exact name, a wildcard for one label (`*.example.com`), or `*` \
                for every other host."),
            "enabled_backends_tag": described(like(TAG), "The tag that serves the domain. At least one \
                backend must carry it."),
        },
        "required": ["domain", "enabled_backends_tag"],
        "additionalProperties": false,
    });
    list("The domains.", entry, &[record::schema::<TopOptions>(), record::schema::<OptionSet>()])
}

fn backends() -> Value {
    let states = text_or_reference(&json!({ "enum": BackendState::ALL.map(BackendState::as_str) }));
    let tags = json!({ "type": "array", "items": like(TAG) });
    let entry = json!({
        "description": "A backend: a server that answers requests.",
        "type": "object",
        "properties": {
            "id": described(like("[A-Za-z0-9][A-Za-z0-9._-]{0,127}"), "Unique. Don't reuse it for another \
                server: history and metrics refer to it."),
            "address": described(like(r"unix:/.*|[^\s/]+:[0-9]{1,5}"), "`address:port`, `name:port` \
                (resolved again as its records change) or `unix:/path`."),
            "tags": described(tags, "Its tags: the pools that it belongs to."),
            "state": described(states, "`ready`, `draining` (no new requests) or `disabled` (not probed \
                either). Without this key, a new backend starts as ready, and the file leaves the state \
                alone afterwards: what `vhost ctl backend drain` or `disable` has set stays."),
        },
        "required": ["id", "address", "tags"],
        "additionalProperties": false,
        "if": { "properties": { "scheme": { "enum": ["h2", "h2c"] } }, "required": ["scheme"] },
        "then": { "properties": { "send_proxy_protocol": { "const": "off" } } },
        "dependentRequired": {
            "tls_client_cert_file": ["tls_client_key_file"],
            "tls_client_key_file": ["tls_client_cert_file"],
        },
    });
    let mut options = record::schema::<BackendOptions>();
    let check = &mut options["properties"][BackendOptions::HEALTH_CHECK];
    if let (Value::Object(check), Value::Object(rules)) = (check, health_check_rules()) {
        check.extend(rules);
    }
    list("The backends.", entry, &[options])
}

/// What a tag looks like.
const TAG: &str = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}";

fn described(mut schema: Value, about: &str) -> Value {
    schema["description"] = about.into();
    schema
}

/// The property that a path such as `proxy.threads` or `backends.weight` leads to.
fn property<'s>(schema: &'s mut Value, path: &str) -> Option<&'s mut Value> {
    path.split('.').try_fold(schema, |schema, key| {
        let schema = if schema.get("items").is_some() { schema.get_mut("items")? } else { schema };
        schema.get_mut("properties")?.get_mut(key)
    })
}

#[cfg(test)]
mod tests;
