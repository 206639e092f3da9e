//! The names in a query: enough of the language to find them.

use std::collections::BTreeSet;

/// Words of the language that stand where a name could.
const WORDS: [&str; 8] = ["and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"];

/// What is followed by labels in parentheses.
const BY_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The metrics and the labels that a query names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) metrics: BTreeSet<String>,
    pub(super) labels: BTreeSet<String>,
}

pub(super) fn names(query: &str) -> Names {
    let mut names = Names::default();
    let mut rest = query;
    let mut labels_until = None;
    while let Some(first) = rest.chars().next() {
        let end = |inner: fn(char) -> bool| {
            rest[first.len_utf8()..]
                .find(|c| !inner(c))
                .map_or(rest.len(), |at| at + first.len_utf8())
        };
        if first == '"' {
            let close = rest[1..].find('"').expect("a text ends");
            rest = &rest[close + 2..];
        } else if first == '[' {
            rest = &rest[rest.find(']').expect("a range ends")..];
        } else if first.is_ascii_digit() {
            rest = &rest[end(|c| c.is_ascii_alphanumeric() || c == '.')..];
        } else if first.is_ascii_alphabetic() || first == '_' {
            let (word, after) =
                rest.split_at(end(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':')));
            let next = after.trim_start();
            // `sum (x)`, or `sum by (label) (x)`.
            let is_called = next.starts_with('(')
                || ["by", "without"].iter().any(|by| next.split([' ', '(']).next() == Some(by));
            if labels_until.is_some() {
                names.labels.insert(word.to_owned());
            } else if BY_LABELS.contains(&word) {
                labels_until = is_called.then_some(')');
            } else if !is_called && !WORDS.contains(&word) {
                names.metrics.insert(word.to_owned());
            }
            rest = after;
        } else {
            if first == '{' {
                labels_until = Some('}');
            } else if labels_until == Some(first) {
                labels_until = None;
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    names
}

#[test]
fn the_names_in_a_query_are_found() {
    let found = names(
        r#"sum by (domain, le) (rate(a_bucket{tag=~"x|by",b!=""}[5m] offset 1h)) / 2e3 > on (c) group_left d and count(e == 0) or vector(1)"#,
    );
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(found.metrics, set(&["a_bucket", "d", "e"]));
    assert_eq!(found.labels, set(&["domain", "le", "tag", "b", "c"]));
}
