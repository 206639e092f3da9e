//! `docs/admin-rpc.md`, from the `OpenRPC` document and the examples.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use vhost::cli::ExitCode;
use vhost::rpc::envelope::{FaultKind, MAX_LINE, code, limit};

use super::Example;
use super::openrpc::{SCHEMAS, words};

/// Width that a message is broken to fit.
const WIDTH: usize = 100;

pub(super) fn page(document: &Value, examples: &[Example]) -> String {
    let mut text = preface(document, examples);
    text.push_str("\n## Methods\n\n");
    let methods = document["methods"].as_array().expect("methods");
    for method in methods {
        let (name, summary) = (string(&method["name"]), string(&method["summary"]));
        let _ = writeln!(text, "- [`{name}`](#{}): {summary}", name.replace('.', ""));
    }
    for method in methods {
        text.push_str(&section(method, examples));
    }
    text.push_str("\n## Types\n");
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for (name, schema) in schemas {
        let _ = write!(text, "\n### type {name}\n\n{}", described(schema));
    }
    text
}

fn preface(document: &Value, examples: &[Example]) -> String {
    let wire: Vec<String> =
        examples.iter().filter(|example| example.about.is_some()).map(shown).collect();
    let bytes = |bytes: usize| {
        let (mebi, kibi) = (bytes / (1 << 20), bytes / (1 << 10));
        if mebi > 0 { format!("{mebi} MiB") } else { format!("{kibi} KiB") }
    };
    let schemas = &document["components"]["schemas"];
    let mut text = include_str!("preface.md").to_owned();
    for (name, value) in [
        ("wire", wire.join("\n").trim_end().to_owned()),
        ("id", thousands(limit::ID)),
        ("request", bytes(limit::REQUEST)),
        ("batch", thousands(limit::BATCH)),
        ("batch_answer", bytes(limit::BATCH_ANSWER)),
        ("result", bytes(limit::RESULT)),
        ("line", bytes(MAX_LINE)),
        ("connections", thousands(limit::CONNECTIONS)),
        ("version_code", code::VERSION.to_string()),
        ("fault_data", fields(&schemas["FaultData"], false)),
        ("kinds", kinds(&schemas["FaultKind"])),
    ] {
        let place = format!("{{{name}}}");
        assert!(text.contains(&place), "the preface has no {place}");
        text = text.replace(&place, &value);
    }
    text
}

/// The kinds of errors with the exit statuses that they become.
fn kinds(schema: &Value) -> String {
    let mut text = "| kind | exit status | when |\n|---|---|---|\n".to_owned();
    for variant in schema["oneOf"].as_array().expect("kinds") {
        let kind: FaultKind = serde_json::from_value(variant["const"].clone()).expect("a kind");
        if kind == FaultKind::Unknown {
            continue;
        }
        let when = summary(&variant["description"]);
        let exit = ExitCode::from(kind).number();
        let _ = writeln!(text, "| `{}` | {exit} | {when} |", string(&variant["const"]));
    }
    text.trim_end().to_owned()
}

fn section(method: &Value, examples: &[Example]) -> String {
    let name = string(&method["name"]);
    let mut text = format!("\n### {name}\n\n{}\n", string(&method["summary"]));
    let params = method["params"].as_array().expect("params");
    if params.is_empty() {
        text.push_str("\nIt takes no parameters.\n");
    } else {
        text.push_str("\n| parameter | type | | meaning |\n|---|---|---|---|\n");
    }
    for param in params {
        let schema = &param["schema"];
        let needed = match &schema["default"] {
            _ if param["required"] == true => "required".to_owned(),
            Value::Null | Value::Object(_) => String::new(),
            default => format!("default `{default}`"),
        };
        let meaning = summary(&schema["description"]);
        let _ = writeln!(
            text,
            "| `{}` | {} | {needed} | {meaning} |",
            string(&param["name"]),
            kind_of(schema)
        );
    }
    let _ = writeln!(text, "\nResult: {}", kind_of(&method["result"]["schema"]));
    if let Some(progress) = method.get("x-progress") {
        let _ = writeln!(text, "\nProgress: {}", kind_of(progress));
    }
    let faults: Vec<String> = method["x-error-kinds"]
        .as_array()
        .expect("kinds")
        .iter()
        .map(|kind| format!("`{}`", string(kind)))
        .collect();
    if !faults.is_empty() {
        let _ = writeln!(text, "\nErrors: {}", faults.join(", "));
    }
    let own = examples.iter().filter(|example| example.about.is_none() && example.method() == name);
    for example in own {
        text.push('\n');
        text.push_str(&shown(example));
    }
    text
}

/// An example as JSON-RPC's own text writes them: `-->` to the server, `<--` from it.
fn shown(example: &Example) -> String {
    let about = example.about.as_ref().map_or(String::new(), |about| format!("{about}\n\n"));
    let mut text = format!("{about}```json\n--> {}\n", broken(&example.line, 4, 0));
    for answer in &example.answers {
        let _ = writeln!(text, "<-- {}", broken(answer, 4, 0));
    }
    text + "```\n"
}

/// JSON on one line where it fits, on several where it does not. `used` columns stand before it.
fn broken(value: &Value, used: usize, indent: usize) -> String {
    let line = on_one_line(value);
    if used + line.len() <= WIDTH {
        return line;
    }
    let inner = indent + 2;
    let margin = " ".repeat(inner);
    let (parts, open, close): (Vec<String>, _, _) = match value {
        Value::Array(elements) => {
            (elements.iter().map(|element| broken(element, inner, inner)).collect(), '[', ']')
        }
        Value::Object(object) => {
            let member = |(name, value): (&String, &Value)| {
                let used = inner + name.len() + "\"\": ,".len();
                format!("\"{name}\": {}", broken(value, used, inner))
            };
            (members(object).into_iter().map(member).collect(), '{', '}')
        }
        _ => return line,
    };
    let parts = parts.join(&format!(",\n{margin}"));
    format!("{open}\n{margin}{parts}\n{}{close}", " ".repeat(indent))
}

fn on_one_line(value: &Value) -> String {
    match value {
        Value::Array(elements) => {
            format!("[{}]", elements.iter().map(on_one_line).collect::<Vec<_>>().join(", "))
        }
        Value::Object(object) => {
            let member = |(name, value)| format!("\"{name}\": {}", on_one_line(value));
            let members: Vec<_> = members(object).into_iter().map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
        _ => value.to_string(),
    }
}

/// The members of an object, those of a message in the order in which they are read.
fn members(object: &Map<String, Value>) -> Vec<(&String, &Value)> {
    const FIRST: [&str; 8] =
        ["jsonrpc", "id", "client", "server", "method", "params", "result", "error"];
    let mut members: Vec<_> = object.iter().collect();
    if object.contains_key("jsonrpc") {
        members.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name));
    }
    members
}

/// A named type: what it is, and its fields or values.
fn described(schema: &Value) -> String {
    let mut text = schema
        .get("description")
        .map_or(String::new(), |about| format!("{}\n", words(string(about))));
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let _ = write!(text, "\n{}", described(part));
    }
    let variants = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
    if schema["properties"].is_object() {
        let _ = write!(text, "\n{}\n", fields(schema, true));
    }
    let Some(variants) = variants else {
        if schema["properties"].is_null() {
            let _ = writeln!(text, "\nType: {}", kind_of(schema));
        }
        return text;
    };
    text.push_str("\nOne of\n\n");
    for variant in variants {
        text.push_str(&one_of(variant));
    }
    text
}

/// A variant of a type, as an item of a list.
fn one_of(variant: &Value) -> String {
    let about = summary(&variant["description"]);
    let colon = if about.is_empty() { "" } else { ": " };
    if let Some(values) = variant["enum"].as_array() {
        return values.iter().fold(String::new(), |text, value| text + &format!("- `{value}`\n"));
    }
    if !variant["const"].is_null() {
        return format!("- `{}`{colon}{about}\n", variant["const"]);
    }
    let none = Map::new();
    let properties = variant["properties"].as_object().unwrap_or(&none);
    let Some((tag, value)) =
        properties.iter().find_map(|(name, schema)| Some((name, schema.get("const")?)))
    else {
        let kind = if properties.is_empty() { kind_of(variant) } else { shape_of(variant) };
        return format!("- {kind}{colon}{about}\n");
    };
    let mut text = format!("- `\"{tag}\": {value}`{colon}{about}\n");
    for (name, schema) in properties.iter().filter(|(name, _)| *name != tag) {
        let about = summary(&schema["description"]);
        let _ = writeln!(text, "  - `{name}`, {}: {about}", kind_of(schema));
    }
    text
}

/// An object with its fields, in code.
fn shape_of(schema: &Value) -> String {
    fn inside(schema: &Value) -> String {
        let Some(properties) = schema["properties"].as_object() else { return kind_of(schema) };
        let fields: Vec<_> =
            properties.iter().map(|(name, of)| format!("\"{name}\": {}", inside(of))).collect();
        format!("{{{}}}", fields.join(", "))
    }
    format!("`{}`", inside(schema))
}

/// The fields of an object as a table.
fn fields(schema: &Value, with_types: bool) -> String {
    let mut text = if with_types {
        "| field | type | meaning |\n|---|---|---|\n".to_owned()
    } else {
        "| field | meaning |\n|---|---|\n".to_owned()
    };
    for (name, field) in schema["properties"].as_object().expect("properties") {
        let about = summary(&field["description"]);
        if with_types {
            let _ = writeln!(text, "| `{name}` | {} | {about} |", kind_of(field));
        } else {
            let _ = writeln!(text, "| `{name}` | {about} |");
        }
    }
    text.trim_end().to_owned()
}

/// A schema in a few words.
fn kind_of(schema: &Value) -> String {
    if let Some(path) = schema["$ref"].as_str() {
        let name = path.strip_prefix(SCHEMAS).expect("a schema of the document");
        return format!("[{name}](#type-{})", name.to_lowercase());
    }
    if let Some(several) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        return several.iter().map(kind_of).collect::<Vec<_>>().join(" or ");
    }
    if !schema["const"].is_null() {
        return format!("`{}`", schema["const"]);
    }
    let one = |kind: &str| match kind {
        "array" => {
            let first = &schema["prefixItems"][0];
            let items = if first.is_null() { &schema["items"] } else { first };
            format!("array of {}", kind_of(items))
        }
        "object" if schema["additionalProperties"].is_object() => {
            format!("object of {}", kind_of(&schema["additionalProperties"]))
        }
        kind => kind.to_owned(),
    };
    match &schema["type"] {
        Value::String(kind) => one(kind),
        Value::Array(kinds) => {
            kinds.iter().map(|kind| one(string(kind))).collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    }
}

/// A description as the cell of a table.
fn summary(description: &Value) -> String {
    words(description.as_str().unwrap_or_default()).replace('|', "\\|")
}

fn string(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn thousands(number: usize) -> String {
    if number < 1000 {
        return number.to_string();
    }
    format!("{},{:03}", number / 1000, number % 1000)
}
