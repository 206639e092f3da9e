//! The methods that the server has. What is not here is not carried out, and what is here is in
//! `docs/admin-rpc.md`.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{
    Method, backend, cert, config, domain, event, log, name, route, state, stats, switch, token,
};
use crate::rpc::envelope::FaultKind;

/// Every method, by noun; within one, in the order of its documentation.
pub static CATALOGUE: &[Entry] = &[
    Entry::of::<state::Get>(),
    Entry::of::<stats::Get>(),
    Entry::of::<domain::List>(),
    Entry::of::<domain::Show>(),
    Entry::of::<domain::Add>(),
    Entry::of::<domain::Set>(),
    Entry::of::<domain::Remove>(),
    Entry::of::<domain::Wait>(),
    Entry::of::<backend::List>(),
    Entry::of::<backend::Show>(),
    Entry::of::<backend::Add>(),
    Entry::of::<backend::Set>(),
    Entry::of::<backend::Remove>(),
    Entry::of::<backend::AddTags>(),
    Entry::of::<backend::RemoveTags>(),
    Entry::of::<backend::Drain>(),
    Entry::of::<backend::Ready>(),
    Entry::of::<backend::Disable>(),
    Entry::of::<switch::Plan>(),
    Entry::of::<switch::Apply>(),
    Entry::of::<switch::Start>(),
    Entry::of::<switch::Undo>(),
    Entry::of::<config::Reload>(),
    Entry::of::<config::Diff>(),
    Entry::of::<config::Export>(),
    Entry::of::<config::Show>(),
    Entry::of::<cert::List>(),
    Entry::of::<cert::Show>(),
    Entry::of::<cert::Renew>(),
    Entry::of::<cert::Wait>(),
    Entry::of::<cert::Import>(),
    Entry::of::<cert::Export>(),
    Entry::of::<cert::Revoke>(),
    Entry::of::<cert::Ca>(),
    Entry::of::<cert::Account>(),
    Entry::of::<token::Show>(),
    Entry::of::<token::Rotate>(),
    Entry::of::<token::Add>(),
    Entry::of::<token::List>(),
    Entry::of::<token::Remove>(),
    Entry::of::<event::List>(),
    Entry::of::<event::Watch>(),
    Entry::of::<route::Explain>(),
    Entry::of::<log::Level>(),
    Entry::of::<name::Complete>(),
];

/// A method without its types.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// The kinds of errors that are its own.
    pub faults: &'static [FaultKind],
    /// The schema of its parameters, inline.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its result.
    pub result: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of what it reports while it is under way; that of null when it reports nothing.
    pub progress: fn(&mut SchemaGenerator) -> Schema,
}

impl Entry {
    const fn of<M: Method>() -> Self {
        Self {
            name: M::NAME,
            doc: M::DOC,
            faults: M::FAULTS,
            params: M::Params::json_schema,
            result: SchemaGenerator::subschema_for::<M::Result>,
            progress: SchemaGenerator::subschema_for::<M::Progress>,
        }
    }

    /// Whether the method may answer with an error of this kind.
    pub fn may_answer(&self, kind: FaultKind) -> bool {
        matches!(kind, FaultKind::Invalid | FaultKind::Internal) || self.faults.contains(&kind)
    }
}

/// The method of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name)
}

/// The method whose name is most like this one, where one is like it.
pub fn nearest(name: &str) -> Option<&'static Entry> {
    const LIKE: f64 = 0.75;
    // What is longer than any name is like none, and not worth the comparison.
    let short = name.len() <= 64;
    let likeness = |entry: &&Entry| strsim::normalized_damerau_levenshtein(entry.name, name);
    let entries = CATALOGUE.iter().filter(|_| short);
    entries
        .map(|entry| (likeness(&entry), entry))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, entry)| entry)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_method_has_a_name_of_its_own_and_says_what_it_does() {
        let mut names = BTreeSet::new();
        for Entry { name, doc, .. } in CATALOGUE {
            assert!(names.insert(name), "`{name}` is there twice");
            let (noun, verb) = name.split_once('.').expect("noun.verb");
            for word in [noun, verb] {
                let plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                assert!(plain && !word.is_empty(), "{name}");
            }
            assert!(doc.trim().ends_with('.'), "`{name}` has no sentence about itself");
        }
    }

    #[test]
    fn a_name_that_is_nearly_right_has_its_method_found() {
        for (typed, meant) in [
            ("domain.lst", Some("domain.list")),
            ("domains.list", Some("domain.list")),
            ("backend.dran", Some("backend.drain")),
            ("paint", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed).map(|entry| entry.name), meant, "{typed}");
        }
        assert!(nearest(&"x".repeat(1 << 20)).is_none());
    }
}
