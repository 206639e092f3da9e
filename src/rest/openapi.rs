//! The `OpenAPI` 3.1 document, from the table of routes and the types of the methods.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::input::LIVE_WORD;
use super::output::{LIVE, OF_DOMAINS};
use super::problem::{self, Problem};
use super::routes::{Does, Done, HEALTH_SCHEMA, Operation, ROUTES, Route, Streams, Takes, Verb};
use crate::exposition::Exposition;
use crate::model::BackendOptions;
use crate::model::record::optional_keys;
use crate::rpc::envelope::FaultKind;
use crate::rpc::methods::find;

/// What a value of a type may look like.
const EXAMPLES: [(&str, &str); 4] = [
    ("DomainName", "example.com"),
    ("Tag", "a"),
    ("BackendId", "web-v1"),
    ("BackendAddr", "127.0.0.1:3001"),
];

/// Generators that share what they have defined: what is read may leave out more than what is written.
struct Generators {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

/// The whole document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generators = Generators {
        taken: settings.clone().for_deserialize().into_generator(),
        given: settings.for_serialize().into_generator(),
    };
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.verb.word()] = operation(route, &mut generators);
    }
    let problem = Value::from(generators.given.subschema_for::<Problem>());
    let mut schemas = generators.taken.take_definitions(false);
    // What is written counts where a type is both: it has all that there may be.
    schemas.extend(generators.given.take_definitions(false));
    if let Some(domain) = schemas.get_mut("DomainInfo") {
        rename(domain, LIVE, LIVE_WORD);
    }
    for (name, example) in EXAMPLES {
        if let Some(schema) = schemas.get_mut(name) {
            schema["examples"] = json!([example]);
        }
    }
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "vhost: the management API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the admin socket has, over HTTP. Every answer about the state carries \
                            its revision as `ETag`; a change with `If-Match` is made only while the \
                            state is at that revision.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": { "Problem": {
                "description": "Why it was not carried out; `kind` tells problems apart.",
                "content": { problem::MEDIA_TYPE: { "schema": problem } },
            } },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route, generators: &mut Generators) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    let mut operation = json!({ "operationId": route.name, "summary": route.summary });
    let mut statuses = vec![400, 403, 503];
    let (status, answer) = match &route.does {
        Does::Call(call) => {
            takes(route, call, generators, &mut operation, &mut parameters);
            statuses.extend(refusals(route, call));
            if route.verb == Verb::Get {
                parameters.push(header("If-None-Match", "A revision that the client has."));
            } else {
                parameters.push(header(
                    "If-Match",
                    "The revision that the state must have for the change to be made.",
                ));
            }
            (call.done.status().as_u16(), answer(call, generators))
        }
        Does::Health => {
            operation["security"] = json!([]);
            statuses.retain(|status| *status != 503);
            (
                200,
                content(
                    "How the server is.",
                    "application/json",
                    &(HEALTH_SCHEMA)(&mut generators.given),
                ),
            )
        }
        Does::Metrics => {
            statuses.extend([401]);
            let schema = schemars::json_schema!({ "type": "string" });
            (200, content("The metrics.", Exposition::CONTENT_TYPE, &schema))
        }
        Does::Document => {
            statuses.extend([401]);
            let schema = schemars::json_schema!({ "type": "object" });
            (200, content("The document.", "application/json", &schema))
        }
    };
    let mut responses: Map<String, Value> = Map::new();
    responses.insert(status.to_string(), answer);
    if matches!(route.does, Does::Health) {
        let schema = (HEALTH_SCHEMA)(&mut generators.given);
        let answer = content("It starts or stops.", "application/json", &schema);
        responses.insert("503".to_owned(), answer);
    }
    if let Does::Call(Operation { done: Done::State, .. }) = route.does {
        responses.insert("304".to_owned(), json!({ "description": "The client has it already." }));
    }
    statuses.sort_unstable();
    for status in statuses {
        responses.insert(status.to_string(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    operation["responses"] = responses.into();
    operation
}

/// Writes down what an operation takes.
fn takes(
    route: &Route,
    call: &Operation,
    generators: &mut Generators,
    operation: &mut Value,
    parameters: &mut Vec<Value>,
) {
    let entry = find(call.method);
    let params = entry.map(|entry| (entry.params)(&mut generators.taken));
    for name in route.in_path() {
        // A switch has its domain in a list.
        let schema = params.as_ref().and_then(|params| {
            let properties = params.get("properties")?;
            let schema =
                properties.get(name).or_else(|| properties.get("domains")?.get("items"))?;
            Some(schema.clone())
        });
        parameters.push(json!({
            "name": name, "in": "path", "required": true,
            "schema": schema.unwrap_or_else(|| json!({ "type": "string" })),
        }));
    }
    match call.takes {
        Takes::Path => {}
        Takes::Query(schema) => {
            let schema = schema(&mut generators.taken);
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, schema) in properties.into_iter().flatten() {
                let mut schema = schema.clone();
                not_null(&mut schema);
                parameters.push(json!({ "name": name, "in": "query", "schema": schema }));
            }
        }
        Takes::Body(schema) | Takes::OptionalBody(schema) => {
            let mut schema = schema(&mut generators.taken);
            for name in route.in_path() {
                remove(&mut schema, name);
            }
            if call.method.starts_with(OF_DOMAINS) {
                let mut value = Value::from(schema);
                rename(&mut value, "tag", LIVE_WORD);
                schema = Schema::try_from(value).unwrap_or_default();
            }
            if route.verb == Verb::Put {
                let nullable = optional_keys::<BackendOptions>();
                let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
                for (name, schema) in properties.into_iter().flatten() {
                    if !nullable.contains(&name.as_str()) {
                        not_null(schema);
                    }
                }
            }
            operation["requestBody"] = json!({
                "required": matches!(call.takes, Takes::Body(_)),
                "content": { "application/json": { "schema": schema } },
            });
        }
    }
}

/// The statuses of an operation that is refused.
fn refusals(route: &Route, call: &Operation) -> Vec<u16> {
    let mut statuses = vec![401, 422, 500];
    if route.verb != Verb::Get {
        statuses.push(412);
    }
    if matches!(call.takes, Takes::Body(_) | Takes::OptionalBody(_)) {
        statuses.extend([408, 413, 415]);
    }
    for kind in find(call.method).map(|entry| entry.faults).unwrap_or_default() {
        statuses.push(match kind {
            FaultKind::NotFound => 404,
            FaultKind::AlreadyExists | FaultKind::Conflict | FaultKind::Timeout => 409,
            FaultKind::Invalid | FaultKind::Unhealthy => 422,
            FaultKind::Denied => 403,
            FaultKind::Internal | FaultKind::Unknown => 500,
        });
    }
    statuses.dedup();
    statuses
}

/// What an operation that succeeds is answered with.
fn answer(call: &Operation, generators: &mut Generators) -> Value {
    let schema = (call.result)(&mut generators.given);
    let progress = find(call.method).map(|entry| (entry.progress)(&mut generators.given));
    let mut answer = match (call.done, call.streams) {
        (Done::Gone, _) => json!({ "description": "It is gone." }),
        (_, Streams::Reports) => {
            let text = schemars::json_schema!({ "type": "string" });
            let mut answer = content("Each event as `data`.", "text/event-stream", &text);
            answer["content"]["text/event-stream"]["x-data"] = json!(progress);
            answer
        }
        (_, Streams::Progress) => {
            let mut answer = content("How it ended.", "application/json", &schema);
            answer["content"]["text/event-stream"] = json!({
                "schema": { "type": "string" },
                "description": "Events `progress`, then `result` or `error`.",
                "x-progress": progress,
            });
            answer
        }
        (_, Streams::No) => content("Done.", "application/json", &schema),
    };
    if call.streams != Streams::Reports {
        answer["headers"] = json!({ "ETag": {
            "description": "The revision of the state.", "schema": { "type": "string" },
        } });
    }
    if call.done == Done::Created {
        answer["headers"]["Location"] =
            json!({ "description": "Where it is.", "schema": { "type": "string" } });
    }
    answer
}

fn content(description: &str, kind: &str, schema: &Schema) -> Value {
    json!({ "description": description, "content": { kind: { "schema": schema } } })
}

fn header(name: &str, description: &str) -> Value {
    json!({
        "name": name, "in": "header", "description": description, "schema": { "type": "string" },
    })
}

/// What isn't in a query isn't null either, and a change takes null only where that takes something away.
fn not_null(schema: &mut Value) {
    if let Some(kinds) = schema.get_mut("type")
        && let Some(kind) = kinds.as_array().and_then(|kinds| kinds.first()).cloned()
    {
        *kinds = kind;
    }
    if let Some(kinds) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind["type"] != "null");
    }
}

fn remove(schema: &mut Schema, name: &str) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove(name);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|required| required != name);
    }
}

/// Gives a member another name.
fn rename(schema: &mut Value, from: &str, to: &str) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut)
        && let Some(property) = properties.remove(from)
    {
        properties.insert(to.to_owned(), property);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        for name in required.iter_mut().filter(|name| *name == from) {
            *name = to.into();
        }
    }
}
