//! The methods as an `OpenRPC` document, from their types.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use vhost::rpc::catalogue::{self, Entry};
use vhost::rpc::envelope::{Fault, ProgressParams};

/// Where schemas of an `OpenRPC` document are.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// The whole document.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    // What the server reads may leave out more than what it writes does.
    let mut taken = settings.clone().for_deserialize().into_generator();
    let mut given = settings.for_serialize().into_generator();
    let methods: Vec<Value> =
        catalogue::all().map(|entry| method(entry, &mut taken, &mut given)).collect();
    given.subschema_for::<Fault>();
    given.subschema_for::<ProgressParams>();
    let mut schemas = given.take_definitions(false);
    for (name, schema) in taken.take_definitions(false) {
        if let Some(other) = schemas.get(&name) {
            assert_eq!(*other, schema, "`{name}` means two things: rename one");
        }
        schemas.insert(name, schema);
    }
    schemas.sort_keys();
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "vhost: the admin socket",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "JSON-RPC 2.0 over a Unix socket, one message a line.",
        },
        "methods": methods,
        "components": { "schemas": schemas },
    })
}

fn method(entry: &Entry, taken: &mut SchemaGenerator, given: &mut SchemaGenerator) -> Value {
    let params = Value::from((entry.params)(taken));
    let required = params["required"].as_array().cloned().unwrap_or_default();
    let none = Map::new();
    let mut properties: Vec<Value> = params["properties"]
        .as_object()
        .unwrap_or(&none)
        .iter()
        .map(|(name, schema)| {
            json!({ "name": name, "required": required.contains(&json!(name)), "schema": schema })
        })
        .collect();
    // OpenRPC wants those that are required first.
    properties.sort_by_key(|property| property["required"] == false);
    let mut method = json!({
        "name": entry.name,
        "summary": words(entry.doc),
        "paramStructure": "by-name",
        "params": properties,
        "result": { "name": "result", "schema": (entry.result)(given) },
        "x-error-kinds": entry.faults,
    });
    let progress = Value::from((entry.progress)(given));
    if progress["type"] != "null" {
        method["x-progress"] = progress;
    }
    method
}

/// Text without the line breaks of the source.
pub(super) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A validator of what `schema` of the document describes.
pub(super) fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let whole = json!({ "allOf": [schema], "components": document["components"] });
    jsonschema::validator_for(&whole).expect("a schema")
}

/// A validator of a method's parameters, which takes no others.
pub(super) fn params_validator(document: &Value, method: &Value) -> jsonschema::Validator {
    let params = method["params"].as_array().expect("params");
    let properties: Map<String, Value> = params
        .iter()
        .map(|param| (param["name"].as_str().expect("a name").to_owned(), param["schema"].clone()))
        .collect();
    let required: Vec<&Value> = params
        .iter()
        .filter(|param| param["required"] == true)
        .map(|param| &param["name"])
        .collect();
    let schema = json!({
        "type": "object", "properties": properties, "required": required,
        "additionalProperties": false,
    });
    validator(document, &schema)
}
