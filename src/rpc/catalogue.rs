//! The methods that the server has. What is not here is not carried out, and what is here is in
//! `docs/admin-rpc.md`.

use super::methods::{
    backend, cert, config, domain, event, log, name, route, state, stats, switch, token,
};
pub use super::run::Entry;

/// The methods by noun, in the order of their documentation.
static NOUNS: [&[Entry]; 12] = [
    state::METHODS,
    stats::METHODS,
    domain::METHODS,
    backend::METHODS,
    switch::METHODS,
    config::METHODS,
    cert::METHODS,
    token::METHODS,
    event::METHODS,
    route::METHODS,
    log::METHODS,
    name::METHODS,
];

/// Every method.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    NOUNS.into_iter().flatten()
}

/// The method of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.name == name)
}

/// The method whose name is most like this one, where one is like it.
pub fn nearest(name: &str) -> Option<&'static Entry> {
    const LIKE: f64 = 0.75;
    // What is longer than any name is like none, and not worth the comparison.
    let short = name.len() <= 64;
    let likeness = |entry: &Entry| strsim::normalized_damerau_levenshtein(entry.name, name);
    all()
        .filter(|_| short)
        .map(|entry| (likeness(entry), entry))
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
        for Entry { name, doc, .. } in all() {
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
