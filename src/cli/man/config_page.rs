//! `vhost-config(5)`: the config file, from its schema.

use std::fmt::Write as _;

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use serde_json::Value;

use crate::config;

/// The sections, and the lists of entries, as a reader meets them.
fn sections() -> Vec<&'static str> {
    [config::sections(), config::INCLUDED_KEYS.to_vec()].concat()
}

/// The page.
pub(super) fn render() -> Vec<u8> {
    let schema = config::schema();
    let mut page = Roff::new();
    page.control("TH", ["VHOST-CONFIG", "5", "", "vhost", "vhost manual"]);
    section(&mut page, "NAME", &["vhost-config - the config file of vhost"]);
    section(&mut page, "DESCRIPTION", DESCRIPTION);
    page.control("SH", ["KEYS"]);
    page.text(words("At the top of the file, before all sections:"));
    let include = Key { section: "", path: "include".to_owned(), required: false };
    include.write(&mut page, &schema["properties"]["include"]);
    for name in sections() {
        keys(&mut page, name, at(&schema, name));
    }
    section(&mut page, "INCLUDE FILES", INCLUDE_FILES);
    section(&mut page, "ENVIRONMENT REFERENCES", ENVIRONMENT_REFERENCES);
    page.control("SH", ["EXAMPLES"]);
    page.control("nf", []);
    for line in EXAMPLE.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
    page.control("SH", ["FILES"]);
    for (path, text) in FILES {
        entry(&mut page, [bold(path)], text);
    }
    page.control("SH", ["SEE ALSO"]);
    let others =
        ["vhost-serve", "vhost-check", "vhost-schema", "vhost-ctl-config", "vhost-ctl-reload"];
    for name in others {
        page.control("BR", [name, "(1),"]);
    }
    page.control("BR", ["vhost", "(1)"]);
    page.render().into_bytes()
}

/// The schema of a section, or of a list within one.
fn at<'s>(schema: &'s Value, path: &str) -> &'s Value {
    path.split('.').fold(schema, |schema, name| &schema["properties"][name])
}

/// A section of the file.
fn keys(page: &mut Roff, name: &str, section: &Value) {
    let (heading, shape) = match section.get("items") {
        Some(entry) => (format!("[[{name}]]"), entry),
        None => (format!("[{name}]"), section),
    };
    page.control("SS", [heading.as_str()]);
    page.text(words(description(shape)));
    for (key, property) in shape["properties"].as_object().into_iter().flatten() {
        let key = Key { section: name, path: key.clone(), required: requires(shape, key) };
        key.write(page, property);
    }
}

fn requires(shape: &Value, key: &str) -> bool {
    shape["required"].as_array().is_some_and(|keys| keys.iter().any(|required| required == key))
}

/// A key of a section, or one of a table that is a value there.
struct Key<'a> {
    section: &'a str,
    /// Such as `threads`, `paths[].prefix`, or `error_pages.NAME.text`, where any name may stand.
    path: String,
    required: bool,
}

impl Key<'_> {
    /// Writes its name and what it takes, what it does, and what holds without it; then those within.
    fn write(&self, page: &mut Roff, property: &Value) {
        let whole = format!("{}.{}", self.section, self.path);
        let has_section = sections().contains(&whole.as_str());
        let takes = if has_section { "entries, see below".to_owned() } else { takes(property) };
        let mut text = description(property).split_whitespace().collect::<Vec<_>>().join(" ");
        match property.get("default").filter(|default| !default.is_null()) {
            Some(default) => {
                let _ = write!(text, " Default: `{default}`{}.", in_units(property, default));
            }
            None if self.required => text.push_str(" Required."),
            // What holds without a key within a value is said by its description.
            None if self.path.contains('.') => {}
            None if text.contains("The default is ") || text.contains("Off unless") => {}
            None => text.push_str(" No default."),
        }
        if config::remedy(&whole).is_some() {
            text.push_str(" A change takes effect at a restart.");
        }
        entry(page, [bold(&self.path), roman(" = "), italic(takes)], &text);
        if !has_section {
            self.write_within(page, &self.path, property);
        }
    }

    /// Writes the keys of the tables that a value may have, or be.
    fn write_within(&self, page: &mut Roff, path: &str, schema: &Value) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let (path, required) = (format!("{path}.{key}"), requires(schema, key));
            Key { section: self.section, path, required }.write(page, property);
        }
        for choice in choices(schema) {
            self.write_within(page, path, choice);
        }
        if let Some(items) = schema.get("items") {
            self.write_within(page, &format!("{path}[]"), items);
        }
        if let Some(values) = schema.get("additionalProperties") {
            self.write_within(page, &format!("{path}.NAME"), values);
        }
    }
}

fn number(number: &Value) -> String {
    let number = number.to_string();
    number.strip_suffix(".0").unwrap_or(&number).to_owned()
}

/// A size with its unit, where that is easier to read.
fn in_units(property: &Value, bytes: &Value) -> String {
    let is_size = |example: &Value| example.as_str().is_some_and(|size| size.ends_with('B'));
    let is_size = choices(property).any(|choice| is_size(&choice["examples"][0]));
    let units = [(30, "GB"), (20, "MB"), (10, "KB")];
    let bytes = bytes.as_u64().filter(|_| is_size).unwrap_or_default();
    let unit = units.into_iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    unit.map(|(shift, unit)| format!(" ({}{unit})", bytes >> shift)).unwrap_or_default()
}

/// The kinds of values that a schema lets one choose from.
fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array());
    // Every text may refer to the environment: that is not said each time.
    let refers =
        |choice: &Value| choice["pattern"].as_str().is_some_and(|p| p.starts_with(r"\$\{"));
    lists.flatten().filter(move |choice| !refers(choice) && choice["type"] != "null")
}

/// The values that a key takes, as a reader would write them.
fn takes(schema: &Value) -> String {
    let is = |kind: &str| match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        only => only == kind,
    };
    let example = schema["examples"].get(0);
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    if let Some(word) = schema.get("const") {
        return word.to_string();
    }
    if let Some(keys) = schema["properties"].as_object() {
        let keys: Vec<_> = keys.iter().map(|(key, of)| format!("{key} = {}", takes(of))).collect();
        return format!("{{ {} }}", keys.join(", "));
    }
    if is("boolean") {
        return "true | false".to_owned();
    }
    if is("integer") || is("number") {
        return match (&schema["minimum"], &schema["maximum"]) {
            (from, Value::Null) => format!("{from} or more"),
            (from, to) => format!("{} to {}", number(from), number(to)),
        };
    }
    if let Some(items) = schema.get("items") {
        return example.map_or_else(|| format!("[{}, ...]", takes(items)), Value::to_string);
    }
    if let Some(values) = schema.get("additionalProperties").filter(|_| is("object")) {
        return format!("{{ NAME = {}, ... }}", takes(values));
    }
    if let Some(example) = example {
        return example.to_string();
    }
    let choices: Vec<_> = choices(schema).map(takes).collect();
    if choices.is_empty() { "\"text\"".to_owned() } else { choices.join(" | ") }
}

fn description(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

fn section(page: &mut Roff, heading: &str, paragraphs: &[&str]) {
    page.control("SH", [heading]);
    for (index, paragraph) in paragraphs.iter().enumerate() {
        if index > 0 {
            page.control("PP", []);
        }
        page.text(words(paragraph));
    }
}

fn entry(page: &mut Roff, term: impl IntoIterator<Item = Inline>, text: &str) {
    page.control("TP", []);
    page.text(term.into_iter().collect::<Vec<_>>());
    page.text(words(text));
}

/// Text with code in backticks, which a page shows in bold.
fn words(text: &str) -> Vec<Inline> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(index, part)| if index % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

const DESCRIPTION: &[&str] = &[
    "The config file of `vhost serve` is TOML. It says what the server is, in sections such as \
     `[proxy]`, and declares the apps, domains and backends that it starts with, in `[[apps]]`, \
     `[[virtual_hosts]]` and `[[backends]]`. `vhost check` reports everything that is wrong with a file.",
    "The file declares, the admin socket operates: on a start and on a reload, what changed in the \
     file since it was last applied is applied, and nothing else moves. So neither undoes a switch.",
    "Times are in seconds, whole or with decimals, or have units, such as `\"90s\"` and `\"1h30m\"`. Sizes \
     are in bytes, or have units, such as `\"10MB\"` and `\"64KiB\"`: each is a power of 1024, so that \
     `\"10MB\"` is 10485760. Where they are shown, they are numbers. Relative paths start at the file's \
     directory.",
    "`vhost schema` prints the file's JSON Schema, for completion and checks in editors: for those \
     that know Taplo, make `#:schema ./vhost.schema.json` the first line of the file.",
];

const INCLUDE_FILES: &[&str] = &[
    "`include` names files that belong to this one, such as one for each application. A name may be a \
     pattern with `*`, `?` and `[...]`, which may match no file; files are read in the order of their \
     names. A name without these characters must exist. No pattern matches files that begin with a dot.",
    "An included file holds `[[apps]]`, `[[virtual_hosts]]` and `[[backends]]` and nothing else. A domain's tag \
     may be carried by a backend of another file; names and ids occur once over all files.",
];

const ENVIRONMENT_REFERENCES: &[&str] = &[
    "In every text, `${NAME}` stands for what the environment variable NAME holds when the file is \
     read; `$${` stands for `${` itself. A variable that is not set is an error. Sizes and times may be \
     texts; other numbers, and true or false, can't be referred to.",
    "Messages, `vhost check` and `vhost ctl config show` show the reference, never its value. The same \
     holds for the options of domains: they are stored, shown and exported with their references, and the \
     values are only in the server's memory. Names, ids, tags, addresses and the paths of certificates \
     are shown with their values: put no secret there.",
    "Only the file can refer to the environment: a command that contains `${NAME}` is refused, unless \
     exactly this text is the current value.",
    "A server has the environment that it was started with: to read another value, restart it.",
];

const EXAMPLE: &str = r#"include = ["conf.d/*.toml"]

[proxy]
listen_addr_http = "0.0.0.0:80"
admin_group = "deploy"

[[virtual_hosts]]
domain = "example.com"
aliases = ["www.example.com"]
enabled_backends_tag = "a"

[[backends]]
id = "web-v1"
address = "localhost:3001"
tags = ["a"]

[[backends]]
id = "web-v2"
address = "${WEB_V2}:3001"
tags = ["b"]"#;

const FILES: [(&str, &str); 2] = [
    ("/etc/vhost/config.toml", "The config file that the systemd unit names."),
    ("/var/lib/vhost", "State and history of the system's server."),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key of the schema, with the section that it is in and its path there.
    fn all_keys(schema: &Value) -> Vec<(String, String, Value)> {
        fn walk(
            schema: &Value,
            section: &str,
            path: &str,
            found: &mut Vec<(String, String, Value)>,
        ) {
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let whole = format!("{section}.{path}");
                found.push((section.to_owned(), path.clone(), property.clone()));
                if sections().contains(&whole.as_str()) {
                    walk(&property["items"], &whole, "", found);
                } else {
                    walk(property, section, &path, found);
                }
            }
            for choice in
                ["anyOf", "oneOf"].iter().filter_map(|key| schema[key].as_array()).flatten()
            {
                walk(choice, section, path, found);
            }
            walk_into(schema.get("items"), section, &format!("{path}[]"), found);
            walk_into(schema.get("additionalProperties"), section, &format!("{path}.NAME"), found);
        }
        fn walk_into(
            schema: Option<&Value>,
            section: &str,
            path: &str,
            found: &mut Vec<(String, String, Value)>,
        ) {
            if let Some(schema) = schema {
                walk(schema, section, path, found);
            }
        }
        let mut found = Vec::new();
        for (name, section) in schema["properties"].as_object().expect("sections") {
            if name != "include" {
                assert!(sections().contains(&name.as_str()), "no section `{name}` on the page");
                walk(section.get("items").unwrap_or(section), name, "", &mut found);
            }
        }
        found
    }

    #[test]
    fn the_page_has_every_key_of_the_schema_with_what_it_takes() {
        let page = String::from_utf8(render()).expect("UTF-8");
        let keys = all_keys(&config::schema());
        assert!(keys.iter().any(|(_, path, _)| path == "paths[].prefix"), "{keys:?}");
        assert!(keys.iter().any(|(_, path, _)| path == "error_pages.NAME.text"), "{keys:?}");
        for (section, path, _) in keys {
            let term = format!("\\fB{path}\\fR = ");
            assert!(page.replace("\\-", "-").contains(&term), "no `{section}: {path}` in\n{page}");
        }
        for part in [
            "\\fBthreads\\fR = \\fI1 to 1024\\fR",
            "\\fBlisten_addr\\fR = \\fI[\"0.0.0.0:443\",\"[::]:443\"]\\fR",
            "\\fBmax_header_bytes\\fR = \\fI1024 to 1048576 | \"16KB\"\\fR",
            "\\fBidle_timeout_secs\\fR = \\fI0.001 to 86400 | \"90s\"\\fR",
            "Default: \\fB1073741824\\fR (1GB).",
            "\\fBrate_limit.requests\\fR = \\fI1 or more\\fR",
            "Default: \\fB60\\fR",
            "Required.",
            "conf.d/*.toml",
        ] {
            assert!(page.contains(part), "no `{part}` in\n{page}");
        }
    }

    /// A file with one key of a section.
    fn file_with(section: &str, key: &str, value: &Value) -> String {
        let value = toml::Value::try_from(value).expect("it is TOML");
        let said = format!("{key} = {value}\n");
        let needed = match (section, key) {
            ("lets_encrypt", "email") => "",
            ("lets_encrypt", key) if key.starts_with("eab_") => return String::new(),
            ("lets_encrypt", key) if key.starts_with("on_demand_") && key != "on_demand_ask" => {
                "email = \"a@b.example\"\non_demand_ask = \"http://localhost\"\n"
            }
            ("lets_encrypt", _) => "email = \"a@b.example\"\n",
            ("proxy", "default_cert" | "default_key") => return String::new(),
            ("proxy", "client_ip_header") => "trusted_proxies = [\"::1\"]\n",
            _ => "",
        };
        let listener = match (section, key) {
            ("proxy", "listen_addr") => "",
            _ => "listen_addr = \"127.0.0.1:1\"\n",
        };
        match section {
            "proxy" => format!("[proxy]\n{listener}{needed}{said}"),
            // A secret is in the environment.
            "notify" | "hooks" if key == "secret" => String::new(),
            "notify" | "hooks" => {
                let others = [("name", "name = \"a\"\n"), ("url", "url = \"http://a\"\n")];
                let is_other = |name: &str| name != key && (name, key) != ("url", "exec");
                let others = others.into_iter().filter(|(name, _)| is_other(name));
                let others = others.map(|(_, line)| line).collect::<String>();
                format!("[proxy]\n{listener}[[{section}]]\n{others}{said}")
            }
            _ => format!("[proxy]\n{listener}[{section}]\n{needed}{said}"),
        }
    }

    #[test]
    fn the_examples_of_the_schema_are_valid() {
        let mut tried = 0;
        for (section, path, property) in all_keys(&config::schema()) {
            let is_of_section = !path.contains(['.', '[']) && !section.contains('.');
            if !is_of_section || config::INCLUDED_KEYS.contains(&section.as_str()) {
                continue;
            }
            let alternatives =
                choices(&property).filter_map(|choice| choice["examples"].as_array());
            let examples =
                property["examples"].as_array().into_iter().chain(alternatives).flatten();
            for example in examples.chain(property.get("default")) {
                let text = file_with(&section, &path, example);
                if text.is_empty() || example.as_array().is_some_and(Vec::is_empty) {
                    continue;
                }
                let file = std::path::Path::new("/nonexistent/vhost.toml");
                config::parse(file, &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
                tried += 1;
            }
        }
        assert!(tried > 80, "{tried}");
    }

    #[test]
    fn the_example_is_a_config_file() {
        let example = EXAMPLE.replace("${WEB_V2}", "web-v2.internal");
        let file = std::path::Path::new("/nonexistent/vhost.toml");
        config::parse(file, &example).unwrap_or_else(|error| panic!("{error}"));
    }
}
