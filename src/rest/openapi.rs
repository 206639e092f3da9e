//! The `OpenAPI` 3.1 document, from the table of routes and the types of the methods.

use http::Method as Verb;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::health::Health;
use super::input::takes_null;
use super::operation::{Done, Operation, Streams, Takes};
use super::problem::{self, Problem, status_of};
use super::routes::{Does, ROUTES, Route};
use super::shapes::without;
use crate::exposition::Exposition;
use crate::rpc::catalogue::find;

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
        path[route.verb.as_str().to_lowercase()] = operation(route, &mut generators);
    }
    let problem = Value::from(generators.given.subschema_for::<Problem>());
    let mut schemas = generators.taken.take_definitions(false);
    // What is written counts where a type is both: it has all that there may be.
    schemas.extend(generators.given.take_definitions(false));
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
                "description": "Why it was not carried out; `kind` says which problem it is.",
                "content": { problem::MEDIA_TYPE: { "schema": problem } },
            } },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route, generators: &mut Generators) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    let summary: Vec<&str> = route.summary().split_whitespace().collect();
    let mut operation = json!({ "operationId": route.name, "summary": summary.join(" ") });
    let mut responses: Map<String, Value> = Map::new();
    let mut statuses = vec![400, 401, 403, 503];
    let plain = |description, kind, of: &str| {
        content(description, kind, &schemars::json_schema!({ "type": of }))
    };
    let (status, answer) = match &route.does {
        Does::Call(call) => {
            takes(route, call, generators, &mut operation, &mut parameters);
            statuses.extend(refusals(route, call));
            parameters.push(if route.verb == Verb::GET {
                header("If-None-Match", "A revision that the client has.")
            } else {
                header(
                    "If-Match",
                    "The revision that the state must have for the change to be made.",
                )
            });
            (call.done.status().as_u16(), answer(call, generators))
        }
        Does::Health => {
            operation["security"] = json!([]);
            statuses = vec![400, 403];
            let schema = generators.given.subschema_for::<Health>();
            let unfit = content("It starts or stops.", "application/json", &schema);
            responses.insert("503".to_owned(), unfit);
            (200, content("How the server is.", "application/json", &schema))
        }
        Does::Metrics => (200, plain("The metrics.", Exposition::CONTENT_TYPE, "string")),
        Does::Document => (200, plain("The document.", "application/json", "object")),
    };
    responses.insert(status.to_string(), answer);
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
    let mut schema = (call.given)(&mut generators.taken);
    for name in route.in_path() {
        let property = schema.get("properties").and_then(|properties| properties.get(name));
        parameters
            .push(json!({ "name": name, "in": "path", "required": true, "schema": property }));
        without(&mut schema, name);
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    let properties = properties.into_iter().flatten();
    match call.takes {
        Takes::Path => {}
        Takes::Query => {
            for (name, schema) in properties {
                not_null(schema);
                parameters.push(json!({ "name": name, "in": "query", "schema": schema }));
            }
        }
        Takes::Body | Takes::OptionalBody => {
            if route.verb == Verb::PUT {
                properties
                    .filter(|(name, _)| !takes_null(name))
                    .for_each(|(_, schema)| not_null(schema));
            }
            operation["requestBody"] = json!({
                "required": call.takes == Takes::Body,
                "content": { "application/json": { "schema": schema } },
            });
        }
    }
}

/// The statuses of an operation that is refused.
fn refusals(route: &Route, call: &Operation) -> Vec<u16> {
    let mut statuses = vec![422, 500];
    if route.verb != Verb::GET {
        statuses.push(412);
    }
    if matches!(call.takes, Takes::Body | Takes::OptionalBody) {
        statuses.extend([408, 413, 415]);
    }
    let faults = find(call.method).map(|entry| entry.faults).unwrap_or_default();
    statuses.extend(faults.iter().map(|kind| status_of(*kind).as_u16()));
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
