//! The `OpenAPI` document: committed, and what the server really answers.

use std::path::Path;

use serde_json::{Value, json};

use super::*;

/// The document as the server has it.
pub(super) fn document() -> Value {
    vhost::rest::document()
}

/// Holds a response against the document.
#[track_caller]
pub(super) fn hold(document: &Value, method: &str, path: &str, response: &Response) {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let (parts, given) = (template.split('/'), path.split('/'));
        template.split('/').count() == path.split('/').count()
            && parts
                .zip(given)
                .all(|(part, given)| part == given || (part.starts_with('{') && !given.is_empty()))
    };
    let paths = document["paths"].as_object().expect("paths");
    let route = paths.iter().find(|(template, _)| fits(template)).map(|(_, route)| route);
    let operation = route.and_then(|route| route.get(method.to_lowercase()));
    let Some(operation) = operation else {
        assert!([401, 403, 404, 405].contains(&response.status), "{method} {path}: {response:?}");
        return;
    };
    let status = response.status.to_string();
    let mut declared = operation["responses"].get(&status);
    assert!(declared.is_some(), "{method} {path} does not declare {status}: {}", response.text());
    if let Some(reference) = declared.and_then(|declared| declared["$ref"].as_str()) {
        declared = document.pointer(reference.trim_start_matches('#'));
    }
    let Some(content) = declared.and_then(|declared| declared["content"].as_object()) else {
        assert!(response.body.is_empty(), "{method} {path}: {}", response.text());
        return;
    };
    let kind = response.header("content-type").expect("a type").to_owned();
    let media = content.get(&kind);
    let media = media.unwrap_or_else(|| panic!("{method} {path}: {status} is never `{kind}`"));
    if kind.ends_with("json") {
        let whole = json!({ "allOf": [media["schema"]], "components": document["components"] });
        let validator = jsonschema::validator_for(&whole).expect("a schema");
        let body = json_of(response);
        let errors: Vec<_> = validator
            .iter_errors(&body)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{method} {path}: {errors:#?}\n{body}");
    }
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    if std::env::var_os("VHOST_BLESS").is_some() {
        std::fs::write(&path, &text).expect("the file is written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "docs/openapi.json is not of this version; run `./dev bless`");
    let api = Api::start();
    let served = api.ask("GET", "/api/v1/openapi.json", None);
    assert_eq!((served.status, json_of(&served)), (200, document()));
}

#[test]
fn every_operation_of_the_document_is_there_and_no_other() {
    let api = Api::start();
    for (path, operations) in document()["paths"].as_object().unwrap() {
        let real = path.replace("{domain}", "no.test").replace("{id}", "nobody");
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH"] {
            let declared = operations.get(method.to_lowercase()).is_some();
            let real =
                if real.ends_with("/events") { format!("{real}?count=0") } else { real.clone() };
            let body = json!({});
            let body = (!matches!(method, "GET" | "DELETE")).then_some(&body);
            let there = api.ask(method, &real, body).status != 405;
            assert_eq!(there, declared, "{method} {path}");
        }
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    found.push(reference.to_owned());
                }
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(elements) => elements.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let (document, mut found) = (document(), Vec::new());
    references(&document, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}
