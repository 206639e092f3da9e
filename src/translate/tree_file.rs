//! Reads a file as a tree: YAML, or TOML by its name.

use std::collections::BTreeMap;
use std::path::Path;

use saphyr_parser::{Event, Parser};
use toml::de::{DeTable, DeValue};

use super::finding::{Findings, Place};
use super::source::{MAX_BYTES, MAX_FILES, Read, SourceError};
use super::tree::{Content, MAX_DEPTH, MAX_NODES, Node};

/// What is wrong with a text, and in which line.
type Wrong = (usize, String);

/// Reads the files that match a pattern as one tree.
pub(super) fn read(
    pattern: &Path,
    reader: &dyn Read,
    findings: &mut Findings,
) -> Result<Node, SourceError> {
    let unreadable = |error: std::io::Error| SourceError::Unreadable {
        file: pattern.to_owned(),
        message: error.to_string(),
    };
    let mut tree = Node::default();
    let mut bytes = 0_usize;
    for (path, text) in reader.matching(pattern).map_err(unreadable)? {
        bytes = bytes.saturating_add(text.len());
        let file = findings.add_file(&path);
        if bytes > MAX_BYTES || findings.file_count() > MAX_FILES {
            return Err(SourceError::TooLarge);
        }
        let is_toml = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("toml"));
        let read = if is_toml { of_toml(&text, file) } else { of_yaml(&text, file) };
        let syntax = |(line, message)| SourceError::Syntax { file: path.clone(), line, message };
        tree.merge(read.map_err(syntax)?);
    }
    Ok(tree)
}

/// A list or a map that is not at its end.
struct Open {
    node: Node,
    anchor: usize,
    /// The key of the next value.
    key: Option<String>,
}

/// Reads the first document.
fn of_yaml(text: &str, file: usize) -> Result<Node, Wrong> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: BTreeMap<usize, Node> = BTreeMap::new();
    let mut count = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| (error.marker().line(), error.info().to_owned()))?;
        let place = Place { file, line: span.start.line().max(1) };
        let is_alias = matches!(event, Event::Alias(_));
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_plain = matches!(style, saphyr_parser::ScalarStyle::Plain);
                let is_empty = is_plain && matches!(&*text, "" | "~" | "null");
                let content =
                    if is_empty { Content::Empty } else { Content::Text(text.into_owned()) };
                (Node { place, content }, anchor)
            }
            Event::Alias(anchor) => (anchors.get(&anchor).cloned().unwrap_or_default(), 0),
            Event::SequenceStart(anchor, ..) | Event::MappingStart(anchor, ..) => {
                if open.len() >= MAX_DEPTH {
                    return Err((place.line, format!("it is more than {MAX_DEPTH} levels deep")));
                }
                let is_list = matches!(event, Event::SequenceStart(..));
                let content =
                    if is_list { Content::List(Vec::new()) } else { Content::Map(Vec::new()) };
                open.push(Open { node: Node { place, content }, anchor, key: None });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { node, anchor, .. }) = open.pop() else { continue };
                (merged(node), anchor)
            }
            Event::DocumentEnd => return Ok(Node::default()),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {
                continue;
            }
        };
        count += if is_alias { node.size() } else { 1 };
        if count > MAX_NODES {
            return Err((place.line, "it is too large".to_owned()));
        }
        if anchor > 0 {
            anchors.insert(anchor, node.clone());
        }
        let Some(above) = open.last_mut() else { return Ok(node) };
        match &mut above.node.content {
            Content::List(items) => items.push(node),
            Content::Map(members) => match above.key.take() {
                Some(key) => members.push((key, node)),
                None => above.key = Some(node.text().unwrap_or_default().to_owned()),
            },
            Content::Empty | Content::Text(_) => {}
        }
    }
    Ok(Node::default())
}

/// With what `<<` takes from other maps.
fn merged(mut node: Node) -> Node {
    let Content::Map(members) = &mut node.content else { return node };
    let Some(at) = members.iter().position(|(name, _)| name == "<<") else { return node };
    let (_, other) = members.remove(at);
    match other.content {
        Content::List(items) => {
            for item in items {
                adopt(members, item);
            }
        }
        _ => adopt(members, other),
    }
    node
}

/// Takes members that are not there.
fn adopt(members: &mut Vec<(String, Node)>, other: Node) {
    let Content::Map(others) = other.content else { return };
    for (name, node) in others {
        if members.iter().all(|(it, _)| *it != name) {
            members.push((name, node));
        }
    }
}

fn of_toml(text: &str, file: usize) -> Result<Node, Wrong> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        (line(error.span().map_or(0, |span| span.start)), error.message().to_owned())
    })?;
    // Lines are counted from the beginning for each value only if there are few.
    let lines = Lines::of(text);
    let start = table.span().start;
    Ok(of_value(&DeValue::Table(table.into_inner()), start, &lines, file))
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    fn line(&self, at: usize) -> usize {
        1 + self.0.partition_point(|end| *end < at)
    }
}

fn of_value(value: &DeValue<'_>, at: usize, lines: &Lines, file: usize) -> Node {
    let place = Place { file, line: lines.line(at) };
    let content = match value {
        DeValue::String(text) => Content::Text(text.to_string()),
        DeValue::Integer(number) => Content::Text(number.to_string()),
        DeValue::Float(number) => Content::Text(number.to_string()),
        DeValue::Boolean(is_true) => Content::Text(is_true.to_string()),
        DeValue::Datetime(time) => Content::Text(time.to_string()),
        DeValue::Array(items) => {
            let items = items.iter().map(|it| of_value(it.get_ref(), it.span().start, lines, file));
            Content::List(items.collect())
        }
        DeValue::Table(members) => {
            let members = members.iter().map(|(key, it)| {
                let node = of_value(it.get_ref(), key.span().start, lines, file);
                (key.get_ref().to_string(), node)
            });
            Content::Map(members.collect())
        }
    };
    Node { place, content }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_have_places_and_the_same_members() {
        let yaml = "# c\na:\n  b: 1\n  c: [x, \"y\"]\nd: &d { e: true }\nf:\n  <<: *d\n  g:\n";
        let toml = "[a]\nb = 1\nc = [\"x\", \"y\"]\n[d]\ne = true\n";
        for (tree, line) in [(of_yaml(yaml, 0).unwrap(), 3), (of_toml(toml, 0).unwrap(), 2)] {
            assert_eq!(tree.at("a.b").and_then(Node::text), Some("1"));
            assert_eq!(tree.at("a.b").unwrap().place.line, line);
            assert_eq!(tree.at("A.C").unwrap().texts(), ["x", "y"]);
            assert!(tree.at("d.e").unwrap().is_true());
        }
        assert!(of_yaml(yaml, 0).unwrap().at("f.e").unwrap().is_true());
    }

    #[test]
    fn aliases_that_grow_without_end_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let old = format!("*a{}", n - 1);
            let line = format!("a{n}: &a{n} [{}]\n", [old.as_str(); 9].join(", "));
            text.push_str(&line);
        }
        assert_eq!(of_yaml(&text, 0).unwrap_err().1, "it is too large");
        assert!(of_yaml(&"[".repeat(5000), 0).is_err());
    }
}
