//! The example: a config file with every key, to start from.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use super::settings::tables;
use super::table::{Row, Table};

/// The keys that the example sets; all others are there as comments.
const SET: [&str; 3] = ["proxy.listen_addr", "proxy.listen_addr_http", "logging.format"];

/// An example config file, with every key, its description and its default.
pub(crate) fn example() -> String {
    let mut text = HEAD.to_owned();
    let mut described = BTreeMap::new();
    // Of lists the entries show the keys.
    for table in tables().into_iter().filter(|table| !table.is_list()) {
        write_table(&mut text, &table, &mut described);
    }
    text + ENTRIES
}

/// `described` has the descriptions so far, each with its key: what several sections have is described
/// once.
fn write_table(text: &mut String, table: &Table, described: &mut BTreeMap<String, String>) {
    let name = table.name;
    let header = if name.contains('.') { format!("[[{name}]]") } else { format!("[{name}]") };
    // Without a key that it needs it can't be there.
    let off = if table.rows.iter().any(|row| row.required) { "#" } else { "" };
    write_comment(text, table.about);
    // Writing to a text never fails.
    let _ = writeln!(text, "{off}{header}");
    for row in &table.rows {
        // The entries of a list come in a table of their own.
        if let Some(value) = value_of(row) {
            let set = SET.contains(&format!("{name}.{}", row.key).as_str());
            let value = if set { row.example.clone() } else { value };
            let key = format!("{name}.{}", row.key);
            let comment = format!("{}{}", row.about, remark(row));
            match described.get(&comment) {
                Some(first) => write_comment(text, &format!("As `{first}`.")),
                None => write_comment(text, &comment),
            }
            described.entry(comment).or_insert(key);
            let off = if set { "" } else { "#" };
            let _ = writeln!(text, "{off}{} = {}\n", row.key, toml_of(&value));
        }
    }
}

/// The default, or an example where that shows more. Nothing for a list of entries, which have a table.
fn value_of(row: &Row) -> Option<Json> {
    if row.schema["items"].get("properties").is_some() {
        return None;
    }
    let value = if is_none(&row.default) { &row.example } else { &row.default };
    Some(value).filter(|value| !value.is_null()).cloned()
}

/// Whether a default says no more than that there is nothing.
fn is_none(default: &Json) -> bool {
    default.is_null()
        || default.as_array().is_some_and(Vec::is_empty)
        || default.as_object().is_some_and(Map::is_empty)
}

/// What the description leaves to the schema: the range of a number, and that there is no default.
fn remark(row: &Row) -> String {
    let mut remark = String::new();
    if row.schema["type"] == "integer" {
        remark = format!(" {} to {}.", row.schema["minimum"], row.schema["maximum"]);
    }
    if is_none(&row.default)
        && !["The default is ", "Off unless"].iter().any(|w| row.about.contains(w))
    {
        remark.push_str(" No default.");
    }
    remark
}

fn toml_of(value: &Json) -> String {
    toml::Value::try_from(value).map(|value| value.to_string()).unwrap_or_default()
}

/// Writes a comment of lines that aren't too long.
fn write_comment(text: &mut String, comment: &str) {
    const WIDTH: usize = 100;
    let mut line = String::from("#");
    for word in comment.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

const HEAD: &str = include_str!("example/head.toml");

const ENTRIES: &str = include_str!("example/entries.toml");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_key_of_a_section_and_no_description_is_there_twice() {
        let example = example();
        let (mut descriptions, mut keys) = (BTreeSet::new(), BTreeSet::new());
        let (mut section, mut comment) = ("", String::new());
        // Entries show keys as they are needed.
        let (sections, _) = example.split_once("#[[notify]]\n").unwrap();
        for line in sections.lines() {
            let line_of_key = line.strip_prefix('#').unwrap_or(line);
            if let Some(text) = line.strip_prefix("# ") {
                comment.push_str(text);
            } else if line_of_key.starts_with('[') {
                section = line_of_key;
            } else if let Some((key, _)) = line_of_key.split_once(" = ") {
                assert!(keys.insert((section, key)), "{section} {key}");
                assert!(descriptions.insert(std::mem::take(&mut comment)), "{section} {key}");
            } else {
                comment.clear();
            }
        }
        assert!(keys.len() > 90, "{keys:?}");
    }
}
