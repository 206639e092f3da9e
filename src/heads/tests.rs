//! Edits of fields, compared with those of a plain list.

use proptest::prelude::*;

use bytes::BytesMut;

use super::names::{CONNECTION, HOST, TE};
use super::{Fields, Known, Set, text_of};

/// What is done to fields.
#[derive(Debug, Clone)]
enum Edit {
    Append(&'static str, String),
    AppendAs(&'static str, String),
    Insert(&'static str, String),
    Remove(&'static str),
    RemoveAny,
    Retain(char),
    Copy,
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["Host", "host", "TE", "connection", "X-a", "x-A", "x_b", "vary"])
}

fn edit() -> impl Strategy<Value = Edit> {
    let value = || "[a-z]{0,3}";
    prop_oneof![
        (name(), value()).prop_map(|(name, value)| Edit::Append(name, value)),
        (name(), value()).prop_map(|(name, value)| Edit::AppendAs(name, value)),
        (name(), value()).prop_map(|(name, value)| Edit::Insert(name, value)),
        name().prop_map(Edit::Remove),
        Just(Edit::RemoveAny),
        prop::sample::select(vec!['o', '_', 'X']).prop_map(Edit::Retain),
        Just(Edit::Copy),
    ]
}

/// The same with a plain list, which has the names as they are written.
#[derive(Default)]
struct Plain(Vec<(String, String)>);

impl Plain {
    fn written(name: &str) -> String {
        let known = Known::of(name.as_bytes()).map(Known::as_static);
        known.unwrap_or(name).to_owned()
    }

    fn apply(&mut self, edit: Edit) {
        let list = &mut self.0;
        match edit {
            Edit::Append(name, value) => list.push((Self::written(name), value)),
            Edit::AppendAs(name, value) => list.push((name.to_owned(), value)),
            Edit::Insert(name, value) => {
                let first = list.iter().position(|one| one.0.eq_ignore_ascii_case(name));
                let Some(first) = first else { return list.push((Self::written(name), value)) };
                list[first].1 = value;
                let mut at = 0;
                list.retain(|one| {
                    at += 1;
                    at <= first + 1 || !one.0.eq_ignore_ascii_case(name)
                });
            }
            Edit::Remove(name) => list.retain(|one| !one.0.eq_ignore_ascii_case(name)),
            Edit::RemoveAny => list
                .retain(|(name, _)| !["host", "te", "connection"].contains(&&*name.to_lowercase())),
            Edit::Retain(sign) => list.retain(|one| !one.0.contains(sign)),
            Edit::Copy => {}
        }
    }
}

proptest! {
    #[test]
    fn fields_are_those_of_a_plain_list(edits in prop::collection::vec(edit(), 0..30)) {
        let (mut fields, mut plain) = (Fields::default(), Plain::default());
        for edit in edits {
            match edit.clone() {
                Edit::Append(name, value) => fields.append(name, value),
                Edit::AppendAs(name, value) => fields.append_as(name.as_bytes(), value.as_bytes()),
                Edit::Insert(name, value) => fields.insert(name, value),
                Edit::Remove(name) => _ = fields.remove(name),
                Edit::RemoveAny => fields.remove_any(Set::of(&[HOST, TE, CONNECTION])),
                Edit::Retain(sign) => _ = fields.retain(|name| !name.contains(sign)),
                Edit::Copy => fields = fields.copy(),
            }
            plain.apply(edit);
        }
        let own: Vec<_> = fields.iter().map(|(name, value)| (name, value.to_vec())).collect();
        let list: Vec<_> =
            plain.0.iter().map(|(name, value)| (&**name, value.clone().into_bytes())).collect();
        prop_assert_eq!(&own, &list);
        for name in ["host", "te", "connection", "x-a", "x_b", "vary", "none"] {
            let all: Vec<_> =
                list.iter().filter(|one| one.0.eq_ignore_ascii_case(name)).collect();
            prop_assert_eq!(fields.get(name), all.first().map(|one| &*one.1));
            prop_assert_eq!(fields.all(name).count(), all.len());
            prop_assert_eq!(fields.has(name), !all.is_empty());
        }
        let has_hop = list.iter().any(|(name, _)| ["host", "te"].contains(&&*name.to_lowercase()));
        prop_assert_eq!(fields.has_any(Set::of(&[HOST, TE])), has_hop);
        let is_odd = list.iter().any(|(name, _)| name.contains('_'));
        prop_assert!(fields.is_odd() || !is_odd);
        let mut written = BytesMut::new();
        fields.write(&mut written);
        let lines: Vec<_> = plain.0.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        prop_assert_eq!(written, lines.concat());
        let map = fields.take_map();
        prop_assert_eq!(map.len(), list.len());
        prop_assert!(fields.len() == 0 && !fields.has(HOST));
    }
}

#[test]
fn text_is_what_can_be_seen() {
    assert_eq!(text_of(b"a \t~"), Some("a \t~"));
    for other in [&b"a\x7f"[..], b"\xc3\xa9", b"\n", b"\0"] {
        assert_eq!(text_of(other), None);
    }
}
